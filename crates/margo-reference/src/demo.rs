//! The demonstration: a manager and three devices of different ages, as separate processes on loopback. Each device
//! proves itself as its revision says.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use margo_cli::{Application, Deployment, Device, OperatorClient, Package, Selection};
use margo_core::SpecVersion;
use serde_json::{Map, Value, json};

use plant::Plant;
use process::Process;
use show::{Row, Show};

mod plant;
mod process;
mod show;

/// How long anything may take before the demonstration has failed.
const PATIENCE: Duration = Duration::from_secs(90);

/// A device of the demonstration.
struct Actor {
    name: &'static str,
    revision: SpecVersion,
    /// How it learns what to run, and how it proves itself.
    over: &'static str,
}

const ACTORS: [Actor; 3] = [
    Actor { name: "line-3", revision: SpecVersion::V1_0_0Rc3, over: "rest, mutual TLS" },
    Actor { name: "pack-5", revision: SpecVersion::V1_0_0Rc2, over: "rest, signatures" },
    Actor { name: "press-7", revision: SpecVersion::PreDraft, over: "git, tokens" },
];

/// Where the demonstration finds what it shows.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Options {
    /// The folder with the packages and devices to show, laid out as `fixtures/` is.
    pub fixtures: PathBuf,
    /// JSON lines instead of something to look at.
    pub json: bool,
    /// Keep the folder of the processes, and work there.
    pub keep: Option<PathBuf>,
}

impl Options {
    /// The demonstration of what lies in `fixtures`.
    #[must_use]
    pub fn new(fixtures: PathBuf, json: bool, keep: Option<PathBuf>) -> Self {
        Self { fixtures, json, keep }
    }
}

/// Runs the demonstration.
///
/// # Errors
///
/// Any divergence between what is desired and what is reported or found on the devices, with the last words of every
/// process.
pub async fn run(options: Options) -> Result<()> {
    let temporary = tempfile::Builder::new().prefix("margo-demo-").tempdir()?;
    let folder = match &options.keep {
        Some(folder) => folder.clone(),
        None => temporary.path().to_owned(),
    };
    std::fs::create_dir_all(&folder)?;
    let mut demo = Demo::start(&options, folder).await?;
    // Whoever ends the demonstration ends its processes: they are killed when they are dropped.
    let outcome = tokio::select! {
        outcome = demo.perform() => outcome,
        asked = crate::asked_to_end() => match asked {
            Ok(()) => return Err(anyhow!("the demonstration was asked to end")),
            Err(error) => Err(error.into()),
        },
    };
    if let Err(error) = outcome {
        let mut words = vec![demo.manager.last_words()];
        words.extend(demo.devices.iter().map(Process::last_words));
        return Err(error.context(words.join("\n")));
    }
    demo.show.finish(&demo.rows);
    Ok(())
}

struct Demo {
    folder: PathBuf,
    fixtures: PathBuf,
    plant: Plant,
    operator: OperatorClient,
    manager: Process,
    devices: Vec<Process>,
    show: Show,
    rows: Vec<Row>,
}

