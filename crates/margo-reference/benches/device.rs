//! How long a device's client takes from its start to its first report, and what memory it holds while nothing happens.
//!
//! Not a loop around a function but the programs themselves: a manager and one device after the other, as separate
//! processes on loopback with temporary folders. The times are the manager's: when it received what, counted from the
//! moment before the device's process was started. The memory is the kernel's, after ten polls that changed nothing:
//! resident, of which private, and the most there ever was.
//!
//! `cargo bench -p margo-reference --bench device`

#![expect(clippy::print_stdout, reason = "it speaks to a person")]

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use jiff::Timestamp;
use margo_cli::{Application, OperatorClient, Package, Selection};
use serde_json::{Map, json};
use tokio::time::{Instant, sleep};

/// How often each device is started.
const RUNS: usize = 5;

/// For how long a device with a polling rate of one second is left alone.
const IDLE: Duration = Duration::from_secs(10);

const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> Result<()> {
    // Somebody runs all benches as tests, or asks for a list of them.
    if std::env::args().any(|argument| matches!(argument.as_str(), "--test" | "--list")) {
        return Ok(());
    }
    let world = World::start().await?;
    println!("median of {RUNS} (least, most)");
    for (revision, source) in [("1.0.0-rc.3", "rest"), ("pre-draft", "git")] {
        for deployments in [0, 10] {
            let mut runs = Vec::new();
            for number in 0..RUNS {
                let name = format!("{source}-{deployments}-{number}");
                runs.push(world.run(&name, revision, source, deployments).await?);
            }
            println!("{revision} over {source}, {deployments} deployments");
            print("first capabilities", "ms", runs.iter().map(|run| run.first_capabilities));
            if deployments > 0 {
                print("first status", "ms", runs.iter().map(|run| run.first_status));
                print("everything installed", "ms", runs.iter().map(|run| run.installed));
            }
            print("resident", "KiB", runs.iter().map(|run| run.memory.resident));
            print("  of which private", "KiB", runs.iter().map(|run| run.memory.private));
            print("  at most", "KiB", runs.iter().map(|run| run.memory.most));
        }
    }
    let manager = Memory::of(&world.manager)?;
    println!("the manager, after all of this");
    print("resident", "KiB", std::iter::once(manager.resident));
    print("  of which private", "KiB", std::iter::once(manager.private));
    Ok(())
}

fn print(what: &str, unit: &str, values: impl Iterator<Item = u64>) {
    let mut values: Vec<_> = values.collect();
    values.sort_unstable();
    if let (Some(least), Some(most)) = (values.first(), values.last()) {
        println!("  {what:<36} {:>9} {unit:<4} ({least}, {most})", values[values.len() / 2]);
    }
}

/// What one start of a device showed: times in milliseconds.
struct Run {
    first_capabilities: u64,
    first_status: u64,
    installed: u64,
    memory: Memory,
}

/// What a process holds, in KiB.
struct Memory {
    resident: u64,
    private: u64,
    most: u64,
}

impl Memory {
    fn of(process: &Process) -> Result<Self> {
        let path = format!("/proc/{}/status", process.0.id());
        let text = std::fs::read_to_string(&path).with_context(|| format!("`{path}`: this needs Linux"))?;
        let field = |name: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(name));
            let value = line.and_then(|line| line.split_whitespace().nth(1));
            value.and_then(|value| value.parse().ok()).with_context(|| format!("`{path}` has no `{name}`"))
        };
        Ok(Self { resident: field("VmRSS")?, private: field("RssAnon")?, most: field("VmHWM")? })
    }
}

/// A manager, and the folder of everything.
struct World {
    manager: Process,
    operator: OperatorClient,
    application: Application,
    listen: String,
    folder: tempfile::TempDir,
}

impl World {
    async fn start() -> Result<Self> {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
        // Free a moment ago.
        let listen = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
        let data = folder.path().join("manager");
        let manager = Process::start(
            env!("CARGO_BIN_EXE_margo-wfm"),
            &["--data".as_ref(), data.as_ref(), "--listen".as_ref(), listen.as_ref()],
            &folder.path().join("manager.log"),
        )?;
        let token = data.join("operator-token");
        wait("the manager has a token", async || Ok(token.exists())).await?;
        let token = std::fs::read_to_string(token)?;
        let operator = OperatorClient::new(format!("http://{listen}").parse()?, token)?;
        wait("the manager answers", async || Ok(operator.devices().await.is_ok())).await?;
        let package = Package::read(&fixtures().join("packages/pump-monitor-1.1.0"))?;
        let application = operator.upload(package.description).await?;
        Ok(Self { manager, operator, application, listen, folder })
    }

