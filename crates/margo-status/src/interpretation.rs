use margo_core::SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
use margo_core::{DeviceId, Interpretation, Level, SpecVersion};
use serde_json::Value;

use crate::status::disagreement;
use crate::{DeploymentState, pre_draft, rc1};

const A: &[SpecVersion] = &[PreDraft];
const B: &[SpecVersion] = &[V1_0_0Rc1];
const C: &[SpecVersion] = &[V1_0_0Rc2];
const D: &[SpecVersion] = &[V1_0_0Rc3];
const B_C: &[SpecVersion] = &[V1_0_0Rc1, V1_0_0Rc2];
const C_D: &[SpecVersion] = &[V1_0_0Rc2, V1_0_0Rc3];
const B_C_D: &[SpecVersion] = &[V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3];

/// One row for each place where a document may take the other side of a contradiction and is understood. A status that
/// stands in a list is at `/status/0`.
pub(crate) const INTERPRETATIONS: &[Interpretation] = &[
    // The envelope.
    Interpretation::new("X-A-02", Level::L1, A, "/apiVersion", |version, _| {
        other_text(version, pre_draft::API_VERSION)
    }),
    Interpretation::new("X-B-19", Level::L1, B, "/apiVersion", |version, _| {
        other_text(version, rc1::API_VERSION)
    }),
    Interpretation::new("X-C-23", Level::L1, C, "/apiVersion", |version, _| {
        other_text(version, rc1::API_VERSION)
    }),
    Interpretation::new("X-B-33", Level::L2, B, "/kind", |kind, _| other_text(kind, rc1::Kind::TEXT)),
    Interpretation::new("X-C-18", Level::L1, C, "", |document, _| missing(document, "apiVersion")),
    Interpretation::new("X-C-18", Level::L1, C, "", |document, _| missing(document, "kind")),
    Interpretation::new("X-D-31", Level::L3, D, "/adoptedManifestVersion", |version, _| {
        version.is_f64().then(|| format!("`{version}` stands for a whole number"))
    }),
    // The whole is one object.
    Interpretation::new("X-A-07", Level::L3, A, "/status", |status, _| in_list(status)),
    Interpretation::new("X-B-01", Level::L3, B_C, "/status", |status, _| in_list(status)),
    Interpretation::new("X-D-12", Level::L3, D, "/status", |status, _| in_list(status)),
    Interpretation::new("X-B-03", Level::L2, B_C_D, "/status/state", contradicts),
    Interpretation::new("X-B-03", Level::L2, B_C_D, "/status/0/state", |state, document| {
        contradicts(state, document)
    }),
    // The words for a state.
    Interpretation::new("X-A-10", Level::L2, A, "/status/state", |state, _| other_case(state)),
    Interpretation::new("X-A-10", Level::L2, A, "/status/0/state", |state, _| other_case(state)),
    Interpretation::new("X-A-10", Level::L2, A, "/components/*/state", |state, _| other_case(state)),
    Interpretation::new("X-A-11", Level::L3, A, "/status/state", |state, _| other_page(state)),
    Interpretation::new("X-A-11", Level::L3, A, "/status/0/state", |state, _| other_page(state)),
    Interpretation::new("X-A-11", Level::L3, A, "/components/*/state", |state, _| other_page(state)),
    Interpretation::new("X-B-33", Level::L2, B, "/status/state", |state, _| earlier(state)),
    Interpretation::new("X-B-33", Level::L2, B, "/status/0/state", |state, _| earlier(state)),
    Interpretation::new("X-B-33", Level::L2, B, "/components/*/state", |state, _| earlier(state)),
    // Errors.
    Interpretation::new("X-A-12", Level::L2, A, "/status/error", |error, _| misspelled(error)),
    Interpretation::new("X-A-12", Level::L2, A, "/status/0/error", |error, _| misspelled(error)),
    Interpretation::new("X-A-12", Level::L2, A, "/components/*/error", |error, _| misspelled(error)),
    Interpretation::new("X-A-13", Level::L1, A, "/status/error", |error, _| {
        incomplete(error, &["code", "message"])
    }),
    Interpretation::new("X-A-13", Level::L1, A, "/status/0/error", |error, _| {
        incomplete(error, &["code", "message"])
    }),
    Interpretation::new("X-A-13", Level::L1, A, "/components/*/error", |error, _| {
        incomplete(error, &["code", "message"])
    }),
    Interpretation::new("X-B-04", Level::L1, B, "/status/error", |error, _| {
        incomplete(error, &["code", "message"])
    }),
    Interpretation::new("X-B-04", Level::L1, B, "/status/0/error", |error, _| {
        incomplete(error, &["code", "message"])
    }),
    Interpretation::new("X-B-04", Level::L1, B, "/components/*/error", |error, _| {
        incomplete(error, &["code", "message"])
    }),
    Interpretation::new("X-B-04", Level::L1, C, "/status/error", |error, _| incomplete(error, ALL_THREE)),
    Interpretation::new("X-B-04", Level::L1, C, "/status/0/error", |error, _| incomplete(error, ALL_THREE)),
    Interpretation::new("X-B-04", Level::L1, C, "/components/*/error", |error, _| {
        incomplete(error, ALL_THREE)
    }),
    Interpretation::new("X-D-13", Level::L1, D, "/status/error", |error, _| incomplete(error, ALL_THREE)),
    Interpretation::new("X-D-13", Level::L1, D, "/status/0/error", |error, _| incomplete(error, ALL_THREE)),
    Interpretation::new("X-D-13", Level::L1, D, "/components/*/error", |error, _| {
        incomplete(error, ALL_THREE)
    }),
    Interpretation::new("X-C-11", Level::L1, C_D, "/status/error/code", |code, _| number(code)),
    Interpretation::new("X-C-11", Level::L1, C_D, "/status/0/error/code", |code, _| number(code)),
    Interpretation::new("X-C-11", Level::L1, C_D, "/components/*/error/code", |code, _| number(code)),
    Interpretation::new("X-C-12", Level::L2, C_D, "/status/error", reserved),
    Interpretation::new("X-C-12", Level::L2, C_D, "/status/0/error", reserved),
    Interpretation::new("X-C-12", Level::L2, C_D, "/components/*/error", |error, document| {
        reserved(error, document)
    }),
];

