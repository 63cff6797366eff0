use std::fmt;

/// The longest identifier this library reads, in bytes. The specification bounds only application ids (200); a
/// limit keeps identifiers usable as file and Kubernetes names.
const MAX_LENGTH: usize = 255;

/// Gives every identifier the same surface: a private field, `FromStr`, `TryFrom<String>`, `Borrow<str>`,
/// `Display`, serde through the same door, and a `Debug` that says which kind it is.
macro_rules! string_id {
    ($(#[$meta:meta])* pub struct $name:ident = $check:path;) => {
        $(#[$meta])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Box<str>);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                $check(text).map_err(|(offset, kind)| ParseIdError { id: stringify!($name), offset, kind })?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseIdError;

            fn try_from(text: String) -> Result<Self, ParseIdError> {
                text.parse()
            }
        }

        impl ::std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::text::parsed(deserializer, str::parse)
            }
        }
    };
}

string_id! {
    /// A device, or a device behind gateways: `gateway-1/line-3/plc-7` ([spec], R-C-002).
    ///
    /// Each segment uses only RFC 3986 unreserved characters: letters, digits, `.`, `_`, `~` and `-`. The
    /// segments `.` and `..` are refused although the printed pattern allows them: they navigate paths
    /// (X-C-13, X-D-32).
    ///
    /// ```
    /// # use margo_core::DeviceId;
    /// let plc: DeviceId = "gateway-1/plc-7".parse()?;
    /// assert_eq!(plc.gateway().map(|g| g.to_string()).as_deref(), Some("gateway-1"));
    /// assert!("gateway-1//plc-7".parse::<DeviceId>().is_err());
    /// assert!("gateway-1/../plc-7".parse::<DeviceId>().is_err());
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    ///
    /// [spec]: https://specification.margo.org/1.0.0-rc.3/device-id
    pub struct DeviceId = hierarchy;
}

impl DeviceId {
    /// The segments, outermost gateway first.
    pub fn segments(&self) -> impl Iterator<Item = &str> {
        self.0.split('/')
    }

    /// The gateway this device sits behind, if any.
    #[must_use]
    pub fn gateway(&self) -> Option<Self> {
        let (parent, _) = self.0.rsplit_once('/')?;
        Some(Self(parent.into()))
    }
}

string_id! {
    /// Where a deployment is to run: one device, or with `/*` any device behind a gateway, chosen by the
    /// gateway (R-C-008).
    ///
    /// ```
    /// # use margo_core::DeviceTarget;
    /// let target: DeviceTarget = "gateway-1/*".parse()?;
    /// assert_eq!(target.device().as_str(), "gateway-1");
    /// assert!(target.is_any_behind());
    /// assert!("*".parse::<DeviceTarget>().is_err());
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    pub struct DeviceTarget = target;
}

impl DeviceTarget {
    /// The device, or the gateway in front of the devices.
    #[must_use]
    pub fn device(&self) -> DeviceId {
        DeviceId(self.0.strip_suffix("/*").unwrap_or(&self.0).into())
    }

    /// Whether the gateway places the workload ("autonomous").
    #[must_use]
    pub fn is_any_behind(&self) -> bool {
        self.0.ends_with("/*")
    }
}

impl From<DeviceId> for DeviceTarget {
    fn from(device: DeviceId) -> Self {
        Self(device.0)
    }
}

string_id! {
    /// A device's management client, as the manager knows it: RFC 3986 unreserved characters (R-B-006, X-B-31).
    ///
    /// ```
    /// use margo_core::ClientId;
    ///
    /// assert_eq!("plant-7".parse::<ClientId>()?.as_str(), "plant-7");
    /// assert!("../plant-7".parse::<ClientId>().is_err());
    /// # Ok::<(), margo_core::ParseIdError>(())
    /// ```
    pub struct ClientId = segment;
}

string_id! {
    /// One deployment of one application, assigned by the Workload Fleet Manager (R-A-029).
    ///
    /// Managers write a UUID; any text that is safe as one segment of a path is read (X-C-16).
    pub struct DeploymentId = segment;
}

string_id! {
    /// An application: 1 to 200 lower-case letters, digits and dashes (R-A-034).
    pub struct ApplicationId = application;
}

string_id! {
    /// A component of a deployment profile: lower-case letters, digits and dashes (R-A-034).
    pub struct ComponentName = lower_case;
}

type Check = Result<(), (usize, ParseIdErrorKind)>;

