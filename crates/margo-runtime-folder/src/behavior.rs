use std::time::Duration;

use margo_api::RuntimeError;

/// How a component misbehaves, for tests and demonstrations.
///
/// ```
/// use margo_runtime_folder::{Behavior, FolderRuntime};
/// use std::time::Duration;
///
/// let slow = Behavior::new().with_delay(Duration::from_secs(3));
/// let flaky = Behavior::new().failing_times(2, "E42", "image not found");
/// let runtime = FolderRuntime::new("/var/lib/device/workloads")
///     .with_behavior("database".parse()?, slow)
///     .with_behavior("broker".parse()?, flaky);
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behavior {
    delay: Duration,
    failure: Option<Failure>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Failure {
    code: String,
    message: String,
    /// How often it still happens; always, without a number.
    times: Option<u32>,
}

impl Behavior {
    /// Does as it is told, at once.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same behavior, but installing and removing the component takes this long.
    #[must_use]
    pub fn with_delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// The same behavior, but every installation of the component fails.
    #[must_use]
    pub fn failing(mut self, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.failure = Some(Failure { code: code.into(), message: message.into(), times: None });
        self
    }

    /// The same behavior, but the first `times` installations of the component fail.
    #[must_use]
    pub fn failing_times(mut self, times: u32, code: impl Into<String>, message: impl Into<String>) -> Self {
        self.failure = Some(Failure { code: code.into(), message: message.into(), times: Some(times) });
        self
    }

    pub(crate) fn delay(&self) -> Duration {
        self.delay
    }

    /// The failure of this installation, if it fails.
    pub(crate) fn next_failure(&mut self) -> Option<RuntimeError> {
        let failure = self.failure.as_mut()?;
        if let Some(times) = &mut failure.times {
            *times = times.checked_sub(1)?;
        }
        Some(RuntimeError::new(&failure.code, &failure.message))
    }
}
