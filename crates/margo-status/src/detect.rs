use margo_core::{Detection, SpecVersion};
use serde_json::Value;

use crate::{pre_draft, rc1, rc2};

/// See [`AnyDeploymentStatus::detect`](crate::AnyDeploymentStatus::detect).
pub(crate) fn detect(document: &Value) -> Detection {
    const ADOPTED: &str = "adoptedManifestVersion";

    let has = |member: &str| document.get(member).is_some();
    let kind = document.get("kind");
    let is_status = has("deploymentId") && (has("status") || has("components"));
    let is_named = matches!(kind.and_then(Value::as_str), Some(pre_draft::Kind::TEXT | rc2::Kind::TEXT));
    if !(is_status || is_named || has(ADOPTED)) {
        return Detection::none();
    }

    if has(ADOPTED) {
        let reason = format!("`{ADOPTED}` is there, which only {} has", SpecVersion::V1_0_0Rc3);
        return Detection::none().with(SpecVersion::V1_0_0Rc3, [reason]);
    }
    let Some(kind) = kind else {
        let reasons = [
            format!("`{ADOPTED}` is missing"),
            "`kind` is missing, as in the days after the tag (X-C-18)".to_owned(),
        ];
        return Detection::none().with(SpecVersion::V1_0_0Rc2, reasons);
    };
    let reason = format!("`kind` is {kind}");
    match kind.as_str() {
        Some(pre_draft::Kind::TEXT) => of_the_first_kind(document, &reason),
        Some(rc2::Kind::TEXT) => of_the_second_kind(document, &reason),
        _ => {
            let reasons = || [reason.clone(), "no revision has that kind".to_owned()];
            Detection::none()
                .with(SpecVersion::V1_0_0Rc2, reasons())
                .with(SpecVersion::V1_0_0Rc1, reasons())
                .with(SpecVersion::PreDraft, reasons())
        }
    }
}

/// `DeploymentStatus`: the pre-draft, and the weeks before 1.0.0-rc.1 (X-B-33).
fn of_the_first_kind(document: &Value, reason: &str) -> Detection {
    const REMOVAL: [&str; 4] = ["Removing", "Removed", "Updating", "Updated"];

    match states(document).find(|state| REMOVAL.contains(state)) {
        Some(state) => {
            let word = format!("`{state}` is a state of the weeks before the release (X-B-33)");
            Detection::none().with(SpecVersion::V1_0_0Rc1, [reason.to_owned(), word])
        }
        None => Detection::none()
            .with(SpecVersion::PreDraft, [reason])
            .with(SpecVersion::V1_0_0Rc1, [reason, "the weeks before the release had that kind (X-B-33)"]),
    }
}

/// `DeploymentStatusManifest`: 1.0.0-rc.1 and 1.0.0-rc.2.
fn of_the_second_kind(document: &Value, reason: &str) -> Detection {
    let only = |revision, why: String| Detection::none().with(revision, [reason.to_owned(), why]);

    if document.get("deviceId").is_some() {
        return only(SpecVersion::V1_0_0Rc2, "`deviceId` is there".into());
    }
    if document.get("apiVersion").is_none() {
        let why = "`apiVersion` is missing, as in the days after the tag (X-C-18)";
        return only(SpecVersion::V1_0_0Rc2, why.into());
    }
    if errors(document).any(|error| error.get("source").is_some()) {
        return only(SpecVersion::V1_0_0Rc2, "an error has a `source`".into());
    }
    if let Some(state) = states(document).find(|state| rc1::DeploymentState::earlier(state).is_some()) {
        let why = format!("`{state}` is a state of the weeks before the release (X-B-33)");
        return only(SpecVersion::V1_0_0Rc1, why);
    }
    let newer = Detection::none();
    if errors(document).any(|error| error.get("message").is_some_and(|message| *message != "")) {
        // R-C-012 asks for all three; the OpenAPI document for none.
        let why = "an error has no `source`";
        return newer
            .with(SpecVersion::V1_0_0Rc1, [reason, why])
            .with(SpecVersion::V1_0_0Rc2, [reason, "the `source` of an error is optional there"]);
    }
    let why = "neither `deviceId` nor a `source` is there, and both are optional in 1.0.0-rc.2";
    newer.with(SpecVersion::V1_0_0Rc2, [reason, why]).with(SpecVersion::V1_0_0Rc1, [reason, why])
}

