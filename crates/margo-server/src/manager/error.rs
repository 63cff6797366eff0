use std::time::Duration;

use http::StatusCode;
use margo_api::{BoxError, FieldError, Problem, ProblemType};
use margo_core::ApplicationId;

use crate::StoreError;

/// A manager could not do what an operator asked. Nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// What was asked for does not make sense; every fault is listed.
    #[error("{} {} wrong", errors.len(), if errors.len() == 1 { "member is" } else { "members are" })]
    Invalid {
        /// Every fault, with the member it is in.
        errors: Vec<FieldError>,
    },
    /// A document that was handed over cannot be read at all.
    #[error("the document cannot be read: {reason}")]
    Malformed {
        /// Why not, and where.
        reason: String,
    },
    /// No device is known to have what the application needs (R-D-028). Nothing takes its place.
    #[error("`{application_id}` {version} cannot be placed: {}", nowhere(*devices))]
    NotPlaceable {
        /// The application.
        application_id: ApplicationId,
        /// Its version.
        version: String,
        /// How many devices there are.
        devices: usize,
        /// Why not, for each of them.
        errors: Vec<FieldError>,
    },
    /// There is no such thing.
    #[error("there is no {what}")]
    NotFound {
        /// What there is not.
        what: String,
    },
    /// It exists with other content.
    #[error("`{what}` exists already")]
    Conflict {
        /// What exists.
        what: String,
    },
    /// Its client is retired and is given nothing any more.
    #[error("`{what}` is retired")]
    Retired {
        /// The device.
        what: String,
    },
    /// Other writers were faster again and again; try again later.
    #[error("too many others are changing the desired state of `{client}`")]
    Busy {
        /// Whose desired state could not be changed.
        client: String,
    },
    /// Something of the manager's own broke. The cause is for its log.
    #[error("the manager failed")]
    Failed(#[source] BoxError),
}

impl OperatorError {
    pub(crate) fn failed(cause: impl Into<BoxError>) -> Self {
        Self::Failed(cause.into())
    }

    /// One fault.
    pub(crate) fn invalid(field: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Invalid { errors: vec![FieldError::new(field, message)] }
    }

    /// What the operator is told.
    #[must_use]
    pub fn problem(&self) -> Problem {
        match self {
            Self::Invalid { errors } | Self::NotPlaceable { errors, .. } => {
                Problem::new(ProblemType::SemanticError)
                    .with_detail(self.to_string())
                    .with_errors(errors.clone())
            }
            Self::Malformed { .. } => Problem::new(ProblemType::InvalidRequest).with_detail(self.to_string()),
            Self::NotFound { .. } => {
                Problem::about_blank(StatusCode::NOT_FOUND).with_detail(self.to_string())
            }
            Self::Conflict { .. } | Self::Retired { .. } => {
                Problem::about_blank(StatusCode::CONFLICT).with_detail(self.to_string())
            }
            Self::Busy { .. } => Problem::about_blank(StatusCode::SERVICE_UNAVAILABLE)
                .with_detail(self.to_string())
                .with_retry_after(Duration::from_secs(1)),
            Self::Failed(_) => Problem::about_blank(StatusCode::INTERNAL_SERVER_ERROR),
        }
    }
}

impl From<StoreError> for OperatorError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict { what } => Self::Conflict { what },
            StoreError::NotFound { what } => Self::NotFound { what: format!("`{what}`") },
            StoreError::Stale { client_id } => Self::Busy { client: client_id.to_string() },
            other => Self::failed(other),
        }
    }
}

fn nowhere(devices: usize) -> String {
    match devices {
        0 => "there is no device".to_owned(),
        1 => "the only device does not fit".to_owned(),
        all => format!("none of {all} devices fits"),
    }
}

/// Goes on without what is wrong.
pub(super) fn keep<T>(errors: &mut Vec<FieldError>, result: Result<T, FieldError>) -> Option<T> {
    result.map_err(|error| errors.push(error)).ok()
}
