use margo_core::{Detection, SpecVersion};
use serde_json::Value;

use crate::{pre_draft, rc1, rc2};

/// See [`AnyDeviceCapabilities::detect`](crate::AnyDeviceCapabilities::detect).
pub(crate) fn detect(document: &Value) -> Detection {
    let shape = Shape::of(document);
    if !shape.is_capabilities() {
        return Detection::none();
    }
    if shape.has_any(&["roles", "resources"]) { shape.with_roles() } else { shape.without_roles() }
}

/// Whether a document has the shape of 1.0.0-rc.3: neither roles nor resources. So have the files that were labelled
/// 1.0.0-rc.2 in the summer of 2026 (X-D-35).
pub(crate) fn has_no_roles(document: &Value) -> bool {
    !Shape::of(document).has_any(&["roles", "resources"])
}

struct Shape<'a> {
    document: &'a Value,
    properties: &'a Value,
    kind: Option<&'a Value>,
}

impl<'a> Shape<'a> {
    fn of(document: &'a Value) -> Self {
        let properties = document.get("properties").unwrap_or(&Value::Null);
        Self { document, properties, kind: document.get("kind") }
    }

    fn has(&self, member: &str) -> bool {
        self.properties.get(member).is_some()
    }

    fn has_any(&self, members: &[&str]) -> bool {
        members.iter().any(|member| self.has(member))
    }

