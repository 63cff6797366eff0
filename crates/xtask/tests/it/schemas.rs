//! The committed schemas, as an editor sees them.

use serde_json::Value;

use crate::committed;

/// Every document of every revision.
const DOCUMENTS: &[(&str, &[&str])] = &[
    (
        "pre-draft",
        &[
            "ApplicationDeployment",
            "ApplicationDescription",
            "DeploymentStatus",
            "DeviceCapabilities",
            "RootCertificateResponse",
            "TokenResponse",
        ],
    ),
    ("1.0.0-rc.1", OF_RC1_AND_RC2),
    ("1.0.0-rc.2", OF_RC1_AND_RC2),
    (
        "1.0.0-rc.3",
        &[
            "ApplicationDeployment",
            "ApplicationDescription",
            "DeploymentStatusManifest",
            "DesiredStateManifest",
            "DeviceCapabilitiesManifest",
            "DiscoveryDocument",
            "ProblemDetail",
            "SpiffeBundle",
        ],
    ),
];
const OF_RC1_AND_RC2: &[&str] = &[
    "ApplicationDeployment",
    "ApplicationDescription",
    "DeploymentStatusManifest",
    "DesiredStateManifest",
    "DeviceCapabilitiesManifest",
    "ErrorResponse",
    "OnboardingRequest",
    "OnboardingResponse",
    "RootCertificateResponse",
];

#[test]
fn every_document_of_every_revision_has_one() {
    let found: Vec<_> = committed().into_iter().map(|(revision, kind, _)| (revision, kind)).collect();
    for (revision, kinds) in DOCUMENTS {
        let of_it: Vec<_> = found.iter().filter(|(r, _)| r == revision).map(|(_, kind)| kind).collect();
        assert_eq!(of_it, *kinds, "{revision}");
    }
    assert_eq!(found.len(), DOCUMENTS.iter().map(|(_, kinds)| kinds.len()).sum::<usize>());
}

#[test]
fn each_says_what_it_is_and_its_example_follows_it() {
    for (revision, kind, schema) in committed() {
        assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema", "{revision} {kind}");
        assert_eq!(schema["$id"], format!("urn:margo:{revision}:{kind}"));
        assert_eq!(schema["title"], format!("{kind} ({revision})"));
        assert!(schema["description"].as_str().is_some_and(|text| text.len() > 20), "{revision} {kind}");
        assert!(jsonschema::meta::is_valid(&schema), "{revision} {kind}: not a schema");
        let validator = jsonschema::draft202012::new(&schema).unwrap();
        let examples = schema["examples"].as_array().unwrap();
        assert!(!examples.is_empty(), "{revision} {kind}");
        for example in examples {
            let faults: Vec<_> = validator.iter_errors(example).map(|error| error.to_string()).collect();
            assert!(faults.is_empty(), "{revision} {kind}: {faults:?}");
        }
    }
}

/// Calls `sees` with every schema inside one, and its place.
fn visit(schema: &Value, place: &str, sees: &mut impl FnMut(&str, &Value)) {
    sees(place, schema);
    for keyword in ["properties", "patternProperties", "$defs"] {
        for (name, inner) in schema[keyword].as_object().into_iter().flatten() {
            visit(inner, &format!("{place}/{name}"), sees);
        }
    }
    for keyword in ["oneOf", "anyOf", "allOf", "prefixItems"] {
        for inner in schema[keyword].as_array().into_iter().flatten() {
            visit(inner, place, sees);
        }
    }
    for keyword in ["items", "additionalProperties"] {
        if let Some(inner) = schema.get(keyword).filter(|inner| inner.is_object()) {
            visit(inner, place, sees);
        }
    }
    // What stands under `if`, `then` and `else` narrows members that are described where they are declared.
}

#[test]
fn every_member_is_described_to_people() {
    for (revision, kind, schema) in committed() {
        visit(&schema, "", &mut |place, inner| {
            for (name, member) in inner["properties"].as_object().into_iter().flatten() {
                let at = format!("{revision} {kind} {place}/{name}");
                let text = member["description"].as_str().unwrap_or_else(|| panic!("{at}: no description"));
                assert!(text.ends_with(['.', ':', ')']) || text.ends_with('`'), "{at}: {text}");
                for citation in
                    ["X-A-", "X-B-", "X-C-", "X-D-", "R-A-", "R-B-", "R-C-", "R-D-", "MI-", "rev-", "[`"]
                {
                    assert!(!text.contains(citation), "{at}: {text}");
                }
            }
        });
    }
}

/// Members whose values have a form, in whatever document and revision.
const FORMS: &[(&str, &str)] = &[
    ("digest", "pattern"),
    ("deploymentId", "pattern"),
    ("clientId", "pattern"),
    ("deviceId", "pattern"),
    ("applicationId", "pattern"),
    ("timeout", "pattern"),
    ("trustDomain", "pattern"),
    ("trustBundleUri", "pattern"),
    ("kind", "enum"),
    ("state", "enum"),
    ("roles", "enum"),
    ("operator", "enum"),
    ("backoffStrategy", "enum"),
    ("supportedRuntimes", "enum"),
    ("supportedDeploymentTypes", "enum"),
    ("mediaType", "enum"),
];

#[test]
fn values_with_a_form_say_so() {
    let mut seen = std::collections::BTreeSet::new();
    for (revision, kind, schema) in committed() {
        visit(&schema, "", &mut |place, inner| {
            for (name, member) in inner["properties"].as_object().into_iter().flatten() {
                let forms = FORMS.iter().filter(|(of, _)| of == name);
                for (of, keyword) in forms.filter(|_| member.get("const").is_none()) {
                    let form = resolve(&schema, member);
                    let form = form.get("items").map_or(form, |items| resolve(&schema, items));
                    let is_said = form.get(keyword).is_some() || form.get("const").is_some();
                    assert!(is_said, "{revision} {kind} {place}/{name}: no {keyword}: {form}");
                    seen.insert(*of);
                }
            }
            // A form that an editor can show is shown by an example.
            if inner.get("pattern").is_some() {
                assert!(
                    inner.get("examples").is_some(),
                    "{revision} {kind} {place}: a pattern without example"
                );
            }
        });
    }
    assert_eq!(seen.len(), FORMS.len(), "only {seen:?}");
}

fn resolve<'a>(root: &'a Value, schema: &'a Value) -> &'a Value {
    let target = schema.get("$ref").and_then(Value::as_str).and_then(|target| target.strip_prefix('#'));
    target.map_or(schema, |target| root.pointer(target).unwrap())
}
