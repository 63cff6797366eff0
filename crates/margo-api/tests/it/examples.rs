use std::collections::BTreeSet;
use std::fs;

use bytes::Bytes;
use http::Response;
use margo_api::endpoint::{Reply as _, request_token};
use margo_api::{OnboardingRequest, OnboardingResponse, Problem, RootCertificateResponse};
use margo_core::{SpecVersion, Strictness};
use margo_syntax::{DecodeError, Format, Limits};

/// Examples our reading judges otherwise than their folder, and the interpretation that explains it.
const EXPLAINED: &[(&str, &str)] = &[
    ("B/valid/OnboardingResponse.page.json", "X-B-31: a placeholder stands where the client id is"),
    ("C/valid/OnboardingResponse.page.json", "X-B-31: a placeholder stands where the client id is"),
    ("D/invalid/ProblemDetail-001@0450fb92.yaml", "X-D-17: without a status, that of the response is taken"),
];

/// What the readings were told of: contradictions, by file.
const TOLD: &[(&str, &[&str])] = &[
    ("D/invalid/ProblemDetail-001@0450fb92.yaml", &["X-D-17"]),
    ("D/valid/ProblemDetail.client-relationship-retired.page.json", &["X-D-14"]),
];

/// Every message: the valid ones are read leniently, the invalid ones refused strictly.
#[test]
fn the_specifications_examples_are_judged_as_it_does() {
    let Some(folder) = crate::spec_examples() else { return };
    let mut examined = BTreeSet::new();
    for (letter, revision) in ["A", "B", "C", "D"].into_iter().zip(SpecVersion::ALL) {
        for verdict in ["valid", "invalid"] {
            let strictness = if verdict == "valid" { Strictness::Lenient } else { Strictness::Strict };
            for entry in fs::read_dir(folder.join(letter).join(verdict)).unwrap() {
                let path = entry.unwrap().path();
                let name = path.file_name().unwrap().to_str().unwrap();
                let key = format!("{letter}/{verdict}/{name}");
                let mut bytes: Bytes = fs::read(&path).unwrap().into();
                if name.starts_with("ProblemDetail")
                    && path.extension().is_some_and(|ending| ending == "yaml")
                {
                    let tree = margo_syntax::parse(&bytes, Format::Yaml, &Limits::default()).unwrap();
                    bytes = tree.to_value().to_string().into();
                }
                let Some(result) = read(name, &bytes, revision, strictness) else { continue };
                let is_explained = EXPLAINED.iter().any(|(file, _)| *file == key);
                assert_eq!(result.is_ok(), (verdict == "valid") != is_explained, "{key}: {result:?}");
                let told = TOLD.iter().find(|(file, _)| *file == key).map_or(&[][..], |(_, ids)| *ids);
                assert_eq!(result.unwrap_or_default(), told, "{key}");
                examined.insert(key);
            }
        }
    }
    assert!(examined.len() >= 20, "only {examined:?}");
    for file in EXPLAINED.iter().map(|(file, _)| *file).chain(TOLD.iter().map(|(file, _)| *file)) {
        assert!(examined.contains(file), "{file} is not there");
    }
}

/// The contradictions that a reading of the message told of; `None` if the file is none of ours.
fn read(
    name: &str,
    bytes: &Bytes,
    revision: SpecVersion,
    strictness: Strictness,
) -> Option<Result<Vec<&'static str>, DecodeError>> {
    let limits = Limits::default();
    let (bytes, revision) = (bytes.clone(), Some(revision));
    let deviations = if name.starts_with("OnboardingRequest") {
        OnboardingRequest::read(bytes, revision, strictness, &limits).map(|reading| reading.deviations)
    } else if name.starts_with("OnboardingResponse") {
        OnboardingResponse::read(bytes, revision, strictness, &limits).map(|reading| reading.deviations)
    } else if name.starts_with("RootCertificateResponse") {
        RootCertificateResponse::read(bytes, revision, strictness, &limits).map(|reading| reading.deviations)
    } else if name.starts_with("ProblemDetail") {
        Problem::read(bytes, revision, strictness, &limits).map(|reading| reading.deviations)
    } else if name.starts_with("TokenResponse") {
        let response = request_token::Response::from_http(Response::new(bytes)).unwrap();
        assert!(response.is_bearer() && response.expires_in().unwrap().as_secs() == 3600);
        Ok(Vec::new())
    } else {
        return None;
    };
    Some(deviations.map(|all| all.into_iter().map(|deviation| deviation.contradiction).collect()))
}
