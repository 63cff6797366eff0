//! What it costs to read and write device capabilities of every revision, and those of a device with ten megabytes of
//! labels.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

#[macro_use]
#[path = "../../margo-syntax/benches/peer/documents.rs"]
mod documents;

use documents::{Sample, limits};
use margo_capability::AnyDeviceCapabilities;
use margo_core::SpecVersion;
use margo_syntax::Format;
use serde_json::Value;

fn main() {
    documents::main();
}

document!(
    device_capabilities,
    AnyDeviceCapabilities,
    samples,
    |bytes| AnyDeviceCapabilities::decode(bytes, &limits()).unwrap(),
    AnyDeviceCapabilities::to_json
);

document!(
    device_capabilities_in_yaml,
    Value,
    in_yaml,
    |bytes| {
        let capabilities = AnyDeviceCapabilities::from_value;
        margo_syntax::decode_with(&bytes, Format::Yaml, &limits(), capabilities).unwrap()
    },
    |document| margo_syntax::to_yaml(document).unwrap()
);

/// The same capabilities in every revision; larger ones in the newest.
fn samples() -> Vec<Sample<AnyDeviceCapabilities>> {
    let oldest = read(include_str!("documents/capability.pre-draft.json"));
    let sample = |name: String, capabilities: AnyDeviceCapabilities| {
        let json = String::from_utf8(capabilities.to_json()).unwrap();
        Sample::new(name, Format::Json, json, capabilities)
    };
    let in_revision = |revision: SpecVersion| {
        let capabilities = oldest.convert(revision).unwrap().value;
        sample(revision.to_string(), capabilities)
    };
    let larger = [("labeled", newest()), ("large", large())];
    let larger = larger.map(|(what, capabilities)| sample(format!("1.0.0-rc.3, {what}"), capabilities));
    SpecVersion::ALL.into_iter().map(in_revision).chain(larger).collect()
}

fn in_yaml() -> Vec<Sample<Value>> {
    let sample = |name, capabilities: AnyDeviceCapabilities| {
        let tree: Value = serde_json::from_slice(&capabilities.to_json()).unwrap();
        Sample::new(name, Format::Yaml, margo_syntax::to_yaml(&tree).unwrap(), tree)
    };
    vec![sample("1.0.0-rc.3, labeled", newest()), sample("1.0.0-rc.3, large", large())]
}

fn newest() -> AnyDeviceCapabilities {
    read(include_str!("documents/capability.rc3.json"))
}

fn read(text: &str) -> AnyDeviceCapabilities {
    AnyDeviceCapabilities::decode(text.to_owned().into(), &limits()).unwrap().into_value()
}

/// Ten megabytes.
fn large() -> AnyDeviceCapabilities {
    let AnyDeviceCapabilities::Rc3(mut capabilities) = newest() else { panic!("not the newest") };
    for number in 0..100_000 {
        let text = format!("{number:07} {}", "x".repeat(60));
        capabilities.labels.insert(format!("acme.example/label-{number:06}"), text.as_str().into());
    }
    capabilities.into()
}
