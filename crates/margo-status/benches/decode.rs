//! What it costs to read a deployment status, next to `serde_json` and to the tree with its places.
//!
//! `decode` is the whole way: text, tree, typed value, and the digest of the bytes. `tree` ends at an untyped value,
//! from which every error would still find its line and column. `bare` is a `serde_json::Value`.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

use std::fmt;
use std::hint::black_box;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, Divan};
use margo_core::SpecVersion;
use margo_status::AnyDeploymentStatus;
use margo_syntax::{Format, Limits};
use serde_json::Value;

fn main() {
    Divan::default().sample_count(1_000).config_with_args().main();
}

#[divan::bench(args = texts())]
fn decode(bencher: Bencher<'_, '_>, text: &Text) {
    let decode = |bytes: &Bytes| AnyDeploymentStatus::decode(bytes.clone(), &Limits::default()).unwrap();
    assert_eq!(decode(&text.bytes).revision(), text.revision);
    text.bench(bencher, decode);
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

fn texts() -> [Text; 2] {
    [
        Text { revision: SpecVersion::V1_0_0Rc3, bytes: include_str!("documents/status.rc3.json").into() },
        Text {
            revision: SpecVersion::PreDraft,
            bytes: include_str!("documents/status.pre-draft.json").into(),
        },
    ]
}

struct Text {
    revision: SpecVersion,
    bytes: Bytes,
}

impl Text {
    fn bench<T>(&self, bencher: Bencher<'_, '_>, read: impl Fn(&Bytes) -> T + Sync) {
        bencher.counter(BytesCount::new(self.bytes.len())).bench(|| read(black_box(&self.bytes)));
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", self.revision, self.bytes.len())
    }
}
