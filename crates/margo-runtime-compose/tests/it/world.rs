use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use margo_api::{BoxFuture, RuntimeError, WorkloadRuntime as _};
use margo_core::{Digest, Document};
use margo_deployment::{ApplicationDeployment, Component, Package};
use margo_runtime_compose::{
    ComponentFiles, ComposeOptions, ComposeRuntime, EngineAccess, PackageFiles, Tool, ToolKind,
};
use margo_syntax::Limits;
use tempfile::TempDir;

use crate::cable::Cable;
use crate::services::services;

/// A folder for a runtime, packages for it, and the engine of the tests.
pub(crate) struct World {
    pub(crate) folder: TempDir,
    pub(crate) registry: String,
    pub(crate) closed_registry: String,
    pub(crate) packages: Arc<Packages>,
    pub(crate) host: String,
    pub(crate) owner: String,
}

impl World {
    /// `None`, and a loud word, where there is no engine.
    pub(crate) fn new(name: &str) -> Option<Self> {
        let services = services()?;
        let value = |name: &str| services[name].clone();
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
            registry: value("MARGO_REGISTRY"),
            closed_registry: value("MARGO_REGISTRY_AUTH"),
            packages: Arc::default(),
            host: value("DOCKER_HOST"),
            owner: format!("{name}-{}", std::process::id()),
        })
    }

    pub(crate) async fn tool(&self) -> Tool {
        let mut access = EngineAccess::default();
        access.host = Some(self.host.clone());
        Tool::probe(&ToolKind::ALL, access, self.folder.path()).await.unwrap()
    }

    /// Containers share the machine's network, since the engine of the tests has no other.
    pub(crate) fn options() -> ComposeOptions {
        let mut options = ComposeOptions::default();
        options.policy.host_network = true;
        // Tests run at once, and share images.
        options.keep_images = true;
        options
    }

    /// A runtime at the end of a cable, which can be cut.
    pub(crate) async fn runtime_behind(&self, cable: &Cable) -> ComposeRuntime {
        self.runtime_behind_with(cable, Self::options()).await
    }

    pub(crate) async fn runtime_behind_with(&self, cable: &Cable, options: ComposeOptions) -> ComposeRuntime {
        self.runtime_at(cable.host(), options).await
    }

    /// A runtime whose engine is at this address.
    pub(crate) async fn runtime_at(&self, host: String, options: ComposeOptions) -> ComposeRuntime {
        let mut access = EngineAccess::default();
        access.host = Some(host);
        let tool = Tool::probe(&ToolKind::ALL, access, self.folder.path()).await.unwrap();
        let root = self.folder.path().join("compose");
        let packages = Arc::clone(&self.packages);
        ComposeRuntime::open(root, &self.owner, packages, tool, options).unwrap()
    }

    pub(crate) async fn runtime(&self) -> ComposeRuntime {
        self.runtime_with(Self::options()).await
    }

    pub(crate) async fn runtime_with(&self, options: ComposeOptions) -> ComposeRuntime {
        self.runtime_in("compose", options).await
    }

    pub(crate) async fn runtime_in(&self, folder: &str, options: ComposeOptions) -> ComposeRuntime {
        self.runtime_of(folder, self.tool().await, options)
    }

    pub(crate) fn runtime_of(&self, folder: &str, tool: Tool, options: ComposeOptions) -> ComposeRuntime {
        let root = self.folder.path().join(folder);
        let packages = Arc::clone(&self.packages);
        ComposeRuntime::open(root, &self.owner, packages, tool, options).unwrap()
    }

    /// A package with this Compose file, in which `REGISTRY` is the registry of the tests.
    pub(crate) fn package(&self, version: &str, compose: &str) {
        let compose = compose.replace("REGISTRY", &self.registry);
        self.packages.by_version.lock().unwrap().insert(version.to_owned(), compose);
    }

    /// An image of this test alone: nobody else needs it when it is deleted. It is in the registry and not here.
    pub(crate) fn own_image(&self, name: &str) -> String {
        let image = format!("{}/{name}-{}:1", self.registry, std::process::id());
        let (_, was_here) = self.docker(&["pull", "--quiet", &format!("{}/box:1", self.registry)]);
        assert!(was_here);
        for arguments in [
            ["tag", &format!("{}/box:1", self.registry), image.as_str()].as_slice(),
            &["push", "--quiet", &image],
            &["image", "rm", &image],
        ] {
            let (said, succeeded) = self.docker(arguments);
            assert!(succeeded, "{said}");
        }
        image
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> (String, bool) {
        let output = Command::new("docker").env("DOCKER_HOST", &self.host).args(arguments).output().unwrap();
        let text =
            String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
        (text.trim().to_owned(), output.status.success())
    }

    /// Service, number and start of every container of this test.
    pub(crate) fn containers(&self) -> BTreeMap<String, String> {
        let filter = format!("label=org.margo.owner={}", self.owner);
        let (ids, _) = self.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let of = |id: &str| {
            let format = "{{index .Config.Labels \"com.docker.compose.service\"}} {{.Id}} {{.State.Status}} {{.State.StartedAt}}";
            let (text, _) = self.docker(&["inspect", "--format", format, id]);
            let (service, rest) = text.split_once(' ').unwrap();
            (service.to_owned(), rest.to_owned())
        };
        ids.split_whitespace().map(of).collect()
    }

    pub(crate) fn id(&self, service: &str) -> String {
        self.containers()[service].split(' ').next().unwrap().to_owned()
    }
}

