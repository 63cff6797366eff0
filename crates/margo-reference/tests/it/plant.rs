//! A manager and its devices as processes, with an operator.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use margo_cli::{Application, Deployment, Onboarded, OperatorClient, Package, Report, Selection};
use margo_client::{HttpTransport, RestClient};
use margo_core::SpecVersion;
use margo_identity::{BearerCredentials, Token};
use serde_json::{Map, Value, json};
use tempfile::TempDir;
use url::Url;

use crate::program::{DEVICE, Program, WFM, free_address, until};

pub(crate) type Client = RestClient<HttpTransport, BearerCredentials>;

/// A `margo-wfm` with its folder. Devices lie in the same folder, beside it.
pub(crate) struct Plant {
    program: Option<Program>,
    address: SocketAddr,
    operator: Option<OperatorClient>,
    http: reqwest::Client,
    folder: TempDir,
}

impl Plant {
    /// Starts a manager that knows nothing yet.
    pub(crate) async fn start() -> Self {
        let mut plant = Self::idle();
        plant.up().await;
        plant
    }

    /// A folder, and nothing that runs in it yet.
    pub(crate) fn idle() -> Self {
        Self {
            program: None,
            address: free_address(),
            operator: None,
            http: http_client(),
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// Starts the manager (again), where it was and with what it had: with `margo-wfm.toml`, if there is one.
    pub(crate) async fn up(&mut self) {
        assert!(self.program.is_none(), "it runs");
        let (data, address) = (self.data(), self.address.to_string());
        let mut arguments = vec!["--data", data.to_str().unwrap(), "--listen", &address];
        let config = self.folder().join("margo-wfm.toml");
        if config.exists() {
            arguments.extend(["--config", config.to_str().unwrap()]);
        }
        let mut program = Program::start(WFM, "manager", self.folder(), &arguments);
        until("the manager answers", async || {
            program.must_run();
            self.http.get(self.at("/healthz")).send().await.ok().filter(|answer| answer.status().is_success())
        })
        .await;
        self.operator = Some(OperatorClient::new(self.url(), self.operator_token()).unwrap());
        self.program = Some(program);
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// SIGTERM.
    pub(crate) async fn terminate(&mut self) {
        let status = self.program.take().unwrap().terminate().await;
        assert!(status.success(), "{status}");
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of the manager.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder().join("manager")
    }

    /// The Git repository of a client, in the manager's folder.
    pub(crate) fn repository(&self, client: &str) -> PathBuf {
        self.data().join("git").join(format!("{client}.git"))
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> Url {
        self.at("/")
    }

    pub(crate) fn at(&self, path: &str) -> Url {
        format!("http://{}{path}", self.address).parse().unwrap()
    }

    pub(crate) fn http(&self) -> &reqwest::Client {
        &self.http
    }

    pub(crate) fn operator(&self) -> &OperatorClient {
        self.operator.as_ref().unwrap()
    }

    pub(crate) fn operator_token(&self) -> String {
        std::fs::read_to_string(self.data().join("operator-token")).unwrap().trim().to_owned()
    }

    pub(crate) async fn onboard(&self, device: &str, revision: SpecVersion) -> Onboarded {
        self.operator().onboard(device, None, revision.as_str()).await.unwrap()
    }

    /// A device's client over REST, in this process.
    pub(crate) fn client(&self, onboarded: &Onboarded) -> Client {
        let token: Token = onboarded.token.parse().unwrap();
        let client = RestClient::connect(self.url(), onboarded.revision.parse().unwrap(), token).unwrap();
        client.with_device(onboarded.device_id.parse().unwrap())
    }

    /// Uploads a package of the fixtures.
    pub(crate) async fn upload(&self, package: &str) -> Application {
        let package = Package::read(&fixtures().join("packages").join(package)).unwrap();
        self.operator().upload(package.description).await.unwrap()
    }

    /// Deploys the profile of this type to devices; returns the ids.
    pub(crate) async fn deploy(
        &self,
        application: &Application,
        profile_type: &str,
        values: Value,
        devices: &[&str],
    ) -> Vec<String> {
        let devices: Vec<String> = devices.iter().map(|device| (*device).to_owned()).collect();
        let profile = application.profiles.iter().find(|profile| profile.profile_type == profile_type);
        let (profile, values) = (profile.unwrap().id.as_str(), object(values));
        let changed =
            self.operator().deploy(application, Some(profile), None, &values, &devices).await.unwrap();
        changed.deployments.into_iter().map(|deployment| deployment.deployment_id).collect()
    }

    /// Deploys `pump-monitor` 1.0.0, of two components, to one device.
    pub(crate) async fn deploy_pumps(&self, device: &str) -> String {
        let pumps = self.upload("pump-monitor-1.0.0").await;
        self.deploy(&pumps, "helm", json!({ "siteId": "DE-0042" }), &[device]).await.remove(0)
    }

    pub(crate) async fn reconfigure(&self, id: &str, values: Value) {
        let selection = Selection::ids(vec![id.to_owned()]);
        self.operator().reconfigure(&selection, &object(values)).await.unwrap();
    }

    pub(crate) async fn delete(&self, id: &str) {
        self.operator().delete(&Selection::ids(vec![id.to_owned()])).await.unwrap();
    }

    /// A deployment with its document and history.
    pub(crate) async fn look_at(&self, id: &str) -> Deployment {
        self.operator().deployment(id).await.unwrap()
    }

    /// What a device said about a deployment, oldest first.
    pub(crate) async fn history(&self, id: &str) -> Vec<Report> {
        self.look_at(id).await.history.unwrap()
    }

    /// Waits until something is so of a deployment.
    pub(crate) async fn until(
        &self,
        id: &str,
        what: &str,
        is_so: impl Fn(&Deployment) -> bool,
    ) -> Deployment {
        until(what, async || Some(self.look_at(id).await).filter(|deployment| is_so(deployment))).await
    }

    pub(crate) async fn until_converged(&self, id: &str) -> Deployment {
        self.until(id, "what is desired is so", |deployment| deployment.converged).await
    }

    /// How many requests of this method were answered on this route, with whatever status.
    pub(crate) async fn requests(&self, method: &str, route: &str) -> u64 {
        let answer = self.http.get(self.at("/metrics")).send().await.unwrap();
        let text = answer.text().await.unwrap();
        let labels = [format!("method=\"{method}\""), format!("route=\"{route}\"")];
        let is_meant = |line: &&str| {
            line.starts_with("margo_http_requests_total{") && labels.iter().all(|label| line.contains(label))
        };
        let counts = text.lines().filter(is_meant).map(|line| line.rsplit(' ').next().unwrap());
        counts.map(|count| count.parse::<u64>().unwrap()).sum()
    }

    /// Waits until a device has asked for its desired state some more times.
    pub(crate) async fn until_polled(&self, device: &Device, times: u64) {
        let route = device.source.route();
        let before = self.requests("GET", route).await;
        until("the device polls", async || {
            (self.requests("GET", route).await >= before + times).then_some(())
        })
        .await;
    }
}

/// How a device learns what to run.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Source {
    Rest,
    Git,
}

impl Source {
    fn name(self) -> &'static str {
        match self {
            Self::Rest => "rest",
            Self::Git => "git",
        }
    }

    /// Where it asks first.
    fn route(self) -> &'static str {
        match self {
            Self::Rest => "/api/v1/deployments",
            Self::Git => "/git/{repository}/{*path}",
        }
    }
}

/// A `margo-device` with its folder.
pub(crate) struct Device {
    program: Option<Program>,
    pub(crate) onboarded: Onboarded,
    source: Source,
    folder: PathBuf,
    label: String,
    /// Where its logs go.
    parent: PathBuf,
}

impl Device {
    /// Onboards a device of the fixtures and writes its configuration. `runtime` is what else stands in `[runtime]`.
    pub(crate) async fn onboard(
        plant: &Plant,
        id: &str,
        revision: SpecVersion,
        source: Source,
        runtime: &str,
    ) -> Self {
        let onboarded = plant.onboard(id, revision).await;
        let folder = plant.folder().join(id);
        std::fs::create_dir(&folder).unwrap();
        let capabilities = fixtures().join("devices").join(id).join("capabilities.yaml");
        std::fs::copy(capabilities, folder.join("capabilities.yaml")).unwrap();
        let device = Self {
            program: None,
            source,
            folder,
            label: id.to_owned(),
            parent: plant.folder().to_owned(),
            onboarded,
        };
        device.write("token", &device.onboarded.token);
        device.write("git-token", &device.onboarded.git_token);
        device.configure(&device.configuration(&plant.url(), revision, runtime));
        device
    }

