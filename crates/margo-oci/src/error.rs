use std::io;
use std::time::Duration;

use margo_api::{BoxError, RuntimeError};

/// A package could not be fetched, or was refused.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct FetchError {
    kind: FetchErrorKind,
    message: String,
    retry_after: Option<Duration>,
    #[source]
    cause: Option<BoxError>,
}

/// What a caller can act on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum FetchErrorKind {
    /// What the deployment says is no place a package can be at, or one that is not allowed.
    InvalidReference,
    /// Nothing answered, or not for long enough. Worth trying again later.
    Unreachable,
    /// The credentials are missing, wrong or not good for this.
    Unauthorized,
    /// There is no such package.
    NotFound,
    /// It is something else: another artifact or media type than revision D, section 3.8 asks for.
    WrongType,
    /// The bytes are not those that were announced (R-D-035).
    Corrupt,
    /// It is larger than this device takes.
    TooLarge,
    /// The archive holds what revision D, section 3.8 does not allow, or is none.
    BadArchive,
    /// The signature is missing, wrong, or cannot be checked.
    BadSignature,
    /// The file system has too little room.
    NoSpace,
    /// The file system of the device failed otherwise.
    Storage,
}

impl FetchErrorKind {
    /// The code in a status report.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::InvalidReference => "invalid-package-reference",
            Self::Unreachable => "registry-unreachable",
            Self::Unauthorized => "registry-unauthorized",
            Self::NotFound => "package-not-found",
            Self::WrongType => "wrong-package-type",
            Self::Corrupt => "package-corrupt",
            Self::TooLarge => "package-too-large",
            Self::BadArchive => "bad-archive",
            Self::BadSignature => "bad-signature",
            Self::NoSpace => "disk-full",
            Self::Storage => "storage",
        }
    }
}

impl FetchError {
    pub(crate) fn new(kind: FetchErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), retry_after: None, cause: None }
    }

    pub(crate) fn because(mut self, cause: impl Into<BoxError>) -> Self {
        self.cause = Some(cause.into());
        self
    }

    pub(crate) fn with_retry_after(mut self, pause: Option<Duration>) -> Self {
        self.retry_after = pause;
        self
    }

    /// A failure of the file system at `what`.
    pub(crate) fn storage(what: impl std::fmt::Display, cause: io::Error) -> Self {
        let kind = match cause.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => FetchErrorKind::NoSpace,
            _ => FetchErrorKind::Storage,
        };
        Self::new(kind, format!("{what}: {cause}")).because(cause)
    }

    /// What a caller can act on.
    #[must_use]
    pub fn kind(&self) -> FetchErrorKind {
        self.kind
    }

    /// Whether it may work later without anybody changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        self.kind == FetchErrorKind::Unreachable
    }

    /// The pause the server asked for.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }
}

impl From<FetchError> for RuntimeError {
    /// Code and message become those of the component's report (R-A-023).
    fn from(error: FetchError) -> Self {
        Self::new(error.kind.code(), error.to_string()).because(error)
    }
}

/// A [`Fetcher`](crate::Fetcher) cannot be set up as told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// A text holds no certificate that can be used.
    #[error("no usable certificate: {reason}")]
    Certificate {
        /// What is wrong with it.
        reason: String,
    },
    /// A file of credentials is not as `docker login` and `helm registry login` write it.
    #[error("no usable credentials for `{host}`: {reason}")]
    Credentials {
        /// The registry they are for; empty where the file as a whole is meant.
        host: String,
        /// What is wrong with them. Never repeats what was read.
        reason: String,
    },
    /// The cache's folder cannot be made or read.
    #[error("`{folder}` cannot be used as a cache")]
    Cache {
        /// The folder.
        folder: String,
        /// Why.
        #[source]
        cause: io::Error,
    },
    /// The system offers no way to make connections.
    #[error("connections cannot be made")]
    Http(#[source] BoxError),
}
