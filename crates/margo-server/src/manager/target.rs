use std::fmt;
use std::str::FromStr;

use margo_core::{ClientId, DeviceId, DeviceTarget, ParseIdError};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// How an operator names a device: `plc-7`, `gateway-1/plc-7`, `gateway-1/*` for any device behind a gateway, or
/// with its client in front, `plant-3:plc-7`, where two clients have a device of that name (R-D-008).
///
/// ```
/// use margo_server::TargetRef;
///
/// let target: TargetRef = "plant-3:gateway-1/*".parse()?;
/// assert_eq!(target.client().map(|client| client.as_str()), Some("plant-3"));
/// assert_eq!(target.device().as_str(), "gateway-1/*");
/// assert_eq!(target.to_string(), "plant-3:gateway-1/*");
/// assert!("plant-3:".parse::<TargetRef>().is_err());
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TargetRef {
    client: Option<ClientId>,
    device: DeviceTarget,
}

impl TargetRef {
    /// The device of one client.
    #[must_use]
    pub fn of(client: ClientId, device: impl Into<DeviceTarget>) -> Self {
        Self { client: Some(client), device: device.into() }
    }

    /// Whose device, where that is said.
    #[must_use]
    pub fn client(&self) -> Option<&ClientId> {
        self.client.as_ref()
    }

    /// The device.
    #[must_use]
    pub fn device(&self) -> &DeviceTarget {
        &self.device
    }
}

impl From<DeviceTarget> for TargetRef {
    fn from(device: DeviceTarget) -> Self {
        Self { client: None, device }
    }
}

impl From<DeviceId> for TargetRef {
    fn from(device: DeviceId) -> Self {
        Self { client: None, device: device.into() }
    }
}

impl FromStr for TargetRef {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        // Neither kind of id can hold a colon.
        match text.split_once(':') {
            Some((client, device)) => Ok(Self { client: Some(client.parse()?), device: device.parse()? }),
            None => Ok(Self { client: None, device: text.parse()? }),
        }
    }
}

impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.client {
            Some(client) => write!(f, "{client}:{}", self.device),
            None => self.device.fmt(f),
        }
    }
}

impl Serialize for TargetRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for TargetRef {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
