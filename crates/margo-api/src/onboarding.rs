use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use margo_core::{ClientId, Extensions, Interpretation, Level, SpecVersion};
use margo_syntax::{Fault, pointer};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::message::message;

const B_C: &[SpecVersion] = &[SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2];
const C: &[SpecVersion] = &[SpecVersion::V1_0_0Rc2];
const A_B_C: &[SpecVersion] = &[SpecVersion::PreDraft, SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2];

/// The value of `apiVersion` in what we write.
pub const ONBOARDING_API_VERSION: &str = "onboarding.margo.org/v1alpha1";

/// A device asks a manager to be taken on, with the certificate it will sign with (rc.1, rc.2: E2, rev-B 2.1).
///
/// ```
/// use margo_api::OnboardingRequest;
/// use margo_syntax::Limits;
///
/// let body = br#"{"apiVersion": "onboarding.margo.org/v1alpha1", "kind": "OnboardingRequest", "certificate": "MAA="}"#;
/// let request = OnboardingRequest::parse(body, &Limits::default())?;
/// assert_eq!(request.certificate_der().unwrap(), [0x30, 0x00]);
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OnboardingRequest {
    /// The version of this message's form; any text is read (X-B-19).
    #[serde(default = "api_version")]
    #[cfg_attr(feature = "schema", schemars(required, extend("examples" = [ONBOARDING_API_VERSION])))]
    pub api_version: String,
    /// Always `OnboardingRequest`.
    pub kind: OnboardingKind,
    /// The device's X.509 certificate, in base64; see [`certificate_der`](Self::certificate_der). Called
    /// `public_certificate` in the first text of rc.1 (X-B-33).
    #[serde(alias = "public_certificate")]
    #[cfg_attr(feature = "schema", schemars(extend("contentEncoding" = "base64")))]
    pub certificate: String,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

fn api_version() -> String {
    ONBOARDING_API_VERSION.to_owned()
}

impl OnboardingRequest {
    /// How the contradictions of the specification are read here.
    pub const INTERPRETATIONS: &'static [Interpretation] = &[
        Interpretation::new("X-B-19", Level::L1, B_C, "/apiVersion", |version, _| {
            let version = version.as_str().filter(|version| *version != ONBOARDING_API_VERSION)?;
            Some(format!("`{version}` says the same as `{ONBOARDING_API_VERSION}`"))
        }),
        Interpretation::new("X-C-18", Level::L1, C, "", |message, _| {
            message.get("apiVersion").is_none().then(|| "`apiVersion` is missing".to_owned())
        }),
        Interpretation::new("X-B-33", Level::L2, B_C, "/public_certificate", |_, _| {
            Some("`public_certificate` stands for `certificate`".to_owned())
        }),
    ];

    /// Asks to be taken on with this certificate, in DER.
    #[must_use]
    pub fn new(certificate: &[u8]) -> Self {
        Self {
            api_version: api_version(),
            kind: OnboardingKind,
            certificate: STANDARD.encode(certificate),
            extensions: Extensions::new(),
        }
    }

    /// The certificate in DER. Inside the base64 may be DER or PEM: the page does not say which.
    ///
    /// Nothing here says that it is a certificate.
    ///
    /// # Errors
    ///
    /// A text that is no base64, or PEM without a certificate.
    pub fn certificate_der(&self) -> Result<Vec<u8>, Fault> {
        der(&self.certificate)
    }
}

message!(OnboardingRequest, B_C, |value| {
    if value.get("kind").is_some_and(|kind| kind == OnboardingKind::TEXT) {
        return Some("`kind` is `OnboardingRequest`");
    }
    None
});

/// The word `OnboardingRequest`, checked when read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::exhaustive_structs, reason = "it is one word and will stay one")]
pub struct OnboardingKind;

impl OnboardingKind {
    pub(crate) const TEXT: &'static str = "OnboardingRequest";
}

impl Serialize for OnboardingKind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(Self::TEXT)
    }
}

impl<'de> Deserialize<'de> for OnboardingKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text == Self::TEXT {
            return Ok(Self);
        }
        Err(serde::de::Error::invalid_value(serde::de::Unexpected::Str(&text), &"`OnboardingRequest`"))
    }
}

