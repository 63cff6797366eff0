use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use margo_api::{Outage, Outages, Present, RuntimeError, WorkloadRuntime};
use margo_core::{ComponentName, DeploymentId, Digest, Document};
use margo_deployment::{ApplicationDeployment, Component, Package};
use serde_json::{Map, Value};
use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard, Semaphore};
use tokio::time::{Instant, sleep};

use crate::collector::Collector;
use crate::condition::{COMPONENT_LABEL, Condition, Container, DEPLOYMENT_LABEL, PROJECT_LABEL, judge};
use crate::engine::{Changes, Engine};
use crate::environment::{Environment, reserved_in};
use crate::failure::explain;
use crate::files::ComponentFiles;
use crate::plain::Variables;
use crate::policy::{ComposeFile, Policy};
use crate::process::{Call, end_traced};
use crate::shelf::{LABELS_FILE, Shelf, Version, components, short, sweep, traces};
use crate::tool::{Tool, ToolKind};

/// Whose containers they are: several agents may share an engine.
const OWNER_LABEL: &str = "org.margo.owner";

/// How often the engine is asked whether a component is in place, and how long it has to have been so: a program that
/// cannot work ends at once.
const LOOK: Duration = Duration::from_millis(100);

/// As many bytes an image takes of the disk while it is pulled for each byte that travels: what arrives is kept until
/// it is unpacked, and packed layers are somewhat less than half as large.
const IMAGE_GROWTH: u64 = 3;

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
    /// How many components are worked on at once. At least 1. Default: 2.
    pub parallel: usize,
    /// How many images are pulled at once, of all components. At least 1. Default: 2.
    pub parallel_pulls: usize,
    /// The bytes that have to be free before an image is pulled, beside three times those of the image as it travels
    /// where its registry tells them. Default: 256 MiB.
    pub min_free_bytes: u64,
    /// How long a component may take to be in place, where its `timeout` does not say. Default: 10 minutes.
    pub ready_within: Duration,
    /// How long an image may take to arrive. Default: 30 minutes.
    pub pull_within: Duration,
    /// How often a device is looked at whose engine tells no events. Default: 30 seconds.
    pub poll: Duration,
    /// The collector that containers are told of (R-A-050). Those that run learn of another one when their deployment
    /// changes. Default: none.
    pub collector: Option<Collector>,
}

