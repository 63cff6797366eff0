//! What it costs to read a deployment and a state manifest, next to the bare parser and to the tree with its places.
//!
//! `decode` is the whole way: text, tree, typed value, its checks, and the digest of the bytes. `tree` ends at an
//! untyped value, from which every error would still find its line and column. `bare` is the parser underneath: for
//! YAML its events, dropped; for JSON a `serde_json::Value`.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

use std::fmt;
use std::hint::black_box;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, Divan};
use margo_core::{Digest, Document, ManifestVersion, SpecVersion};
use margo_deployment::{AnyApplicationDeployment, BundleRef, DeploymentRef, DesiredStateManifest};
use margo_syntax::{Format, Limits};
use serde_json::Value;

fn main() {
    Divan::default().sample_count(1_000).config_with_args().main();
}

mod application_deployment {
    use super::{
        AnyApplicationDeployment, Bencher, Bytes, Document, Format, Limits, SpecVersion, Text, black_box,
    };

    const RC3: &str = include_str!("documents/deployment.rc3.yaml");
    const PRE_DRAFT: &str = include_str!("documents/deployment.pre-draft.yaml");

    fn texts() -> [Text; 2] {
        [(SpecVersion::V1_0_0Rc3, RC3), (SpecVersion::PreDraft, PRE_DRAFT)].map(|(revision, text)| {
            let text = Text { name: revision.to_string(), bytes: text.into() };
            assert_eq!(read(&text.bytes).revision(), revision);
            text
        })
    }

    #[divan::bench(args = texts())]
    fn decode(bencher: Bencher<'_, '_>, text: &Text) {
        text.bench(bencher, read);
    }

    fn read(bytes: &Bytes) -> Document<AnyApplicationDeployment> {
        AnyApplicationDeployment::decode(bytes.clone(), &Limits::default()).unwrap()
    }

    #[divan::bench(args = texts())]
    fn tree(bencher: Bencher<'_, '_>, text: &Text) {
        text.bench(bencher, |bytes| {
            margo_syntax::parse(bytes, Format::Yaml, &Limits::default()).unwrap().to_value()
        });
    }

    #[divan::bench(args = texts())]
    fn bare(bencher: Bencher<'_, '_>, text: &Text) {
        text.bench(bencher, |bytes| {
            let text = std::str::from_utf8(bytes).unwrap();
            for event in granit_parser::Parser::new_from_str(text) {
                black_box(event.unwrap());
            }
        });
    }
}

mod state_manifest {
    use super::{
        Bencher, BundleRef, DeploymentRef, DesiredStateManifest, Digest, Format, Limits, ManifestVersion,
        Text, Value,
    };

    /// Manifests that list this many deployments.
    fn texts() -> [Text; 3] {
        [1, 10, 100].map(|count| {
            let deployments = (0..count).map(|number| {
                let id = format!("a3e2f5dc-912e-494f-8395-{number:012}");
                let mut reference = DeploymentRef::new(id.parse().unwrap(), Digest::of(id.as_bytes()));
                reference.size_bytes = Some(1800);
                reference
            });
            let bundle = BundleRef::new(Digest::of(b"bundle"), 600 * count);
            let manifest =
                DesiredStateManifest::new(ManifestVersion::FIRST, Some(bundle), deployments.collect());
            Text { name: format!("{count} deployments"), bytes: manifest.to_json().unwrap() }
        })
    }

    #[divan::bench(args = texts())]
    fn decode(bencher: Bencher<'_, '_>, text: &Text) {
        text.bench(bencher, |bytes| DesiredStateManifest::decode(bytes.clone(), &Limits::default()).unwrap());
    }

    #[divan::bench(args = texts())]
    fn tree(bencher: Bencher<'_, '_>, text: &Text) {
        text.bench(bencher, |bytes| {
            margo_syntax::parse(bytes, Format::Json, &Limits::default()).unwrap().to_value()
        });
    }

    #[divan::bench(args = texts())]
    fn bare(bencher: Bencher<'_, '_>, text: &Text) {
        text.bench(bencher, |bytes| serde_json::from_slice::<Value>(bytes).unwrap());
    }
}

struct Text {
    name: String,
    bytes: Bytes,
}

impl Text {
    fn bench<T>(&self, bencher: Bencher<'_, '_>, read: impl Fn(&Bytes) -> T + Sync) {
        bencher.counter(BytesCount::new(self.bytes.len())).bench(|| read(black_box(&self.bytes)));
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", self.name, self.bytes.len())
    }
}
