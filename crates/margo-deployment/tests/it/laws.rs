use std::io::Write as _;

use bytes::Bytes;
use margo_core::{DeviceTarget, Level, SpecVersion, Strictness, Upgraded};
use margo_deployment::{
    AnyApplicationDeployment, ApplicationDeployment, BundleLimits, DesiredStateManifest, pre_draft,
    read_bundle, write_bundle,
};
use margo_syntax::{Format, Limits};
use proptest::prelude::*;
use serde_json::Value;

use crate::{conversion, strategies};

fn limits() -> Limits {
    Limits::default()
}

const PLACES: &[&str] = &[
    "",
    "/id",
    "/kind",
    "/metadata",
    "/metadata/annotations",
    "/metadata/annotations/id",
    "/spec",
    "/spec/applicationId",
    "/spec/deploymentProfile",
    "/spec/deploymentProfile/type",
    "/spec/deploymentProfile/components",
    "/spec/deploymentProfile/components/0",
    "/spec/deploymentProfile/components/0/properties",
    "/spec/deploymentProfile/deviceConstraints",
    "/spec/deploymentProfile/deviceConstraints/eligibilityRules",
    "/spec/deploymentProfile/deviceConstraints/eligibilityRules/0",
    "/spec/deploymentProfile/deviceConstraints/eligibilityRules/0/propertySelector/matchExpressions/0",
    "/spec/parameters",
    "/spec/parameters/p/targets/0",
];

fn target() -> DeviceTarget {
    "plc-7".parse().unwrap()
}

