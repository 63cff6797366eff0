/// The port of the management interface, in every revision that has one (R-B-004, R-D-001): the only one.
pub const MANAGEMENT_PORT: u16 = 443;

/// Whether `port` is [the one](MANAGEMENT_PORT).
///
/// For a manager about where it listens, and for a device about where it calls: address translation or a test may need
/// another one, so that whoever asks decides. Programs say it when they start.
///
/// # Errors
///
/// [`OtherPort`] when it is another one.
///
/// ```
/// use margo_api::{MANAGEMENT_PORT, check_port};
///
/// assert!(check_port(MANAGEMENT_PORT).is_ok());
/// let finding = check_port(8443).unwrap_err();
/// assert_eq!(finding.to_string(), "port 8443 is used, and the specification has port 443 only");
/// ```
pub fn check_port(port: u16) -> Result<(), OtherPort> {
    if port == MANAGEMENT_PORT { Ok(()) } else { Err(OtherPort { port }) }
}

/// The management interface is used by another port than the specification has (R-B-004, R-D-001).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("port {port} is used, and the specification has port {MANAGEMENT_PORT} only")]
#[non_exhaustive]
pub struct OtherPort {
    /// The port.
    pub port: u16,
}
