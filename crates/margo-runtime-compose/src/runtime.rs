use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use margo_api::{Outage, Outages, Present, RuntimeError, WorkloadRuntime};
use margo_core::{ComponentName, DeploymentId, Document};
use margo_deployment::{ApplicationDeployment, Component, Package};
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::ChildStdout;
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};
use tokio::time::{Instant, sleep};

use crate::condition::{COMPONENT_LABEL, Condition, Container, DEPLOYMENT_LABEL, PROJECT_LABEL, judge};
use crate::engine::Engine;
use crate::environment::{Environment, reserved_in};
use crate::failure::explain;
use crate::files::ComponentFiles;
use crate::policy::{ComposeFile, Policy};
use crate::process::{Call, Streaming, end_traced};
use crate::shelf::{LABELS_FILE, Shelf, Version, components, short, traces};
use crate::tool::Tool;

/// Whose containers they are: several agents may share an engine.
const OWNER_LABEL: &str = "org.margo.owner";

/// How often the engine is asked whether a component is in place.
const LOOK: Duration = Duration::from_millis(100);

/// Events that come together are one change.
const TOGETHER: Duration = Duration::from_millis(300);

/// How a [`ComposeRuntime`] goes about its work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ComposeOptions {
    /// What Compose files may ask of the device.
    pub policy: Policy,
    /// Whether volumes go with the component that made them. Default: no.
    pub remove_volumes: bool,
    /// Whether images stay that no component needs any more. Default: no.
    pub keep_images: bool,
    /// Whether images are pulled before the old version stops. Default: yes; anything else is for comparing.
    pub pull_early: bool,
    /// How many components are worked on at once; the images of one are pulled one after another. At least 1.
    /// Default: 2.
    pub parallel: usize,
    /// The bytes that have to be free before an image is pulled. Default: 256 MiB.
    pub min_free_bytes: u64,
    /// How long a component may take to be in place, where its `timeout` does not say. Default: 10 minutes.
    pub ready_within: Duration,
    /// How long an image may take to arrive. Default: 30 minutes.
    pub pull_within: Duration,
    /// How often a device is looked at whose engine tells no events. Default: 30 seconds.
    pub poll: Duration,
}

impl Default for ComposeOptions {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            remove_volumes: false,
            keep_images: false,
            pull_early: true,
            parallel: 2,
            min_free_bytes: 256 << 20,
            ready_within: Duration::from_mins(10),
            pull_within: Duration::from_mins(30),
            poll: Duration::from_secs(30),
        }
    }
}

/// Runs each component as a Compose project.
///
/// It is cheap to clone; the clones are one runtime.
#[derive(Clone)]
pub struct ComposeRuntime(Arc<Inner>);

struct Inner {
    root: PathBuf,
    owner: String,
    files: Arc<dyn ComponentFiles>,
    engine: Engine,
    options: ComposeOptions,
    /// One operation at a time for each project.
    locks: Mutex<BTreeMap<String, Arc<AsyncMutex<()>>>>,
    /// What was found ready, so that it is not asked for twice.
    prepared: Mutex<BTreeMap<String, Version>>,
    slots: Semaphore,
    events: AsyncMutex<Events>,
}

#[derive(Default)]
enum Events {
    #[default]
    NotYet,
    Told(Box<Told>),
    /// The engine tells none, or told no more.
    Ended,
}

struct Told {
    lines: Lines<BufReader<ChildStdout>>,
    /// It ends when this is dropped.
    _stream: Streaming,
}

impl std::fmt::Debug for ComposeRuntime {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ComposeRuntime")
            .field("root", &self.0.root)
            .field("owner", &self.0.owner)
            .field("tool", &self.0.engine.tool)
            .field("options", &self.0.options)
            .finish_non_exhaustive()
    }
}

