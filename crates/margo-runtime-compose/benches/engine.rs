//! What the runtime adds to Compose, on the engine of the tests (`cargo xtask engine up`): the time from a manifest to
//! `installed` next to a bare `up`, and how long a service does not answer during an update.
#![expect(clippy::print_stdout, reason = "a benchmark prints")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has failed")]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use margo_agent::{Agent, MemoryJournal};
use margo_api::{
    BoxFuture, CapabilitySink, Checkpoint, DesiredStateSource, RuntimeError, SinkError, SourceError,
    StatusSink, Update, WorkloadRuntime as _,
};
use margo_capability::AnyDeviceCapabilities;
use margo_core::{DeviceId, Digest, Document, ManifestVersion};
use margo_deployment::{ApplicationDeployment, Component, DeploymentRef, DesiredStateManifest, Package};
use margo_runtime_compose::{
    ComponentFiles, ComposeOptions, ComposeRuntime, EngineAccess, PackageFiles, Tool, ToolKind,
};
use margo_status::DeploymentStatusManifest;
use margo_syntax::Limits;

const ROUNDS: usize = 9;
const PORT: u16 = 18_099;

fn main() {
    let place = std::env::var_os("MARGO_ENGINE")
        .map_or_else(|| std::env::temp_dir().join("margo-engine"), PathBuf::from);
    let Ok(text) = std::fs::read_to_string(place.join("env")) else {
        println!("SKIPPED: no container engine in `{}`; `cargo xtask engine up` starts one", place.display());
        return;
    };
    let value = |name: &str| text.lines().find_map(|line| line.strip_prefix(&format!("{name}="))).unwrap();
    let bench = Bench {
        host: value("DOCKER_HOST").to_owned(),
        registry: value("MARGO_REGISTRY").to_owned(),
        folder: tempfile::tempdir().unwrap(),
    };
    bench.make_images();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for (version, read_by) in [("1.0.0", "read here"), ("1.0.1", "read by Compose first")] {
        for pulls in [true, false] {
            let (mut ours, mut bare) = (Vec::new(), Vec::new());
            // In turn, so that what else the machine does meets both.
            for _ in 0..ROUNDS {
                bare.push(bench.bare(pulls));
                ours.push(runtime.block_on(bench.ours(version, pulls)));
            }
            let what = if pulls { "image pulled" } else { "image at hand" };
            let of = |runs: &[Cost], what: fn(&Cost) -> Duration| median(runs.iter().map(what).collect());
            let elapsed = [of(&ours, |cost| cost.elapsed), of(&bare, |cost| cost.elapsed)];
            let busy = [of(&ours, |cost| cost.busy), of(&bare, |cost| cost.busy)];
            let least = |runs: &[Cost]| runs.iter().map(|cost| cost.elapsed).min().unwrap();
            println!(
                "installed, {read_by}, {what}: ours {:?} (least {:?}), bare {:?} (least {:?}), ratio {:.2}; \
                 processor: ours {:?}, bare {:?}",
                elapsed[0],
                least(&ours),
                elapsed[1],
                least(&bare),
                elapsed[0].as_secs_f64() / elapsed[1].as_secs_f64(),
                busy[0],
                busy[1]
            );
        }
    }
    for early in [true, false] {
        let outages = (0..5).map(|_| runtime.block_on(bench.outage(early))).collect();
        println!("outage of an update, early pull {early}: {:?}", median(outages));
    }
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What something cost: the time, and that of processors, its programs' included and the engine's not.
struct Cost {
    elapsed: Duration,
    busy: Duration,
}

/// The processor time of this process and of the programs it waited for, which the kernel counts in hundredths of a
/// second.
fn busy() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields = text.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(4);
    Duration::from_millis(10 * fields.map(|field| field.parse::<u64>().unwrap()).sum::<u64>())
}

struct Bench {
    host: String,
    registry: String,
    folder: tempfile::TempDir,
}