fn hierarchy(text: &str) -> Check {
    bounded(text, MAX_LENGTH)?;
    let mut offset = 0;
    for part in text.split('/') {
        unreserved(part).map_err(|(at, kind)| (offset + at, kind))?;
        offset += part.len() + 1;
    }
    Ok(())
}

fn target(text: &str) -> Check {
    hierarchy(text.strip_suffix("/*").unwrap_or(text))
}

fn segment(text: &str) -> Check {
    bounded(text, MAX_LENGTH)?;
    unreserved(text)
}

fn unreserved(segment: &str) -> Check {
    match segment {
        "" => return Err((0, ParseIdErrorKind::Empty)),
        "." | ".." => return Err((0, ParseIdErrorKind::Navigation)),
        _ => {}
    }
    characters(segment, |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '~' | '-'))
}

fn application(text: &str) -> Check {
    bounded(text, 200)?;
    lower_case(text)
}

fn lower_case(text: &str) -> Check {
    bounded(text, MAX_LENGTH)?;
    if text.is_empty() {
        return Err((0, ParseIdErrorKind::Empty));
    }
    characters(text, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn characters(text: &str, allowed: impl Fn(char) -> bool) -> Check {
    match text.char_indices().find(|(_, c)| !allowed(*c)) {
        Some((offset, character)) => Err((offset, ParseIdErrorKind::Character(character))),
        None => Ok(()),
    }
}

fn bounded(text: &str, max: usize) -> Check {
    if text.len() > max { Err((max, ParseIdErrorKind::TooLong { max })) } else { Ok(()) }
}

/// Why a string is not an identifier of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a {id}: {kind} at byte {offset}")]
pub struct ParseIdError {
    id: &'static str,
    offset: usize,
    kind: ParseIdErrorKind,
}

impl ParseIdError {
    /// Where the text stops being an identifier: a byte offset from its start.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong there.
    #[must_use]
    pub fn kind(&self) -> ParseIdErrorKind {
        self.kind
    }
}

/// What is wrong with an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseIdErrorKind {
    /// A segment has no characters.
    #[error("empty segment")]
    Empty,
    /// A segment is `.` or `..`.
    #[error("`.` or `..` as a segment")]
    Navigation,
    /// A character is not allowed.
    #[error("character {0:?} is not allowed")]
    Character(char),
    /// The text is too long.
    #[error("more than {max} bytes")]
    TooLong {
        /// The most bytes there may be.
        max: usize,
    },
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// R-C-002, X-C-13, X-D-32.
    #[test]
    fn a_device_id_says_where_it_is_wrong() {
        let error = |text: &str| {
            let error = text.parse::<DeviceId>().unwrap_err();
            (error.offset(), error.kind())
        };
        assert_eq!(error(""), (0, ParseIdErrorKind::Empty));
        assert_eq!(error("a/"), (2, ParseIdErrorKind::Empty));
        assert_eq!(error("a/.."), (2, ParseIdErrorKind::Navigation));
        assert_eq!(error("a/b c"), (3, ParseIdErrorKind::Character(' ')));
        assert_eq!(error("a/*"), (2, ParseIdErrorKind::Character('*')));
        assert_eq!(error(&"a".repeat(256)), (255, ParseIdErrorKind::TooLong { max: 255 }));
    }

    /// R-A-034.
    #[test]
    fn application_ids_have_two_hundred_characters_at_most() {
        assert!("a".repeat(200).parse::<ApplicationId>().is_ok());
        assert!("a".repeat(201).parse::<ApplicationId>().is_err());
        assert!("com.acme".parse::<ApplicationId>().is_err());
        assert!("Acme".parse::<ApplicationId>().is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written(text in "\\PC{0,40}") {
            if let Ok(id) = text.parse::<DeviceTarget>() {
                prop_assert_eq!(id.as_str(), text.as_str());
                let json = serde_json::to_string(&id).unwrap();
                prop_assert_eq!(serde_json::from_str::<DeviceTarget>(&json).unwrap(), id);
            }
        }

        #[test]
        fn every_unreserved_hierarchy_is_a_device(parts in prop::collection::vec("[A-Za-z0-9_~-]{1,8}", 1..5)) {
            let text = parts.join("/");
            let id: DeviceId = text.parse().unwrap();
            prop_assert_eq!(id.segments().count(), parts.len());
            prop_assert_eq!(id.gateway().is_some(), parts.len() > 1);
        }
    }
}