/// What a manager calls a device it has taken on (rc.1, rc.2: E2).
///
/// ```
/// use margo_api::OnboardingResponse;
/// use margo_core::{SpecVersion, Strictness};
/// use margo_syntax::Limits;
///
/// // The first text of rc.1 called it `client_id`: understood, and told.
/// let body = r#"{"client_id": "press-7"}"#;
/// let rc1 = Some(SpecVersion::V1_0_0Rc1);
/// let reading = OnboardingResponse::read(body.into(), rc1, Strictness::Lenient, &Limits::default())?;
/// assert_eq!(reading.value.client_id.as_str(), "press-7");
/// assert_eq!(reading.deviations[0].contradiction, "X-B-33");
/// assert_eq!(reading.value.to_json(), r#"{"clientId":"press-7"}"#);
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct OnboardingResponse {
    /// The client: what it names in every path from now on (R-B-006). Called `client_id` in the first text of rc.1
    /// (X-B-33).
    #[serde(alias = "client_id")]
    pub client_id: ClientId,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl OnboardingResponse {
    /// How the contradictions of the specification are read here.
    pub const INTERPRETATIONS: &'static [Interpretation] =
        &[Interpretation::new("X-B-33", Level::L2, B_C, "/client_id", |_, _| {
            Some("`client_id` stands for `clientId`".to_owned())
        })];

    /// The manager calls the device this.
    #[must_use]
    pub fn new(client_id: ClientId) -> Self {
        Self { client_id, extensions: Extensions::new() }
    }
}

message!(OnboardingResponse, B_C, |value| {
    ["clientId", "client_id"].iter().any(|name| value.get(name).is_some()).then_some("it names a client")
});

/// The certificate of the authority that a manager's own certificate is issued by (A5, E1).
///
/// It must come by a channel that is trusted already (R-B-005). 1.0.0-rc.3 has a SPIFFE bundle in its place, which is in
/// `margo-identity`.
///
/// ```
/// use margo_api::RootCertificateResponse;
/// use margo_syntax::Limits;
///
/// let der = [0x30, 0x00];
/// let response = RootCertificateResponse::new(&der);
/// let read = RootCertificateResponse::parse(&response.to_json(), &Limits::default())?;
/// assert_eq!(read.certificate_der().unwrap(), der);
/// # Ok::<(), margo_syntax::DecodeError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
#[non_exhaustive]
pub struct RootCertificateResponse {
    /// The base64 of the certificate's text; see [`certificate_der`](Self::certificate_der).
    #[cfg_attr(feature = "schema", schemars(extend("contentEncoding" = "base64")))]
    pub certificate: String,
    /// Members newer than this library.
    #[serde(flatten)]
    pub extensions: Extensions,
}

impl RootCertificateResponse {
    /// How the contradictions of the specification are read here: none is about it.
    pub const INTERPRETATIONS: &'static [Interpretation] = &[];

    /// The manager's authority has this certificate, in DER. Written as the base64 of its PEM: "certificate text".
    #[must_use]
    pub fn new(certificate: &[u8]) -> Self {
        let encoded = STANDARD.encode(certificate);
        let lines: Vec<_> = encoded.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
        let pem = format!("{BEGIN}\n{}\n{END}\n", lines.join("\n"));
        Self { certificate: STANDARD.encode(pem), extensions: Extensions::new() }
    }

    /// The certificate in DER. Inside the base64 may be DER or PEM.
    ///
    /// Nothing here says that it is a certificate.
    ///
    /// # Errors
    ///
    /// A text that is no base64, or PEM without a certificate.
    pub fn certificate_der(&self) -> Result<Vec<u8>, Fault> {
        der(&self.certificate)
    }
}

message!(RootCertificateResponse, A_B_C, |value| {
    let alone = value.get("certificate").is_some_and(Value::is_string) && value.get("kind").is_none();
    alone.then_some("a certificate alone is there")
});

const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// DER out of base64 of DER, base64 of PEM, or PEM itself.
fn der(text: &str) -> Result<Vec<u8>, Fault> {
    let fault = |message| Fault::new(pointer!["certificate"], message);
    let decode = |text: &str| {
        let text: String = text.split_whitespace().collect();
        STANDARD.decode(text).map_err(|_| fault("expected base64"))
    };
    let inside_pem = |text: &str| {
        let (_, rest) = text.split_once(BEGIN)?;
        rest.split_once(END).map(|(body, _)| body.to_owned())
    };
    if let Some(body) = inside_pem(text) {
        return decode(&body);
    }
    let decoded = decode(text)?;
    match std::str::from_utf8(&decoded) {
        Ok(pem) if pem.trim_start().starts_with("-----BEGIN") => {
            decode(&inside_pem(pem).ok_or_else(|| fault("expected a certificate inside the PEM"))?)
        }
        _ => Ok(decoded),
    }
}
