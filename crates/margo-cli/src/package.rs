use std::io::Read;
use std::path::{Path, PathBuf};

use margo_application::AnyApplicationDescription;
use margo_syntax::{DecodeError, Limits};

/// An application package on disk: a folder whose root holds `margo.yaml` (R-A-033).
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Package {
    /// The file that was read.
    pub path: PathBuf,
    /// The exact bytes of the description.
    pub description: Vec<u8>,
}

impl Package {
    /// Reads the description of the package in the folder `path`, or the description `path` itself.
    ///
    /// # Errors
    ///
    /// [`PackageError`] with the place of the first fault.
    pub fn read(path: &Path) -> Result<Self, PackageError> {
        let path = if path.is_dir() { path.join("margo.yaml") } else { path.to_owned() };
        let limits = Limits::default();
        let mut description = Vec::new();
        std::fs::File::open(&path)
            .and_then(|file| file.take(limits.max_bytes as u64 + 1).read_to_end(&mut description))
            .map_err(|cause| PackageError::Unreadable { path: path.clone(), cause })?;
        AnyApplicationDescription::decode(description.clone().into(), &limits)
            .map_err(|cause| PackageError::Malformed { path: path.clone(), cause: Box::new(cause) })?;
        Ok(Self { path, description })
    }
}

/// A folder is no application package.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PackageError {
    /// The description cannot be read from disk.
    #[error("`{}` cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        #[source]
        cause: std::io::Error,
    },
    /// The description is not an application description.
    #[error("`{}` is not an application description", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Where and why not.
        #[source]
        cause: Box<DecodeError>,
    },
}
