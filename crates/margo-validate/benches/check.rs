//! Checking documents, next to only parsing them: `cargo bench -p margo-validate --bench check`.
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has failed")]

use std::path::Path;

use divan::counter::BytesCount;
use divan::{Bencher, Divan};
use margo_syntax::{Format, Limits};
use margo_validate::{Checker, Report, Source};

fn main() {
    Divan::from_args().sample_count(100).main();
}

/// Every valid document of a notation.
fn sources(extension: &str) -> Vec<Source> {
    let mut files = Vec::new();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/valid");
    collect(&folder, &mut files);
    files.retain(|file| file.extension().is_some_and(|found| found == extension));
    files.sort();
    let source = |(index, file): (usize, &std::path::PathBuf)| {
        let bytes = std::fs::read(file).unwrap();
        Source::new(file.to_string_lossy(), bytes).with_group(index.to_string())
    };
    files.iter().enumerate().map(source).collect()
}

fn collect(folder: &Path, files: &mut Vec<std::path::PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { collect(&path, files) } else { files.push(path) }
    }
}

#[divan::bench(args = ["yaml", "json"])]
fn parse(bencher: Bencher<'_, '_>, extension: &str) {
    let sources = sources(extension);
    let bytes = sources.iter().map(|source| source.bytes().len()).sum::<usize>();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| {
        let limits = Limits::default();
        let parse = |source: &Source| match source.format() {
            Format::Json => margo_syntax::parse(source.bytes(), Format::Json, &limits).is_ok(),
            _ => margo_syntax::parse_all(source.bytes(), &limits).is_ok(),
        };
        sources.iter().filter(|source| parse(source)).count()
    });
}

#[divan::bench(args = ["yaml", "json"])]
fn check(bencher: Bencher<'_, '_>, extension: &str) {
    let sources = sources(extension);
    let bytes = sources.iter().map(|source| source.bytes().len()).sum::<usize>();
    let checker = Checker::default();
    bencher.counter(BytesCount::new(bytes)).bench_local(|| -> Report { checker.check(&sources) });
}