impl ComposeRuntime {
    /// A runtime that keeps what it has to know in the folder `root`, which is nobody else's.
    ///
    /// `owner` tells its containers from those of other agents on the same engine: the device's id, which stays the
    /// same when the folder is lost. Tools that still run from before a crash are ended.
    ///
    /// # Errors
    ///
    /// The folder cannot be made or read.
    pub fn open(
        root: impl Into<PathBuf>,
        owner: impl Into<String>,
        files: Arc<dyn ComponentFiles>,
        tool: Tool,
        options: ComposeOptions,
    ) -> io::Result<Self> {
        let root = root.into();
        // What is in it may be secret.
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&root)?;
        for trace in traces(&root)? {
            if end_traced(&trace) {
                tracing::info!(trace = %trace.display(), "ended a tool that was left running");
            }
        }
        let slots = Semaphore::new(options.parallel.max(1));
        Ok(Self(Arc::new(Inner {
            root,
            owner: owner.into(),
            files,
            engine: Engine::new(tool),
            options,
            locks: Mutex::default(),
            prepared: Mutex::default(),
            slots,
            events: AsyncMutex::default(),
        })))
    }

    /// The tool it works with.
    #[must_use]
    pub fn tool(&self) -> &Tool {
        &self.0.engine.tool
    }

    /// The name of the Compose project of a component. It never changes.
    #[must_use]
    pub fn project(&self, deployment: &DeploymentId, component: &ComponentName) -> String {
        self.0.shelf(deployment, component).project().to_owned()
    }
}

impl WorkloadRuntime for ComposeRuntime {
    async fn present(&self) -> Result<Present, RuntimeError> {
        let inner = &self.0;
        let mut present = Present::new();
        for (id, name) in inner.known().await? {
            present.entry(id).or_default().insert(name);
        }
        // What was installed before the folder was lost.
        for container in inner.engine.containers(&[inner.owned()]).await? {
            let (id, name) = (container.label(DEPLOYMENT_LABEL), container.label(COMPONENT_LABEL));
            if let (Some(Ok(id)), Some(Ok(name))) = (id.map(str::parse), name.map(str::parse)) {
                present.entry(id).or_default().insert(name);
            }
        }
        Ok(present)
    }

    /// Fetches and checks every component, and pulls its images.
    async fn prepare(&self, deployment: &Document<ApplicationDeployment>) -> Result<(), RuntimeError> {
        for component in &deployment.spec.deployment_profile.components {
            let (place, _lock) = self.0.locked(&deployment.id, &component.name).await;
            let environment = environment(deployment, component)?;
            let current = place.current();
            // The files are in use: what they would do with other values is found out before they are used.
            if current.is_some_and(|current| current.package == reference(component)) {
                continue;
            }
            let version = match self.0.ready(deployment, component, &place, &environment).await {
                Ok(version) => version,
                Err(error) => {
                    self.0.leave(&place).await?;
                    return Err(error);
                }
            };
            self.0.prepared().insert(place.project().to_owned(), version);
        }
        Ok(())
    }