    fn resource(&self, member: &str) -> Option<&'a Value> {
        self.properties.get("resources")?.get(member)
    }

    fn kind(&self) -> Option<&'a str> {
        self.kind.and_then(Value::as_str)
    }

    fn is_capabilities(&self) -> bool {
        const IDENTITY: [&str; 4] = ["vendor", "modelNumber", "serialNumber", "roles"];
        const HOSTING: [&str; 5] =
            ["resources", "cpus", "otelCollector", "supportedRuntimes", "supportedDeploymentTypes"];

        let named = self.kind().is_some_and(|kind| pre_draft::Kind::accepts(kind) || kind == rc2::Kind::TEXT);
        named || self.has_any(&IDENTITY) || self.has_any(&HOSTING)
    }

    /// 1.0.0-rc.3, and the last of the shapes that are called 1.0.0-rc.2.
    fn without_roles(&self) -> Detection {
        const NEWEST: [&str; 4] = ["cpus", "otelCollector", "supportedRuntimes", "supportedDeploymentTypes"];

        if let Some(kind) = self.kind().filter(|kind| pre_draft::Kind::accepts(kind)) {
            let reasons = [format!("`kind` is `{kind}`")];
            let detection = Detection::none().with(SpecVersion::PreDraft, reasons.clone());
            return if kind == rc1::Kind::EARLIER {
                detection.with(SpecVersion::V1_0_0Rc1, reasons)
            } else {
                detection
            };
        }
        let mut reasons = vec!["neither `roles` nor `resources` is there".to_owned()];
        let member = NEWEST.into_iter().find(|member| self.has(member));
        reasons.extend(member.map(|member| format!("`{member}` is there")));
        let newest = Detection::none().with(SpecVersion::V1_0_0Rc3, reasons.clone());
        let is_labelled = self.kind.is_some() || self.document.get("apiVersion").is_some();
        let custom = |member: &str| {
            let words = self.properties.get(member).and_then(Value::as_array);
            words.is_some_and(|words| words.iter().any(|word| word == "custom"))
        };
        let is_newest = self.document.get("labels").is_some()
            || custom("supportedRuntimes")
            || custom("supportedDeploymentTypes");
        if !is_labelled || is_newest {
            return newest;
        }
        let label = "`apiVersion` or `kind` is there, as in the files labelled 1.0.0-rc.2 in summer (X-D-35)";
        newest.with(SpecVersion::V1_0_0Rc2, reasons.into_iter().chain([label.to_owned()]))
    }

    /// The revisions with roles: up to the tag of 1.0.0-rc.2, and the days after it.
    fn with_roles(&self) -> Detection {
        let only = |revision, why: &str| Detection::none().with(revision, [why.to_owned()]);

        // What only the pre-draft has. A processor of its own belongs to the others, whatever stands beside it.
        if self.resource("cpu").is_none() {
            let is_number = |member: &str| self.resource(member).is_some_and(Value::is_number);
            if self.resource("cpus").is_some() {
                return only(SpecVersion::PreDraft, "`resources.cpus` is there");
            }
            if self.has_any(&["peripherals", "interfaces"]) {
                let why = "`peripherals` or `interfaces` is there beside `resources`";
                return only(SpecVersion::PreDraft, why);
            }
            if is_number("memory") || is_number("storage") {
                return only(SpecVersion::PreDraft, "an amount is a number");
            }
        }
        match self.kind() {
            Some("DeviceCapability") => {
                return only(SpecVersion::PreDraft, "`kind` is `DeviceCapability` (X-A-01)");
            }
            Some(rc1::Kind::EARLIER) => {
                let kind = "`kind` is `DeviceCapabilities`";
                if self.resource("cpu").is_some() {
                    let reasons =
                        [kind, "`resources.cpu` is there, as in the weeks before the release (X-B-33)"];
                    return Detection::none().with(SpecVersion::V1_0_0Rc1, reasons);
                }
                return Detection::none()
                    .with(SpecVersion::PreDraft, [kind])
                    .with(SpecVersion::V1_0_0Rc1, [kind, "the weeks before the release had it (X-B-33)"]);
            }
            _ => {}
        }

        // What only 1.0.0-rc.2 has.
        if !self.has("resources") {
            return only(SpecVersion::V1_0_0Rc2, "`roles` is there without `resources`");
        }
        let mut roles = self.properties.get("roles").and_then(Value::as_array).into_iter().flatten();
        let is_gateway =
            |role: &Value| role.as_str().is_some_and(|role| role.eq_ignore_ascii_case("gateway"));
        if roles.any(is_gateway) {
            return only(SpecVersion::V1_0_0Rc2, "`Gateway` is among the roles");
        }
        if self.kind.is_none() || self.document.get("apiVersion").is_none() {
            let why = "`apiVersion` or `kind` is missing, as in the days after the tag (X-C-18)";
            return only(SpecVersion::V1_0_0Rc2, why);
        }
        let has_both = self.resource("peripherals").is_some() && self.resource("interfaces").is_some();
        if !has_both {
            let why = "`resources` names no peripherals or no interfaces, as in the weeks before the release (X-B-33)";
            return only(SpecVersion::V1_0_0Rc1, why);
        }
        if self.properties.get("id").and_then(Value::as_str).is_some_and(|id| id.contains('/')) {
            return Detection::none()
                .with(SpecVersion::V1_0_0Rc2, ["the id has levels"])
                .with(SpecVersion::V1_0_0Rc1, ["an id is any text there, although levels have no meaning"]);
        }
        let why = "`roles` and `resources` are there, and nothing about gateways";
        Detection::none().with(SpecVersion::V1_0_0Rc2, [why]).with(SpecVersion::V1_0_0Rc1, [why])
    }
}

#[cfg(test)]
mod tests {
    use margo_core::SpecVersion::{PreDraft, V1_0_0Rc1, V1_0_0Rc2, V1_0_0Rc3};
    use serde_json::json;

    use super::*;

    const FIRST: &str = "DeviceCapabilities";
    const SECOND: &str = "DeviceCapabilitiesManifest";

    fn device(kind: Option<&str>, properties: Value) -> Value {
        let mut device =
            json!({"properties": {"id": "plc-7", "vendor": "A", "modelNumber": "P", "serialNumber": "1"}});
        let Value::Object(members) = properties else { unreachable!() };
        device["properties"].as_object_mut().unwrap().extend(members);
        if let Some(kind) = kind {
            device["apiVersion"] = json!("v1");
            device["kind"] = json!(kind);
        }
        device
    }

