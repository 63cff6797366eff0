//! What it costs to read the device capabilities, next to `serde_json` and to the tree with its places.
//!
//! `decode` is the whole way: text, tree, typed value, and the digest of the bytes. `tree` ends at an untyped value,
//! from which every error would still find its line and column. `bare` is a `serde_json::Value`.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

use std::fmt;
use std::hint::black_box;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, Divan};
use margo_capability::AnyDeviceCapabilities;
use margo_syntax::{Format, Limits};
use serde_json::Value;

fn main() {
    Divan::default().sample_count(1_000).config_with_args().main();
}

#[divan::bench(args = texts())]
fn decode(bencher: Bencher<'_, '_>, text: &Text) {
    text.bench(bencher, |bytes| AnyDeviceCapabilities::decode(bytes.clone(), &Limits::default()).unwrap());
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
        Text { name: "1.0.0-rc.3", bytes: include_str!("documents/capability.rc3.json").into() },
        Text { name: "pre-draft", bytes: include_str!("documents/capability.pre-draft.json").into() },
    ]
}

struct Text {
    name: &'static str,
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
