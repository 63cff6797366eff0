//! Small records of every kind.

use bytes::Bytes;
use jiff::Timestamp;
use margo_core::{ClientId, DeploymentId, ManifestVersion, SpecVersion};
use margo_identity::TokenHash;
use margo_server::{ClientRecord, DeploymentRecord, ManifestRecord, StatusRecord};

/// A client with a device of the same name.
pub(crate) fn client(name: &str) -> ClientRecord {
    ClientRecord::new(
        name.parse().unwrap(),
        name.parse().unwrap(),
        SpecVersion::LATEST,
        TokenHash::of(&format!("management of {name}")),
        TokenHash::of(&format!("git of {name}")),
        Timestamp::UNIX_EPOCH,
    )
}

/// A manifest whose bytes say which version it is.
pub(crate) fn manifest(version: ManifestVersion) -> ManifestRecord {
    ManifestRecord::new(
        version,
        format!("manifest {version}").into(),
        Some(format!("bundle {version}").into()),
    )
}

/// A deployment with this document.
pub(crate) fn deployment(
    id: &str,
    client_id: &ClientId,
    since: ManifestVersion,
    document: impl Into<Bytes>,
) -> DeploymentRecord {
    DeploymentRecord::new(
        id.parse().unwrap(),
        client_id.clone(),
        client_id.as_str().parse().unwrap(),
        "com-acme-app".parse().unwrap(),
        "1.0.0".to_owned(),
        "compose".to_owned(),
        "default".to_owned(),
        [("port".to_owned(), 8080.into())].into(),
        document.into(),
        since,
        Timestamp::UNIX_EPOCH,
    )
}

/// A report with this document.
pub(crate) fn status(id: &DeploymentId, client_id: &ClientId, document: impl Into<Bytes>) -> StatusRecord {
    StatusRecord::new(
        client_id.clone(),
        id.clone(),
        None,
        SpecVersion::LATEST,
        document.into(),
        Timestamp::UNIX_EPOCH,
    )
}
