use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use margo_api::{Present, RuntimeError, WorkloadRuntime};
use margo_core::{ComponentName, DeploymentId, Digest, Document};
use margo_deployment::{ApplicationDeployment, Component};

use crate::Behavior;
use crate::files::{Files, files};

/// A runtime that writes what Helm or Compose would be handed into `<root>/<deployment>/<component>/`.
///
/// Clones share the folder and the behaviors.
#[derive(Clone, Debug)]
pub struct FolderRuntime {
    root: Arc<Path>,
    pace: Duration,
    behaviors: Arc<Mutex<BTreeMap<ComponentName, Behavior>>>,
}

impl FolderRuntime {
    /// A runtime that writes below `root`, which is created when it is first needed.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into().into(), pace: Duration::ZERO, behaviors: Arc::default() }
    }

    /// The same runtime, taking this long for each component whose behavior says nothing else: so that a person can
    /// watch.
    #[must_use]
    pub fn with_pace(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// The same runtime, with components of this name behaving so, whatever their deployment.
    #[must_use]
    pub fn with_behavior(self, component: ComponentName, behavior: Behavior) -> Self {
        self.behave(component, behavior);
        self
    }

    /// Lets components of this name behave so from now on.
    pub fn behave(&self, component: ComponentName, behavior: Behavior) {
        self.behaviors().insert(component, behavior);
    }

    /// Where the folders are.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    fn behaviors(&self) -> MutexGuard<'_, BTreeMap<ComponentName, Behavior>> {
        // Nothing panics while it is held.
        self.behaviors.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn delay(&self, component: &ComponentName) {
        let delay = self.behaviors().get(component).map_or(self.pace, Behavior::delay);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
    }

    async fn blocking<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Path) -> io::Result<T> + Send + 'static,
    ) -> Result<T, RuntimeError> {
        let root = Arc::clone(&self.root);
        let result = tokio::task::spawn_blocking(move || work(&root)).await;
        result.map_err(io::Error::from).flatten().map_err(|cause| {
            let message = format!("`{}` cannot be {what}: {cause}", self.root.display());
            RuntimeError::new("folder", message).because(cause)
        })
    }
}

impl WorkloadRuntime for FolderRuntime {
    async fn present(&self) -> Result<Present, RuntimeError> {
        self.blocking("read", present).await
    }

    /// Finds parameters that cannot be written before anything is touched.
    async fn prepare(&self, deployment: &Document<ApplicationDeployment>) -> Result<(), RuntimeError> {
        for component in &deployment.spec.deployment_profile.components {
            files(deployment, component)?;
        }
        Ok(())
    }

    async fn apply(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> Result<(), RuntimeError> {
        self.delay(&component.name).await;
        if let Some(failure) = self.behaviors().get_mut(&component.name).and_then(Behavior::next_failure) {
            return Err(failure);
        }
        let files = files(deployment, component)?;
        let (id, name) = (deployment.id.clone(), component.name.clone());
        self.blocking("written", move |root| write(&root.join(id.as_str()), &name, &files)).await
    }

    async fn remove(&self, deployment: &DeploymentId, component: &ComponentName) -> Result<(), RuntimeError> {
        self.delay(component).await;
        let (id, name) = (deployment.clone(), component.clone());
        self.blocking("changed", move |root| remove(&root.join(id.as_str()), &name)).await
    }
}

fn present(root: &Path) -> io::Result<Present> {
    let mut present = Present::new();
    for name in folders(root)? {
        let Ok(id) = name.parse::<DeploymentId>() else { continue };
        let components = components(&root.join(&name))?;
        if !components.is_empty() {
            present.insert(id, components);
        }
    }
    Ok(present)
}

fn components(deployment: &Path) -> io::Result<BTreeSet<ComponentName>> {
    // Unfinished folders begin with a dot, which no component does.
    Ok(folders(deployment)?.iter().filter_map(|name| name.parse().ok()).collect())
}

/// The names of the folders in a folder; none where there is no folder.
fn folders(parent: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(parent) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            names.extend(entry.file_name().into_string().ok());
        }
    }
    Ok(names)
}

/// Puts a complete folder in the place of the one before. A power cut leaves the old one, the new one, or none,
/// and in the last case the component is seen to be missing.
fn write(deployment: &Path, component: &ComponentName, files: &Files) -> io::Result<()> {
    let place = deployment.join(component.as_str());
    let (new, old) = unfinished(deployment, component);
    clear(&new)?;
    fs::create_dir_all(&new)?;
    for (name, content) in files {
        let mut file = File::create(new.join(name))?;
        file.write_all(content.as_bytes())?;
        file.sync_all()?;
    }
    sync(&new)?;
    clear(&old)?;
    if place.exists() {
        fs::rename(&place, &old)?;
    }
    fs::rename(&new, &place)?;
    sync(deployment)?;
    clear(&old)
}