fn tree(deployment: &AnyApplicationDeployment) -> Value {
    let yaml = deployment.to_yaml().unwrap();
    margo_syntax::parse(yaml.as_bytes(), Format::Yaml, &limits()).unwrap().to_value()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn a_deployment_survives_its_text(deployment in strategies::deployment()) {
        let yaml = deployment.to_yaml().unwrap();
        let document = ApplicationDeployment::decode(yaml.clone().into(), &limits()).unwrap();
        prop_assert_eq!(document.value(), &deployment);
        prop_assert_eq!(document.bytes(), yaml.as_bytes());
        let any = AnyApplicationDeployment::decode(yaml.into(), &limits()).unwrap().into_value();
        prop_assert_eq!(any.upgrade(&target()).value, deployment);
    }

    #[test]
    fn a_pre_draft_deployment_survives_its_text(deployment in strategies::pre_draft_deployment()) {
        let yaml = deployment.to_yaml().unwrap();
        let read = AnyApplicationDeployment::parse(yaml.as_bytes(), &limits()).unwrap();
        prop_assert_eq!(read, AnyApplicationDeployment::PreDraft(deployment));
    }

    /// Type to text to type, in every revision.
    #[test]
    fn a_deployment_of_any_revision_survives_its_text(deployment in strategies::any_deployment()) {
        let yaml = deployment.to_yaml().unwrap();
        let bytes: Bytes = yaml.clone().into();
        let read = AnyApplicationDeployment::decode_as(bytes.clone(), deployment.revision(), &limits()).unwrap();
        prop_assert_eq!(read.value(), &deployment);
        // Text to type to text, for what is emitted.
        prop_assert_eq!(read.to_yaml().unwrap(), yaml);
        // Its shape tells what it is, and a lenient reading tells the same.
        let value = margo_syntax::parse(&bytes, Format::Yaml, &limits()).unwrap().to_value();
        prop_assert!(AnyApplicationDeployment::detect(&value).allows(deployment.revision()));
        let reading = AnyApplicationDeployment::read(bytes, Some(deployment.revision()), Strictness::Lenient, &limits());
        prop_assert_eq!(reading.unwrap().value.into_value(), deployment);
    }

    /// Downgrade after upgrade is identity where nothing was lost, and only there.
    #[test]
    fn nothing_changes_on_the_way_up_and_down(deployment in strategies::any_deployment()) {
        let upgraded = deployment.convert(SpecVersion::LATEST, &target()).unwrap();
        let downgraded = upgraded.value.convert(deployment.revision(), &target());
        // A target that leaves the choice to a gateway came from a revision that has it.
        let downgraded = downgraded.unwrap();
        if upgraded.losses.is_empty() && downgraded.losses.is_empty() {
            prop_assert_eq!(downgraded.value, deployment);
        } else {
            prop_assert_ne!(downgraded.value, deployment);
        }
    }

    /// Whatever the way, the same is said: through another revision that loses nothing.
    #[test]
    fn a_detour_that_loses_nothing_changes_nothing(
        deployment in strategies::any_deployment(),
        detour in prop::sample::select(&SpecVersion::ALL[..]),
        to in prop::sample::select(&SpecVersion::ALL[..]),
    ) {
        let straight = deployment.convert(to, &target());
        if let Ok(between) = deployment.convert(detour, &target())
            && between.losses.is_empty()
            && let Ok(Upgraded { value, losses, .. }) = between.value.convert(to, &target())
            && losses.is_empty()
            && let Ok(straight) = straight
            && straight.losses.is_empty()
        {
            // Only the target may be another: what an older revision leaves out is filled in again.
            let (mut one, mut other) = (value.upgrade(&target()).value, straight.value.upgrade(&target()).value);
            one.metadata.device_id = target();
            other.metadata.device_id = target();
            prop_assert_eq!(one, other);
        }
    }

    /// What any older revision leaves out is listed, and what it cannot say is named.
    #[test]
    fn what_is_lost_on_the_way_down_is_listed(
        mut deployment in strategies::deployment(),
        to in prop::sample::select(&SpecVersion::ALL[..3]),
        is_target in any::<bool>(),
    ) {
        // Up to 1.0.0-rc.1, the device is whose repository the deployment lies in.
        if is_target {
            deployment.metadata.device_id = target();
        }
        let document = serde_json::to_value(&deployment).unwrap();
        let own = deployment.metadata.device_id.clone();
        let converted = AnyApplicationDeployment::from(deployment).convert(to, &own);
        let back = |older: AnyApplicationDeployment| serde_json::to_value(older.upgrade(&own).value).unwrap();
        conversion::down_and_up(&document, converted, back)?;
    }

    /// What the newest revision has no place for is listed, at its place in the older document, and the rest comes back.
    #[test]
    fn what_is_lost_on_the_way_up_is_listed(deployment in strategies::any_deployment()) {
        let document = tree(&deployment);
        let Upgraded { value, losses, .. } = deployment.convert(SpecVersion::LATEST, &target()).unwrap();
        let again = value.convert(deployment.revision(), &target()).unwrap();
        if again.losses.is_empty() {
            conversion::holds(&document, &tree(&again.value), &losses)?;
        }
        conversion::told(&document, &losses)?;
        conversion::told(&tree(&value), &again.losses)?;
    }

    #[test]
    fn nothing_changes_on_the_way_down_and_up(mut deployment in strategies::deployment()) {
        deployment.metadata.device_id = target();
        if let Ok(downgraded) = pre_draft::ApplicationDeployment::try_from(&deployment) {
            let upgraded = downgraded.upgrade(target());
            prop_assert!(upgraded.losses.is_empty());
            prop_assert_eq!(upgraded.value, deployment);
        }
    }

    /// What goes anywhere can be read there.
    #[test]
    fn what_is_written_for_another_revision_is_its_own(
        deployment in strategies::any_deployment(),
        to in prop::sample::select(&SpecVersion::ALL[..]),
    ) {
        if let Ok(converted) = deployment.convert(to, &target()) {
            let yaml = converted.value.to_yaml().unwrap();
            let read = AnyApplicationDeployment::decode_as(yaml.clone().into(), to, &limits());
            prop_assert_eq!(read.unwrap().into_value(), converted.value);
        }
    }

    /// Strictness only ever refuses more, and what it lets pass means the same.
    #[test]
    fn strict_is_lenient_and_more(deployment in strategies::any_deployment()) {
        let bytes: Bytes = deployment.to_yaml().unwrap().into();
        let read = |strictness| {
            AnyApplicationDeployment::read(bytes.clone(), Some(deployment.revision()), strictness, &limits())
        };
        if let Ok(strict) = read(Strictness::Strict) {
            prop_assert!(strict.deviations.iter().all(|deviation| deviation.level < Level::L3));
            prop_assert_eq!(read(Strictness::Lenient), Ok(strict));
        }
    }

    /// The same manifest everywhere, but for its URLs.
    #[test]
    fn a_manifest_moves_between_revisions(
        manifest in strategies::manifest(),
        to in prop::sample::select(&SpecVersion::ALL[1..]),
    ) {
        let client = "plant-7".parse().unwrap();
        let moved = manifest.clone().at(to, &client);
        let json = moved.to_json().unwrap();
        let read = DesiredStateManifest::read(json, None, Strictness::Strict, &limits()).unwrap();
        prop_assert_eq!(read.value.value(), &moved);
        prop_assert!(DesiredStateManifest::detect(&serde_json::to_value(&moved).unwrap()).allows(to));
        prop_assert_eq!(moved.at(SpecVersion::LATEST, &client), manifest);
    }

    /// R-B-034: one text for one manifest.
    #[test]
    fn a_manifest_survives_its_text(manifest in strategies::manifest()) {
        let json = manifest.to_json().unwrap();
        let document = DesiredStateManifest::decode(json.clone(), &limits()).unwrap();
        prop_assert_eq!(document.value(), &manifest);
        prop_assert_eq!(document.to_json().unwrap(), json);
    }

    #[test]
    fn a_bundle_is_the_same_in_any_order(
        documents in prop::collection::btree_map(strategies::deployment_id(), any::<Vec<u8>>(), 0..8),
        order in any::<prop::sample::Index>(),
    ) {
        let mut documents: Vec<_> = documents.into_iter().map(|(id, bytes)| (id, Bytes::from(bytes))).collect();
        let bundle = write_bundle(documents.iter().map(|(id, bytes)| (id, bytes)));

        let read = read_bundle(&bundle, &BundleLimits::default()).unwrap();
        prop_assert_eq!(read.len(), documents.len());
        for (id, bytes) in &documents {
            let name = format!("{id}.yaml");
            prop_assert!(read.iter().any(|entry| entry.name == name && entry.bytes == *bytes));
        }

        documents.reverse();
        if !documents.is_empty() {
            let middle = order.index(documents.len());
            documents.rotate_left(middle);
        }
        prop_assert_eq!(write_bundle(documents.iter().map(|(id, bytes)| (id, bytes))), bundle);
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in any::<Vec<u8>>()) {
        _ = AnyApplicationDeployment::parse(&bytes, &limits());
        _ = AnyApplicationDeployment::detect_bytes(&bytes, Format::Yaml, &limits());
        for revision in SpecVersion::ALL {
            let bytes = Bytes::from(bytes.clone());
            _ = AnyApplicationDeployment::read(bytes.clone(), Some(revision), Strictness::Strict, &limits());
            _ = DesiredStateManifest::read(bytes, Some(revision), Strictness::Strict, &limits());
        }
        _ = DesiredStateManifest::parse(&bytes, &limits());
        prop_assert!(read_bundle(&bytes, &BundleLimits::default()).is_err());
    }

    /// Damage behind the checksums, where a stranger's archive would put it.
    #[test]
    fn any_archive_is_read_without_panic(
        content in any::<Vec<u8>>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
    ) {
        let id = "a".parse().unwrap();
        let content = Bytes::from(content);
        let bundle = write_bundle([(&id, &content)]);
        let mut tar = Vec::new();
        std::io::copy(&mut flate2::read::GzDecoder::new(&bundle[..]), &mut tar).unwrap();
        for (index, byte) in damage {
            let at = index.index(tar.len());
            tar[at] = byte;
        }
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tar).unwrap();
        if let Ok(entries) = read_bundle(&gzip.finish().unwrap(), &BundleLimits::default()) {
            prop_assert!(entries.iter().all(|entry| !entry.name.contains(['/', '\\'])));
        }
    }

    /// Any tree at all, in the place of any part of a document.
    #[test]
    fn any_tree_is_read_without_panic(tree in strategies::json_value(), place in prop::sample::select(PLACES)) {
        let mut document = serde_json::json!({
            "apiVersion": "v1", "kind": "ApplicationDeployment", "id": "a",
            "metadata": { "annotations": { "id": "a" }, "name": "n", "deviceId": "d" },
            "spec": { "applicationId": "b", "deploymentProfile": {
                "type": "helm", "components": [{ "name": "a", "properties": {} }],
                "deviceConstraints": { "eligibilityRules": [{ "propertySelector": { "matchExpressions": [{}] } }] },
            }, "parameters": { "p": { "targets": [{}] } } },
        });
        *document.pointer_mut(place).unwrap() = tree;
        let detection = AnyApplicationDeployment::detect(&document);
        prop_assert!(detection.revisions().all(|revision| SpecVersion::ALL.contains(&revision)));
        let text = Bytes::from(document.to_string());
        for revision in SpecVersion::ALL {
            _ = AnyApplicationDeployment::deviations(&document, revision);
            _ = AnyApplicationDeployment::read(text.clone(), Some(revision), Strictness::Lenient, &limits());
        }
    }

    /// A document with one place changed to something else is read or refused, never a panic.
    #[test]
    fn a_damaged_deployment_is_read_without_panic(
        deployment in strategies::any_deployment(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut yaml = deployment.to_yaml().unwrap().into_bytes();
        let at = at.index(yaml.len());
        yaml[at] = byte;
        _ = AnyApplicationDeployment::parse(&yaml, &limits());
        _ = AnyApplicationDeployment::read(yaml.into(), Some(deployment.revision()), Strictness::Lenient, &limits());
    }
}