const ALL_THREE: &[&str] = &["code", "source", "message"];

fn other_text(value: &Value, ours: &str) -> Option<String> {
    let text = value.as_str().filter(|text| *text != ours)?;
    Some(format!("`{text}` is read, and `{ours}` is written"))
}

fn missing(document: &Value, member: &str) -> Option<String> {
    document.get(member).is_none().then(|| format!("`{member}` is missing"))
}

fn in_list(value: &Value) -> Option<String> {
    value.is_array().then(|| "a list of one stands for the object in it".to_owned())
}

fn contradicts(state: &Value, document: &Value) -> Option<String> {
    let components = document.get("components")?.as_array()?;
    let states = components.iter().filter_map(|component| component.get("state")?.as_str());
    let states: Vec<_> = states.map(understood).collect();
    disagreement(understood(state.as_str()?).as_str(), &states)
}

/// A state as it is read; the earlier words, which only documents of 1.0.0-rc.1 have, mean what they did.
fn understood(text: &str) -> DeploymentState {
    rc1::DeploymentState::earlier(text)
        .map_or_else(|| DeploymentState::from(text), |earlier| earlier.upgrade())
}

fn other_case(state: &Value) -> Option<String> {
    let text = state.as_str()?;
    let read = pre_draft::DeploymentState::from(text);
    (read.is_known() && read.as_str() != text).then(|| format!("`{text}` is read as `{read}`"))
}

fn other_page(state: &Value) -> Option<String> {
    let read = match state.as_str()? {
        "Failure" => "Failed",
        "Success" => "Installed",
        _ => return None,
    };
    Some(format!("{state} is read as `{read}`"))
}

fn earlier(state: &Value) -> Option<String> {
    let text = state.as_str()?;
    rc1::DeploymentState::earlier(text).map(|read| format!("`{text}` is read as `{read}`"))
}

fn misspelled(error: &Value) -> Option<String> {
    error.get("message ").map(|_| "`message ` has a blank at its end and is another member".to_owned())
}

fn incomplete(error: &Value, members: &[&str]) -> Option<String> {
    let is_told = |member: &str| error.get(member).is_some_and(|value| *value != "");
    if error.is_object() && !members.iter().any(|member| is_told(member)) {
        return Some("an error that says nothing is none".to_owned());
    }
    let missing = members.iter().find(|member| error.is_object() && !is_told(member))?;
    Some(format!("`{missing}` is not told"))
}

fn number(code: &Value) -> Option<String> {
    code.is_number().then(|| format!("the number `{code}` stands for its text"))
}

