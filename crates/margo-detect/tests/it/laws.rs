use margo_detect::{detect, detect_value};
use margo_syntax::Limits;
use proptest::prelude::*;
use serde_json::Value;

/// Trees made of the words that shapes are told by.
fn tree() -> impl Strategy<Value = Value> {
    let words = [
        "id",
        "kind",
        "apiVersion",
        "metadata",
        "annotations",
        "applicationId",
        "deviceId",
        "spec",
        "deploymentProfile",
        "deploymentProfiles",
        "manifestVersion",
        "bundle",
        "deployments",
        "properties",
        "resources",
        "roles",
        "cpus",
        "deploymentId",
        "status",
        "components",
        "adoptedManifestVersion",
        "certificate",
        "clientId",
        "type",
        "title",
        "error",
        "keys",
        "trustDomain",
        "trustBundleUri",
        "DeploymentStatus",
        "helm.v3",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<i64>().prop_map(Value::from),
        prop::sample::select(words.to_vec()).prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map(prop::sample::select(words.to_vec()), inner, 0..7).prop_map(
                |members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            ),
        ]
    })
}

proptest! {
    #[test]
    fn any_bytes_are_looked_at_without_panic(mut bytes in any::<Vec<u8>>(), is_archive: bool) {
        if is_archive {
            bytes.splice(0..0, [0x1f, 0x8b, 0x08]);
        }
        let _ = detect(&bytes, &Limits::default()).map(|identity| identity.to_string());
    }

    /// Every answer has its reasons, says nothing twice, and is the same for the text as for the tree.
    #[test]
    fn every_answer_has_reasons(tree in tree()) {
        let identity = detect_value(&tree);
        for (i, candidate) in identity.candidates.iter().enumerate() {
            prop_assert!(!candidate.reasons.is_empty(), "{candidate}");
            let again = identity.candidates[..i].iter();
            prop_assert!(!again.clone().any(|one| (one.kind, one.revision) == (candidate.kind, candidate.revision)));
            prop_assert!(identity.allows(candidate.kind, candidate.revision));
        }
        prop_assert_eq!(identity.is_none(), identity.likeliest().is_none());
        prop_assert!(identity.revision().is_none() || !identity.is_ambiguous());
        prop_assert_eq!(detect(tree.to_string().as_bytes(), &Limits::default()), Ok(identity));
    }
}
