use std::fmt;
use std::str::FromStr;

use margo_core::ClientId;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

const SCHEME: &str = "spiffe://";
const MAX_TRUST_DOMAIN: usize = 255;
const MAX_ID: usize = 2048;

/// Gives each kind of id the same surface: `FromStr`, `Display`, a `Debug` that says which kind it is, and serde
/// through the same door.
macro_rules! text_id {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.as_str())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.as_str())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

/// Whose certificates count: the authority part of a [`SpiffeId`], such as `factory.example`.
///
/// 1 to 255 lowercase letters, digits, `.`, `-` and `_`; compared exactly.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrustDomain(Box<str>);

impl TrustDomain {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for TrustDomain {
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, ParseSpiffeIdError> {
        trust_domain(text, 0)?;
        Ok(Self(text.into()))
    }
}

text_id!(TrustDomain);

/// Who somebody is: `spiffe://<trust-domain>/<path>`.
///
/// Segments of the path are letters, digits, `.`, `-` and `_`, not `.` or `..` (X-D-37); there is at least one. At
/// most 2048 bytes. Two ids are the same when every byte is: nothing is case-folded or decoded.
///
/// ```
/// use margo_identity::SpiffeId;
///
/// let id: SpiffeId = "spiffe://factory.example/margo/wfm/plant".parse()?;
/// assert_eq!(id.trust_domain().as_str(), "factory.example");
/// assert_eq!(id.path(), "/margo/wfm/plant");
/// let error = "spiffe://factory.example/a/../b".parse::<SpiffeId>().unwrap_err();
/// assert_eq!(error.offset(), 27);
/// # Ok::<(), margo_identity::ParseSpiffeIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffeId {
    trust_domain: TrustDomain,
    text: Box<str>,
}

impl SpiffeId {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        &self.trust_domain
    }

    /// What follows the trust domain, with its leading `/`.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.text[self.path_offset()..]
    }

    fn path_offset(&self) -> usize {
        SCHEME.len() + self.trust_domain.0.len()
    }

    /// The variable segments of a path written like `template`, where `*` stands for one segment.
    fn matches(&self, template: &'static str) -> Result<Vec<&str>, ParseSpiffeIdError> {
        let error = |offset| ParseSpiffeIdError { offset, kind: ParseSpiffeIdErrorKind::Form(template) };
        let mut variables = Vec::new();
        let mut offset = self.path_offset();
        let mut found = self.path()[1..].split('/');
        for expected in template[1..].split('/') {
            let Some(segment) = found.next() else { return Err(error(self.text.len())) };
            match expected {
                "*" => variables.push(segment),
                _ if segment == expected => {}
                _ => return Err(error(offset + 1)),
            }
            offset += 1 + segment.len();
        }
        if found.next().is_some() { Err(error(offset)) } else { Ok(variables) }
    }
}

impl FromStr for SpiffeId {
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, ParseSpiffeIdError> {
        let error = |offset, kind| Err(ParseSpiffeIdError { offset, kind });
        if text.len() > MAX_ID {
            return error(MAX_ID, ParseSpiffeIdErrorKind::TooLong { max: MAX_ID });
        }
        let Some(rest) = text.strip_prefix(SCHEME) else { return error(0, ParseSpiffeIdErrorKind::Scheme) };
        let Some((domain, path)) = rest.split_once('/') else {
            trust_domain(rest, SCHEME.len())?;
            return error(text.len(), ParseSpiffeIdErrorKind::NoPath);
        };
        trust_domain(domain, SCHEME.len())?;
        let mut offset = SCHEME.len() + domain.len() + 1;
        for segment in path.split('/') {
            match segment {
                "" => return error(offset, ParseSpiffeIdErrorKind::EmptySegment),
                "." | ".." => return error(offset, ParseSpiffeIdErrorKind::Navigation),
                _ => {}
            }
            let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
            if let Some((at, c)) = segment.char_indices().find(|(_, c)| !allowed(*c)) {
                return error(offset + at, ParseSpiffeIdErrorKind::Character(c));
            }
            offset += segment.len() + 1;
        }
        Ok(Self { trust_domain: TrustDomain(domain.into()), text: text.into() })
    }
}

