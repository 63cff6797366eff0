//! Nothing secret is ever written down by a process that runs: not even when it says everything it can.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::plant::fixtures;
use crate::program::DEMO;

/// Everything the demonstration's processes say with `RUST_LOG=trace`, while three devices prove themselves in three
/// ways: no token, no secret and no key is in it.
#[test]
fn secrets_are_never_logged() {
    let folder = tempfile::tempdir().unwrap();
    let kept = folder.path().join("kept");
    let output = Command::new(DEMO)
        .args(["--json", "--fixtures"])
        .arg(fixtures())
        .arg("--keep")
        .arg(&kept)
        .env("RUST_LOG", "trace")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Vec<Value> =
        output.stdout.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice(line).ok()).collect();
    assert_eq!(said.last().unwrap()["event"], "finished");

    let mut secrets = BTreeSet::new();
    collect(&kept, &mut secrets);
    assert!(secrets.len() >= 6, "a token, a secret, and the keys of everybody: {}", secrets.len());
    let mut logs = vec![("standard output".to_owned(), String::from_utf8(output.stdout).unwrap())];
    for entry in std::fs::read_dir(&kept).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "log") {
            logs.push((path.display().to_string(), std::fs::read_to_string(&path).unwrap()));
        }
    }
    assert_eq!(logs.len(), 5);
    for (name, text) in &logs {
        assert!(
            name == "standard output" || text.contains("TRACE") || text.contains("DEBUG"),
            "{name} says everything it can"
        );
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "a secret is in {name}");
        }
        // Tokens that were issued on the way are written down nowhere, but all of them look alike.
        for (at, _) in text.match_indices("margo_") {
            let rest = text[at + "margo_".len()..].bytes();
            let digits = rest.take_while(u8::is_ascii_hexdigit).count();
            assert!(digits < 64, "a token is in {name}: {}", &text[at.saturating_sub(200)..at]);
        }
        assert!(!text.contains("PRIVATE KEY"), "a key is in {name}");
    }
}

/// What a file called a key, a token or a secret holds; of a key, each line.
fn collect(folder: &Path, secrets: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, secrets);
            continue;
        }
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.ends_with("key.pem") {
            let text = std::fs::read_to_string(&path).unwrap();
            let (_, key) = text.split_once("PRIVATE KEY-----").unwrap();
            secrets.extend(
                key.lines().filter(|line| line.len() > 20 && !line.contains("---")).map(str::to_owned),
            );
        } else if matches!(name, "operator-token" | "secret" | "token" | "git-token") {
            secrets.insert(std::fs::read_to_string(&path).unwrap().trim().to_owned());
        }
    }
}
