use std::error::Error;
use std::io;
use std::iter::successors;

use super::{EXIT_DONE, EXIT_NOT_ASKED, EXIT_REFUSED};
use crate::{OperatorError, PackageError};

const MAY_BE_DONE: &str = "`margo status` shows what became of it";

const NOT_A_MANAGER: &str = "is this a Margo manager, and of the version of this program?";

/// Why a verb did not do what it was asked, as it is told to the operator.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    code: u8,
    message: String,
    causes: Vec<String>,
    help: Option<String>,
}

impl Failure {
    /// The answer is no.
    pub(super) fn refused(message: impl Into<String>) -> Self {
        Self { code: EXIT_REFUSED, message: message.into(), causes: Vec::new(), help: None }
    }

    /// The answer is not known, because the question could not be put.
    pub(super) fn not_asked(message: impl Into<String>) -> Self {
        Self { code: EXIT_NOT_ASKED, ..Self::refused(message) }
    }

    /// The reader of the output has gone away, as `head` does. There is nobody to tell.
    fn unread() -> Self {
        Self { code: EXIT_DONE, ..Self::refused("") }
    }

    /// Adds `cause` and what is behind it.
    pub(super) fn because(mut self, cause: &(dyn Error + 'static)) -> Self {
        let mut chain: Vec<String> =
            successors(Some(cause), |&error| error.source()).map(ToString::to_string).collect();
        if cause.is::<reqwest::Error>() {
            // Before the reason stands one library after the other saying that it has failed.
            chain.drain(..chain.len() - 1);
        }
        chain.dedup();
        self.causes.extend(chain);
        self
    }

    /// Adds what to do about it.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    pub(super) fn code(&self) -> u8 {
        self.code
    }

    /// What is told, line by line.
    pub(super) fn lines(&self) -> Vec<String> {
        if self.code == EXIT_DONE {
            return Vec::new();
        }
        // A manager's answer has a line for each fault.
        let mut message = self.message.lines();
        let mut lines = vec![format!("error: {}", message.next().unwrap_or_default())];
        lines.extend(message.map(str::to_owned));
        lines.extend(self.causes.iter().map(|cause| format!("  caused by: {}", cause.replace('\n', " "))));
        lines.extend(self.help.iter().map(|help| format!("  help: {help}")));
        lines
    }
}

impl From<OperatorError> for Failure {
    fn from(error: OperatorError) -> Self {
        let message = error.to_string();
        let failure = match &error {
            OperatorError::Refused(problem) if problem.status == 401 => {
                Self::not_asked(message).help("is this the operator's token, and of this manager?")
            }
            OperatorError::Refused(problem) if matches!(problem.status, 429 | 503) => {
                Self::not_asked(message).help("nothing was changed; try again in a moment")
            }
            OperatorError::Refused(problem) if problem.status >= 500 => {
                Self::not_asked(message).help(MAY_BE_DONE)
            }
            OperatorError::Refused(problem) if (400..500).contains(&problem.status) => Self::refused(message),
            OperatorError::Refused(_) | OperatorError::Unreadable(_) => {
                Self::not_asked(message).help(NOT_A_MANAGER)
            }
            OperatorError::Unreachable { .. } => {
                Self::not_asked(message).help("is it running? `--manager` or MARGO_MANAGER says where it is")
            }
            OperatorError::Unanswered { .. } => Self::not_asked(message).help(MAY_BE_DONE),
            OperatorError::TooLarge | OperatorError::NoBase => Self::not_asked(message),
        };
        match error.source() {
            Some(cause) => failure.because(cause),
            None => failure,
        }
    }
}

impl From<PackageError> for Failure {
    fn from(error: PackageError) -> Self {
        let failure = match &error {
            PackageError::Unreadable { .. } => Self::not_asked(error.to_string())
                .help("a package is a folder with a `margo.yaml`; a stored one is named as ID@VERSION"),
            PackageError::Malformed { .. } => Self::refused(error.to_string()),
        };
        match error.source() {
            Some(cause) => failure.because(cause),
            None => failure,
        }
    }
}

/// Of writing to standard output.
impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::unread();
        }
        Self::refused("what was found cannot be written to standard output").because(&error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(status: u16, detail: &str) -> OperatorError {
        let problem = serde_json::json!({ "status": status, "title": "T", "detail": detail });
        OperatorError::Refused(serde_json::from_value(problem).unwrap())
    }

    #[test]
    fn no_and_not_known_are_told_apart() {
        for status in [400, 403, 404, 409, 413, 422] {
            assert_eq!(Failure::from(problem(status, "no")).code(), EXIT_REFUSED, "{status}");
        }
        for status in [302, 401, 429, 500, 502, 503] {
            assert_eq!(Failure::from(problem(status, "no")).code(), EXIT_NOT_ASKED, "{status}");
        }
    }

    #[test]
    fn a_reader_that_goes_away_is_told_nothing() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!((failure.code(), failure.lines()), (EXIT_DONE, vec![]));
        let failure = Failure::from(io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.code(), EXIT_REFUSED);
    }

    #[test]
    fn a_failure_is_a_sentence_its_causes_and_a_remedy() {
        let failure = Failure::refused("two things are wrong\n  a: x\n  b: y")
            .because(&io::Error::other("disk\nfull"))
            .help("buy another");
        assert_eq!(
            failure.lines(),
            [
                "error: two things are wrong",
                "  a: x",
                "  b: y",
                "  caused by: disk full",
                "  help: buy another"
            ]
        );
    }
}