    /// A device that is onboarded already, with this configuration.
    pub(crate) fn with_configuration(
        plant: &Plant,
        onboarded: Onboarded,
        source: Source,
        configuration: &str,
    ) -> Self {
        let id = onboarded.device_id.clone();
        let folder = plant.folder().join(&id);
        std::fs::create_dir_all(&folder).unwrap();
        let of = |id: &str| fixtures().join("devices").join(id).join("capabilities.yaml");
        let capabilities = std::fs::read_to_string(of(&id));
        // One that is in no fixture is built like `pack-5`.
        let like_another = |_| std::fs::read_to_string(of("pack-5")).unwrap().replace("pack-5", &id);
        let capabilities = capabilities.unwrap_or_else(like_another);
        std::fs::write(folder.join("capabilities.yaml"), capabilities).unwrap();
        let parent = plant.folder().to_owned();
        let device = Self { program: None, source, folder, label: id, parent, onboarded };
        device.write("secret", &device.onboarded.token);
        device.configure(configuration);
        device
    }

    fn configuration(&self, manager: &Url, revision: SpecVersion, runtime: &str) -> String {
        let (id, source) = (&self.label, self.source.name());
        let repository = self.onboarded.git_url.as_deref().unwrap();
        format!(
            "[device]\nid = {id:?}\ncapabilities = \"capabilities.yaml\"\ncapabilities-check = \"100ms\"\n
             [manager]\nurl = \"{manager}\"\nrevision = \"{revision}\"\ntoken-file = \"token\"\n
             [desired-state]\nsource = {source:?}\nurl = {repository:?}\ntoken-file = \"git-token\"\n
             [schedule]\nrate = \"200ms\"\njitter = 0.1\n
             [runtime]\nkind = \"folder\"\nfolder = \"workloads\"\n{runtime}\n"
        )
    }