/// The codes 101 to 103, told by who is no gateway of the device.
fn reserved(error: &Value, document: &Value) -> Option<String> {
    let code = match error.get("code")? {
        Value::String(code) => code.clone(),
        code => code.to_string(),
    };
    let source = error.get("source")?.as_str().filter(|source| !source.is_empty())?;
    if !matches!(code.as_str(), "101" | "102" | "103") {
        return None;
    }
    let device = document.get("deviceId").and_then(Value::as_str);
    let is_gateway = if let Some(device) = device {
        // The device itself, or what is in front of it.
        device.strip_prefix(source).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    } else {
        // Whose name it is cannot be told, but a component is no device.
        let components = document.get("components").and_then(Value::as_array).into_iter().flatten();
        let mut names = components.filter_map(|component| component.get("name"));
        source.parse::<DeviceId>().is_ok() && names.all(|name| name != source)
    };
    (!is_gateway).then(|| format!("code `{code}` is reserved for gateways, and `{source}` is none"))
}

#[cfg(test)]
mod tests {
    use margo_core::Deviation;
    use serde_json::json;

    use super::*;

    fn deviations(document: &Value, revision: SpecVersion) -> Vec<Deviation> {
        margo_core::deviations(INTERPRETATIONS, revision, document)
    }

    /// A document in which nothing deviates.
    fn clean(revision: SpecVersion) -> Value {
        let state = if revision == PreDraft { "Failed" } else { "failed" };
        let mut document = json!({
            "deploymentId": "a3e2f5dc",
            "status": {"state": state},
            "components": [
                {"name": "database", "state": state, "error": {"code": "E", "message": "no"}},
            ],
        });
        match revision {
            PreDraft => {
                document["apiVersion"] = json!(pre_draft::API_VERSION);
                document["kind"] = json!("DeploymentStatus");
            }
            V1_0_0Rc1 | V1_0_0Rc2 => {
                document["apiVersion"] = json!(rc1::API_VERSION);
                document["kind"] = json!("DeploymentStatusManifest");
            }
            _ => document["adoptedManifestVersion"] = json!(7),
        }
        if revision > V1_0_0Rc1 {
            document["deviceId"] = json!("gateway-1/plc-7");
            document["components"][0]["error"]["source"] = json!("database");
        }
        document
    }

    /// What is found after a value was put into a place, as `id level place`.
    fn found(revision: SpecVersion, place: &str, value: Value) -> Vec<String> {
        let mut document = clean(revision);
        let (parent, member) = place.rsplit_once('/').unwrap();
        document.pointer_mut(parent).unwrap()[member] = value;
        let deviations = deviations(&document, revision);
        deviations.iter().map(|d| format!("{} {} {}", d.contradiction, d.level, d.pointer)).collect()
    }

    #[test]
    fn nothing_is_found_in_what_we_write() {
        for revision in SpecVersion::ALL {
            assert_eq!(deviations(&clean(revision), revision), []);
        }
    }

    /// X-A-02, X-B-19, X-B-33, X-C-18, X-C-23, X-D-31.
    #[test]
    fn the_envelope_of_others_is_told() {
        assert_eq!(found(PreDraft, "/apiVersion", json!("v1")), ["X-A-02 L1 /apiVersion"]);
        assert_eq!(found(V1_0_0Rc1, "/apiVersion", json!("v1")), ["X-B-19 L1 /apiVersion"]);
        assert_eq!(found(V1_0_0Rc2, "/apiVersion", json!("margo.org")), ["X-C-23 L1 /apiVersion"]);
        assert_eq!(found(V1_0_0Rc1, "/kind", json!("DeploymentStatus")), ["X-B-33 L2 /kind"]);
        assert_eq!(
            found(V1_0_0Rc3, "/adoptedManifestVersion", json!(7.0)),
            ["X-D-31 L3 /adoptedManifestVersion"]
        );
        let mut after = clean(V1_0_0Rc2);
        after.as_object_mut().unwrap().retain(|name, _| name != "apiVersion" && name != "kind");
        let messages: Vec<_> = deviations(&after, V1_0_0Rc2).iter().map(ToString::to_string).collect();
        assert_eq!(messages, [": `apiVersion` is missing (X-C-18)", ": `kind` is missing (X-C-18)"]);
    }

    /// X-A-07, X-B-01, X-D-12: and what stands inside the list is found there.
    #[test]
    fn a_status_in_a_list_is_told() {
        for (revision, id) in
            [(PreDraft, "X-A-07"), (V1_0_0Rc1, "X-B-01"), (V1_0_0Rc2, "X-B-01"), (V1_0_0Rc3, "X-D-12")]
        {
            let state = clean(revision)["status"]["state"].clone();
            assert_eq!(found(revision, "/status", json!([{"state": state}])), [format!("{id} L3 /status")]);
        }
        assert_eq!(
            found(V1_0_0Rc3, "/status", json!([{"state": "installed", "error": {"code": 5}}])),
            [
                "X-D-12 L3 /status",
                "X-B-03 L2 /status/0/state",
                "X-D-13 L1 /status/0/error",
                "X-C-11 L1 /status/0/error/code"
            ]
        );
    }

