use std::fmt;
use std::str::FromStr;

/// The documents and messages of the specification, by the names of their JSON Schemas in the newest revision that has
/// them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum DocumentKind {
    /// One workload, as a manager wants it to run.
    ApplicationDeployment,
    /// An application, as its developer describes it.
    ApplicationDescription,
    /// Everything a client is to run.
    DesiredStateManifest,
    /// The archive of all deployments of a manifest.
    Bundle,
    /// What a device is and offers.
    DeviceCapabilities,
    /// How a deployment is doing.
    DeploymentStatus,
    /// A device asks a manager to be taken on.
    OnboardingRequest,
    /// What a manager calls a device it has taken on.
    OnboardingResponse,
    /// The certificate of a manager's authority.
    RootCertificateResponse,
    /// A token for a device.
    TokenResponse,
    /// What is wrong with a request, since 1.0.0-rc.3.
    ProblemDetail,
    /// What is wrong with a request, before.
    ErrorResponse,
    /// Where a trust domain's bundle is.
    DiscoveryDocument,
    /// The certificates that a trust domain's identities are issued under.
    SpiffeBundle,
}

impl DocumentKind {
    /// Every kind.
    pub const ALL: [Self; 14] = [
        Self::ApplicationDeployment,
        Self::ApplicationDescription,
        Self::DesiredStateManifest,
        Self::Bundle,
        Self::DeviceCapabilities,
        Self::DeploymentStatus,
        Self::OnboardingRequest,
        Self::OnboardingResponse,
        Self::RootCertificateResponse,
        Self::TokenResponse,
        Self::ProblemDetail,
        Self::ErrorResponse,
        Self::DiscoveryDocument,
        Self::SpiffeBundle,
    ];

    /// The name, such as `DeploymentStatus`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ApplicationDeployment => "ApplicationDeployment",
            Self::ApplicationDescription => "ApplicationDescription",
            Self::DesiredStateManifest => "DesiredStateManifest",
            Self::Bundle => "Bundle",
            Self::DeviceCapabilities => "DeviceCapabilities",
            Self::DeploymentStatus => "DeploymentStatus",
            Self::OnboardingRequest => "OnboardingRequest",
            Self::OnboardingResponse => "OnboardingResponse",
            Self::RootCertificateResponse => "RootCertificateResponse",
            Self::TokenResponse => "TokenResponse",
            Self::ProblemDetail => "ProblemDetail",
            Self::ErrorResponse => "ErrorResponse",
            Self::DiscoveryDocument => "DiscoveryDocument",
            Self::SpiffeBundle => "SpiffeBundle",
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

    fn from_str(text: &str) -> Result<Self, ParseDocumentKindError> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(ParseDocumentKindError)
    }
}

/// The text names no kind of document.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected the name of a document such as `ApplicationDeployment`")]
#[non_exhaustive]
pub struct ParseDocumentKindError;