impl Drop for World {
    fn drop(&mut self) {
        let filter = format!("label=org.margo.owner={}", self.owner);
        let (ids, _) = self.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        for id in ids.split_whitespace() {
            self.docker(&["rm", "--force", "--volumes", id]);
        }
    }
}

/// Packages by version: what a registry would have.
#[derive(Default)]
pub(crate) struct Packages {
    by_version: Mutex<BTreeMap<String, String>>,
    /// What their registry says of images.
    pub(crate) sizes: Mutex<BTreeMap<String, u64>>,
}

struct Text(String);

impl ComponentFiles for Packages {
    fn fetch<'a>(
        &'a self,
        component: &'a Component,
    ) -> BoxFuture<'a, Result<Box<dyn PackageFiles>, RuntimeError>> {
        let Package::Oci { revision, .. } = &component.properties.package else { unreachable!() };
        let text = self.by_version.lock().unwrap().get(revision.as_str()).cloned();
        let missing = || RuntimeError::new("package-not-found", "no such version");
        Box::pin(async move { Ok(Box::new(Text(text.ok_or_else(missing)?)) as Box<dyn PackageFiles>) })
    }

    fn image_size<'a>(&'a self, image: &'a str, platform: &'a str) -> BoxFuture<'a, Option<u64>> {
        assert!(platform.starts_with("linux/"), "{platform}");
        Box::pin(std::future::ready(self.sizes.lock().unwrap().get(image).copied()))
    }
}

impl PackageFiles for Text {
    fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    fn unpack_into<'a>(&'a self, into: &'a Path) -> BoxFuture<'a, Result<(), RuntimeError>> {
        std::fs::create_dir_all(into.join("app")).unwrap();
        std::fs::write(into.join("app/compose.yaml"), &self.0).unwrap();
        Box::pin(std::future::ready(Ok(())))
    }
}

/// Deployment `pump-1` with the component `web` in this version.
pub(crate) fn deployment(version: &str, parameters: &[(&str, &str)]) -> Document<ApplicationDeployment> {
    let mut text = format!(
        "id: pump-1
metadata: {{ name: pump, namespace: plant, deviceId: plc-7 }}
spec:
  applicationId: pump
  deploymentProfile:
    type: compose
    components:
      - {{ name: web, properties: {{ repository: 'oci://r.example/web', revision: {version} }} }}
"
    );
    if !parameters.is_empty() {
        text += "  parameters:\n";
        for (name, value) in parameters {
            writeln!(
                text,
                "    p-{name}: {{ value: {value}, targets: [{{ pointer: {name}, components: [web] }}] }}"
            )
            .unwrap();
        }
    }
    ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap()
}

/// Prepares and applies, as an agent does.
pub(crate) async fn install(
    runtime: &ComposeRuntime,
    deployment: &Document<ApplicationDeployment>,
) -> Result<(), RuntimeError> {
    runtime.prepare(deployment).await?;
    apply(runtime, deployment).await
}

pub(crate) async fn apply(
    runtime: &ComposeRuntime,
    deployment: &Document<ApplicationDeployment>,
) -> Result<(), RuntimeError> {
    runtime.apply(deployment, &deployment.spec.deployment_profile.components[0]).await
}

/// A service that runs for ever.
pub(crate) const STEADY: &str = "services:
  web:
    image: REGISTRY/box:1
    network_mode: host
    command: [sleep, '100000']
    stop_signal: SIGKILL
";