impl Bench {
    fn docker(&self, arguments: &[&str]) {
        let mut docker = Command::new("docker");
        docker.env("DOCKER_HOST", &self.host).args(arguments).stdout(Stdio::null()).stderr(Stdio::null());
        let _ = docker.status().unwrap();
    }

    /// Two images with 48 MiB that cannot be compressed.
    fn make_images(&self) {
        for tag in ["1", "2"] {
            let script = format!(
                "set -e; cd {folder}; mkdir -p root/bin root/tmp; cp $(command -v busybox) root/bin/busybox; \
                 for name in sh httpd sleep; do ln -sf busybox root/bin/$name; done; head -c 50331648 /dev/urandom > root/ballast; \
                 tar -C root -c . | docker import --change 'ENV PATH=/bin' - {registry}/bench:{tag}; \
                 docker push --quiet {registry}/bench:{tag}; docker image rm {registry}/bench:{tag}",
                folder = self.folder.path().display(),
                registry = self.registry
            );
            let mut sh = Command::new("sh");
            sh.args(["-c", &script])
                .env("DOCKER_HOST", &self.host)
                .stdout(Stdio::null())
                .stderr(Stdio::null());
            assert!(sh.status().unwrap().success());
        }
    }

    fn compose(&self, image: &str) -> String {
        format!(
            "services:\n  web:\n    image: {}/{image}\n    network_mode: host\n    \
             command: [httpd, -f, -p, '127.0.0.1:{PORT}']\n    stop_signal: SIGKILL\n",
            self.registry
        )
    }

    fn forget(&self, image: &str) {
        self.docker(&["image", "rm", "--force", &format!("{}/{image}", self.registry)]);
    }

    fn bare(&self, pulls: bool) -> Cost {
        let folder = self.folder.path().join("bare");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("compose.yaml"), self.compose("box:1")).unwrap();
        let run = |arguments: &[&str]| {
            let mut compose = Command::new("docker-compose");
            compose.args(["-p", "margo-bench", "-f", "compose.yaml"]).args(arguments).current_dir(&folder);
            compose.env("DOCKER_HOST", &self.host).stdout(Stdio::null()).stderr(Stdio::null());
            assert!(compose.status().unwrap().success());
        };
        if pulls {
            self.forget("box:1");
        }
        let (began, before) = (Instant::now(), busy());
        run(&["up", "-d"]);
        let took = Cost { elapsed: began.elapsed(), busy: busy().saturating_sub(before) };
        run(&["down"]);
        took
    }

    async fn runtime(&self, early: bool) -> ComposeRuntime {
        let mut access = EngineAccess::default();
        access.host = Some(self.host.clone());
        let root = self.folder.path().join("ours");
        let tool = Tool::probe(&ToolKind::ALL, access, self.folder.path()).await.unwrap();
        let mut options = ComposeOptions::default();
        options.policy.host_network = true;
        options.keep_images = true;
        options.pull_early = early;
        let files = Files([
            ("1.0.0", self.compose("box:1")),
            // Labels in this form are left to Compose.
            ("1.0.1", self.compose("box:1") + "    labels: [for=compose]\n"),
            ("2.0.0", self.compose("bench:1")),
            ("3.0.0", self.compose("bench:2")),
        ]);
        ComposeRuntime::open(root, "bench", Arc::new(files), tool, options).unwrap()
    }

    /// From a manifest that is offered to `installed`.
    async fn ours(&self, version: &str, pulls: bool) -> Cost {
        if pulls {
            self.forget("box:1");
        }
        let runtime = self.runtime(true).await;
        let deployment = deployment(version);
        let manager = Manager::new(&deployment);
        let mut agent = Agent::new(manager, Console, runtime.clone(), MemoryJournal::new());
        let (began, before) = (Instant::now(), busy());
        agent.reconcile().await.unwrap();
        let took = Cost { elapsed: began.elapsed(), busy: busy().saturating_sub(before) };
        runtime.remove(&deployment.id, &"web".parse().unwrap()).await.unwrap();
        took
    }

    /// How long nobody answers while an update goes from one large image to another.
    async fn outage(&self, early: bool) -> Duration {
        let runtime = self.runtime(early).await;
        let (first, second) = (deployment("2.0.0"), deployment("3.0.0"));
        let install = async |document: &Document<ApplicationDeployment>| {
            runtime.prepare(document).await.unwrap();
            runtime.apply(document, &document.spec.deployment_profile.components[0]).await.unwrap();
        };
        install(&first).await;
        self.forget("bench:2");
        let is_over = Arc::new(AtomicBool::new(false));
        let watcher = {
            let is_over = Arc::clone(&is_over);
            std::thread::spawn(move || {
                let (mut longest, mut last) = (Duration::ZERO, Instant::now());
                while !is_over.load(Ordering::Relaxed) {
                    if TcpStream::connect(("127.0.0.1", PORT)).is_ok() {
                        longest = longest.max(last.elapsed());
                        last = Instant::now();
                    }
                    std::thread::sleep(Duration::from_millis(1));
                }
                longest
            })
        };
        install(&second).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        is_over.store(true, Ordering::Relaxed);
        let longest = watcher.join().unwrap();
        runtime.remove(&first.id, &"web".parse().unwrap()).await.unwrap();
        longest
    }
}

