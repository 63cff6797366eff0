use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum DocumentKind {
    /// One workload, as a manager wants it to run.
    ApplicationDeployment,
    /// An application, as its developer describes it.
    ApplicationDescription,
    /// Everything a client is to run.
    DesiredStateManifest,
    /// How a deployment is doing.
    DeploymentStatus,
    /// What a device is and offers.
    DeviceCapabilities,
    /// The archive of all deployments of a manifest.
    Bundle,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 6] = [
        Self::ApplicationDeployment,
        Self::ApplicationDescription,
        Self::DesiredStateManifest,
        Self::DeploymentStatus,
        Self::DeviceCapabilities,
        Self::Bundle,
    ];

    /// The name used on the command line and in folder names.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationDeployment => "ApplicationDeployment",
            Self::ApplicationDescription => "ApplicationDescription",
            Self::DesiredStateManifest => "DesiredStateManifest",
            Self::DeploymentStatus => "DeploymentStatus",
            Self::DeviceCapabilities => "DeviceCapabilities",
            Self::Bundle => "Bundle",
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for DocumentKind {
    type Err = ParseDocumentKindError;

    /// In any case; a `Manifest` at the end is taken for the same document without it.
    fn from_str(text: &str) -> Result<Self, ParseDocumentKindError> {
        let is = |kind: &Self, text: &str| kind.as_str().eq_ignore_ascii_case(text);
        let short = text.strip_suffix("Manifest").unwrap_or(text);
        Self::ALL.into_iter().find(|kind| is(kind, text) || is(kind, short)).ok_or(ParseDocumentKindError)
    }
}

/// The text names no kind of document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected one of `ApplicationDeployment`, `ApplicationDescription`, `DesiredStateManifest`, `DeploymentStatus`, \
     `DeviceCapabilities`, `Bundle`"
)]
#[non_exhaustive]
pub struct ParseDocumentKindError;
