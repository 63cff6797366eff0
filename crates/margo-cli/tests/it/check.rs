//! `margo check` as a process: what it finds, how it says it, and with which code it ends.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use tempfile::TempDir;

const CLEAN: Option<i32> = Some(0);
const FINDINGS: Option<i32> = Some(1);
const COULD_NOT_LOOK: Option<i32> = Some(2);

/// A deployment with nothing wrong.
const VALID: &str = "\
id: a3e2f5dc-912e-494f-8395-52cf3769bc06
metadata: { name: pump-monitor, namespace: plant, deviceId: plc-7 }
spec:
  applicationId: pump-monitor
  deploymentProfile:
    type: helm # a chart
    components:
      - name: collector
        properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
  parameters:
    interval:
      value: 60
      targets: [{ pointer: interval, components: [collector] }]
";

fn misspelt() -> String {
    VALID.replace("[collector]", "[colector]")
}

fn margo(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_margo"));
    command.current_dir(folder).args(args).env_clear().stdin(Stdio::null());
    command
}

struct Said {
    code: Option<i32>,
    out: String,
    err: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

fn run(folder: &Path, args: &[&str]) -> Said {
    margo(folder, args).output().unwrap().into()
}

fn check(folder: &TempDir, args: &[&str]) -> Said {
    let args: Vec<&str> = ["check"].into_iter().chain(args.iter().copied()).collect();
    run(folder.path(), &args)
}

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        write(folder.path(), name, text);
    }
    folder
}

