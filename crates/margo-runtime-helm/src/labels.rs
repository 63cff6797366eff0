//! How a release says which component it is.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use margo_core::{ComponentName, DeploymentId, Digest};

/// Every release of this runtime has it.
pub(crate) const MANAGED: &str = "margo.org/managed";

/// What a release was made from; 40 hex digits.
pub(crate) const CONTENT: &str = "margo.org/content";

/// A component of a deployment; 40 hex digits, because neither name fits a label in general.
const ID: &str = "margo.org/id";

const DEPLOYMENT: &str = "margo.org/deployment";
const COMPONENT: &str = "margo.org/component";

/// The longest value of a label.
const LONGEST: usize = 63;

/// Bytes in one label, two digits each.
const BYTES: usize = 31;

/// The labels of a component, as they are asked for.
pub(crate) fn selector(deployment: &DeploymentId, component: &ComponentName) -> String {
    format!("{ID}={}", id(deployment, component))
}

/// The labels of a component.
pub(crate) fn labels(
    deployment: &DeploymentId,
    component: &ComponentName,
    content: &str,
) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::from([
        (MANAGED.to_owned(), "true".to_owned()),
        (CONTENT.to_owned(), content.to_owned()),
        (ID.to_owned(), id(deployment, component)),
    ]);
    for (name, text) in [(DEPLOYMENT, deployment.as_str()), (COMPONENT, component.as_str())] {
        if is_value(text) {
            labels.insert(name.to_owned(), text.to_owned());
            continue;
        }
        for (index, part) in text.as_bytes().chunks(BYTES).enumerate() {
            let hex = part.iter().fold(String::new(), |mut hex, byte| {
                // Writing to a `String` cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
            labels.insert(format!("{name}-{index}"), hex);
        }
    }
    labels
}

/// Which component labels tell of; `None` for labels that are not ours.
pub(crate) fn component(labels: &BTreeMap<String, String>) -> Option<(DeploymentId, ComponentName)> {
    let deployment = text(labels, DEPLOYMENT)?.parse().ok()?;
    Some((deployment, text(labels, COMPONENT)?.parse().ok()?))
}

fn text(labels: &BTreeMap<String, String>, name: &str) -> Option<String> {
    if let Some(text) = labels.get(name) {
        return Some(text.clone());
    }
    let mut bytes = Vec::new();
    let mut index = 0;
    while let Some(hex) = labels.get(&format!("{name}-{index}")) {
        for pair in hex.as_bytes().chunks(2) {
            bytes.push(u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?);
        }
        index += 1;
    }
    String::from_utf8(bytes).ok()
}

fn id(deployment: &DeploymentId, component: &ComponentName) -> String {
    // No name has a line break.
    let hex = Digest::of(format!("{deployment}\n{component}").as_bytes()).hex();
    hex[..40].to_owned()
}

/// What Kubernetes takes as the value of a label.
fn is_value(text: &str) -> bool {
    let is_end = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let bytes = text.as_bytes();
    bytes.len() <= LONGEST
        && is_end(bytes.first())
        && is_end(bytes.last())
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_found_by_its_labels_whatever_its_name() {
        for (deployment, component) in [
            ("pump-1", "collector"),
            ("6ba7b810-9dad-11d1-80b4-00c04fd430c8", "a.b_c"),
            (&"d".repeat(255), &"c".repeat(255)),
            ("ünder the sea", "-"),
        ] {
            let (Ok(deployment), Ok(component)) =
                (deployment.parse::<DeploymentId>(), component.parse::<ComponentName>())
            else {
                continue;
            };
            let labels = labels(&deployment, &component, "c");
            assert!(labels.values().all(|value| is_value(value)), "{labels:?}");
            assert_eq!(super::component(&labels), Some((deployment, component)));
        }
        assert_eq!(component(&BTreeMap::new()), None);
        assert_eq!(
            component(&BTreeMap::from([("margo.org/deployment-0".to_owned(), "zz".to_owned())])),
            None
        );
    }
}
