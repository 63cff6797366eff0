//! Where our documents lie, and how they are told.

use std::path::{Path, PathBuf};

use margo_validate::{Report, Source};

pub(crate) fn fixtures() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"))
}

/// What lies in a folder, by name.
pub(crate) fn entries(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut entries: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    entries
}

pub(crate) fn name(path: &Path) -> String {
    path.file_name().unwrap().to_string_lossy().into_owned()
}

/// Whether a file is one that is checked, and not what is printed about it.
pub(crate) fn is_document(path: &Path) -> bool {
    let name = name(path);
    path.is_file() && [".yaml", ".yml", ".json", ".tar.gz"].iter().any(|end| name.ends_with(end))
}

/// A file, or all documents of a folder that belong together.
pub(crate) fn sources(path: &Path) -> Vec<Source> {
    let files = if path.is_dir() { entries(path) } else { vec![path.to_owned()] };
    let files = files.into_iter().filter(|file| is_document(file));
    files.map(|file| Source::new(file.to_string_lossy(), std::fs::read(&file).unwrap())).collect()
}

/// Every document below a folder, and every folder of documents directly in one named for a rule.
pub(crate) fn documents(folder: &Path) -> Vec<PathBuf> {
    let mut documents = Vec::new();
    for entry in entries(folder) {
        if entry.is_dir() {
            documents.extend(self::documents(&entry));
        } else if is_document(&entry) {
            documents.push(entry);
        }
    }
    documents
}

/// A report in one line for each finding.
pub(crate) fn told(report: &Report) -> String {
    let lines = report.diagnostics().iter().map(|found| {
        let at = &found.primary.pointer;
        format!("{}[{}] {at}: {}\n", found.severity, found.rule.name, found.message)
    });
    lines.collect()
}
