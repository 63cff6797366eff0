//! What a component has on disk: the versions of its package, its environments, and which of them is in force.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use margo_core::{ComponentName, DeploymentId, Digest};
use serde::{Deserialize, Serialize};

/// The longest name of a project: it becomes part of the names of containers and networks.
const LONGEST_PROJECT: usize = 48;

/// The names a Compose file may have, the preferred first.
const COMPOSE_FILES: &[&str] = &["compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"];

/// The file that adds the labels by which containers are found again.
pub(crate) const LABELS_FILE: &str = ".margo-labels.yaml";

/// What the package's own `.env` says, which is needed for other values.
const PACKAGE_ENV: &str = ".margo-package.env";

/// One version of a component: which files with which environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Version {
    /// Where the package came from.
    pub(crate) package: String,
    /// The folder of its files.
    pub(crate) files: String,
    /// Of the environment file.
    pub(crate) environment: String,
    pub(crate) images: BTreeSet<String>,
    pub(crate) services: BTreeSet<String>,
    /// What Compose is given in place of the package's own file, where that could be read here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) plain: Option<String>,
    /// The variables of the collector that services set themselves.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) own_variables: BTreeMap<String, BTreeSet<String>>,
}

/// Where one component lies.
#[derive(Clone, Debug)]
pub(crate) struct Shelf {
    folder: PathBuf,
    project: String,
}

impl Shelf {
    pub(crate) fn new(
        root: &Path,
        owner: &str,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> Self {
        let folder = root.join(deployment.as_str()).join(component.as_str());
        Self { folder, project: project(owner, deployment, component) }
    }

    /// The name of its project: the same for the same component, whatever happens to the device.
    pub(crate) fn project(&self) -> &str {
        &self.project
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where the trace of a running tool lies.
    pub(crate) fn trace(&self) -> PathBuf {
        self.folder.join("process")
    }

    pub(crate) fn files(&self, key: &str) -> PathBuf {
        self.folder.join(format!("files-{key}"))
    }

    /// The Compose file of a version.
    pub(crate) fn compose_file(&self, key: &str) -> io::Result<PathBuf> {
        let files = self.files(key);
        let within =
            |folder: &Path| COMPOSE_FILES.iter().map(|name| folder.join(name)).find(|path| path.is_file());
        if let Some(path) = within(&files) {
            return Ok(path);
        }
        // Or in the one folder that an archive has.
        let folders = fs::read_dir(&files)?.filter_map(Result::ok).map(|entry| entry.path());
        let folders: Vec<_> = folders.filter(|path| path.is_dir()).collect();
        if let [folder] = folders.as_slice()
            && let Some(path) = within(folder)
        {
            return Ok(path);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the package has no `compose.yaml`"))
    }

    pub(crate) fn create(&self) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.folder)
    }

    /// Keeps an environment, and says how it is called.
    pub(crate) fn keep_environment(&self, text: &str) -> io::Result<String> {
        let key = short(&Digest::of(text.as_bytes()));
        let file = self.folder.join(format!("environment-{key}"));
        if !file.exists() {
            write(&file, text)?;
        }
        Ok(key)
    }

    /// Whether the package whose Compose file is in `folder` brings values of its own.
    pub(crate) fn has_own_values(folder: &Path) -> bool {
        let own = folder.join(PACKAGE_ENV);
        let file = if own.exists() { own } else { folder.join(".env") };
        fs::metadata(file).is_ok_and(|file| file.len() > 0)
    }

    /// Keeps a file that Compose is given in place of the package's own, and says how it is called.
    pub(crate) fn keep_plain(&self, text: &str) -> io::Result<String> {
        let key = short(&Digest::of(text.as_bytes()));
        let file = self.plain_file(&key);
        if !file.exists() {
            write(&file, text)?;
        }
        Ok(key)
    }

    pub(crate) fn plain_file(&self, key: &str) -> PathBuf {
        self.folder.join(format!("compose-{key}.yaml"))
    }

    /// Puts environment and labels beside the Compose file, where the tools look for them.
    ///
    /// What the package's own `.env` says holds as far as the environment does not say otherwise.
    pub(crate) fn set_out(&self, version: &Version, labels: &str) -> io::Result<()> {
        let file = self.compose_file(&version.files)?;
        let folder = file.parent().unwrap_or(&self.folder);
        let own = folder.join(PACKAGE_ENV);
        let env = folder.join(".env");
        if !own.exists() {
            let defaults = match fs::read_to_string(&env) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
                text => text?,
            };
            write(&own, &defaults)?;
        }
        let mut text = fs::read_to_string(&own)?;
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        text += &fs::read_to_string(self.folder.join(format!("environment-{}", version.environment)))?;
        write(&env, &text)?;
        write(&folder.join(LABELS_FILE), labels)
    }

    /// The version in force.
    pub(crate) fn current(&self) -> Option<Version> {
        self.read("current")
    }

    /// The version that was being put in force.
    pub(crate) fn next(&self) -> Option<Version> {
        self.read("next")
    }

