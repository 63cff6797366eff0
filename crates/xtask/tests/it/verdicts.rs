//! What our schemas and the specification's own OpenAPI documents say of the specification's examples. Both lie beside
//! the checkout and are never committed here.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::{committed, entries, read, root};

/// Where the two differ, and the contradictions that explain it; listed in `docs/interpretations.md` too.
const DIFFERENT: &[(&str, &[&str])] = &[
    ("B/invalid/DesiredStateManifest-001@0450fb92.json", &["X-B-35"]),
    ("B/invalid/DesiredStateManifest-003@0450fb92.json", &["X-B-35"]),
    ("B/valid/ApplicationDeployment-001@e9d13e09.yaml", &["X-B-11", "X-B-12"]),
    ("B/valid/DesiredState-002.page.yaml", &["X-B-12"]),
    ("B/valid/DesiredState-002@4924c803.yaml", &["X-B-12"]),
    ("B/valid/OnboardingResponse.page.json", &["X-B-31"]),
    ("B/valid/StateManifest.page.json", &["X-B-27"]),
    ("C/invalid/DesiredStateManifest-001-invalid_manifest_version@aa650270.json", &["X-B-35"]),
    ("C/invalid/DesiredStateManifest-002-invalid_media_type@414e8ae7.json", &["X-B-35"]),
    ("C/invalid/DesiredStateManifest-003-invalid_digest@414e8ae7.json", &["X-B-35"]),
    ("C/valid/OnboardingResponse.page.json", &["X-B-31"]),
    ("C/valid/gateway-autonomous.rc2-tag.RECONSTRUCTED.yaml", &["X-C-01"]),
    ("C/valid/gateway-directed.rc2-tag.RECONSTRUCTED.yaml", &["X-C-01"]),
    ("D/valid/DesiredState-001@0450fb92-legacy.yaml", &["X-D-03"]),
    ("D/valid/DesiredState-002.compose.page.yaml", &["X-D-03"]),
    ("D/valid/StateManifest.page.json", &["X-B-27"]),
    ("D/valid/gateway-directed.page.yaml", &["X-D-03"]),
];

/// The revisions that have OpenAPI documents, with the letter of their folder and the documents.
const REVISIONS: &[(&str, &str, &[&str])] = &[
    ("B", "1.0.0-rc.1", &["workload-management-api-1.0.0-rc.1.yaml"]),
    ("C", "1.0.0-rc.2", &["workload-management-api-1.0.0-rc.2.yaml"]),
    ("D", "1.0.0-rc.3", &["workload-management-api-1.0.0-rc.3.yaml", "trust-bundle-api-1.0.0-rc.3.yaml"]),
];

/// The documents an example may be: how the name of its file begins, what we call it, and where an OpenAPI document
/// has its schema.
const KINDS: &[(&str, &str, &str)] = &[
    ("StateManifest", "DesiredStateManifest", "/components/schemas/UnsignedAppStateManifest"),
    ("DesiredStateManifest", "DesiredStateManifest", "/components/schemas/UnsignedAppStateManifest"),
    ("ApplicationDeployment", "ApplicationDeployment", "/components/schemas/appDeploymentManifest"),
    ("DesiredState-", "ApplicationDeployment", "/components/schemas/appDeploymentManifest"),
    ("gateway-", "ApplicationDeployment", "/components/schemas/appDeploymentManifest"),
    ("DeviceCapabilities", "DeviceCapabilitiesManifest", "/components/schemas/DeviceCapabilitiesManifest"),
    ("DeploymentStatus", "DeploymentStatusManifest", "/components/schemas/DeploymentStatusManifest"),
    ("ProblemDetail", "ProblemDetail", "/components/schemas/ProblemDetail"),
    ("DiscoveryDocument", "DiscoveryDocument", "/components/schemas/DiscoveryDocument"),
    ("SpiffeBundle", "SpiffeBundle", "/components/schemas/SpiffeBundle"),
    (
        "OnboardingRequest",
        "OnboardingRequest",
        "/paths/~1api~1v1~1onboarding/post/requestBody/content/application~1json/schema",
    ),
    (
        "OnboardingResponse",
        "OnboardingResponse",
        "/paths/~1api~1v1~1onboarding/post/responses/201/content/application~1json/schema",
    ),
    (
        "RootCertificateResponse",
        "RootCertificateResponse",
        "/paths/~1api~1v1~1onboarding~1certificate/get/responses/200/content/application~1json/schema",
    ),
    // No OpenAPI document describes it.
    ("ApplicationDescription", "ApplicationDescription", ""),
];