fn write(folder: &Path, name: &str, bytes: impl AsRef<[u8]>) {
    let path = folder.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn a_finding_has_a_rule_a_place_and_a_remedy() {
    let folder = folder(&[("deployment.yaml", &misspelt())]);
    let said = check(&folder, &["deployment.yaml"]);
    assert_eq!(said.code, FINDINGS, "{}", said.err);
    insta::assert_snapshot!("misspelt_out", said.out);
    insta::assert_snapshot!("misspelt_err", said.err);
}

#[test]
fn nothing_wrong_is_a_clean_exit_and_nothing_on_standard_output() {
    let folder = folder(&[("deployment.yaml", VALID)]);
    let said = check(&folder, &["."]);
    assert_eq!((said.code, said.out.as_str()), (CLEAN, ""), "{}", said.err);
    assert_eq!(said.err, "checked 1 document in 1 file: 0 errors, 0 warnings\n");
}

/// The codes are those that the library documents.
#[test]
fn what_could_not_be_looked_at_decides_the_code_and_the_rest_is_checked() {
    let folder = folder(&[("bad.yaml", &misspelt())]);
    let said = check(&folder, &["absent.yaml", "bad.yaml"]);
    assert_eq!(said.code, COULD_NOT_LOOK);
    assert!(said.err.contains("error: `absent.yaml` does not exist\n"), "{}", said.err);
    assert!(said.out.contains("no component is named `colector`"), "{}", said.out);
    assert_eq!(
        [margo_validate::CLEAN, margo_validate::FINDINGS, margo_validate::COULD_NOT_LOOK]
            .map(i32::from)
            .map(Some),
        [CLEAN, FINDINGS, COULD_NOT_LOOK]
    );
}

#[test]
fn the_standard_input_may_hold_several_documents() {
    let folder = folder(&[]);
    let mut child = margo(folder.path(), &["check", "-", "--format", "concise"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let text = format!("{VALID}---\n{}", misspelt().replace("a3e2f5dc", "b3e2f5dc"));
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let said = Said::from(child.wait_with_output().unwrap());
    assert_eq!(said.code, FINDINGS);
    assert!(said.out.starts_with("<stdin>:27:51: error[unknown-target-component]: "), "{}", said.out);
    assert!(said.err.contains("checked 2 documents in 1 file"), "{}", said.err);
}

#[test]
fn every_format_says_the_same() {
    let folder = folder(&[("a.yaml", VALID), ("b.yaml", &misspelt().replace("a3e2f5dc", "b3e2f5dc"))]);
    let format = |format| {
        let said = check(&folder, &[".", "--format", format]);
        assert_eq!(said.code, FINDINGS, "{format}: {}", said.err);
        said.out
    };
    let json: Value = serde_json::from_str(&format("json")).unwrap();
    assert_eq!(json["findings"][0]["rule"], "unknown-target-component");
    assert_eq!(json["summary"]["errors"], 1);
    assert_eq!(json["files"][0]["documents"][0]["kind"], "ApplicationDeployment");
    let same: Value = serde_json::from_str(&check(&folder, &[".", "--json"]).out).unwrap();
    assert_eq!(same, json);
    let lines = format("jsonl");
    let lines: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 2);
    assert_eq!(
        (&lines[0]["rule"], &lines[1]["files"]),
        (&json["findings"][0]["rule"], &json["summary"]["files"])
    );
    let sarif: Value = serde_json::from_str(&format("sarif")).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["ruleId"], "unknown-target-component");
    let gitlab: Value = serde_json::from_str(&format("gitlab")).unwrap();
    assert_eq!(gitlab[0]["location"]["lines"]["begin"], 13);
    assert!(format("github").starts_with("::error file=b.yaml,line=13,"));
    assert!(format("junit").contains(r#"<testsuites name="margo check" tests="2" failures="1" errors="0">"#));
    assert!(format("concise").starts_with("b.yaml:13:51: error[unknown-target-component]"));
    assert!(format("full").contains(" --> b.yaml:13:51\n"));
}

#[test]
fn github_is_recognized() {
    let folder = folder(&[("a.yaml", &misspelt())]);
    let said: Said =
        margo(folder.path(), &["check", "."]).env("GITHUB_ACTIONS", "true").output().unwrap().into();
    assert!(said.out.starts_with("::error file=a.yaml"), "{}", said.out);
    let said: Said = margo(folder.path(), &["check", ".", "--format", "concise"])
        .env("GITHUB_ACTIONS", "true")
        .output()
        .unwrap()
        .into();
    assert!(said.out.starts_with("a.yaml:"), "{}", said.out);
}

#[test]
fn color_is_for_terminals_or_who_asks() {
    let folder = folder(&[("a.yaml", &misspelt())]);
    assert!(!check(&folder, &["."]).out.contains('\u{1b}'));
    assert!(check(&folder, &[".", "--color", "always"]).out.contains('\u{1b}'));
}

#[test]
fn a_corpus_checks_itself() {
    let bad = misspelt();
    let folder = folder(&[
        ("corpus/valid/a.yaml", VALID),
        ("corpus/invalid/unknown-target-component/b.yaml", &bad),
        ("corpus/invalid/c.yaml", &bad),
    ]);
    let said = check(&folder, &["corpus"]);
    assert_eq!((said.code, said.out.as_str()), (CLEAN, ""), "{}", said.err);
    assert!(said.err.contains("2 as expected"), "{}", said.err);

    write(folder.path(), "corpus/invalid/unknown-target-component/passes.yaml", VALID);
    write(folder.path(), "corpus/invalid/duplicate-component/another.yaml", &bad);
    write(folder.path(), "corpus/valid/fails.yaml", &bad);
    let said = check(&folder, &["corpus", "--format", "concise"]);
    assert_eq!(said.code, FINDINGS);
    insta::assert_snapshot!("corpus_out", said.out);
}

#[test]
fn what_is_expected_can_be_said() {
    let folder = folder(&[("bad.yaml", &misspelt()), ("good.yaml", VALID)]);
    assert_eq!(check(&folder, &["bad.yaml", "--expect", "invalid"]).code, CLEAN);
    let said = check(&folder, &["good.yaml", "--expect", "invalid"]);
    assert_eq!(said.code, FINDINGS);
    assert!(said.out.contains("nothing is wrong with this file"), "{}", said.out);
    write(folder.path(), "invalid/bad.yaml", misspelt());
    assert_eq!(check(&folder, &["invalid"]).code, CLEAN);
    assert_eq!(check(&folder, &["invalid", "--expect", "valid"]).code, FINDINGS);
}

#[test]
fn nothing_is_expected_of_what_is_passed_over() {
    let folder = folder(&[("other.json", "{\"a\":1}\n"), ("bad.yaml", &misspelt())]);
    let said = check(&folder, &[".", "--expect", "invalid", "--format", "junit"]);
    assert_eq!(said.code, CLEAN, "{}{}", said.out, said.err);
    assert!(said.out.contains(r#"tests="1" failures="0""#), "{}", said.out);
}

#[test]
fn a_folder_that_no_rule_is_named_after_is_told() {
    let folder = folder(&[("invalid/unkown-target-component/a.yaml", &misspelt())]);
    let said = check(&folder, &["."]);
    assert_eq!(said.code, FINDINGS, "{}", said.out);
    assert!(said.out.contains("no rule is named `unkown-target-component`"), "{}", said.out);
}

#[test]
fn the_folder_it_runs_in_says_what_is_expected() {
    let folder = folder(&[("invalid/unknown-target-component/a.yaml", &misspelt())]);
    let inside = folder.path().join("invalid/unknown-target-component");
    let said = run(&inside, &["check", "."]);
    assert_eq!(said.code, CLEAN, "{}", said.out);
    assert!(said.err.contains("1 as expected"), "{}", said.err);
}

#[test]
fn a_reader_that_goes_away_changes_no_exit_code() {
    let folder = folder(&[("a.yaml", &misspelt())]);
    for format in ["sarif", "concise"] {
        let mut child = margo(folder.path(), &["check", "a.yaml", "--format", format])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        assert_eq!(child.wait().unwrap().code(), FINDINGS, "{format}");
    }
}

#[test]
fn annotations_are_named_from_the_root_of_the_repository() {
    let folder = folder(&[("sub/a.yaml", &misspelt())]);
    let root = folder.path().canonicalize().unwrap();
    let said: Said = margo(&root.join("sub"), &["check", "a.yaml"])
        .env("GITHUB_ACTIONS", "1")
        .env("GITHUB_WORKSPACE", &root)
        .output()
        .unwrap()
        .into();
    assert!(said.out.starts_with("::error file=sub/a.yaml,"), "{}", said.out);
}

#[test]
fn what_findings_name_is_explained() {
    let folder = folder(&[]);
    for name in ["X-D-07", "not-as-expected"] {
        let said = run(folder.path(), &["explain", name]);
        assert_eq!(said.code, CLEAN, "{}", said.err);
        assert!(said.out.starts_with(&format!("# {name}\n")), "{}", said.out);
    }
}

#[test]
fn a_fix_leaves_comments_alone_and_a_difference_changes_nothing() {
    let text = VALID.replace("type: helm", "type: Helm");
    let folder = folder(&[("sub/deployment.yaml", &text)]);
    let said = check(&folder, &[".", "--diff"]);
    assert_eq!(said.code, FINDINGS, "{}", said.err);
    insta::assert_snapshot!("diff_out", said.out);
    let path = folder.path().join("sub/deployment.yaml");
    assert_eq!(fs::read_to_string(&path).unwrap(), text);

    let said = check(&folder, &[".", "--fix"]);
    assert_eq!((said.code, said.out.as_str()), (CLEAN, ""), "{}", said.err);
    assert!(said.err.ends_with("; 1 finding put right in 1 file\n"), "{}", said.err);
    assert_eq!(fs::read_to_string(&path).unwrap(), VALID);

    let said = check(&folder, &["-", "--fix"]);
    assert_eq!(said.code, COULD_NOT_LOOK);
    assert!(said.err.contains("`--fix` cannot change the standard input"), "{}", said.err);
}

#[test]
fn the_configuration_is_followed_and_its_faults_have_a_place() {
    let files = [("bad.yaml", misspelt()), ("vendor/bad.yaml", misspelt())];
    let folder = folder(&[("bad.yaml", &files[0].1), ("vendor/bad.yaml", &files[1].1)]);
    write(
        folder.path(),
        "margo.toml",
        "ignore = [\"vendor/\"]\n[rules]\nunknown-target-component = \"warn\"\n",
    );
    let said = check(&folder, &[".", "--format", "concise"]);
    assert_eq!(said.code, CLEAN, "{}", said.out);
    assert!(said.out.starts_with("bad.yaml:13:51: warning["), "{}", said.out);
    assert_eq!(said.out.lines().count(), 1);
    assert_eq!(check(&folder, &[".", "--deny-warnings"]).code, FINDINGS);

    // Named itself, it is ignored all the same: that is how a pre-commit hook names files.
    let said = check(&folder, &["vendor/bad.yaml"]);
    assert_eq!(said.code, CLEAN);
    assert!(said.err.contains("1 ignored"), "{}", said.err);

    write(folder.path(), "margo.toml", "[rule]\n");
    let said = check(&folder, &["."]);
    assert_eq!(said.code, COULD_NOT_LOOK);
    assert!(
        said.err.starts_with("error: margo.toml:1:2: unknown field `rule`, expected one of "),
        "{}",
        said.err
    );
}

#[test]
fn what_is_no_margo_document_is_passed_over_unless_it_is_named() {
    let folder = folder(&[("compose.yaml", "services: { web: { tty: yes } }\n"), ("a.yaml", VALID)]);
    let said = check(&folder, &["."]);
    assert_eq!(said.code, CLEAN, "{}", said.out);
    assert!(
        said.err.contains("checked 1 document in 1 file: 0 errors, 0 warnings, 1 no Margo documents"),
        "{}",
        said.err
    );
    assert_eq!(check(&folder, &["compose.yaml"]).code, FINDINGS);
    assert_eq!(check(&folder, &["compose.yaml", "--unrecognized", "skip"]).code, CLEAN);
    assert_eq!(check(&folder, &[".", "--unrecognized", "error"]).code, FINDINGS);
}

#[test]
fn documents_are_compared_with_others() {
    let capabilities = r#"{ "properties": { "id": "plc-7", "vendor": "a", "modelNumber": "b", "serialNumber": "c",
        "supportedDeploymentTypes": ["compose"], "supportedRuntimes": ["oci"], "cpus": [{ "cores": 2 }],
        "memory": "1Gi", "storage": "8Gi", "peripherals": [], "interfaces": [] } }"#;
    let folder = folder(&[("deployment.yaml", VALID), ("device/plc-7.json", capabilities)]);
    let alone = check(&folder, &["deployment.yaml"]);
    assert_eq!(alone.code, CLEAN, "{}", alone.out);
    let said = check(&folder, &["deployment.yaml", "--with", "device/plc-7.json"]);
    assert_eq!(said.code, FINDINGS, "{}{}", said.out, said.err);
    assert!(said.out.contains("error[device-cannot-host]"), "{}", said.out);
}

/// However many warnings stand before it.
#[test]
fn no_number_of_findings_hides_an_error() {
    let days: Vec<String> = (0..300).map(|day| format!("  x-day-{day}: 2024-10-01\n")).collect();
    let days = days.concat();
    let text = VALID
        .replace("  parameters:\n", &format!("{days}  parameters:\n"))
        .replace("[collector]", "[colector]");
    let folder = folder(&[("a.yaml", &text)]);
    let said = check(&folder, &["."]);
    assert_eq!(said.code, FINDINGS, "{}", said.out);
    assert!(said.out.contains("more findings in `a.yaml` are not shown"), "{}", said.err);
}

/// The same files give the same text, however many threads look at them.
#[test]
fn the_order_is_that_of_the_files() {
    let folder = folder(&[]);
    for index in 0..200 {
        write(folder.path(), &format!("{index:03}/a.yaml"), misspelt());
    }
    let first = check(&folder, &[".", "--format", "concise"]).out;
    let names: Vec<&str> = first.lines().filter_map(|line| line.split('/').next()).collect();
    assert_eq!(names.len(), 200);
    assert!(names.is_sorted());
    assert_eq!(check(&folder, &[".", "--format", "concise"]).out, first);
}

/// Each is a finding or an error with the name of the file, and the rest is checked.
#[test]
#[expect(clippy::print_stderr, reason = "what is not tested is said")]
fn bad_input_is_named() {
    let folder = folder(&[("good.yaml", VALID)]);
    let root = folder.path();
    write(root, "binary.yaml", [0_u8, 159, 146, 150, 7, 0]);
    write(root, "latin1.yaml", b"id: gr\xf6\xdfe\n");
    write(root, "deep.yaml", "[".repeat(10_000) + &"]".repeat(10_000));
    write(root, "empty.yaml", "");
    let mut laughs = "a0: &a0 [ha, ha, ha, ha, ha, ha, ha, ha, ha, ha]\n".to_owned();
    for level in 1..10 {
        let alias = format!("*a{},", level - 1).repeat(10);
        laughs = format!("{laughs}a{level}: &a{level} [{alias}]\n");
    }
    write(root, "laughs.yaml", laughs);
    let large = fs::File::create(root.join("large.yaml")).unwrap();
    large.set_len(100 << 20).unwrap();
    let mut expected = vec!["binary.yaml", "latin1.yaml", "deep.yaml", "laughs.yaml", "large.yaml"];
    #[cfg(unix)]
    {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        assert!(Command::new("mkfifo").arg(root.join("fifo.yaml")).status().unwrap().success());
        symlink("..", root.join("loop")).unwrap();
        fs::create_dir(root.join("sub")).unwrap();
        symlink("..", root.join("sub/loop")).unwrap();
        symlink("nowhere", root.join("dangling.yaml")).unwrap();
        expected.extend(["fifo.yaml", "dangling.yaml", "sub/loop"]);
        write(root, "secret.yaml", VALID);
        fs::set_permissions(root.join("secret.yaml"), fs::Permissions::from_mode(0o000)).unwrap();
        if fs::read(root.join("secret.yaml")).is_err() {
            expected.push("secret.yaml");
        } else {
            eprintln!("SKIPPED: an unreadable file, since this user reads every file");
        }
        fs::remove_file(root.join("loop")).unwrap();
    }
    let said = check(&folder, &[".", "--format", "concise"]);
    assert_eq!(said.code, COULD_NOT_LOOK, "{}", said.err);
    let all = format!("{}{}", said.out, said.err);
    for name in expected {
        assert!(all.contains(name), "{name} is not named in:\n{all}");
    }
    assert!(!all.contains("good.yaml"), "{all}");
}

#[test]
fn rules_schemas_and_pages_are_printed() {
    let folder = folder(&[]);
    let rules: Value = serde_json::from_str(&run(folder.path(), &["rules", "--json"]).out).unwrap();
    let names: Vec<&str> =
        rules["rules"].as_array().unwrap().iter().map(|rule| rule["name"].as_str().unwrap()).collect();
    assert!(names.len() > 20 && names.is_sorted(), "{names:?}");
    let table = run(folder.path(), &["rules"]).out;
    assert_eq!(table.lines().count(), names.len() + 1);
    for name in names {
        let said = run(folder.path(), &["explain", name]);
        assert_eq!(said.code, CLEAN);
        assert!(said.out.starts_with(&format!("# {name}\n")), "{}", said.out);
        assert!(said.out.contains("## What it checks"), "{name}");
    }
    for rule in rules["rules"].as_array().unwrap() {
        let name = rule["name"].as_str().unwrap();
        let mut told: Value =
            serde_json::from_str(&run(folder.path(), &["explain", name, "--json"]).out).unwrap();
        let page = told.as_object_mut().unwrap().remove("page").unwrap();
        assert_eq!(told, *rule);
        assert!(page.as_str().unwrap().contains("## What it checks"), "{name}");
    }
    for other in ["X-D-07", "not-as-expected"] {
        let told: Value =
            serde_json::from_str(&run(folder.path(), &["explain", other, "--json"]).out).unwrap();
        assert_eq!(told["name"], other);
        assert!(told["page"].as_str().unwrap().starts_with(&format!("# {other}\n")), "{told}");
    }
    assert_eq!(run(folder.path(), &["explain", "nonsense", "--json"]).code, COULD_NOT_LOOK);
    let said = run(folder.path(), &["explain", "unknown-targt-component"]);
    assert_eq!(said.code, COULD_NOT_LOOK);
    insta::assert_snapshot!("unknown_rule", said.err);

    let said = run(folder.path(), &["schema", "ApplicationDeployment", "--revision", "1.0.0-rc.2"]);
    let schema: Value = serde_json::from_str(&said.out).unwrap();
    assert!(schema["$schema"].is_string());
    let said = run(folder.path(), &["schema", "DesiredStateManifest", "--revision", "pre-draft"]);
    assert_eq!(said.code, COULD_NOT_LOOK);
    insta::assert_snapshot!("no_schema", said.err);
    let said = run(folder.path(), &["schema", "Bundle"]);
    assert_eq!(said.code, COULD_NOT_LOOK);
    assert!(said.err.contains("a Bundle") && said.err.contains("help: it is an archive"), "{}", said.err);
}

fn fixtures() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../fixtures"))
}

#[test]
fn a_document_is_converted_and_what_is_lost_is_told() {
    let said = run(
        fixtures(),
        &["convert", "--to", "pre-draft", "valid/1.0.0-rc.3/ApplicationDescription/one-chart.yaml"],
    );
    assert_eq!(said.code, CLEAN, "{}", said.err);
    assert!(said.err.lines().all(|line| line.starts_with("lost: /")) && !said.err.is_empty(), "{}", said.err);
    let folder = folder(&[("old.yaml", &said.out)]);
    let again = run(folder.path(), &["convert", "--to", "1.0.0-rc.3", "old.yaml"]);
    assert_eq!(again.code, CLEAN, "{}", again.err);
    assert_eq!(check(&folder, &["old.yaml", "--revision", "pre-draft", "--lenient"]).code, CLEAN);

    write(folder.path(), "deployment.yaml", VALID);
    let said = run(folder.path(), &["convert", "--to", "rc.1", "deployment.yaml"]);
    assert_eq!(said.code, CLEAN, "{}", said.err);
    write(folder.path(), "older.yaml", &said.out);
    let said = run(folder.path(), &["convert", "--to", "rc.3", "older.yaml"]);
    assert_eq!(said.code, COULD_NOT_LOOK, "{}", said.out);
    insta::assert_snapshot!("convert_without_device", said.err);
    let said = run(folder.path(), &["convert", "--to", "rc.3", "older.yaml", "--device", "plc-7"]);
    assert_eq!(said.code, CLEAN, "{}", said.err);
    assert!(said.out.contains("deviceId: plc-7"), "{}", said.out);
}

/// The rest is looked at.
#[cfg(unix)]
#[test]
fn a_device_that_cannot_be_read_is_told() {
    let package = fixtures().join("packages/pump-monitor-1.0.0");
    let devices = fixtures().join("devices");
    let folder = folder(&[]);
    std::os::unix::fs::symlink("nowhere", folder.path().join("dangling.json")).unwrap();
    let said = run(folder.path(), &["fit", package.to_str().unwrap(), devices.to_str().unwrap(), "."]);
    assert_eq!(said.code, COULD_NOT_LOOK, "{}", said.err);
    assert!(said.err.contains("dangling.json"), "{}", said.err);
    assert!(said.out.contains("CAN HOST IT"), "{}", said.out);
}

#[test]
fn a_result_that_its_revision_refuses_is_told() {
    let old = "valid/1.0.0-rc.1/ApplicationDescription/helm-and-compose.yaml";
    let said = run(fixtures(), &["convert", "--to", "1.0.0-rc.3", old]);
    assert_eq!(said.code, FINDINGS, "{}", said.err);
    assert!(said.err.contains("error: the result is no valid document of 1.0.0-rc.3 at /"), "{}", said.err);
    assert!(said.out.contains("packageLocation"), "{}", said.out);
}

#[test]
fn devices_that_fit_are_told_from_those_that_do_not() {
    let said = run(fixtures(), &["fit", "packages/pump-monitor-1.0.0", "devices"]);
    assert_eq!(said.code, CLEAN, "{}", said.err);
    insta::assert_snapshot!("fit_out", said.out);
    let said = run(fixtures(), &["fit", "packages/pump-monitor-1.0.0", "devices", "--json"]);
    let json: Value = serde_json::from_str(&said.out).unwrap();
    assert!(json["answers"].as_array().unwrap().iter().any(|answer| answer["fits"] == false), "{json:#}");
    let said = run(fixtures(), &["fit", "packages/pump-monitor-1.0.0", "devices", "--profile", "none"]);
    assert_eq!(said.code, COULD_NOT_LOOK);
    assert!(
        said.err.starts_with("error: no deployment profile is called `none`\n  help: there are `"),
        "{}",
        said.err
    );
}

/// `margo check . --format gitlab > gl-code-quality-report.json`, as `docs/check.md` has it.
#[test]
fn a_report_written_into_the_folder_is_not_a_document_of_it() {
    let folder = folder(&[("good.yaml", VALID)]);
    let report = fs::File::create(folder.path().join("report.json")).unwrap();
    let status = margo(folder.path(), &["check", ".", "--format", "gitlab"]).stdout(report).status().unwrap();
    assert_eq!(status.code(), CLEAN);
    assert_eq!(fs::read_to_string(folder.path().join("report.json")).unwrap(), "[]\n");
}

/// The hooks of `.pre-commit-hooks.yaml`, run as pre-commit runs them: with the names of files, by type.
#[test]
fn the_hooks_of_pre_commit_do_what_they_say() {
    let text = include_str!("../../../../.pre-commit-hooks.yaml");
    let limits = margo_syntax::Limits::default();
    let hooks = margo_syntax::parse(text.as_bytes(), margo_syntax::Format::Yaml, &limits).unwrap().to_value();
    let mut fixed = 0;
    for hook in hooks.as_array().unwrap() {
        assert_eq!(
            (&hook["language"], &hook["types_or"]),
            (&"system".into(), &serde_json::json!(["yaml", "json"]))
        );
        let folder = folder(&[
            ("a deployment.yaml", &VALID.replace("type: helm", "type: Helm")),
            ("good.yaml", VALID),
            ("package.json", "{ \"name\": \"web\" }\n"),
        ]);
        let entry: Vec<&str> = hook["entry"].as_str().unwrap().split(' ').collect();
        assert_eq!(entry[0], "margo");
        let hook = |files: &[&str]| run(folder.path(), &[&entry[1..], files].concat());
        let said = hook(&["good.yaml", "package.json"]);
        assert_eq!(said.code, CLEAN, "{}", said.out);
        let said = hook(&["a deployment.yaml", "good.yaml", "package.json"]);
        let text = fs::read_to_string(folder.path().join("a deployment.yaml")).unwrap();
        if text.contains("type: helm") {
            fixed += 1;
        } else {
            assert_eq!(said.code, FINDINGS, "{}", said.out);
        }
    }
    assert_eq!((hooks.as_array().unwrap().len(), fixed), (2, 1));
}