    pub(crate) fn set_next(&self, version: &Version) -> io::Result<()> {
        write(&self.folder.join("next"), &serde_json::to_string(version)?)?;
        sync(&self.folder)
    }

    pub(crate) fn clear_next(&self) -> io::Result<()> {
        remove_file(&self.folder.join("next"))
    }

    /// The next version is the one in force. What belongs to others only is deleted.
    pub(crate) fn commit(&self, version: &Version) -> io::Result<()> {
        write(&self.folder.join("current"), &serde_json::to_string(version)?)?;
        sync(&self.folder)?;
        self.clear_next()?;
        self.tidy()
    }

    /// Deletes every version but the one in force.
    pub(crate) fn tidy(&self) -> io::Result<()> {
        let kept: BTreeSet<String> = self.current().map_or_else(BTreeSet::new, |version| {
            let plain = version.plain.map(|key| format!("compose-{key}.yaml"));
            let files = [format!("files-{}", version.files), format!("environment-{}", version.environment)];
            files.into_iter().chain(plain).collect()
        });
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let is_version = ["files-", "environment-", "compose-", "."];
            if !is_version.iter().any(|kind| name.starts_with(kind)) || kept.contains(&name) {
                continue;
            }
            if entry.file_type()?.is_dir() {
                fs::remove_dir_all(entry.path())?;
            } else {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// Deletes everything, and the deployment's folder with its last component.
    pub(crate) fn delete(&self) -> io::Result<()> {
        // From here on it is not there, however long the rest takes.
        for name in ["current", "next"] {
            remove_file(&self.folder.join(name))?;
        }
        match fs::remove_dir_all(&self.folder) {
            // Of the folder itself, and not of something that went away within it.
            Err(error) if error.kind() == io::ErrorKind::NotFound && !self.folder.exists() => {}
            result => result?,
        }
        self.folder.parent().map_or(Ok(()), remove_empty)
    }

    fn read(&self, name: &str) -> Option<Version> {
        let text = fs::read_to_string(self.folder.join(name)).ok()?;
        serde_json::from_str(&text).ok()
    }
}

/// Every component that has a version in force or on its way there.
pub(crate) fn components(root: &Path) -> io::Result<Vec<(DeploymentId, ComponentName)>> {
    let mut found = Vec::new();
    for deployment in names(root)? {
        let Ok(id) = deployment.parse::<DeploymentId>() else { continue };
        for component in names(&root.join(&deployment))? {
            let folder = root.join(&deployment).join(&component);
            let Ok(name) = component.parse::<ComponentName>() else { continue };
            if folder.join("current").exists() || folder.join("next").exists() {
                found.push((id.clone(), name));
            }
        }
    }
    Ok(found)
}

/// Deletes the folders of components that have no version: what is left of a preparation or a removal that was cut off.
pub(crate) fn sweep(root: &Path) -> io::Result<()> {
    for deployment in names(root)? {
        let Ok(_) = deployment.parse::<DeploymentId>() else { continue };
        let deployment = root.join(deployment);
        for component in names(&deployment)? {
            let folder = deployment.join(component);
            if !folder.join("current").exists() && !folder.join("next").exists() {
                fs::remove_dir_all(&folder)?;
            }
        }
        remove_empty(&deployment)?;
    }
    Ok(())
}

/// The traces of tools that ran when the agent ended.
pub(crate) fn traces(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for deployment in names(root)? {
        for component in names(&root.join(&deployment))? {
            found.push(root.join(&deployment).join(&component).join("process"));
        }
    }
    Ok(found)
}

/// Removes the folder of a deployment, unless it has components, or is gone.
fn remove_empty(folder: &Path) -> io::Result<()> {
    match fs::remove_dir(folder) {
        Err(error) if [io::ErrorKind::DirectoryNotEmpty, io::ErrorKind::NotFound].contains(&error.kind()) => {
            Ok(())
        }
        result => result,
    }
}

/// A short name for a digest: enough to tell the versions of one component apart.
pub(crate) fn short(digest: &Digest) -> String {
    digest.hex()[..16].to_owned()
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
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

/// Lower-case letters, digits and dashes, as Compose asks for, and a hash that keeps similar names apart.
fn project(owner: &str, deployment: &DeploymentId, component: &ComponentName) -> String {
    let full = format!("{owner}/{deployment}/{component}");
    let plain = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let readable: String = format!("{deployment}-{component}").chars().map(plain).collect();
    let readable = readable.trim_matches('-');
    let readable = readable.get(..LONGEST_PROJECT).unwrap_or(readable).trim_end_matches('-');
    format!("margo-{readable}-{}", &Digest::of(full.as_bytes()).hex()[..8])
}

/// Writes a file whole or not at all, for nobody else to read.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".new-{}", name.trim_start_matches('.')));
    remove_file(&new)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&new, path)
    })();
    if written.is_err() {
        // What is left of it takes room that may be the very thing that is missing.
        remove_file(&new)?;
    }
    written
}