fn remove(deployment: &Path, component: &ComponentName) -> io::Result<()> {
    let place = deployment.join(component.as_str());
    let (new, old) = unfinished(deployment, component);
    clear(&old)?;
    if place.exists() {
        fs::rename(&place, &old)?;
        sync(deployment)?;
    }
    clear(&old)?;
    clear(&new)?;
    // Whatever unfinished folders are left belong to nothing.
    if components(deployment)?.is_empty() { clear(deployment) } else { Ok(()) }
}

/// Where a component's folder is made, and where it goes before it is deleted.
fn unfinished(deployment: &Path, component: &ComponentName) -> (PathBuf, PathBuf) {
    // A component's name may be as long as a file name can be.
    let hash = Digest::of(component.as_str().as_bytes()).hex();
    (deployment.join(format!(".new-{}", &hash[..16])), deployment.join(format!(".old-{}", &hash[..16])))
}

fn clear(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use margo_syntax::Limits;
    use tempfile::TempDir;

    use super::*;

    const HELM: &str = "
id: pump-1
metadata: { name: pump, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump
  deploymentProfile:
    type: helm
    components:
      - { name: database, properties: { repository: 'oci://r.example/db', revision: 1.0.9, timeout: 8m30s } }
      - { name: broker, properties: { repository: 'oci://r.example/mq', revision: 2.0.0, wait: false } }
  parameters:
    interval: { value: 30, targets: [{ pointer: 'hosts[1].poll\\.interval', components: [database] }] }
    password: { value: '0123', targets: [{ pointer: auth.password, components: [database, broker] }] }
    tags: { value: [a, 2], targets: [{ pointer: tags, components: [broker] }] }
";

    const COMPOSE: &str = "
id: cam-1
metadata: { name: cam, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: cam
  deploymentProfile:
    type: compose
    components:
      - name: viewer
        properties: { packageLocation: 'https://x.example/v.tar.gz', keyLocation: 'https://x.example/k.asc' }
  parameters:
    title: { value: \"Gate 'A'\", targets: [{ pointer: TITLE, components: [viewer] }] }
    port: { value: 8080, targets: [{ pointer: ENV.PORT, components: [viewer] }] }
";

    fn decode(text: &str) -> Document<ApplicationDeployment> {
        ApplicationDeployment::decode(text.to_owned().into(), &Limits::default()).unwrap()
    }

    fn runtime() -> (TempDir, FolderRuntime) {
        let root = tempfile::tempdir().unwrap();
        let runtime = FolderRuntime::new(root.path().join("workloads"));
        (root, runtime)
    }

    async fn apply_all(
        runtime: &FolderRuntime,
        text: &str,
    ) -> Result<Document<ApplicationDeployment>, RuntimeError> {
        let deployment = decode(text);
        for component in &deployment.spec.deployment_profile.components {
            runtime.apply(&deployment, component).await?;
        }
        Ok(deployment)
    }

    fn read(runtime: &FolderRuntime, path: &str) -> String {
        fs::read_to_string(runtime.root().join(path)).unwrap()
    }

    fn names(present: &Present) -> Vec<String> {
        present.iter().flat_map(|(id, all)| all.iter().map(move |name| format!("{id}/{name}"))).collect()
    }

    #[tokio::test]
    async fn helm_is_handed_values_and_a_release() {
        let (_root, runtime) = runtime();
        let deployment = apply_all(&runtime, HELM).await.unwrap();
        assert_eq!(
            read(&runtime, "pump-1/database/values.yaml"),
            "auth:\n  password: \"0123\"\nhosts:\n  - null\n  - poll.interval: 30\n"
        );
        assert_eq!(
            read(&runtime, "pump-1/broker/values.yaml"),
            "auth:\n  password: \"0123\"\ntags:\n  - a\n  - 2\n"
        );
        let digest = deployment.digest();
        assert_eq!(
            read(&runtime, "pump-1/database/release.yaml"),
            format!(
                "release: pump-database\nnamespace: plant\nrepository: oci://r.example/db\nrevision: \"1.0.9\"\n\
                 wait: true\ntimeout: 8m30s\napplication: pump\ndigest: {digest}\n"
            )
        );
        assert!(read(&runtime, "pump-1/broker/release.yaml").contains("\nwait: false\n"));
    }

    #[tokio::test]
    async fn compose_is_handed_variables_and_a_package() {
        let (_root, runtime) = runtime();
        apply_all(&runtime, COMPOSE).await.unwrap();
        assert_eq!(read(&runtime, "cam-1/viewer/.env"), "PORT=8080\nTITLE=\"Gate 'A'\"\n");
        let package = read(&runtime, "cam-1/viewer/package.yaml");
        let expected = "project: cam-viewer\nnamespace: plant\npackageLocation: https://x.example/v.tar.gz\n\
                        keyLocation: https://x.example/k.asc\nwait: true\n";
        assert!(package.starts_with(expected), "{package}");
    }

    #[tokio::test]
    async fn others_are_handed_their_parameters() {
        let (_root, runtime) = runtime();
        apply_all(&runtime, &HELM.replace("type: helm", "type: custom")).await.unwrap();
        let expected = "auth.password: \"0123\"\nhosts[1].poll\\.interval: 30\n";
        assert_eq!(read(&runtime, "pump-1/database/parameters.yaml"), expected);
        assert!(read(&runtime, "pump-1/database/package.yaml").starts_with("project: pump-database\n"));
    }

    #[tokio::test]
    async fn what_is_there_is_read_from_the_folders() {
        let (_root, runtime) = runtime();
        assert!(runtime.present().await.unwrap().is_empty());
        let deployment = apply_all(&runtime, HELM).await.unwrap();
        apply_all(&runtime, COMPOSE).await.unwrap();
        // Others' files, and what a power cut leaves behind.
        fs::write(runtime.root().join("notes.txt"), "").unwrap();
        fs::create_dir(runtime.root().join("not an id")).unwrap();
        fs::create_dir(runtime.root().join("pump-1/.new-0123456789abcdef")).unwrap();
        fs::create_dir_all(runtime.root().join("gone-1/.old-0123456789abcdef")).unwrap();
        let again = FolderRuntime::new(runtime.root());
        let present = again.present().await.unwrap();
        assert_eq!(names(&present), ["cam-1/viewer", "pump-1/broker", "pump-1/database"]);

        let component = |name: &str| name.parse::<ComponentName>().unwrap();
        for _ in 0..2 {
            again.remove(&deployment.id, &component("broker")).await.unwrap();
            assert_eq!(names(&again.present().await.unwrap()), ["cam-1/viewer", "pump-1/database"]);
        }
        again.remove(&deployment.id, &component("database")).await.unwrap();
        assert!(!runtime.root().join("pump-1").exists());
        again.remove(&deployment.id, &component("database")).await.unwrap();
    }

    #[tokio::test]
    async fn an_update_replaces_the_whole_folder() {
        let (_root, runtime) = runtime();
        apply_all(&runtime, HELM).await.unwrap();
        fs::write(runtime.root().join("pump-1/database/left-by-hand"), "").unwrap();
        apply_all(&runtime, &HELM.replace("value: 30", "value: 60")).await.unwrap();
        assert!(read(&runtime, "pump-1/database/values.yaml").contains("poll.interval: 60"));
        let mut names = fs::read_dir(runtime.root().join("pump-1/database")).unwrap().count();
        assert_eq!(names, 2);
        names = fs::read_dir(runtime.root().join("pump-1")).unwrap().count();
        assert_eq!(names, 2);
    }

    #[tokio::test]
    async fn bad_parameters_are_found_before_anything_is_touched() {
        let (_root, runtime) = runtime();
        let bad = decode(&COMPOSE.replace("pointer: TITLE", "pointer: 'MY TITLE'"));
        let error = runtime.prepare(&bad).await.unwrap_err();
        assert_eq!(error.code(), "invalid-parameter");
        assert!(error.message().starts_with("pointer `MY TITLE`"), "{error}");
        assert!(!runtime.root().exists());
        runtime.prepare(&decode(COMPOSE)).await.unwrap();
    }

    #[tokio::test]
    async fn a_root_that_cannot_be_written_is_named() {
        let (root, runtime) = runtime();
        fs::write(root.path().join("workloads"), "a file").unwrap();
        let error = apply_all(&runtime, HELM).await.unwrap_err();
        assert_eq!(error.code(), "folder");
        assert!(error.message().contains("workloads` cannot be written"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn components_behave_as_told() {
        let (_root, runtime) = runtime();
        let name: ComponentName = "database".parse().unwrap();
        let behavior = Behavior::new().with_delay(Duration::from_secs(3)).failing_times(2, "E42", "no image");
        let runtime = runtime.with_behavior(name.clone(), behavior);
        for _ in 0..2 {
            let start = tokio::time::Instant::now();
            let error = apply_all(&runtime, HELM).await.unwrap_err();
            assert_eq!((error.code(), error.message()), ("E42", "no image"));
            assert_eq!(start.elapsed(), Duration::from_secs(3));
            assert!(runtime.present().await.unwrap().is_empty());
        }
        apply_all(&runtime, HELM).await.unwrap();
        runtime.behave(name, Behavior::new().failing("E1", "always"));
        assert!(apply_all(&runtime, HELM).await.is_err());
        // What was installed before the failure stays.
        assert_eq!(runtime.present().await.unwrap().len(), 1);
    }
}
