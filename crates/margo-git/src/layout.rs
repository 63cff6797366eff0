//! Where desired state lies in a repository. Both sides use what is here, and nothing else.
//!
//! The pre-draft has the manager keep one repository for each device (R-A-004, R-A-018) and leaves the folders
//! undecided (X-A-36). This is what we write (MI-001, MI-002):
//!
//! - one branch, [`BRANCH`];
//! - one file for each deployment, [`deployment_path`], with the exact bytes of its document;
//! - nothing else: no desired state is a commit with an empty tree;
//! - one commit for each version, its number in the trailer [`VERSION_TRAILER`] of its message.
//!
//! And this is what we read, because other managers decide otherwise:
//!
//! - every file whose name ends in `.yaml` or `.yml`, in whatever folder, that is an `ApplicationDeployment`.
//!   Other YAML is passed over with a warning. What lies in [`FOLDER`], or calls itself an
//!   `ApplicationDeployment`, and cannot be read is an error: passed over, it would be removed from the device;
//! - two files with one deployment id are an error;
//! - a commit without the trailer has the version after its first parent's, and 1 if it has no parent. In a
//!   repository without any trailer that is the number of commits.

use margo_core::{DeploymentId, ManifestVersion, ParseManifestVersionError};

/// The branch that holds the desired state.
pub const BRANCH: &str = "main";

/// The folder of the deployments.
pub const FOLDER: &str = "deployments";

/// The trailer of a commit's message that holds the manifest version.
pub const VERSION_TRAILER: &str = "Margo-Manifest-Version";

/// Who a commit is from.
pub const AUTHOR_NAME: &str = "margo";

/// Where mail about a commit would go: nowhere.
pub const AUTHOR_EMAIL: &str = "margo@localhost";

/// The file of a deployment.
///
/// ```
/// let path = margo_git::layout::deployment_path(&"a3e2f5dc".parse()?);
/// assert_eq!(path, "deployments/a3e2f5dc.yaml");
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
#[must_use]
pub fn deployment_path(id: &DeploymentId) -> String {
    format!("{FOLDER}/{}", file_name(id))
}

/// Whether a file may be a deployment, by its name.
///
/// ```
/// assert!(margo_git::layout::is_document("clusters/line-3/pump.yml"));
/// assert!(!margo_git::layout::is_document("README.md"));
/// ```
#[must_use]
pub fn is_document(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or_default();
    name.rsplit_once('.').is_some_and(|(_, extension)| matches!(extension, "yaml" | "yml"))
}

/// The message of the commit that makes `version` visible.
///
/// ```
/// let message = margo_git::layout::commit_message(margo_core::ManifestVersion::FIRST);
/// assert_eq!(message, "Desired state 1\n\nMargo-Manifest-Version: 1\n");
/// ```
#[must_use]
pub fn commit_message(version: ManifestVersion) -> String {
    format!("Desired state {version}\n\n{VERSION_TRAILER}: {version}\n")
}

/// The version a commit's message names; `None` without the trailer. As in Git, trailers are the lines of the
/// last paragraph unless it is the first, their names are read in any case, and the last one counts.
///
/// ```
/// use margo_core::ManifestVersion;
/// use margo_git::layout::{commit_message, manifest_version};
///
/// let version = ManifestVersion::new(7).unwrap();
/// assert_eq!(manifest_version(&commit_message(version))?, Some(version));
/// assert_eq!(manifest_version("Move the pump to line 3\n")?, None);
/// assert!(manifest_version("Oh\n\nMargo-Manifest-Version: seven\n").is_err());
/// # Ok::<(), margo_core::ParseManifestVersionError>(())
/// ```
///
/// # Errors
///
/// The trailer holds something other than a version.
pub fn manifest_version(message: &str) -> Result<Option<ManifestVersion>, ParseManifestVersionError> {
    let lines: Vec<&str> = message.trim_end().lines().collect();
    let Some(blank) = lines.iter().rposition(|line| line.trim().is_empty()) else {
        return Ok(None);
    };
    let trailer = lines.iter().skip(blank + 1).rev().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim_end().eq_ignore_ascii_case(VERSION_TRAILER).then(|| value.trim())
    });
    trailer.map(str::parse).transpose()
}

pub(crate) fn file_name(id: &DeploymentId) -> String {
    format!("{id}.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trailers_are_read_as_git_reads_them() {
        let read = |message: &str| manifest_version(message).map(|version| version.map(ManifestVersion::get));
        assert_eq!(read("Subject\n\nmargo-manifest-version : 3\n"), Ok(Some(3)));
        assert_eq!(read("Subject\n\nMargo-Manifest-Version: 3\nMargo-Manifest-Version: 4"), Ok(Some(4)));
        assert_eq!(read("Subject\n\nBody\n\nSigned-off-by: x\nMargo-Manifest-Version: 5\n\n\n"), Ok(Some(5)));
        // Not the last paragraph; no paragraph after the subject; another trailer; nothing.
        assert_eq!(read("Subject\n\nMargo-Manifest-Version: 3\n\nBody\n"), Ok(None));
        assert_eq!(read("Margo-Manifest-Version: 3\n"), Ok(None));
        assert_eq!(read("Subject\n\nMargo-Manifest-Version-2: 3\n"), Ok(None));
        assert_eq!(read(""), Ok(None));
        // R-B-020: a version is never 0.
        assert!(read("Subject\n\nMargo-Manifest-Version: 0\n").is_err());
        assert!(read("Subject\n\nMargo-Manifest-Version:\n").is_err());
    }

    #[test]
    fn names_are_read_at_their_end() {
        assert!(is_document(".yaml"));
        assert!(is_document("a.b/c.d.yaml"));
        assert!(!is_document("a.yaml/README"));
        assert!(!is_document("yaml"));
        assert!(!is_document("a.yaml.bak"));
    }
}
