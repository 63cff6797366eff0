//! No input makes `margo check` take more than 512 MiB: the system refuses it more, and it ends as it should.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::Path;
use std::process::{Command, Output};

/// Of addresses, which is more than the memory behind them.
const MOST: u64 = 512 << 10;

fn check(folder: &Path, kibibytes: u64) -> Output {
    let limited = format!("ulimit -v {kibibytes} && exec \"$0\" check . --format concise");
    let mut command = Command::new("sh");
    command.args(["-c", &limited, env!("CARGO_BIN_EXE_margo")]).current_dir(folder);
    command.env_clear().output().unwrap()
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn told(output: &Output) -> (String, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&output.stdout), text(&output.stderr))
}

/// The members that a device must have.
const DEVICE: &str = "properties: { id: a, vendor: b, modelNumber: c, serialNumber: d }\n";

/// The billion laughs.
fn bomb() -> String {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..10 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{uses}]").unwrap();
    }
    bomb
}

#[test]
fn hostile_files_take_no_more_than_they_may() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    for name in ["hundred.yaml", "hundred.json"] {
        File::create(folder.join(name)).unwrap().set_len(100 << 20).unwrap();
    }
    write(folder, "many.yaml", &"---\nproperties: {id: a}\n".repeat(300_000));
    write(folder, "bomb.yaml", &bomb());
    write(folder, "deep.yaml", &"- ".repeat(10_000));
    write(folder, "deep.json", &"[".repeat(10_000));
    // As many mappings as are read, and more.
    for (name, count) in [("mappings.yaml", 165_000), ("more-mappings.yaml", 400_000)] {
        let mappings = vec!["{a: 1}"; count].join(",");
        write(folder, name, &format!("{DEVICE}x-a-extensions: {{l: [{mappings}]}}\n"));
    }
    write(folder, "findings.yaml", &format!("{DEVICE}l: [{}]\n", vec!["yes"; 200_000].join(",")));

    let output = check(folder, MOST);
    let (out, err) = told(&output);
    assert_eq!(output.status.code(), Some(2), "{err}");
    let file = |name: &str| out.lines().filter(|line| line.starts_with(name)).collect::<String>();
    assert!(file("many.yaml").contains("missing-"), "{out}{err}");
    assert!(file("bomb.yaml").contains("alias-bomb"), "{out}{err}");
    assert!(file("deep.yaml").contains("beyond-limits"), "{out}{err}");
    assert!(file("deep.json").contains("beyond-limits"), "{out}{err}");
    assert!(file("more-mappings.yaml").contains("beyond-limits"), "{out}{err}");
    assert!(file("findings.yaml").contains("ambiguous-scalar"), "{out}{err}");
    assert_eq!(file("mappings.yaml"), "", "{err}");
    assert!(err.contains("hundred.yaml") && err.contains("hundred.json"), "{err}");

    // The system does refuse more.
    let refused = check(folder, MOST / 8);
    assert!(!matches!(refused.status.code(), Some(0..=2)), "{}", told(&refused).1);
}

#[test]
fn files_that_are_compared_take_no_more_either() {
    let root = tempfile::tempdir().unwrap();
    let folder = root.path();
    // A file has more findings than are told of it, and all of them together more than there is room for.
    let findings = vec!["y"; 10_000].join(",");
    for number in 0..60 {
        write(folder, &format!("findings/{number:02}.yaml"), &format!("{DEVICE}l: [{findings}]\n"));
    }
    // Seven times more than is compared.
    let values = vec!["{a: 1}"; 20_000].join(",");
    for number in 0..40 {
        write(
            folder,
            &format!("values/{number:02}.yaml"),
            &format!("{DEVICE}x-a-extensions: {{l: [{values}]}}\n"),
        );
    }
    for number in 0..10 {
        write(folder, &format!("foreign/{number}.yaml"), &format!("l: [{findings}]\n"));
    }
    let output = check(folder, MOST);
    let (out, err) = told(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert!(!err.contains("`foreign/"), "what is no document of Margo's is passed over: {err}");
    assert!(err.contains("note: 9800 more findings in `findings/00.yaml` are not shown"), "{err}");
    assert!(err.contains("note: 10000 more findings in `findings/59.yaml` are not shown"), "{err}");
    let last: Vec<_> = out.lines().filter(|line| line.starts_with("findings/59.yaml")).collect();
    assert!(matches!(last.as_slice(), [only] if only.contains(": error[")), "{last:?}");
    assert!(err.contains("note: `values/06.yaml` and the files behind it are not compared"), "{err}");
}

#[test]
fn what_a_format_that_is_one_whole_does_not_hold_still_counts() {
    let root = tempfile::tempdir().unwrap();
    let findings = vec!["y"; 201].join(",");
    for number in 0..130 {
        write(root.path(), &format!("{number:03}.yaml"), &format!("l: [{findings}]\n"));
    }
    write(root.path(), "last.yaml", "l: [\n");
    let mut command = Command::new(env!("CARGO_BIN_EXE_margo"));
    command.args(["check", ".", "--format", "json", "--unrecognized", "error"]).current_dir(root.path());
    let output = command.env_clear().output().unwrap();
    let (out, err) = told(&output);
    assert_eq!(output.status.code(), Some(1), "{err}");
    let out: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(out["findings"].as_array().unwrap().len(), 25_000);
    assert!(err.contains("note: 1 more findings in `last.yaml` are not shown"), "{err}");
}