impl Default for ComposeOptions {
    fn default() -> Self {
        Self {
            policy: Policy::default(),
            remove_volumes: false,
            keep_images: false,
            pull_early: true,
            parallel: 2,
            parallel_pulls: 2,
            min_free_bytes: 256 << 20,
            ready_within: Duration::from_mins(10),
            pull_within: Duration::from_mins(30),
            poll: Duration::from_secs(30),
            collector: None,
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
    pulls: Semaphore,
    events: AsyncMutex<Events>,
}

#[derive(Default)]
enum Events {
    #[default]
    NotYet,
    Told(Changes),
    /// The engine tells none, or told no more.
    Ended,
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
        sweep(&root)?;
        let permits = |count: usize| Semaphore::new(count.clamp(1, Semaphore::MAX_PERMITS));
        let (slots, pulls) = (permits(options.parallel), permits(options.parallel_pulls));
        Ok(Self(Arc::new(Inner {
            root,
            owner: owner.into(),
            files,
            engine: Engine::new(tool),
            options,
            locks: Mutex::default(),
            prepared: Mutex::default(),
            slots,
            pulls,
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

        let ids = (deployment.id.as_str(), component.name.as_str());
        let known = current.clone().filter(|current| is_wanted(current));
        let prepared = inner.prepared().remove(place.project()).filter(|version| is_wanted(version));
        let version = match known.or(prepared) {
            Some(version) => version,
            None => match inner.ready(deployment, component, &place, &environment).await {
                Ok(version) => version,
                Err(error) => {
                    // Nothing was started; the files say again what runs.
                    if let Some(current) = &current {
                        inner.set_out(&place, current, ids, &inner.variables()).await?;
                    }
                    inner.leave(&place).await?;
                    return Err(error);
                }
            },
        };
        if current.as_ref() == Some(&version)
            && place.next().is_none()
            && matches!(inner.look(&place, &version).await?.condition, Condition::Good)
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
                if let Some(before) = &current
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
                Err(other) if current.is_some() => {
                    and(error, &format!("and the previous version did not come back: {other}"))
                }
                Err(other) => and(error, &format!("and what was begun is still there: {other}")),
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
            let told = self.0.engine.changes(&self.0.owned()).await;
            *events = told.map_or(Events::Ended, Events::Told);
        }
        if let Events::Told(changes) = &mut *events {
            if changes.next().await {
                // More of the same for a moment, so that they are not one change each.
                let _ = tokio::time::timeout(TOGETHER, async { while changes.next().await {} }).await;
            } else {
                // The engine ended, perhaps to start again.
                *events = Events::Ended;
            }
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
        let mut text = environment.to_file(self.engine.tool.dialect());
        if !self.variables().is_empty() {
            // Another collector is another environment.
            let variables = format!("{:?}", self.variables());
            text.extend(["# collector ", &short(&Digest::of(variables.as_bytes())), "\n"]);
        }
        let place = place.clone();
        blocking(move || {
            place.create()?;
            place.keep_environment(&text)
        })
        .await
    }

    /// What containers are told of the device.
    fn variables(&self) -> Variables {
        self.options.collector.as_ref().map(Collector::variables).unwrap_or_default()
    }

    /// Has everything at hand that the component needs to run, and has it checked.
    async fn ready(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
        place: &Shelf,
        environment: &Environment,
    ) -> Result<Version, RuntimeError> {
        let key = self.keep(place, environment).await?;
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
        let mut version = Version {
            package,
            files,
            environment: key,
            images: BTreeSet::new(),
            services: BTreeSet::new(),
            plain: None,
            own_variables: BTreeMap::new(),
        };
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
        let ids = (deployment.id.as_str(), component.name.as_str());
        let check = |resolved: &Value| {
            let files = place.files(&version.files);
            file.check(resolved, &self.options.policy, &files, &folder, place.project())
        };

        // Where the file is plain, what is checked is what Compose will be given. It takes Compose a while to say
        // what it makes of any other, in which images can come whose names are known already.
        let is_plain = self.engine.tool.kind() != ToolKind::PodmanCompose && !Shelf::has_own_values(&folder);
        let plain = if is_plain { file.plain(&environment.variables()) } else { None };
        if let Some(plain) = plain {
            let contents = check(&plain.value())?;
            let text = plain.to_file(&self.labels(ids), &self.variables());
            let own = place.clone();
            version.plain = Some(blocking(move || own.keep_plain(&text)).await?);
            (version.images, version.services) = (contents.images, contents.services);
            if self.options.pull_early {
                self.pull(&version.images).await?;
            }
            return Ok(version);
        }
        self.set_out(place, &version, ids, &Variables::new()).await?;
        let config = self.compose(place, &version, Duration::from_mins(1))?.arg("config");
        let known = if self.options.pull_early { file.images() } else { BTreeSet::new() };
        let (resolved, pulled) = tokio::join!(config.read(), self.pull(&known));
        let resolved =
            resolved.map_err(|error| explain("Compose cannot read it", "compose-invalid", error))?;
        let resolved = ComposeFile::resolved(&resolved)?;
        let contents = check(&resolved)?;
        version.own_variables = own_variables(&resolved, &self.variables());
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

    /// Gets the images that are not here, several at once.
    async fn pull(&self, images: &BTreeSet<String>) -> Result<(), RuntimeError> {
        let mut missing = Vec::new();
        for image in images {
            if !self.engine.has(image).await? {
                missing.push(image.as_str());
            }
        }
        if missing.is_empty() {
            return Ok(());
        }
        self.check_room(&missing).await?;
        let pulls = missing.into_iter().map(|image| async move {
            // Fails only for a semaphore that was closed, and this one never is.
            let _turn = self.pulls.acquire().await;
            self.engine.pull(image, self.options.pull_within).await?;
            // It may be for another architecture.
            self.engine.has(image).await.map(drop)
        });
        try_join_all(pulls).await.map(drop)
    }

    /// Whether the disk takes these images, as far as their registries tell how large they are.
    async fn check_room(&self, images: &[&str]) -> Result<(), RuntimeError> {
        let Some(free) = self.engine.free_bytes().await? else { return Ok(()) };
        let platform = self.engine.platform().await?;
        let sizes = join_all(images.iter().map(|image| self.files.image_size(image, platform))).await;
        let mut total: u64 = 0;
        for (image, size) in images.iter().zip(sizes) {
            if size.is_none() {
                let least = self.options.min_free_bytes;
                tracing::debug!(image, least, "nobody tells how large it is; only the least has to be free");
            }
            total = total.saturating_add(size.unwrap_or(0));
        }
        let needed = total.saturating_mul(IMAGE_GROWTH).saturating_add(self.options.min_free_bytes);
        if free >= needed {
            return Ok(());
        }
        let [free, needed, total] = [free, needed, total].map(|bytes| bytes >> 20);
        let message = format!(
            "{free} MiB are free for images, and {needed} MiB should be; {total} MiB would be pulled"
        );
        Err(RuntimeError::new("disk-full", message))
    }

    /// By which the containers of a component are found again.
    fn labels(&self, (deployment, component): (&str, &str)) -> Variables {
        let labels = [
            (OWNER_LABEL, self.owner.as_str()),
            (DEPLOYMENT_LABEL, deployment),
            (COMPONENT_LABEL, component),
        ];
        labels.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// Writes what Compose reads beside a file that is not plain: environment, labels, and `variables` for every
    /// service that does not set them itself.
    async fn set_out(
        &self,
        place: &Shelf,
        version: &Version,
        ids: (&str, &str),
        variables: &Variables,
    ) -> Result<(), RuntimeError> {
        if version.plain.is_some() {
            return Ok(());
        }
        let (place, version, labels, variables) =
            (place.clone(), version.clone(), self.labels(ids), variables.clone());
        blocking(move || {
            let path = place.compose_file(&version.files)?;
            let file = ComposeFile::read(&path).map_err(io::Error::other)?;
            place.set_out(&version, &labels_file(&file, &labels, &variables, &version.own_variables)?)
        })
        .await
    }

    /// A call of Compose for a version of a component.
    fn compose(&self, place: &Shelf, version: &Version, limit: Duration) -> Result<Call, RuntimeError> {
        let path = place.compose_file(&version.files).map_err(|cause| disk(&cause))?;
        let folder = path.parent().unwrap_or(place.folder());
        let call = self.engine.tool.compose(folder, limit).arg("-p").arg(place.project());
        if let Some(key) = &version.plain {
            return Ok(call.arg("--project-directory").arg(folder).arg("-f").arg(place.plain_file(key)));
        }
        let name = path.file_name().unwrap_or_default();
        Ok(call.arg("-f").arg(name).arg("-f").arg(LABELS_FILE))
    }

    /// Makes a version run, and waits until it does if `waits`.
    async fn bring_up(
        &self,
        place: &Shelf,
        version: &Version,
        ids: (&str, &str),
        waits: bool,
    ) -> Result<(), RuntimeError> {
        let deadline = Instant::now() + self.options.ready_within;
        self.set_out(place, version, ids, &self.variables()).await?;
        let up = self.compose(place, version, self.options.ready_within)?.traced(place.trace());
        let up = up.args(["up", "-d", "--no-build", "--remove-orphans"]).read();
        tokio::pin!(up);
        let mut is_up = false;
        // Since when the same containers do well.
        let mut good: Option<(Vec<(String, String)>, Instant)> = None;
        loop {
            tokio::select! {
                outcome = &mut up, if !is_up => {
                    if let Err(error) = outcome {
                        return Err(self.engine.explain("it cannot be started", "start-failed", error).await);
                    }
                    if !waits {
                        return Ok(());
                    }
                    is_up = true;
                }
                // The tool needs a while to end, in which its work can be seen already.
                () = sleep(LOOK), if is_up || self.engine.is_asked_cheaply() => {}
            }
            let look = match self.look(place, version).await {
                Err(_) if !is_up => continue,
                look => look?,
            };
            good = match (look.condition, good) {
                (Condition::Good, Some((runs, since))) if runs == look.runs => Some((runs, since)),
                (Condition::Good, _) => Some((look.runs, Instant::now())),
                (Condition::Bad(outage), _) if is_up => {
                    let outage = self.describe(outage, look.culprit.as_ref()).await;
                    return Err(RuntimeError::new(outage.code(), outage.message()));
                }
                _ => None,
            };
            if is_up && good.as_ref().is_some_and(|(_, since)| since.elapsed() >= LOOK) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                let limit = self.options.ready_within.as_secs();
                return Err(RuntimeError::new("timeout", format!("not in place within {limit} s")));
            }
        }
    }

    /// How a component does.
    async fn look(&self, place: &Shelf, version: &Version) -> Result<Look, RuntimeError> {
        let containers =
            self.engine.containers(&[self.owned(), format!("{PROJECT_LABEL}={}", place.project())]).await?;
        let (condition, culprit) = judge(&version.services, &containers);
        let mut runs: Vec<_> = containers.iter().map(Container::run).collect();
        runs.sort_unstable();
        Ok(Look { condition, culprit: culprit.cloned(), runs })
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
}

/// How a component does at one moment.
struct Look {
    condition: Condition,
    /// The container to blame.
    culprit: Option<Container>,
    /// Which containers, in which of their runs.
    runs: Vec<(String, String)>,
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

/// A Compose file that adds labels to every service, and variables to those that do not set them themselves.
fn labels_file(
    file: &ComposeFile,
    labels: &Variables,
    variables: &Variables,
    own: &BTreeMap<String, BTreeSet<String>>,
) -> io::Result<String> {
    let object = |entries: &mut dyn Iterator<Item = (&String, &String)>| -> Map<String, Value> {
        entries.map(|(name, value)| (name.clone(), value.replace('$', "$$").into())).collect()
    };
    let labels = Value::Object(object(&mut labels.iter()));
    let service = |name: &String| {
        let is_own = |variable: &String| own.get(name).is_some_and(|own| own.contains(variable));
        let missing = object(&mut variables.iter().filter(|(variable, _)| !is_own(variable)));
        let mut service = Map::from_iter([("labels".to_owned(), labels.clone())]);
        if !missing.is_empty() {
            service.insert("environment".to_owned(), Value::Object(missing));
        }
        Value::Object(service)
    };
    let services: Map<String, Value> =
        file.services().into_iter().map(|name| (name.clone(), service(&name))).collect();
    let mut root = Map::new();
    if let Some(version) = file.version() {
        root.insert("version".to_owned(), version.into());
    }
    root.insert("services".to_owned(), services.into());
    margo_syntax::to_yaml(&Value::Object(root)).map_err(io::Error::other)
}

/// Which of `variables` each service sets itself, in what Compose made of a file.
fn own_variables(resolved: &Value, variables: &Variables) -> BTreeMap<String, BTreeSet<String>> {
    let services = resolved.get("services").and_then(Value::as_object).into_iter().flatten();
    let of = |service: &Value| -> BTreeSet<String> {
        let names: Vec<&str> = match service.get("environment") {
            Some(Value::Object(members)) => members.keys().map(String::as_str).collect(),
            Some(Value::Array(items)) => {
                items.iter().filter_map(Value::as_str).filter_map(|item| item.split('=').next()).collect()
            }
            _ => Vec::new(),
        };
        let known = names.into_iter().filter(|name| variables.contains_key(*name));
        known.map(str::to_owned).collect()
    };
    let all = services.map(|(name, service)| (name.clone(), of(service)));
    all.filter(|(_, own)| !own.is_empty()).collect()
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