#[test]
fn the_specifications_examples_are_judged_as_its_own_schemas_do() {
    let Some(folder) = examples() else { return };
    let ours: BTreeMap<_, _> = committed()
        .into_iter()
        .map(|(revision, kind, schema)| ((revision, kind), jsonschema::draft202012::new(&schema).unwrap()))
        .collect();
    let mut differences = Vec::new();
    let (mut compared, mut alone) = (0, 0);
    for (letter, revision, apis) in REVISIONS {
        let apis: Vec<_> =
            apis.iter().map(|api| openapi(&folder.with_file_name("openapi").join(api))).collect();
        for verdict in ["invalid", "valid"] {
            for path in entries(&folder.join(letter).join(verdict)) {
                let name = path.file_name().unwrap().to_str().unwrap();
                let kind = KINDS.iter().find(|(prefix, ..)| name.starts_with(prefix));
                let (_, kind, place) = kind.unwrap_or_else(|| panic!("{name}: which document is this?"));
                let value = read(&path);
                let ours = &ours[&((*revision).to_owned(), (*kind).to_owned())];
                let Some(theirs) = apis.iter().find_map(|api| theirs(api, place)) else {
                    assert!(place.is_empty(), "{name}: no schema at {place}");
                    alone += 1;
                    continue;
                };
                compared += 1;
                if ours.is_valid(&value) != theirs.is_valid(&value) {
                    let faults = |validator: &Validator| {
                        let faults = validator.iter_errors(&value);
                        faults.map(|error| format!("{}: {error}", error.instance_path())).collect::<Vec<_>>()
                    };
                    println!(
                        "{letter}/{verdict}/{name}\n  ours:   {:?}\n  theirs: {:?}",
                        faults(ours),
                        faults(&theirs)
                    );
                    differences.push(format!("{letter}/{verdict}/{name}"));
                }
            }
        }
    }
    assert_eq!(differences, DIFFERENT.iter().map(|(file, _)| *file).collect::<Vec<_>>());
    assert!(compared >= 60 && alone >= 15, "{compared} compared, {alone} without an OpenAPI schema");
}

/// The index beside the examples names every one of them, and nothing else.
#[test]
fn the_index_of_the_examples_is_complete() {
    let Some(folder) = examples() else { return };
    let path = folder.with_file_name("examples-index.md");
    let Ok(index) = fs::read_to_string(&path) else {
        println!("notice: no index of the examples at {}", path.display());
        return;
    };
    let rows = index.lines().filter_map(|line| line.strip_prefix("| `"));
    let mut listed: Vec<_> = rows
        .map(|row| {
            let (name, rest) = row.split_once("` |").unwrap();
            let of = rest
                .split('|')
                .map(str::trim)
                .find(|cell| cell.ends_with("/valid") || cell.ends_with("/invalid"));
            format!("{}/{name}", of.unwrap_or_else(|| panic!("{name}: valid or invalid, of which revision?")))
        })
        .collect();
    let mut there = Vec::new();
    for of in ["A", "B", "C", "D"].iter().flat_map(|of| [format!("{of}/invalid"), format!("{of}/valid")]) {
        let names = entries(&folder.join(&of)).into_iter();
        there.extend(names.map(|path| format!("{of}/{}", path.file_name().unwrap().to_str().unwrap())));
    }
    listed.sort();
    there.sort();
    assert_eq!(listed, there);
}

/// Each difference stands in the table of `docs/interpretations.md`, under a contradiction that has a section there.
#[test]
fn every_difference_is_listed_with_its_contradiction() {
    let page = fs::read_to_string(root().join("docs/interpretations.md")).unwrap();
    let (_, table) = page.split_once("## Where our schemas judge an example differently").unwrap();
    let listed: Vec<_> = table.lines().filter_map(|line| line.strip_prefix("| `")).collect();
    assert_eq!(listed.len(), DIFFERENT.len());
    for ((file, ids), row) in DIFFERENT.iter().zip(listed) {
        let (name, rest) = row.split_once("` | ").unwrap();
        assert_eq!(name, *file);
        assert!(!ids.is_empty(), "{file}");
        for id in *ids {
            assert!(rest.contains(id), "{file}: {id} is not named");
            assert!(page.contains(&format!("\n### {id}")), "{id} has no section");
        }
    }
}

fn examples() -> Option<PathBuf> {
    let folder = env::var_os("MARGO_SPEC_EXAMPLES")
        .map_or_else(|| root().join("../shared/spec/examples"), PathBuf::from);
    if folder.is_dir() && folder.with_file_name("openapi").is_dir() {
        return Some(folder);
    }
    println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
    None
}

/// An OpenAPI document whose schemas a validator of JSON Schema understands.
fn openapi(path: &Path) -> Value {
    let mut api = read(path);
    modernize(&mut api);
    api
}

/// `nullable` is a type, and names with dots in `required` are of members inside (X-B-13).
fn modernize(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(modernize),
        Value::Object(members) => {
            if members.remove("nullable") == Some(Value::Bool(true))
                && let Some(kind) = members.get_mut("type")
            {
                *kind = json!([kind.take(), "null"]);
            }
            if let Some(Value::Array(required)) = members.get_mut("required") {
                required.retain(|name| name.as_str().is_none_or(|name| !name.contains('.')));
            }
            members.values_mut().for_each(modernize);
        }
        _ => {}
    }
}

fn theirs(api: &Value, place: &str) -> Option<Validator> {
    if place.is_empty() || api.pointer(place).is_none() {
        return None;
    }
    let mut schema = api.clone();
    schema["$ref"] = format!("#{place}").into();
    Some(jsonschema::draft202012::new(&schema).unwrap())
}