text_id!(SpiffeId);

/// A manager: exactly `spiffe://<trust-domain>/margo/wfm/<wfm-id>`.
#[doc(alias = "WOS")]
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WfmSpiffeId(SpiffeId);

impl WfmSpiffeId {
    const FORM: &str = "/margo/wfm/*";

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The id without its role.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.0
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.0.trust_domain()
    }

    /// The `wfm-id`: one segment.
    #[must_use]
    pub fn wfm_id(&self) -> &str {
        &self.0.path()[Self::FORM.len() - 1..]
    }

    /// The id of one of this manager's clients.
    ///
    /// # Errors
    ///
    /// When a client id is not a segment of a SPIFFE id: a [`ClientId`] may have a `~`, a segment may not (X-D-37).
    pub fn client(&self, client_id: &ClientId) -> Result<ClientSpiffeId, ParseSpiffeIdError> {
        format!("{self}/client/{client_id}").parse()
    }
}

impl TryFrom<SpiffeId> for WfmSpiffeId {
    type Error = ParseSpiffeIdError;

    fn try_from(id: SpiffeId) -> Result<Self, ParseSpiffeIdError> {
        id.matches(Self::FORM)?;
        Ok(Self(id))
    }
}

impl FromStr for WfmSpiffeId {
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, ParseSpiffeIdError> {
        text.parse::<SpiffeId>()?.try_into()
    }
}

text_id!(WfmSpiffeId);

/// A client of a manager: exactly `spiffe://<trust-domain>/margo/wfm/<wfm-id>/client/<wfm-client-id>`.
///
/// ```
/// use margo_identity::ClientSpiffeId;
///
/// let id: ClientSpiffeId = "spiffe://factory.example/margo/wfm/plant/client/press-7".parse()?;
/// assert_eq!(id.client_id().as_str(), "press-7");
/// assert_eq!(id.manager().as_str(), "spiffe://factory.example/margo/wfm/plant");
/// # Ok::<(), margo_identity::ParseSpiffeIdError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientSpiffeId {
    id: SpiffeId,
    manager: WfmSpiffeId,
    client_id: ClientId,
}

impl ClientSpiffeId {
    const FORM: &str = "/margo/wfm/*/client/*";

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        self.id.as_str()
    }

    /// The id without its role.
    #[must_use]
    pub fn spiffe_id(&self) -> &SpiffeId {
        &self.id
    }

    /// The trust domain.
    #[must_use]
    pub fn trust_domain(&self) -> &TrustDomain {
        self.id.trust_domain()
    }

    /// The only manager this client may talk to: it follows from the client's own identity, not from configuration
    /// (R-D-005).
    #[must_use]
    pub fn manager(&self) -> &WfmSpiffeId {
        &self.manager
    }

    /// The `wfm-client-id`: what the manager scopes everything to (R-D-008).
    #[must_use]
    pub fn client_id(&self) -> &ClientId {
        &self.client_id
    }
}

impl TryFrom<SpiffeId> for ClientSpiffeId {
    type Error = ParseSpiffeIdError;

    fn try_from(id: SpiffeId) -> Result<Self, ParseSpiffeIdError> {
        let variables = id.matches(Self::FORM)?;
        let [_, client_id] = variables[..] else { unreachable!("the form has two variables") };
        let offset = id.text.len() - client_id.len();
        let kind = ParseSpiffeIdErrorKind::ClientId;
        let client_id: ClientId = client_id.parse().map_err(|_| ParseSpiffeIdError { offset, kind })?;
        let manager = id.text[..offset - "/client/".len()].into();
        let manager = WfmSpiffeId(SpiffeId { trust_domain: id.trust_domain.clone(), text: manager });
        Ok(Self { id, manager, client_id })
    }
}

