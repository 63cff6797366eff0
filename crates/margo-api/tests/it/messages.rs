//! Our own messages: the folder a message lies in is what is asserted of it, by its reader and by its JSON Schema.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use margo_api::endpoint::request_token;
use margo_api::{ErrorResponse, OnboardingRequest, OnboardingResponse, Problem, RootCertificateResponse};
use margo_core::{SpecVersion, Strictness};
use margo_syntax::{Format, Limits};
use serde_json::Value;

fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/messages"))
}

/// What lies in a folder, by name.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Reads a message strictly and with all that it carries, and writes it again; `None` for what is another crate's.
fn read(kind: &str, bytes: &[u8], revision: SpecVersion) -> Option<Result<Bytes, String>> {
    macro_rules! message {
        ($message:ident, $carries:expr) => {{
            let bytes = Bytes::copy_from_slice(bytes);
            let reading = $message::read(bytes, Some(revision), Strictness::Strict, &Limits::default());
            reading.map_err(|error| error.to_string()).and_then(|reading| {
                let message: &$message = reading.value.value();
                let carries: Result<_, margo_syntax::Fault> = $carries(message);
                carries.map(|()| message.to_json()).map_err(|fault| fault.to_string())
            })
        }};
    }
    Some(match kind {
        "OnboardingRequest" => {
            message!(OnboardingRequest, |request: &OnboardingRequest| request.certificate_der().map(drop))
        }
        "OnboardingResponse" => message!(OnboardingResponse, |_| Ok(())),
        "RootCertificateResponse" => {
            message!(RootCertificateResponse, |root: &RootCertificateResponse| root
                .certificate_der()
                .map(drop))
        }
        "ProblemDetail" => message!(Problem, |_| Ok(())),
        "ErrorResponse" => ErrorResponse::parse(bytes, &Limits::default())
            .map(|error| error.to_json())
            .map_err(|error| error.to_string()),
        "TokenResponse" => {
            margo_syntax::decode::<request_token::Response>(bytes, Format::Json, &Limits::default())
                .map(|response| serde_json::to_vec(&response).unwrap().into())
                .map_err(|error| error.to_string())
        }
        _ => return None,
    })
}

/// What `message` objects to in its schema.
#[cfg(feature = "schema")]
fn by_schema(kind: &str, revision: SpecVersion, message: &Value) -> Vec<String> {
    let schemas = margo_api::schemas();
    let schema = schemas.into_iter().find(|(of, name, _)| (*of, *name) == (revision, kind));
    let schema = schema.unwrap_or_else(|| panic!("no schema of {kind} in {revision}")).2.to_value();
    crate::validator::validate(&schema, &schema, message)
}

/// Read strictly; written as it was read, whatever its members; and by its shape a message of its kind.
#[test]
fn an_accepted_message_is_written_as_it_was_read() {
    let mut count = 0;
    for revision in SpecVersion::ALL {
        for folder in entries(&root().join("accepted").join(revision.as_str())) {
            let kind = name(&folder);
            for path in entries(&folder) {
                let bytes = std::fs::read(&path).unwrap();
                let Some(result) = read(&kind, &bytes, revision) else { continue };
                let written = result.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
                let message: Value = serde_json::from_slice(&bytes).unwrap();
                assert_eq!(serde_json::from_slice::<Value>(&written).unwrap(), message, "{}", path.display());
                #[cfg(feature = "schema")]
                assert_eq!(by_schema(&kind, revision, &message), [""; 0], "{}", path.display());
                count += 1;
            }
        }
    }
    assert!(count >= 28, "{count}");
}

/// What each folder's messages are refused with.
fn reasons() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("certificate-not-base64", "expected base64"), // X-B-22
        ("certificate-not-text", "expected a string"),
        ("client-id-not-text", "expected a string"),
        ("delay-not-whole", "expected u64"),
        ("duplicate-key", "duplicate key"),
        ("error-not-text", "expected a string"),
        ("errors-not-a-list", "expected a sequence"),
        ("expiry-not-whole", "expected u64"),
        ("malformed-client-id", "not a ClientId"), // R-B-006
        ("missing-certificate", "missing field `certificate`"),
        ("missing-client-id", "missing field `clientId`"),
        ("missing-error", "missing field `error`"),
        ("missing-kind", "missing field `kind`"),
        ("named-twice", "duplicate field"), // X-B-33
        ("not-an-object", "expected struct"),
        ("not-json", "line 1"),
        ("pem-without-certificate", "expected"),
        ("retryable-not-boolean", "expected a boolean"),
        ("status-not-number", "expected u16"),
        ("title-not-text", "expected a string"),
        ("token-not-text", "expected a string"),
        ("token-without-type", "missing field `token_type`"),
        ("type-not-text", "expected a string"),
        ("wrong-kind", "expected `OnboardingRequest`"),
    ])
}