    /// X-B-03.
    #[test]
    fn a_contradictory_report_is_told() {
        for revision in [V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3] {
            assert_eq!(found(revision, "/status/state", json!("installed")), ["X-B-03 L2 /status/state"]);
        }
        // R-A-024 has another rule.
        assert_eq!(found(PreDraft, "/status/state", json!("Installed")), [""; 0]);
        // Of the earlier words, the meaning counts.
        let words = found(V1_0_0Rc1, "/status/state", json!("Failed"));
        assert_eq!(words, ["X-B-33 L2 /status/state"]);
    }

    /// X-A-10, X-A-11, X-B-33.
    #[test]
    fn other_words_for_a_state_are_told() {
        assert_eq!(found(PreDraft, "/status/state", json!("failed")), ["X-A-10 L2 /status/state"]);
        assert_eq!(
            found(PreDraft, "/components/0/state", json!("pending")),
            ["X-A-10 L2 /components/0/state"]
        );
        assert_eq!(
            found(PreDraft, "/components/0/state", json!("Failure")),
            ["X-A-11 L3 /components/0/state"]
        );
        assert_eq!(found(PreDraft, "/status/state", json!("Success")), ["X-A-11 L3 /status/state"]);
        assert_eq!(found(PreDraft, "/status/state", json!("running")), [""; 0]);
        let updating = found(V1_0_0Rc1, "/components/0/state", json!("Updating"));
        assert_eq!(updating, ["X-B-03 L2 /status/state", "X-B-33 L2 /components/0/state"]);
    }

    /// X-A-12, X-A-13, X-B-04, X-D-13.
    #[test]
    fn an_error_that_says_too_little_is_told() {
        let place = "/components/0/error";
        for (revision, id) in
            [(PreDraft, "X-A-13"), (V1_0_0Rc1, "X-B-04"), (V1_0_0Rc2, "X-B-04"), (V1_0_0Rc3, "X-D-13")]
        {
            let expected = [format!("{id} L1 {place}")];
            assert_eq!(found(revision, place, json!({})), expected);
            assert_eq!(found(revision, place, json!({"code": "", "source": "", "message": ""})), expected);
            assert_eq!(found(revision, place, json!({"source": "database", "message": "no"})), expected);
        }
        let blank = found(PreDraft, place, json!({"code": "E", "message ": "no"}));
        assert_eq!(blank, ["X-A-12 L2 /components/0/error", "X-A-13 L1 /components/0/error"]);
    }

    /// X-C-11, X-C-12.
    #[test]
    fn reserved_codes_are_for_gateways_and_text() {
        let place = "/components/0/error";
        let error = |code: Value, source: &str| json!({"code": code, "source": source, "message": "no"});
        for revision in [V1_0_0Rc2, V1_0_0Rc3] {
            assert_eq!(found(revision, place, error(json!("101"), "gateway-1")), [""; 0]);
            assert_eq!(found(revision, place, error(json!("102"), "gateway-1/plc-7")), [""; 0]);
            let numbered = found(revision, place, error(json!(103), "gateway-1"));
            assert_eq!(numbered, ["X-C-11 L1 /components/0/error/code"]);
            for source in ["database", "gateway", "gateway-1/plc"] {
                let found = found(revision, place, error(json!("101"), source));
                assert_eq!(found, ["X-C-12 L2 /components/0/error"], "{source}");
            }
            assert_eq!(found(revision, place, error(json!("104"), "database")), [""; 0]);
        }
        let mut nameless = clean(V1_0_0Rc3);
        nameless.as_object_mut().unwrap().remove("deviceId");
        nameless["components"][0]["error"] = error(json!("103"), "gateway-1");
        assert_eq!(deviations(&nameless, V1_0_0Rc3), []);
        nameless["components"][0]["error"] = error(json!("103"), "database");
        assert_eq!(deviations(&nameless, V1_0_0Rc3)[0].contradiction, "X-C-12");
    }

    /// A level belongs to a contradiction, whatever the place.
    #[test]
    fn the_table_agrees_with_itself() {
        for row in INTERPRETATIONS {
            assert!(row.level > Level::L0 && row.level < Level::L4, "{}", row.contradiction);
            let others = INTERPRETATIONS.iter().filter(|other| other.contradiction == row.contradiction);
            assert!(others.clone().all(|other| other.level == row.level), "{}", row.contradiction);
            let same = others.filter(|other| other.place == row.place && other.revisions == row.revisions);
            assert!(same.count() == 1 || row.contradiction == "X-C-18", "{}", row.contradiction);
        }
    }
}