impl FromStr for ClientSpiffeId {
    type Err = ParseSpiffeIdError;

    fn from_str(text: &str) -> Result<Self, ParseSpiffeIdError> {
        text.parse::<SpiffeId>()?.try_into()
    }
}

text_id!(ClientSpiffeId);

/// Why a text is not a SPIFFE id of its kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a SPIFFE id: {kind} at byte {offset}")]
pub struct ParseSpiffeIdError {
    offset: usize,
    kind: ParseSpiffeIdErrorKind,
}

impl ParseSpiffeIdError {
    /// Where the text stops being one: a byte offset from its start.
    #[must_use]
    pub fn offset(&self) -> usize {
        self.offset
    }

    /// What is wrong there.
    #[must_use]
    pub fn kind(&self) -> &ParseSpiffeIdErrorKind {
        &self.kind
    }
}

/// What is wrong with a SPIFFE id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseSpiffeIdErrorKind {
    /// It does not start with `spiffe://`.
    #[error("expected `spiffe://`")]
    Scheme,
    /// There is no trust domain.
    #[error("no trust domain")]
    NoTrustDomain,
    /// There is a trust domain and nothing else: a trust domain, not somebody in it.
    #[error("no path")]
    NoPath,
    /// A segment has no characters, or the path ends with `/`.
    #[error("empty segment")]
    EmptySegment,
    /// A segment is `.` or `..`.
    #[error("`.` or `..` as a segment")]
    Navigation,
    /// A character is not allowed there.
    #[error("character {0:?} is not allowed")]
    Character(char),
    /// The text is too long.
    #[error("more than {max} bytes")]
    TooLong {
        /// The most bytes there may be.
        max: usize,
    },
    /// The path is not that of the role. `*` stands for one segment.
    #[error("expected a path of the form `{0}`")]
    Form(&'static str),
    /// The last segment is too long to be the id of a client.
    #[error("not a client id")]
    ClientId,
}