fn deployment(version: &str) -> Document<ApplicationDeployment> {
    let text = format!(
        "id: bench-1
metadata: {{ name: bench, namespace: plant, deviceId: plc-7 }}
spec:
  applicationId: bench
  deploymentProfile:
    type: compose
    components:
      - {{ name: web, properties: {{ repository: 'oci://r.example/web', revision: {version} }} }}
"
    );
    ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap()
}

struct Manager(Document<DesiredStateManifest>, Document<ApplicationDeployment>);

impl Manager {
    fn new(deployment: &Document<ApplicationDeployment>) -> Self {
        let reference = DeploymentRef::new(deployment.id.clone(), deployment.digest());
        let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, None, vec![reference]);
        let bytes = manifest.to_json().unwrap();
        Self(Document::decode(bytes, |_| Ok::<_, ()>(manifest)).unwrap(), deployment.clone())
    }
}

impl DesiredStateSource for Manager {
    async fn poll(&self, _: Option<Checkpoint>) -> Result<Update, SourceError> {
        Ok(Update::Changed(self.0.clone()))
    }

    async fn fetch(&self, _: &DeploymentRef) -> Result<Document<ApplicationDeployment>, SourceError> {
        Ok(self.1.clone())
    }
}

struct Console;

impl StatusSink for Console {
    async fn report_status(&self, _: &DeploymentStatusManifest) -> Result<(), SinkError> {
        Ok(())
    }
}

impl CapabilitySink for Console {
    async fn report_capabilities(&self, _: &AnyDeviceCapabilities) -> Result<(), SinkError> {
        Ok(())
    }

    async fn remove_device(&self, _: &DeviceId) -> Result<(), SinkError> {
        Ok(())
    }
}

struct Files([(&'static str, String); 4]);

struct Text(String);

impl ComponentFiles for Files {
    fn fetch<'a>(
        &'a self,
        component: &'a Component,
    ) -> BoxFuture<'a, Result<Box<dyn PackageFiles>, RuntimeError>> {
        let Package::Oci { revision, .. } = &component.properties.package else { unreachable!() };
        let (_, text) = self.0.iter().find(|(version, _)| *version == revision.as_str()).unwrap();
        let package: Box<dyn PackageFiles> = Box::new(Text(text.clone()));
        Box::pin(std::future::ready(Ok(package)))
    }
}

impl PackageFiles for Text {
    fn digest(&self) -> Digest {
        Digest::of(self.0.as_bytes())
    }

    fn unpack_into<'a>(&'a self, into: &'a Path) -> BoxFuture<'a, Result<(), RuntimeError>> {
        std::fs::create_dir_all(into).unwrap();
        std::fs::write(into.join("compose.yaml"), &self.0).unwrap();
        Box::pin(std::future::ready(Ok(())))
    }
}