/// What a schema cannot say: that text is base64 of something, that a name stands twice.
#[cfg(feature = "schema")]
const BEYOND_A_SCHEMA: [&str; 5] =
    ["certificate-not-base64", "duplicate-key", "named-twice", "not-json", "pem-without-certificate"];

/// Refused for the reason its folder names, and by the schema too where one can say it.
#[test]
fn a_refused_message_is_refused_for_the_reason_it_lies_under() {
    let reasons = reasons();
    let mut unused: Vec<_> = reasons.keys().copied().collect();
    let mut count = 0;
    for folder in entries(&root().join("refused")) {
        let rule = name(&folder);
        for path in entries(&folder) {
            let file = name(&path);
            let (kind, rest) = file.split_once('-').unwrap();
            let revision =
                SpecVersion::ALL.into_iter().find(|known| rest.starts_with(known.as_str())).unwrap();
            let bytes = std::fs::read(&path).unwrap();
            let Some(result) = read(kind, &bytes, revision) else { continue };
            let reason = reasons.get(rule.as_str()).unwrap_or_else(|| panic!("{rule} has no reason"));
            let error = result.expect_err(&format!("{rule}/{file} is read"));
            assert!(error.contains(reason), "{rule}/{file}: {error}");
            #[cfg(feature = "schema")]
            if !BEYOND_A_SCHEMA.contains(&rule.as_str()) {
                let message = serde_json::from_slice(&bytes).unwrap();
                assert_ne!(by_schema(kind, revision, &message), [""; 0], "{rule}/{file} follows its schema");
            }
            unused.retain(|used| *used != rule);
            count += 1;
        }
    }
    assert_eq!(unused, [""; 0], "reasons without a message");
    assert!(count >= 45, "{count}");
}

/// Where our schemas and the specification's OpenAPI documents judge an example differently, and why.
#[cfg(feature = "schema")]
const DIFFERENT: &[(&str, &str)] = &[
    ("B/valid/OnboardingResponse.page.json", "X-B-31: a placeholder stands where the client id is"),
    ("C/valid/OnboardingResponse.page.json", "X-B-31: a placeholder stands where the client id is"),
];

#[cfg(feature = "schema")]
#[test]
fn the_specifications_messages_are_judged_as_its_own_schemas_do() {
    let Some(folder) = crate::spec_examples() else { return };
    let openapi = folder.with_file_name("openapi");
    let (mut different, mut seen) = (Vec::new(), 0);
    for (letter, revision) in ["B", "C", "D"].into_iter().zip(&SpecVersion::ALL[1..]) {
        let api = tree(&openapi.join(format!("workload-management-api-{revision}.yaml")));
        let inline = |path: &str, place: &str| {
            let content = "content/application~1json/schema";
            api.pointer(&format!("/paths/{}/{place}/{content}", path.replace('/', "~1"))).cloned()
        };
        for verdict in ["invalid", "valid"] {
            for path in entries(&folder.join(letter).join(verdict)) {
                let file = name(&path);
                let called: String = file.chars().take_while(char::is_ascii_alphabetic).collect();
                let theirs = match called.as_str() {
                    "OnboardingRequest" => inline("/api/v1/onboarding", "post/requestBody"),
                    "OnboardingResponse" => inline("/api/v1/onboarding", "post/responses/201"),
                    "RootCertificateResponse" => {
                        inline("/api/v1/onboarding/certificate", "get/responses/200")
                    }
                    "ProblemDetail" => api.pointer("/components/schemas/ProblemDetail").cloned(),
                    _ => continue,
                };
                let message = tree(&path);
                let theirs = crate::validator::validate(&api, &theirs.unwrap(), &message);
                let ours = by_schema(&called, *revision, &message);
                if ours.is_empty() != theirs.is_empty() {
                    different.push(format!("{letter}/{verdict}/{file}"));
                }
                seen += 1;
            }
        }
    }
    assert_eq!(different, DIFFERENT.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    assert!(seen >= 15, "{seen}");
}

#[cfg(feature = "schema")]
fn tree(path: &Path) -> Value {
    let format = Format::of_extension(&path.extension().unwrap().to_string_lossy()).unwrap();
    margo_syntax::parse(&std::fs::read(path).unwrap(), format, &Limits::default()).unwrap().to_value()
}