    async fn run(&self, name: &str, revision: &str, source: &str, deployments: usize) -> Result<Run> {
        let config = self.onboard(name, revision, source).await?;
        let values: Map<_, _> = [("siteId".to_owned(), json!("DE-0042"))].into_iter().collect();
        for number in 0..deployments {
            let namespace = format!("plant-{number}");
            let to = [name.to_owned()];
            let profile = Some("pump-monitor-cluster");
            self.operator.deploy(&self.application, profile, Some(&namespace), &values, &to).await?;
        }
        let selection = Selection::of(None, Some(name.to_owned()));

        let started = Timestamp::now();
        let program = env!("CARGO_BIN_EXE_margo-device");
        let process =
            Process::start(program, &["--config".as_ref(), config.as_ref()], &config.with_extension("log"))?;
        wait("the device reports", async || {
            let devices = self.operator.devices().await?;
            let has_told =
                devices.iter().any(|device| device.device_id == name && device.capabilities.is_some());
            Ok(has_told && self.operator.deployments(&selection).await?.iter().all(|d| d.converged))
        })
        .await?;
        sleep(IDLE).await;
        let memory = Memory::of(&process)?;

        let since = |text: &str| -> Result<u64> {
            let received: Timestamp = text.parse()?;
            Ok(u64::try_from(received.duration_since(started).as_millis())?)
        };
        let devices = self.operator.devices().await?;
        let device = devices.iter().find(|device| device.device_id == name).context("the device is gone")?;
        let capabilities = device.capabilities.as_ref().context("the capabilities are gone")?;
        let mut reports = Vec::new();
        for deployment in self.operator.deployments(&selection).await? {
            let detail = self.operator.deployment(&deployment.deployment_id).await?;
            for report in detail.history.unwrap_or_default() {
                reports.push(since(&report.received_at)?);
            }
        }
        Ok(Run {
            first_capabilities: since(&capabilities.reported_at)?,
            first_status: reports.iter().copied().min().unwrap_or_default(),
            installed: reports.iter().copied().max().unwrap_or_default(),
            memory,
        })
    }

    /// Onboards a device and writes what it needs to know. Returns its configuration.
    async fn onboard(&self, name: &str, revision: &str, source: &str) -> Result<PathBuf> {
        let onboarded = self.operator.onboard(name, None, revision).await?;
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder)?;
        let fixture = if revision == "pre-draft" { "press-7" } else { "line-3" };
        let capabilities =
            std::fs::read_to_string(fixtures().join("devices").join(fixture).join("capabilities.yaml"))?;
        let git = onboarded.git_url.as_deref().context("the manager hosts no Git repositories")?;
        let config = format!(
            "[device]\nid = {name:?}\ncapabilities = \"capabilities.yaml\"\n\n\
             [manager]\nurl = \"http://{}\"\nrevision = {revision:?}\ntoken-file = \"token\"\n\n\
             [desired-state]\nsource = {source:?}\nurl = {git:?}\ntoken-file = \"git-token\"\n\n\
             [schedule]\nrate = \"1s\"\njitter = 0.0\n\n\
             [runtime]\nkind = \"folder\"\nfolder = \"workloads\"\n",
            self.listen
        );
        for (file, content) in [
            ("capabilities.yaml", capabilities.replace(&format!("id: {fixture}"), &format!("id: {name}"))),
            ("margo-device.toml", config),
            ("token", onboarded.token),
            ("git-token", onboarded.git_token),
        ] {
            std::fs::write(folder.join(file), content)?;
        }
        Ok(folder.join("margo-device.toml"))
    }
}

async fn wait(what: &str, is_so: impl AsyncFn() -> Result<bool>) -> Result<()> {
    let started = Instant::now();
    while !is_so().await? {
        ensure!(started.elapsed() < PATIENCE, "{what}: not after {} s", PATIENCE.as_secs());
        sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures")
}

/// A process that ends with its owner.
struct Process(Child);

impl Process {
    fn start(program: &str, arguments: &[&std::ffi::OsStr], log: &Path) -> Result<Self> {
        let log = std::fs::File::create(log)?;
        let child = Command::new(program)
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("`{program}` cannot be started"))?;
        Ok(Self(child))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