impl Demo {
    async fn start(options: &Options, folder: PathBuf) -> Result<Self> {
        let mut show = Show::new(options.json, 10);
        show.step("start the manager");
        let plant = Plant::lay_out(&folder)?;
        let mut manager = start_manager(&folder)?;
        let token_file = folder.join("manager").join("operator-token");
        let started = Instant::now();
        let token = loop {
            match std::fs::read_to_string(&token_file) {
                Ok(token) if !token.is_empty() => break token,
                _ if started.elapsed() > PATIENCE => bail!("{}", manager.last_words()),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
            manager.must_run().with_context(|| manager.last_words())?;
        };
        let operator = OperatorClient::new(plant.operator_url()?, token)?;
        Ok(Self {
            folder,
            fixtures: options.fixtures.clone(),
            plant,
            operator,
            manager,
            devices: Vec::new(),
            show,
            rows: Vec::new(),
        })
    }

    async fn perform(&mut self) -> Result<()> {
        self.wait("the manager answers", |_| true).await?;
        for line in self.plant.describe() {
            self.show.note(&line);
        }

        self.show.step("onboard three devices and start them");
        for actor in &ACTORS {
            self.start_device(actor).await?;
        }
        self.wait_devices("the devices report what they are capable of", |devices| {
            devices.len() == ACTORS.len() && devices.iter().all(|device| device.capabilities.is_some())
        })
        .await?;
        for device in self.operator.devices().await? {
            let document = device.capabilities.map(|capabilities| capabilities.document).unwrap_or_default();
            let properties = &document["properties"];
            self.show.note(&format!(
                "{} ({}): {} {}, memory {}",
                device.device_id,
                device.revision,
                text(&properties["vendor"]),
                text(&properties["modelNumber"]),
                text(&properties["memory"])
            ));
        }

        self.show.step("deploy pump-monitor 1.0.0 to all, from a package folder");
        let pumps = self.upload("pump-monitor-1.0.0").await?;
        let values = object(json!({ "siteId": "DE-0042", "pollInterval": 10 }));
        let to: Vec<String> = ACTORS.iter().map(|actor| actor.name.to_owned()).collect();
        self.operator.deploy(&pumps, Some("pump-monitor-cluster"), None, &values, &to).await?;
        self.converge("deployed", &Selection::of(Some("pump-monitor".into()), None)).await?;

        self.show.step("deploy line-dashboard 2.3.0, a package of the pre-draft, to all");
        let dashboards = self.upload("line-dashboard-2.3.0").await?;
        let helm = profile(&dashboards, "helm")?;
        self.operator.deploy(&dashboards, Some(&helm), None, &Map::new(), &to).await?;
        self.converge("deployed", &Selection::of(Some("line-dashboard".into()), None)).await?;

        self.show.step("a wrong value is refused before anything is written");
        let wrong = object(json!({ "pollInterval": 0, "vibrationLimit": 7.123, "siteId": "DE-0043" }));
        match self.operator.reconfigure(&Selection::of(Some("pump-monitor".into()), None), &wrong).await {
            Ok(_) => bail!("the manager took values its schema forbids"),
            Err(margo_cli::OperatorError::Refused(problem)) => {
                for error in &problem.errors {
                    self.show.note(&format!("{}: {}", error.field, error.message));
                }
                ensure!(!problem.errors.is_empty(), "the manager did not say what is wrong");
            }
            Err(error) => return Err(error.into()),
        }

        self.show.step("update pump-monitor to 1.1.0, and SIGKILL the manager in the middle");
        let started = Instant::now();
        let pumps = self.upload("pump-monitor-1.1.0").await?;
        let selection = Selection::of(Some("pump-monitor".into()), None);
        self.operator.update(&selection, &pumps.version, &Map::new()).await?;
        self.manager.kill().await?;
        self.show.note("margo-wfm is gone; the devices go on by themselves");
        tokio::time::sleep(Duration::from_millis(500)).await;
        self.manager = start_manager(&self.folder)?;
        self.wait("the manager answers again", |_| true).await?;
        self.show.note("margo-wfm is back; what it had answered with success is still so");
        self.converge_since(started, "updated", &selection).await?;

        self.show.step("reconfigure line-dashboard on press-7");
        let selection = Selection::of(Some("line-dashboard".into()), Some("press-7".into()));
        let started = Instant::now();
        self.operator.reconfigure(&selection, &object(json!({ "refreshSeconds": 20 }))).await?;
        self.converge_since(started, "reconfigured", &selection).await?;
        let found = self.operator.deployments(&selection).await?;
        self.must_find(&found, "20")?;

        self.show.step("add memory to line-3");
        self.add_memory().await?;

        self.show.step("delete one deployment");
        self.delete("deleted", &Selection::of(Some("line-dashboard".into()), Some("line-3".into()))).await?;

        self.show.step("delete the rest");
        self.delete("deleted", &Selection::all()).await?;
        self.nothing_left()
    }

    async fn start_device(&mut self, actor: &Actor) -> Result<()> {
        let name = actor.name;
        let folder = self.folder.join(name);
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(
            self.fixtures.join("devices").join(name).join("capabilities.yaml"),
            folder.join("capabilities.yaml"),
        )
        .with_context(|| format!("the fixtures of `{name}`"))?;
        let config = self.plant.onboard(&self.operator, actor, &folder).await?;
        let process = Process::start(
            "margo-device",
            name,
            &self.folder,
            &["--config", config.to_str().context("the folder's name is not UTF-8")?],
        )?;
        self.devices.push(process);
        Ok(())
    }

    async fn upload(&self, package: &str) -> Result<Application> {
        let package = Package::read(&self.fixtures.join("packages").join(package))?;
        Ok(self.operator.upload(package.description).await?)
    }

    /// Waits until the selected deployments are what they should be, at the manager and on the devices.
    async fn converge(&mut self, what: &str, selection: &Selection) -> Result<()> {
        self.converge_since(Instant::now(), what, selection).await
    }

    async fn converge_since(&mut self, started: Instant, what: &str, selection: &Selection) -> Result<()> {
        let ids: BTreeSet<String> =
            self.operator.deployments(selection).await?.into_iter().map(|d| d.deployment_id).collect();
        ensure!(!ids.is_empty(), "{what}: there is no such deployment");
        self.wait(what, |all| all.iter().filter(|d| ids.contains(&d.deployment_id)).all(|d| d.converged))
            .await?;
        let all = self.operator.deployments(&Selection::all()).await?;
        for deployment in all.iter().filter(|deployment| ids.contains(&deployment.deployment_id)) {
            // A revision without a word for removal cannot say when it is done; the folder can.
            while !deployment.confirmed && self.must_agree(deployment).is_err() {
                self.go_on(started, what)?;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            self.must_agree(deployment)?;
            let actor = actor(&deployment.device)?;
            self.rows.push(Row {
                what: format!("{what} {} {}", deployment.application_id, deployment.application_version),
                device: deployment.device.clone(),
                revision: actor.revision.to_string(),
                over: actor.over.to_owned(),
                seen: deployment.state.clone(),
                seconds: started.elapsed().as_secs_f64(),
            });
        }
        Ok(())
    }

    async fn delete(&mut self, what: &str, selection: &Selection) -> Result<()> {
        let started = Instant::now();
        let deleted = self.operator.delete(selection).await?.deployments;
        let ids = deleted.into_iter().map(|deployment| deployment.deployment_id).collect();
        self.converge_since(started, what, &Selection::ids(ids)).await
    }

    async fn add_memory(&mut self) -> Result<()> {
        let started = Instant::now();
        let file = self.folder.join("line-3").join("capabilities.yaml");
        let before = std::fs::read_to_string(&file)?;
        let after = before.replace("memory: 8Gi", "memory: 16Gi");
        ensure!(before != after, "the fixture of line-3 has other memory than the demonstration expects");
        std::fs::write(&file, after)?;
        self.wait_devices("line-3 reports its memory", |devices| {
            devices.iter().any(|device| {
                let memory = device.capabilities.as_ref().map(|c| &c.document["properties"]["memory"]);
                device.device_id == "line-3" && memory == Some(&json!("16Gi"))
            })
        })
        .await?;
        self.rows.push(Row {
            what: "memory added".to_owned(),
            device: "line-3".to_owned(),
            revision: ACTORS[0].revision.to_string(),
            over: ACTORS[0].over.to_owned(),
            seen: "16Gi".to_owned(),
            seconds: started.elapsed().as_secs_f64(),
        });
        Ok(())
    }

    /// Fails unless the device's folder holds what the manager says it runs.
    fn must_agree(&self, deployment: &Deployment) -> Result<()> {
        let folder = self.workload(deployment);
        if deployment.desired != "present" {
            ensure!(!folder.exists(), "{} still runs {}", deployment.device, deployment.application_id);
            return Ok(());
        }
        ensure!(!deployment.components.is_empty(), "no component was reported");
        for component in &deployment.components {
            ensure!(
                folder.join(&component.name).is_dir(),
                "{} says `{}` of {} is {}, and its folder is not there",
                deployment.device,
                component.name,
                deployment.application_id,
                component.state
            );
        }
        Ok(())
    }

    fn workload(&self, deployment: &Deployment) -> PathBuf {
        self.folder.join(&deployment.device).join("workloads").join(&deployment.deployment_id)
    }

    /// Fails unless a file of the workload holds `value`.
    fn must_find(&self, deployments: &[Deployment], value: &str) -> Result<()> {
        for deployment in deployments {
            let folder = self.workload(deployment);
            let found = files(&folder)?
                .iter()
                .any(|file| std::fs::read_to_string(file).is_ok_and(|text| text.contains(value)));
            ensure!(found, "`{value}` did not arrive in {}", folder.display());
        }
        Ok(())
    }

    /// Fails unless every device runs nothing.
    fn nothing_left(&self) -> Result<()> {
        for Actor { name, .. } in ACTORS {
            let left = files(&self.folder.join(name).join("workloads"))?;
            ensure!(left.is_empty(), "{name} has something left: {left:?}");
        }
        Ok(())
    }

    async fn wait(&mut self, what: &str, done: impl Fn(&[Deployment]) -> bool) -> Result<()> {
        let started = Instant::now();
        loop {
            // While the manager starts, it cannot be reached; that is no failure yet.
            if let Ok(deployments) = self.operator.deployments(&Selection::all()).await {
                self.show.deployments(&deployments);
                if done(&deployments) {
                    return Ok(());
                }
            }
            self.go_on(started, what)?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    async fn wait_devices(&mut self, what: &str, done: impl Fn(&[Device]) -> bool) -> Result<()> {
        let started = Instant::now();
        while !done(&self.operator.devices().await?) {
            self.go_on(started, what)?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        Ok(())
    }

    fn go_on(&mut self, started: Instant, what: &str) -> Result<()> {
        self.manager.must_run()?;
        self.devices.iter_mut().try_for_each(Process::must_run)?;
        ensure!(started.elapsed() < PATIENCE, "{what}: not after {} s", PATIENCE.as_secs());
        Ok(())
    }
}

fn start_manager(folder: &Path) -> Result<Process> {
    let (data, config) = (folder.join("manager"), folder.join(plant::MANAGER_CONFIG));
    let text = |path: &Path| path.to_str().map(str::to_owned).context("the folder's name is not UTF-8");
    let (data, config) = (text(&data)?, text(&config)?);
    Process::start("margo-wfm", "manager", folder, &["--data", &data, "--config", &config])
}

fn actor(name: &str) -> Result<&'static Actor> {
    ACTORS.iter().find(|actor| actor.name == name).with_context(|| format!("no device `{name}`"))
}

/// The profile of this type.
fn profile(application: &Application, profile_type: &str) -> Result<String> {
    let found = application.profiles.iter().find(|profile| profile.profile_type == profile_type);
    found.map(|profile| profile.id.clone()).with_context(|| format!("no {profile_type} profile"))
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let Ok(entries) = std::fs::read_dir(folder) else { return Ok(found) };
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.extend(files(&path)?);
        } else {
            found.push(path);
        }
    }
    Ok(found)
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or("?")
}