fn remove_file(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

fn sync(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn shelf(root: &Path) -> Shelf {
        let shelf = Shelf::new(root, "plc-7", &"pump-1".parse().unwrap(), &"web".parse().unwrap());
        shelf.create().unwrap();
        shelf
    }

    fn version(shelf: &Shelf, files: &str, environment: &str) -> Version {
        let folder = shelf.files(files).join("app");
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("compose.yaml"), "services: {}").unwrap();
        Version {
            package: format!("oci://r.example/{files}:1"),
            files: files.to_owned(),
            environment: shelf.keep_environment(environment).unwrap(),
            images: BTreeSet::new(),
            services: BTreeSet::new(),
            plain: Some(shelf.keep_plain(environment).unwrap()),
            own_variables: BTreeMap::new(),
        }
    }

    #[test]
    fn a_project_has_the_same_name_for_ever_and_nobody_elses() {
        let name = |owner: &str, id: &str, component: &str| {
            project(owner, &id.parse().unwrap(), &component.parse().unwrap())
        };
        assert_eq!(name("plc-7", "Pump_1", "web"), name("plc-7", "Pump_1", "web"));
        assert!(name("plc-7", "Pump_1", "web").starts_with("margo-pump-1-web-"));
        assert_ne!(name("plc-7", "Pump_1", "web"), name("plc-7", "pump-1", "web"));
        assert_ne!(name("plc-7", "a", "web"), name("plc-8", "a", "web"));
        assert_ne!(name("x", "a-b", "c"), name("x", "a", "b-c"));
        assert!(name("x", &"a".repeat(200), "web").len() <= 6 + LONGEST_PROJECT + 9);
    }

    #[test]
    fn secrets_are_for_nobody_else_to_read() {
        let root = tempfile::tempdir().unwrap();
        let shelf = shelf(root.path());
        let version = version(&shelf, "a", "PASSWORD=x\n");
        shelf.set_out(&version, "services: {}").unwrap();
        let mut found = 0;
        for file in [
            shelf.folder().join(format!("environment-{}", version.environment)),
            shelf.files("a").join("app/.env"),
            shelf.plain_file(version.plain.as_deref().unwrap()),
        ] {
            assert_eq!(fs::metadata(file).unwrap().mode() & 0o777, 0o600);
            found += 1;
        }
        assert_eq!(found, 3);
    }

    #[test]
    fn a_packages_own_values_hold_beneath_parameters() {
        let root = tempfile::tempdir().unwrap();
        let shelf = shelf(root.path());
        let first = version(&shelf, "a", "B=2\n");
        let env = shelf.files("a").join("app/.env");
        fs::write(&env, "A=1").unwrap();
        shelf.set_out(&first, "").unwrap();
        assert_eq!(fs::read_to_string(&env).unwrap(), "A=1\nB=2\n");
        let second = version(&shelf, "a", "B=3\n");
        shelf.set_out(&second, "").unwrap();
        assert_eq!(fs::read_to_string(&env).unwrap(), "A=1\nB=3\n");
    }

    #[test]
    fn what_was_cut_off_is_swept_away() {
        let root = tempfile::tempdir().unwrap();
        let shelf = shelf(root.path());
        let first = version(&shelf, "a", "SECRET=1\n");
        sweep(root.path()).unwrap();
        assert!(fs::read_dir(root.path()).unwrap().next().is_none(), "prepared, and never begun");

        assert_eq!(version(&shelf, "a", "SECRET=1\n"), first);
        shelf.set_next(&first).unwrap();
        sweep(root.path()).unwrap();
        assert_eq!(shelf.next(), Some(first.clone()), "begun");
        shelf.commit(&first).unwrap();
        sweep(root.path()).unwrap();
        assert!(shelf.current() == Some(first) && shelf.files("a").exists(), "in force");

        fs::remove_file(shelf.folder().join("current")).unwrap();
        sweep(root.path()).unwrap();
        assert!(fs::read_dir(root.path()).unwrap().next().is_none(), "removed, but for its files");
        sweep(&root.path().join("nothing")).unwrap();
    }

    #[test]
    fn a_version_comes_into_force_and_the_one_before_goes() {
        let root = tempfile::tempdir().unwrap();
        let shelf = shelf(root.path());
        let (first, second) = (version(&shelf, "a", "A=1\n"), version(&shelf, "b", "A=2\n"));
        shelf.set_next(&first).unwrap();
        assert_eq!((shelf.current(), shelf.next()), (None, Some(first.clone())));
        assert_eq!(components(root.path()).unwrap().len(), 1);
        shelf.commit(&first).unwrap();
        assert_eq!((shelf.current(), shelf.next()), (Some(first), None));
        assert!(!shelf.files("b").exists() && shelf.files("a").exists());

        let third = version(&shelf, "b", "A=2\n");
        assert_eq!(second, third);
        shelf.set_next(&third).unwrap();
        shelf.commit(&third).unwrap();
        assert!(
            fs::read_dir(shelf.folder()).unwrap().count() == 4,
            "files, environment, Compose file and state"
        );
        assert!(shelf.files("b").exists() && !shelf.files("a").exists());

        shelf.delete().unwrap();
        shelf.delete().unwrap();
        assert!(fs::read_dir(root.path()).unwrap().next().is_none());
    }
}
