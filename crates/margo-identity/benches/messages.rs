//! What it costs to read and write a discovery document and a SPIFFE bundle.

#![expect(clippy::unwrap_used, reason = "a message that cannot be read has no speed")]

#[macro_use]
#[path = "../../margo-syntax/benches/peer/documents.rs"]
mod documents;

use documents::Sample;
use margo_identity::{DiscoveryDocument, SpiffeBundle};
use margo_syntax::Format;

fn main() {
    documents::main();
}

document!(
    discovery_document,
    DiscoveryDocument,
    discovery,
    |bytes| DiscoveryDocument::parse(&bytes).unwrap(),
    DiscoveryDocument::to_json
);

document!(spiffe_bundle, SpiffeBundle, bundles, |bytes| SpiffeBundle::parse(&bytes).unwrap(), |bundle| {
    serde_json::to_vec(bundle).unwrap()
});

fn discovery() -> Vec<Sample<DiscoveryDocument>> {
    let text = include_str!(
        "../../../fixtures/messages/accepted/1.0.0-rc.3/DiscoveryDocument/another-port-and-newer-members.json"
    );
    let document = DiscoveryDocument::parse(text.as_bytes()).unwrap();
    vec![Sample::new("1.0.0-rc.3", Format::Json, document.to_json(), document)]
}

fn bundles() -> Vec<Sample<SpiffeBundle>> {
    let text = include_str!(
        "../../../fixtures/messages/accepted/1.0.0-rc.3/SpiffeBundle/two-authorities-while-one-is-replaced.json"
    );
    let bundle = SpiffeBundle::parse(text.as_bytes()).unwrap();
    vec![Sample::new("1.0.0-rc.3", Format::Json, serde_json::to_vec(&bundle).unwrap(), bundle)]
}
