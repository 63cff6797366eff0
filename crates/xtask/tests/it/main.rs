//! What is in the repository, seen from outside.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on has failed, and one that is skipped says so"
)]

mod schemas;
mod verdicts;

use std::fs;
use std::path::{Path, PathBuf};

use margo_syntax::{Format, Limits};
use serde_json::Value;

/// The repository.
fn root() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// JSON or YAML, by the name of the file.
fn read(path: &Path) -> Value {
    let format = path.extension().and_then(|extension| Format::of_extension(&extension.to_string_lossy()));
    let format = format.unwrap_or_else(|| panic!("{}: neither JSON nor YAML", path.display()));
    let bytes = fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let tree = margo_syntax::parse(&bytes, format, &Limits::default());
    tree.unwrap_or_else(|error| panic!("{}: {error}", path.display())).to_value()
}

/// What is in a folder, in order of names.
fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

/// Every committed schema: revision, name of the document, schema.
fn committed() -> Vec<(String, String, Value)> {
    let mut all = Vec::new();
    for folder in entries(&root().join("schemas")).into_iter().filter(|path| path.is_dir()) {
        let revision = folder.file_name().unwrap().to_string_lossy().into_owned();
        for path in entries(&folder) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            let kind = name.strip_suffix(".schema.json").unwrap_or_else(|| panic!("{name} is no schema"));
            all.push((revision.clone(), kind.to_owned(), read(&path)));
        }
    }
    all
}
