//! What `margo check` prints of each document in `fixtures/invalid`, beside it: read in review, and written by
//! `cargo xtask bless`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures/invalid");

/// The documents of a rule: each file, and each folder of files that belong together.
fn cases() -> Vec<PathBuf> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        let mut entries: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        entries.sort();
        entries
    };
    let rules = entries(Path::new(ROOT)).into_iter().filter(|path| path.is_dir());
    let cases = rules.flat_map(|rule| entries(&rule));
    cases
        .filter(|case| case.is_dir() || case.extension().is_some_and(|extension| extension != "txt"))
        .collect()
}

/// What is printed of one of them, as if it were expected to be valid.
fn printed(case: &Path) -> String {
    let name = case.strip_prefix(ROOT).unwrap();
    let label = name.file_name().unwrap().to_string_lossy().into_owned();
    let mut command = Command::new(env!("CARGO_BIN_EXE_margo"));
    command.current_dir(ROOT).args(["check", "--expect", "valid", "--format", "full"]).arg(name);
    // Of what does not tell it by its shape, the name does.
    let kind = label.split('-').next().unwrap_or_default();
    let revision = ["pre-draft", "1.0.0-rc.1", "1.0.0-rc.2", "1.0.0-rc.3"].into_iter().find(|revision| {
        label.strip_prefix(kind).is_some_and(|rest| rest.starts_with(&format!("-{revision}-")))
    });
    if let Some(revision) = revision {
        command.args(["--kind", kind, "--revision", revision]);
    }
    let output = command.env_clear().stdin(Stdio::null()).output().unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn golden_what_is_printed_is_what_was_read_in_review() {
    let is_blessing = std::env::var_os("MARGO_BLESS").is_some();
    let cases = cases();
    assert!(cases.len() > 100, "{}", cases.len());
    let mut wrong = Vec::new();
    for case in &cases {
        let golden = case.with_extension("txt");
        let printed = printed(case);
        assert!(!printed.is_empty(), "nothing is wrong with {}", case.display());
        if is_blessing {
            fs::write(&golden, printed).unwrap();
        } else if fs::read_to_string(&golden).ok().as_deref() != Some(&printed) {
            wrong.push(format!("{}\n{printed}", golden.display()));
        }
    }
    let few: Vec<_> = wrong.iter().take(3).map(String::as_str).collect();
    assert!(
        wrong.is_empty(),
        "{} of {} differ; `cargo xtask bless` writes them, and then they are read:\n{}",
        wrong.len(),
        cases.len(),
        few.join("\n")
    );
}

/// Nothing is left over of documents that are gone.
#[test]
fn golden_every_text_has_its_document() {
    for case in fs::read_dir(ROOT).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for text in fs::read_dir(case).unwrap().map(|entry| entry.unwrap().path()) {
            if text.extension().is_some_and(|extension| extension == "txt") {
                let of = ["yaml", "yml", "json", ""].map(|extension| text.with_extension(extension));
                assert!(of.iter().any(|path| path.exists()), "{}", text.display());
            }
        }
    }
}
