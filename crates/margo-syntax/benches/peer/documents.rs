//! Reading and writing a document of every revision, next to the bare parser that reads the same bytes.
//!
//! Each model crate's bench includes this file, so that all of them measure alike:
//!
//! - `bare` is the parser alone into an untyped value: for JSON a `serde_json::Value`, for YAML the events of
//!   granit-parser, dropped;
//! - `untyped` ends at our untyped value, from which every error would still find its line and column;
//! - `read` is the whole way: text, typed value, its checks, and the digest of the bytes;
//! - `write` is the typed value as text again, the same bytes.

use std::fmt;
use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, Divan};
use margo_syntax::{Format, Limits};
use serde_json::Value;

pub(crate) fn main() {
    Divan::default().sample_count(1_000).max_time(Duration::from_secs(3)).config_with_args().main();
}

/// A document, as value and as text.
pub(crate) struct Sample<T> {
    name: String,
    format: Format,
    bytes: Bytes,
    document: T,
}

impl<T: Sync> Sample<T> {
    pub(crate) fn new(name: impl fmt::Display, format: Format, text: impl Into<Bytes>, document: T) -> Self {
        Self { name: name.to_string(), format, bytes: text.into(), document }
    }

    pub(crate) fn bare(&self, bencher: Bencher<'_, '_>) {
        let bytes = &self.bytes;
        let bencher = bencher.counter(BytesCount::new(bytes.len()));
        match self.format {
            Format::Json => bencher.bench(|| serde_json::from_slice::<Value>(black_box(bytes)).unwrap()),
            _ => bencher.bench(|| {
                let text = std::str::from_utf8(black_box(bytes)).unwrap();
                for event in granit_parser::Parser::new_from_str(text) {
                    black_box(event.unwrap());
                }
            }),
        }
    }

    pub(crate) fn untyped(&self, bencher: Bencher<'_, '_>) {
        bencher
            .counter(BytesCount::new(self.bytes.len()))
            .bench(|| margo_syntax::decode_with(black_box(&self.bytes), self.format, &limits(), Ok).unwrap());
    }

    pub(crate) fn read<R>(&self, bencher: Bencher<'_, '_>, read: impl Fn(Bytes) -> R + Sync) {
        bencher.counter(BytesCount::new(self.bytes.len())).bench(|| read(black_box(&self.bytes).clone()));
    }

    pub(crate) fn write<R: AsRef<[u8]>>(&self, bencher: Bencher<'_, '_>, write: impl Fn(&T) -> R + Sync) {
        assert_eq!(write(&self.document).as_ref(), self.bytes, "{} is written differently", self.name);
        bencher.counter(BytesCount::new(self.bytes.len())).bench(|| write(black_box(&self.document)));
    }
}

impl<T> fmt::Display for Sample<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} bytes", self.name, self.bytes.len())
    }
}

pub(crate) fn limits() -> Limits {
    Limits::default()
}

/// The four benches of one document: its `samples()`, how their bytes are read, and how a document is written.
macro_rules! document {
    ($name:ident, $document:ty, $samples:path, $read:expr, $write:expr) => {
        mod $name {
            use super::*;

            type Sample = crate::documents::Sample<$document>;

            #[divan::bench(args = $samples())]
            fn bare(bencher: divan::Bencher<'_, '_>, sample: &Sample) {
                sample.bare(bencher);
            }

            #[divan::bench(args = $samples())]
            fn untyped(bencher: divan::Bencher<'_, '_>, sample: &Sample) {
                sample.untyped(bencher);
            }

            #[divan::bench(args = $samples())]
            fn read(bencher: divan::Bencher<'_, '_>, sample: &Sample) {
                sample.read(bencher, $read);
            }

            #[divan::bench(args = $samples())]
            fn write(bencher: divan::Bencher<'_, '_>, sample: &Sample) {
                sample.write(bencher, $write);
            }
        }
    };
}