fn trust_domain(text: &str, offset: usize) -> Result<(), ParseSpiffeIdError> {
    let error = |at, kind| Err(ParseSpiffeIdError { offset: offset + at, kind });
    if text.is_empty() {
        return error(0, ParseSpiffeIdErrorKind::NoTrustDomain);
    }
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-' | '_');
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !allowed(*c)) {
        return error(at, ParseSpiffeIdErrorKind::Character(c));
    }
    if text.len() > MAX_TRUST_DOMAIN {
        let max = MAX_TRUST_DOMAIN;
        return error(max, ParseSpiffeIdErrorKind::TooLong { max });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::ParseSpiffeIdErrorKind as Kind;
    use super::*;

    /// X-D-37.
    #[test]
    fn an_id_says_where_it_is_wrong() {
        let error = |text: &str| {
            let error = text.parse::<SpiffeId>().unwrap_err();
            (error.offset, error.kind)
        };
        assert_eq!(error(""), (0, Kind::Scheme));
        assert_eq!(error("https://td/a"), (0, Kind::Scheme));
        assert_eq!(error("SPIFFE://td/a"), (0, Kind::Scheme));
        assert_eq!(error("spiffe:///a"), (9, Kind::NoTrustDomain));
        assert_eq!(error("spiffe://Td/a"), (9, Kind::Character('T')));
        assert_eq!(error("spiffe://td:443/a"), (11, Kind::Character(':')));
        assert_eq!(error("spiffe://u@td/a"), (10, Kind::Character('@')));
        assert_eq!(error("spiffe://td"), (11, Kind::NoPath));
        assert_eq!(error("spiffe://td/"), (12, Kind::EmptySegment));
        assert_eq!(error("spiffe://td/a//b"), (14, Kind::EmptySegment));
        assert_eq!(error("spiffe://td/a/"), (14, Kind::EmptySegment));
        assert_eq!(error("spiffe://td/a/."), (14, Kind::Navigation));
        assert_eq!(error("spiffe://td/a/../b"), (14, Kind::Navigation));
        assert_eq!(error("spiffe://td/a%2Fb"), (13, Kind::Character('%')));
        assert_eq!(error("spiffe://td/a~"), (13, Kind::Character('~')));
        assert_eq!(error("spiffe://td/a?b"), (13, Kind::Character('?')));
        assert_eq!(error("spiffe://td/ä"), (12, Kind::Character('ä')));
        let long = format!("spiffe://{}/a", "d".repeat(256));
        assert_eq!(error(&long), (9 + 255, Kind::TooLong { max: 255 }));
        let long = format!("spiffe://td/{}", "a".repeat(2048));
        assert_eq!(error(&long), (2048, Kind::TooLong { max: 2048 }));
    }

    /// R-D-004, R-D-005.
    #[test]
    fn roles_have_exact_forms() {
        let wfm = |text: &str| text.parse::<WfmSpiffeId>();
        let client = |text: &str| text.parse::<ClientSpiffeId>();
        let form = |offset, form| ParseSpiffeIdError { offset, kind: Kind::Form(form) };

        assert_eq!(wfm("spiffe://td/margo/wfm/W.1").unwrap().wfm_id(), "W.1");
        assert_eq!(wfm("spiffe://td/margo/wfm").unwrap_err(), form(21, WfmSpiffeId::FORM));
        assert_eq!(wfm("spiffe://td/margo/WFM/w").unwrap_err(), form(18, WfmSpiffeId::FORM));
        assert_eq!(wfm("spiffe://td/margo/wfm/w/x").unwrap_err(), form(23, WfmSpiffeId::FORM));
        assert_eq!(wfm("spiffe://td/a/margo/wfm/w").unwrap_err(), form(12, WfmSpiffeId::FORM));

        let id = client("spiffe://td/margo/wfm/w/client/c-7").unwrap();
        assert_eq!(id.client_id().as_str(), "c-7");
        assert_eq!(id.manager(), &wfm("spiffe://td/margo/wfm/w").unwrap());
        assert_eq!(id.manager().client(id.client_id()).unwrap(), id);
        for wrong in [
            "spiffe://td/margo/wfm/w",
            "spiffe://td/margo/wfm/w/client",
            "spiffe://td/margo/wfm/w/clients/c",
            "spiffe://td/margo/wfm/w/client/c/d",
            "spiffe://td/margo/wfm/w/x/client/c",
        ] {
            let error = client(wrong).unwrap_err();
            assert_eq!(error.kind, Kind::Form(ClientSpiffeId::FORM), "{wrong}");
        }
        let long = client(&format!("spiffe://td/margo/wfm/w/client/{}", "c".repeat(256))).unwrap_err();
        assert_eq!(long, ParseSpiffeIdError { offset: 31, kind: Kind::ClientId });
        assert!(id.manager().client(&"a~b".parse().unwrap()).is_err());
    }

    proptest! {
        #[test]
        fn what_is_read_is_written(text in "(spiffe://)?[a-z/._~%-]{0,30}(/margo/wfm/[A-Za-z./]{0,9}(/client/\\PC{0,9})?)?") {
            if let Ok(id) = text.parse::<SpiffeId>() {
                prop_assert_eq!(id.as_str(), text.as_str());
                prop_assert_eq!(format!("spiffe://{}{}", id.trust_domain(), id.path()), text.as_str());
                let json = serde_json::to_string(&id).unwrap();
                prop_assert_eq!(&serde_json::from_str::<SpiffeId>(&json).unwrap(), &id);
                // Nobody is a manager and a client.
                let wfm = WfmSpiffeId::try_from(id.clone()).is_ok();
                prop_assert!(!(wfm && ClientSpiffeId::try_from(id).is_ok()));
            }
        }
    }
}