fn parts(document: &Value) -> impl Iterator<Item = &Value> {
    let components = document.get("components").and_then(Value::as_array);
    document.get("status").into_iter().chain(components.into_iter().flatten())
}

fn states(document: &Value) -> impl Iterator<Item = &str> {
    parts(document).filter_map(|part| part.get("state")?.as_str())
}

fn errors(document: &Value) -> impl Iterator<Item = &Value> {
    parts(document).filter_map(|part| part.get("error"))
}

#[cfg(test)]
mod tests {
    use margo_core::SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
    use serde_json::json;

    use super::*;

    fn status(members: Value) -> Value {
        let mut status = json!({
            "deploymentId": "a3e2f5dc",
            "status": {"state": "failed"},
            "components": [{"name": "database", "state": "failed", "error": {"code": "", "message": ""}}],
        });
        let Value::Object(members) = members else { unreachable!() };
        status.as_object_mut().unwrap().extend(members);
        status
    }

    fn revisions(document: &Value) -> Vec<SpecVersion> {
        let detection = detect(document);
        assert!(detection.candidates.iter().all(|candidate| !candidate.reasons.is_empty()));
        detection.revisions().collect()
    }

    /// The table of rev-C, section 5, as far as it is about this document.
    #[test]
    fn each_stage_is_told_by_its_shape() {
        let second = |members: Value| {
            let mut status = status(members);
            status["apiVersion"] = json!("v1");
            status["kind"] = json!("DeploymentStatusManifest");
            status
        };
        for (document, expected) in [
            (status(json!({"adoptedManifestVersion": 1})), vec![V1_0_0Rc3]),
            (status(json!({"adoptedManifestVersion": 1, "kind": "DeploymentStatus"})), vec![V1_0_0Rc3]),
            (status(json!({})), vec![V1_0_0Rc2]),
            (status(json!({"kind": "DeploymentStatusManifest"})), vec![V1_0_0Rc2]),
            (second(json!({"deviceId": "plc-7"})), vec![V1_0_0Rc2]),
            (second(json!({"status": {"error": {"source": ""}}})), vec![V1_0_0Rc2]),
            (second(json!({})), vec![V1_0_0Rc2, V1_0_0Rc1]),
            (second(json!({"status": {"error": {"message": "no"}}})), vec![V1_0_0Rc1, V1_0_0Rc2]),
            (second(json!({"status": {"state": "Failed"}})), vec![V1_0_0Rc1]),
            (status(json!({"kind": "DeploymentStatus"})), vec![PreDraft, V1_0_0Rc1]),
            (status(json!({"kind": "DeploymentStatus", "status": {"state": "Updating"}})), vec![V1_0_0Rc1]),
            (status(json!({"kind": "Status"})), vec![V1_0_0Rc2, V1_0_0Rc1, PreDraft]),
            (status(json!({"kind": 7})), vec![V1_0_0Rc2, V1_0_0Rc1, PreDraft]),
        ] {
            assert_eq!(revisions(&document), expected, "{document}");
        }
    }

    #[test]
    fn a_document_of_another_kind_has_no_candidate() {
        for document in [
            json!(null),
            json!([]),
            json!({}),
            json!({"kind": "ApplicationDeployment", "metadata": {}, "spec": {}}),
            json!({"properties": {"id": "plc-7"}}),
            json!({"manifestVersion": 1, "bundle": null, "deployments": [{"deploymentId": "a"}]}),
        ] {
            assert!(detect(&document).is_none(), "{document}");
        }
    }
}