    async fn apply(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> Result<(), RuntimeError> {
        let inner = &self.0;
        let (place, _lock) = inner.locked(&deployment.id, &component.name).await;
        let _slot = inner.slots.acquire().await;
        let environment = environment(deployment, component)?;
        let key = inner.keep(&place, &environment).await?;
        let current = place.current();
        let is_wanted =
            |version: &Version| version.package == reference(component) && version.environment == key;

        let known = current.clone().filter(|current| is_wanted(current));
        let prepared = inner.prepared().remove(place.project()).filter(|version| is_wanted(version));
        let version = match known.or(prepared) {
            Some(version) => version,
            None => match inner.ready(deployment, component, &place, &environment).await {
                Ok(version) => version,
                Err(error) => {
                    // Nothing was started; the files say again what runs.
                    if let Some(current) = &current {
                        let (id, name) = (deployment.id.as_str(), component.name.as_str());
                        inner.set_out(&place, current, id, name).await?;
                    }
                    inner.leave(&place).await?;
                    return Err(error);
                }
            },
        };
        let ids = (deployment.id.as_str(), component.name.as_str());
        if current.as_ref() == Some(&version)
            && place.next().is_none()
            && matches!(inner.condition(&place, &version).await?.0, Condition::Good)
        {
            return Ok(());
        }
        let mark = place.clone();
        let next = version.clone();
        blocking(move || mark.set_next(&next)).await?;
        match inner.bring_up(&place, &version, ids, component.properties.waits()).await {
            Ok(()) => {
                let (mark, next) = (place.clone(), version.clone());
                blocking(move || mark.commit(&next)).await?;
                if let Some(before) = current
                    && !inner.options.keep_images
                {
                    let unused = before.images.difference(&version.images).cloned().collect();
                    inner.engine.forget(&unused).await;
                }
                Ok(())
            }
            Err(error) => Err(match inner.put_back(&place, ids).await {
                Ok(true) => and(error, "the previous version runs again"),
                Ok(false) => error,
                Err(other) => and(error, &format!("and the previous version did not come back: {other}")),
            }),
        }
    }

    async fn remove(&self, deployment: &DeploymentId, component: &ComponentName) -> Result<(), RuntimeError> {
        let (place, _lock) = self.0.locked(deployment, component).await;
        let _slot = self.0.slots.acquire().await;
        self.0.prepared().remove(place.project());
        let images = place.current().map(|version| version.images).unwrap_or_default();
        self.0.take_down(&place, self.0.options.remove_volumes).await?;
        if !self.0.options.keep_images {
            self.0.engine.forget(&images).await;
        }
        Ok(())
    }

    async fn restore(
        &self,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> Result<bool, RuntimeError> {
        let (place, _lock) = self.0.locked(deployment, component).await;
        if place.next().is_none() {
            // It had not begun.
            return Ok(place.current().is_some());
        }
        self.0.put_back(&place, (deployment.as_str(), component.as_str())).await
    }

    /// Containers that do not run, are not healthy or are missing. A container that ends whenever it is started is
    /// stopped.
    async fn outages(&self) -> Result<Outages, RuntimeError> {
        let inner = &self.0;
        let containers = inner.engine.containers(&[inner.owned()]).await?;
        let mut outages = Outages::new();
        for (id, name) in inner.known().await? {
            let place = inner.shelf(&id, &name);
            let Some(version) = place.current().filter(|_| place.next().is_none()) else { continue };
            let own = |container: &&Container| {
                container.label(DEPLOYMENT_LABEL) == Some(id.as_str())
                    && container.label(COMPONENT_LABEL) == Some(name.as_str())
            };
            let own: Vec<Container> = containers.iter().filter(own).cloned().collect();
            if let (Condition::Bad(outage), culprit) = judge(&version.services, &own) {
                let outage = inner.describe(outage, culprit).await;
                if let (true, Some(culprit)) = (outage.is_hopeless(), culprit) {
                    inner.engine.stop(culprit).await?;
                }
                outages.entry(id).or_default().insert(name, outage);
            }
        }
        Ok(outages)
    }

    async fn changed(&self) {
        let mut events = self.0.events.lock().await;
        if let Events::NotYet = &*events {
            *events = self.0.listen();
        }
        if let Events::Told(told) = &mut *events {
            let lines = &mut told.lines;
            if let Ok(Some(_)) = lines.next_line().await {
                // More of the same for a moment, so that they are not one change each.
                let _ = tokio::time::timeout(TOGETHER, async {
                    while let Ok(Some(_)) = lines.next_line().await {}
                })
                .await;
                return;
            }
            // The engine ended, perhaps to start again.
            *events = Events::Ended;
            return;
        }
        sleep(self.0.options.poll).await;
        *events = Events::NotYet;
    }
}

impl Inner {
    fn shelf(&self, deployment: &DeploymentId, component: &ComponentName) -> Shelf {
        Shelf::new(&self.root, &self.owner, deployment, component)
    }

    fn owned(&self) -> String {
        format!("{OWNER_LABEL}={}", self.owner)
    }

    fn prepared(&self) -> std::sync::MutexGuard<'_, BTreeMap<String, Version>> {
        // Nothing panics while it is held.
        self.prepared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The component's place, for one operation at a time.
    async fn locked(
        &self,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> (Shelf, OwnedMutexGuard<()>) {
        let place = self.shelf(deployment, component);
        let lock = {
            let mut locks = self.locks.lock().unwrap_or_else(PoisonError::into_inner);
            // Those nobody holds are made anew when they are needed.
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
            Arc::clone(locks.entry(place.project().to_owned()).or_default())
        };
        (place, lock.lock_owned().await)
    }

    async fn known(&self) -> Result<Vec<(DeploymentId, ComponentName)>, RuntimeError> {
        let root = self.root.clone();
        blocking(move || components(&root)).await
    }

    async fn keep(&self, place: &Shelf, environment: &Environment) -> Result<String, RuntimeError> {
        let (place, text) = (place.clone(), environment.to_file(self.engine.tool.dialect()));
        blocking(move || {
            place.create()?;
            place.keep_environment(&text)
        })
        .await
    }

    /// Has everything at hand that the component needs to run, and has it checked.
    async fn ready(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
        place: &Shelf,
        environment: &Environment,
    ) -> Result<Version, RuntimeError> {
        let environment = self.keep(place, environment).await?;
        let package = reference(component);
        let files = if let Some(current) = place.current().filter(|current| current.package == package) {
            current.files
        } else {
            let fetched = self.files.fetch(component).await?;
            let key = short(&fetched.digest());
            if !place.files(&key).exists() {
                fetched.unpack_into(&place.files(&key)).await?;
            }
            key
        };
        let mut version =
            Version { package, files, environment, images: BTreeSet::new(), services: BTreeSet::new() };
        let own = place.clone();
        let key = version.files.clone();
        let path = blocking(move || own.compose_file(&key)).await?;
        let folder = path.parent().unwrap_or(place.folder()).to_owned();
        // Only files are read here; a package is bounded in size.
        if let Ok(text) = std::fs::read_to_string(folder.join(".env"))
            && let Some(line) = reserved_in(&text)
        {
            let name = line.split('=').next().unwrap_or_default().trim();
            return Err(RuntimeError::new(
                "compose-refused",
                format!("`.env`: `{name}` steers Compose itself, which a package may not"),
            ));
        }
        let file = ComposeFile::read(&path)?;
        self.set_out(place, &version, deployment.id.as_str(), component.name.as_str()).await?;

        // What Compose makes of it takes a while, in which images can come whose names are known already.
        let config = self.compose(place, &version, Duration::from_mins(1))?.arg("config");
        let known = if self.options.pull_early { file.images() } else { BTreeSet::new() };
        let (resolved, pulled) = tokio::join!(config.read(), self.pull(&known));
        let resolved =
            resolved.map_err(|error| explain("Compose cannot read it", "compose-invalid", error))?;
        let contents = file.check(
            &resolved,
            &self.options.policy,
            &place.files(&version.files),
            &folder,
            place.project(),
        )?;
        (version.images, version.services) = (contents.images, contents.services);
        if self.options.pull_early {
            pulled?;
            let others = version.images.difference(&known).cloned().collect();
            self.pull(&others).await?;
        }
        Ok(version)
    }

    /// Keeps nothing of a version that will not be used.
    async fn leave(&self, place: &Shelf) -> Result<(), RuntimeError> {
        let place = place.clone();
        blocking(move || match (place.current(), place.next()) {
            (None, None) => place.delete(),
            (_, Some(_)) => Ok(()),
            (Some(_), None) => place.tidy(),
        })
        .await
    }

    async fn pull(&self, images: &BTreeSet<String>) -> Result<(), RuntimeError> {
        for image in images {
            if self.engine.has(image).await? {
                continue;
            }
            let free = self.engine.free_bytes().await?;
            if let Some(free) = free.filter(|free| *free < self.options.min_free_bytes) {
                let (free, needed) = (free >> 20, self.options.min_free_bytes >> 20);
                let message = format!("{free} MiB are free for images, and {needed} MiB should be");
                return Err(RuntimeError::new("disk-full", message));
            }
            self.engine.pull(image, self.options.pull_within).await?;
            self.engine.has(image).await?;
        }
        Ok(())
    }

    /// Writes environment and labels beside the Compose file.
    async fn set_out(
        &self,
        place: &Shelf,
        version: &Version,
        deployment: &str,
        component: &str,
    ) -> Result<(), RuntimeError> {
        let (place, version) = (place.clone(), version.clone());
        let labels = [
            (OWNER_LABEL, self.owner.clone()),
            (DEPLOYMENT_LABEL, deployment.to_owned()),
            (COMPONENT_LABEL, component.to_owned()),
        ];
        blocking(move || {
            let path = place.compose_file(&version.files)?;
            let file = ComposeFile::read(&path).map_err(io::Error::other)?;
            place.set_out(&version, &labels_file(&file, &labels)?)
        })
        .await
    }

    /// A call of Compose for a version of a component.
    fn compose(&self, place: &Shelf, version: &Version, limit: Duration) -> Result<Call, RuntimeError> {
        let path = place.compose_file(&version.files).map_err(|cause| disk(&cause))?;
        let folder = path.parent().unwrap_or(place.folder());
        let name = path.file_name().unwrap_or_default();
        let call = self.engine.tool.compose(folder, limit);
        Ok(call.arg("-p").arg(place.project()).arg("-f").arg(name).arg("-f").arg(LABELS_FILE))
    }

    /// Makes a version run, and waits until it does if `waits`.
    async fn bring_up(
        &self,
        place: &Shelf,
        version: &Version,
        (deployment, component): (&str, &str),
        waits: bool,
    ) -> Result<(), RuntimeError> {
        let deadline = Instant::now() + self.options.ready_within;
        self.set_out(place, version, deployment, component).await?;
        let up = self.compose(place, version, self.options.ready_within)?.traced(place.trace());
        let up = up.args(["up", "-d", "--no-build", "--remove-orphans"]).read().await;
        if let Err(error) = up {
            return Err(explain("it cannot be started", "start-failed", error));
        }
        if !waits {
            return Ok(());
        }
        let mut was_good = false;
        loop {
            match self.condition(place, version).await? {
                // Twice, because a program that cannot work ends at once.
                (Condition::Good, _) if was_good => return Ok(()),
                (Condition::Good, _) => was_good = true,
                (Condition::Bad(outage), culprit) => {
                    let outage = self.describe(outage, culprit.as_ref()).await;
                    return Err(RuntimeError::new(outage.code(), outage.message()));
                }
                (Condition::Starting, _) => was_good = false,
            }
            if Instant::now() >= deadline {
                let limit = self.options.ready_within.as_secs();
                return Err(RuntimeError::new("timeout", format!("not in place within {limit} s")));
            }
            sleep(LOOK).await;
        }
    }

    /// How a component does, and the container to blame.
    async fn condition(
        &self,
        place: &Shelf,
        version: &Version,
    ) -> Result<(Condition, Option<Container>), RuntimeError> {
        let containers =
            self.engine.containers(&[self.owned(), format!("{PROJECT_LABEL}={}", place.project())]).await?;
        let (condition, culprit) = judge(&version.services, &containers);
        Ok((condition, culprit.cloned()))
    }

    /// Adds the last lines of the container to blame.
    async fn describe(&self, outage: Outage, culprit: Option<&Container>) -> Outage {
        let Some(culprit) = culprit else { return outage };
        let lines = self.engine.last_lines(culprit).await;
        if lines.is_empty() {
            return outage;
        }
        let described = Outage::new(outage.code(), format!("{}; it wrote last:\n{lines}", outage.message()));
        if outage.is_hopeless() { described.hopeless() } else { described }
    }

    /// Undoes what [`bring_up`](Self::bring_up) began: the version before runs again, or nothing is left.
    async fn put_back(&self, place: &Shelf, ids: (&str, &str)) -> Result<bool, RuntimeError> {
        let Some(current) = place.current() else {
            self.take_down(place, false).await?;
            return Ok(false);
        };
        self.bring_up(place, &current, ids, true).await?;
        let place = place.clone();
        blocking(move || {
            place.clear_next()?;
            place.tidy()
        })
        .await?;
        Ok(true)
    }

    /// Removes everything of a component; its volumes only if asked to.
    async fn take_down(&self, place: &Shelf, with_volumes: bool) -> Result<(), RuntimeError> {
        if let Some(version) = place.next().or_else(|| place.current())
            && let Ok(down) = self.compose(place, &version, self.options.ready_within)
        {
            // In the order that its services need; what this cannot do is done below.
            let down = down.traced(place.trace()).args(["down", "--remove-orphans"]).read().await;
            if let Err(error) = down {
                tracing::warn!(
                    project = place.project(),
                    error = &error as &dyn std::error::Error,
                    "`down` failed"
                );
            }
        }
        let label = format!("{PROJECT_LABEL}={}", place.project());
        self.engine.sweep("container", &label).await?;
        self.engine.sweep("network", &label).await?;
        if with_volumes {
            self.engine.sweep("volume", &label).await?;
        }
        let place = place.clone();
        blocking(move || place.delete()).await
    }

    fn listen(&self) -> Events {
        let Ok(mut stream) = self.engine.events(&self.owned()) else { return Events::Ended };
        match stream.child.stdout.take() {
            Some(output) => {
                Events::Told(Box::new(Told { lines: BufReader::new(output).lines(), _stream: stream }))
            }
            None => Events::Ended,
        }
    }
}

fn environment(
    deployment: &Document<ApplicationDeployment>,
    component: &Component,
) -> Result<Environment, RuntimeError> {
    let invalid = |problem: String| RuntimeError::new("invalid-parameter", problem);
    Environment::new(deployment.values_for(&component.name)).map_err(invalid)
}

/// Where the package of a component comes from, in one word.
fn reference(component: &Component) -> String {
    match &component.properties.package {
        Package::Oci { repository, revision } => format!("{repository}:{revision}"),
        Package::Archive { package_location, .. } => package_location.clone(),
        other => format!("{other:?}"),
    }
}

/// A Compose file that adds labels to every service.
fn labels_file(file: &ComposeFile, labels: &[(&str, String)]) -> io::Result<String> {
    use serde_json::{Map, Value};
    let labels: Map<String, Value> =
        labels.iter().map(|(name, value)| ((*name).to_owned(), value.replace('$', "$$").into())).collect();
    let service = Value::Object([("labels".to_owned(), Value::Object(labels))].into_iter().collect());
    let services: Map<String, Value> =
        file.services().into_iter().map(|name| (name, service.clone())).collect();
    let mut root = Map::new();
    if let Some(version) = file.version() {
        root.insert("version".to_owned(), version.into());
    }
    root.insert("services".to_owned(), services.into());
    margo_syntax::to_yaml(&Value::Object(root)).map_err(io::Error::other)
}

fn and(error: RuntimeError, more: &str) -> RuntimeError {
    let (code, message) = (error.code().to_owned(), format!("{}; {more}", error.message()));
    RuntimeError::new(code, message).because(error)
}

fn disk(cause: &io::Error) -> RuntimeError {
    let code = match cause.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk-full",
        io::ErrorKind::NotFound => "compose-invalid",
        _ => "folder",
    };
    RuntimeError::new(code, cause.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RuntimeError> {
    let result = tokio::task::spawn_blocking(work).await;
    result.map_err(io::Error::from).flatten().map_err(|cause| disk(&cause).because(cause))
}