    fn resources() -> Value {
        json!({"cpu": {"cores": 4}, "memory": "8Gi", "storage": "8Gi", "peripherals": [], "interfaces": []})
    }

    fn revisions(document: &Value) -> Vec<SpecVersion> {
        let detection = detect(document);
        assert!(detection.candidates.iter().all(|candidate| !candidate.reasons.is_empty()));
        detection.revisions().collect()
    }

    /// The table of rev-C, section 5, as far as it is about this document.
    #[test]
    fn each_stage_is_told_by_its_shape() {
        let roles = json!(["Standalone Device"]);
        let full = || json!({"roles": roles, "resources": resources()});
        let with = |name: &str, value: Value| {
            let mut properties = full();
            properties[name] = value;
            properties
        };
        let mut days_after = device(Some(SECOND), full());
        days_after.as_object_mut().unwrap().remove("apiVersion");
        let mut labelled = device(Some(SECOND), json!({"cpus": []}));
        labelled["labels"] = json!({});
        let without = json!({"cpu": {"cores": 4}, "memory": "8Gi", "storage": "8Gi"});
        for (document, expected) in [
            (device(None, json!({})), vec![V1_0_0Rc3]),
            (device(None, json!({"cpus": []})), vec![V1_0_0Rc3]),
            (device(Some(SECOND), json!({"cpus": []})), vec![V1_0_0Rc3, V1_0_0Rc2]),
            (device(Some(SECOND), json!({})), vec![V1_0_0Rc3, V1_0_0Rc2]),
            (device(Some(SECOND), json!({"supportedRuntimes": ["custom"]})), vec![V1_0_0Rc3]),
            (labelled, vec![V1_0_0Rc3]),
            (device(Some(SECOND), full()), vec![V1_0_0Rc2, V1_0_0Rc1]),
            (device(Some(SECOND), with("id", json!("g/plc-7"))), vec![V1_0_0Rc2, V1_0_0Rc1]),
            (device(Some(SECOND), with("roles", json!(["gateway"]))), vec![V1_0_0Rc2]),
            (device(Some(SECOND), json!({"roles": ["Gateway"]})), vec![V1_0_0Rc2]),
            (device(None, full()), vec![V1_0_0Rc2]),
            (days_after, vec![V1_0_0Rc2]),
            (device(Some(SECOND), with("resources", without.clone())), vec![V1_0_0Rc1]),
            (device(Some(FIRST), full()), vec![V1_0_0Rc1]),
            (device(Some(FIRST), with("resources", json!({"memory": "8 GB"}))), vec![PreDraft, V1_0_0Rc1]),
            (device(Some(FIRST), json!({})), vec![PreDraft, V1_0_0Rc1]),
            (device(Some("DeviceCapability"), json!({})), vec![PreDraft]),
            (device(Some("DeviceCapability"), full()), vec![PreDraft]),
            (device(Some(SECOND), with("resources", json!({"cpus": []}))), vec![PreDraft]),
            (device(Some(SECOND), with("resources", json!({"memory": 8}))), vec![PreDraft]),
            (device(Some(FIRST), json!({"roles": roles, "peripherals": []})), vec![PreDraft]),
            (device(Some(SECOND), with("peripherals", json!([]))), vec![V1_0_0Rc2, V1_0_0Rc1]),
            (device(Some("Capabilities"), full()), vec![V1_0_0Rc2, V1_0_0Rc1]),
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
            json!({"properties": 7}),
            json!({"kind": "ApplicationDeployment", "metadata": {}, "spec": {}}),
            json!({"deploymentId": "a", "status": {"state": "pending"}, "components": []}),
        ] {
            assert!(detect(&document).is_none(), "{document}");
        }
    }
}
