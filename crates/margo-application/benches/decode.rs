//! What it costs to read an application description, next to the bare parser and to the tree with its places.
//!
//! `decode` is the whole way: text, tree, typed value, its checks, and the digest of the bytes. `tree` ends at an
//! untyped value, from which every error would still find its line and column. `bare` is the parser's events, dropped.

#![expect(clippy::unwrap_used, reason = "a document that cannot be read has no speed")]

use std::fmt;
use std::hint::black_box;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, Divan};
use margo_application::AnyApplicationDescription;
use margo_core::SpecVersion;
use margo_syntax::{Format, Limits};

fn main() {
    Divan::default().sample_count(1_000).config_with_args().main();
}

#[divan::bench(args = texts())]
fn decode(bencher: Bencher<'_, '_>, text: &Text) {
    let decode =
        |bytes: &Bytes| AnyApplicationDescription::decode(bytes.clone(), &Limits::default()).unwrap();
    assert_eq!(decode(&text.bytes).revision(), text.revision);
    text.bench(bencher, decode);
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

fn texts() -> [Text; 2] {
    [
        Text {
            revision: SpecVersion::V1_0_0Rc3,
            bytes: include_str!("../../../fixtures/packages/pump-monitor-1.1.0/margo.yaml").into(),
        },
        Text {
            revision: SpecVersion::PreDraft,
            bytes: include_str!("../../../fixtures/packages/line-dashboard-2.3.0/margo.yaml").into(),
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