    pub(crate) fn configure(&self, configuration: &str) {
        self.write("margo-device.toml", configuration);
    }

    pub(crate) fn read_configuration(&self) -> String {
        std::fs::read_to_string(self.folder.join("margo-device.toml")).unwrap()
    }

    fn write(&self, file: &str, content: &str) {
        std::fs::write(self.folder.join(file), content).unwrap();
    }

    pub(crate) fn start(&mut self) {
        assert!(self.program.is_none(), "it runs");
        let config = self.folder.join("margo-device.toml");
        let arguments = ["--config", config.to_str().unwrap(), "--log-format", "json"];
        self.program = Some(Program::start(DEVICE, &self.label, &self.parent, &arguments));
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.program.take().unwrap().kill();
    }

    /// SIGTERM.
    pub(crate) async fn terminate(&mut self) {
        let status = self.program.take().unwrap().terminate().await;
        assert!(status.success(), "{status}");
    }

    /// Everything it logged, in all its lives, as text.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.parent.join(format!("{}.log", self.label))).unwrap()
    }

    /// What it logged, in all its lives.
    pub(crate) fn logged(&self) -> Vec<Value> {
        let log = self.program.as_ref().unwrap().log();
        log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    pub(crate) fn capabilities(&self) -> PathBuf {
        self.folder.join("capabilities.yaml")
    }

    /// The folder of a deployment.
    pub(crate) fn workload(&self, id: &str) -> PathBuf {
        self.folder.join("workloads").join(id)
    }

    /// The components that run.
    pub(crate) fn components(&self, id: &str) -> BTreeSet<String> {
        let Ok(entries) = std::fs::read_dir(self.workload(id)) else { return BTreeSet::new() };
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| !name.starts_with('.')).collect()
    }

    /// Every file below the workloads. One that is written again differs from itself.
    pub(crate) fn files(&self) -> Files {
        let mut found = Files::new();
        let mut folders = vec![self.folder.join("workloads")];
        while let Some(folder) = folders.pop() {
            // Whatever goes away meanwhile was not there.
            let Ok(entries) = std::fs::read_dir(folder) else { continue };
            for path in entries.map(|entry| entry.unwrap().path()) {
                let Ok(metadata) = std::fs::metadata(&path) else { continue };
                if metadata.is_dir() {
                    folders.push(path);
                } else if let Ok(content) = std::fs::read_to_string(&path) {
                    found.insert(path, (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), content));
                }
            }
        }
        found
    }
}

/// Files with their identities, times of change, and contents.
pub(crate) type Files = BTreeMap<PathBuf, (u64, i64, i64, String)>;

/// The states of a history, one after the other.
pub(crate) fn states(history: &[Report]) -> Vec<&str> {
    history.iter().map(|report| report.state.as_str()).collect()
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(members) = value else { panic!("{value} is no object") };
    members
}

pub(crate) fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

fn http_client() -> reqwest::Client {
    margo_reference::install_tls_provider();
    reqwest::Client::builder().no_proxy().tls_certs_only([]).build().unwrap()
}
