use std::io::Write as _;

use bytes::Bytes;
use margo_core::DeviceTarget;
use margo_deployment::{
    AnyApplicationDeployment, ApplicationDeployment, BundleLimits, DesiredStateManifest, pre_draft,
    read_bundle, write_bundle,
};
use margo_syntax::Limits;
use proptest::prelude::*;

use crate::strategies;

fn limits() -> Limits {
    Limits::default()
}

fn target() -> DeviceTarget {
    "plc-7".parse().unwrap()
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

    /// Downgrade after upgrade is identity where nothing was lost.
    #[test]
    fn nothing_changes_on_the_way_up_and_down(deployment in strategies::pre_draft_deployment()) {
        let upgraded = deployment.clone().upgrade(target());
        let downgraded = pre_draft::ApplicationDeployment::downgrade(&upgraded.value).unwrap();
        if upgraded.losses.is_empty() && downgraded.losses.is_empty() {
            prop_assert_eq!(downgraded.value, deployment);
        } else {
            prop_assert_ne!(downgraded.value, deployment);
        }
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

    /// What goes down can be read by a device of the pre-draft.
    #[test]
    fn what_is_written_for_an_older_device_is_its_own(deployment in strategies::deployment()) {
        if let Ok(downgraded) = pre_draft::ApplicationDeployment::downgrade(&deployment) {
            let yaml = downgraded.value.to_yaml().unwrap();
            prop_assert!(pre_draft::ApplicationDeployment::parse(yaml.as_bytes(), &limits()).is_ok());
        }
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

    /// A document with one place changed to something else is read or refused, never a panic.
    #[test]
    fn a_damaged_deployment_is_read_without_panic(
        deployment in strategies::deployment(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut yaml = deployment.to_yaml().unwrap().into_bytes();
        let at = at.index(yaml.len());
        yaml[at] = byte;
        _ = AnyApplicationDeployment::parse(&yaml, &limits());
    }
}
