//! `cargo xtask bench-check`: `margo check` against the validators in use, on the same files and equal schemas.
//!
//! Everything is installed below `target/bench-check`; nothing of it is part of a build or a test.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::{corpus, page, register, run};

const COUNT: usize = 1000;
const RUNS: usize = 31;
const BEGIN: &str = "<!-- bench-check -->";
const END: &str = "<!-- /bench-check -->";

/// Builds, generates, installs, measures, and writes the table into `docs/benchmarks.md`. With `--ours`, nothing is
/// installed, and the figures are only printed.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let is_ours = match args {
        [] => false,
        [only] if only == "--ours" => true,
        _ => return Err("usage: cargo xtask bench-check [--ours]".to_owned()),
    };
    let target = run::target_directory()?;
    let work = target.join("bench-check");
    let files = work.join("corpus");
    if files.exists() {
        fs::remove_dir_all(&files).map_err(|error| format!("the old corpus cannot be removed: {error}"))?;
    }
    corpus::write(&files, 1, COUNT)?;
    run::cargo(&["build", "--release", "--package", "margo-cli", "--bin", "margo"])?;
    run::cargo(&["build", "--release", "--package", "margo-syntax", "--example", "parse_only"])?;
    let margo = target.join("release/margo");
    let parse = target.join("release/examples/parse_only");

    let mut table = Table::default();
    let checked = |mut command: Command| {
        command.arg("check").arg(&files);
        command
    };
    let times = least(
        RUNS,
        &[&|| checked(Command::new(&margo)), &|| checked(on_one(&margo)), &|| with(on_one(&parse), [&files])],
        &[0],
    )?;
    let [two, one, parsed] = times[..] else { return Err("three commands have three times".to_owned()) };
    table.row("`margo check`, all processors", COUNT, two, None);
    table.row("`margo check`, one processor", COUNT, one, Some(format!("{:.2} × all", ratio(one, two))));
    table.row(
        "only parsing, one processor",
        COUNT,
        parsed,
        Some(format!("`margo check` on one takes {:.2} ×", ratio(one, parsed))),
    );
    if is_ours {
        println!("{}", table.text());
        return Ok(());
    }

    let groups = groups(&files)?;
    python(&work, &["check-jsonschema", "linkml"])?;
    let program = work.join("venv/bin/check-jsonschema");
    let mut total = Duration::ZERO;
    for (schema, documents) in &groups {
        let schema = page::root()?.join("schemas").join(schema);
        let command = || {
            let mut command = Command::new(&program);
            command.arg("--schemafile").arg(&schema).args(documents);
            command
        };
        total += second(command, &[0, 1])?;
    }
    table.peer("check-jsonschema, a process for each schema", COUNT, total, two);

    if node(&work)? {
        let program = work.join("npm/node_modules/.bin/ajv");
        let mut total = Duration::ZERO;
        for (schema, documents) in &groups {
            let schema = page::root()?.join("schemas").join(schema);
            let command = || {
                let mut command = Command::new(&program);
                command.args([
                    "validate",
                    "--spec=draft2020",
                    "--strict=false",
                    "--validate-formats=false",
                    "-s",
                ]);
                command.arg(&schema);
                for document in documents {
                    command.arg("-d").arg(document);
                }
                command
            };
            total += second(command, &[0, 1])?;
        }
        table.peer("ajv-cli, a process for each schema", COUNT, total, two);
    } else {
        println!("SKIPPED: ajv-cli, since there is no npm");
    }

    linkml(&work, &groups, &margo, &mut table)?;
    println!("{}", table.text());
    settle(&table.text())
}

/// One document by linkml-validate and by margo: it takes one class of one schema, which is made from ours.
fn linkml(
    work: &Path,
    groups: &BTreeMap<String, Vec<PathBuf>>,
    margo: &Path,
    table: &mut Table,
) -> Result<(), String> {
    const SCHEMA: &str = "1.0.0-rc.3/ApplicationDescription.schema.json";
    let Some(documents) = groups.get(SCHEMA) else {
        return Err(format!("the corpus has no document of {SCHEMA}"));
    };
    let converter = page::root()?.join("crates/xtask/scripts/linkml_schema.py");
    let made = work.join("description.linkml.yaml");
    let output = Command::new(work.join("venv/bin/python"))
        .arg(converter)
        .arg(page::root()?.join("schemas").join(SCHEMA))
        .arg(&made)
        .status();
    if !output.is_ok_and(|status| status.success()) {
        return Err("the schema for linkml-validate cannot be made".to_owned());
    }
    let program = work.join("venv/bin/linkml-validate");
    let peer = |documents: Vec<PathBuf>| {
        let (program, made) = (program.clone(), made.clone());
        move || {
            let mut command = Command::new(&program);
            command
                .arg("--schema")
                .arg(&made)
                .arg("--target-class")
                .arg("ApplicationDescription")
                .args(&documents);
            command
        }
    };
    let ours = |documents: Vec<PathBuf>| {
        move || {
            let mut command = Command::new(margo);
            command.arg("check").args(&documents).args(["--expect", "valid"]);
            command
        }
    };
    let one: Vec<PathBuf> = documents.iter().take(1).cloned().collect();
    // It has no words for extensions, and refuses the documents that have some: it has looked at them all the same.
    let theirs = second(peer(one.clone()), &[0, 1])?;
    let own = least(RUNS, &[&ours(one)], &[0])?[0];
    table.row("`margo check`, one description", 1, own, None);
    table.peer("linkml-validate, one description", 1, theirs, own);
    let theirs = second(peer(documents.clone()), &[0, 1])?;
    // Descriptions are compared with each other: applications of one id and version are a finding.
    let own = least(RUNS, &[&ours(documents.clone())], &[0, 1])?[0];
    table.row("`margo check`, the descriptions of 1.0.0-rc.3", documents.len(), own, None);
    table.peer("linkml-validate, the descriptions of 1.0.0-rc.3", documents.len(), theirs, own);
    Ok(())
}

/// The documents of the corpus by their schema.
fn groups(corpus: &Path) -> Result<BTreeMap<String, Vec<PathBuf>>, String> {
    let schemas = page::root()?.join("schemas");
    let mut groups = BTreeMap::new();
    for revision in register::entries(&corpus.join("valid"))? {
        for kind in register::entries(&revision)? {
            let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let schema = |suffix: &str| format!("{}/{}{suffix}.schema.json", name(&revision), name(&kind));
            let known = ["", "Manifest"].map(schema).into_iter().find(|schema| schemas.join(schema).exists());
            let known = known.ok_or_else(|| format!("{} has no schema", kind.display()))?;
            groups.insert(known, register::entries(&kind)?);
        }
    }
    Ok(groups)
}

fn on_one(program: &Path) -> Command {
    let mut command = Command::new("taskset");
    command.args(["--cpu-list", "0"]).arg(program);
    command
}

fn with<'a>(mut command: Command, args: impl IntoIterator<Item = &'a PathBuf>) -> Command {
    command.args(args);
    command
}

/// The time of the second run.
fn second(command: impl Fn() -> Command, codes: &[i32]) -> Result<Duration, String> {
    time(command(), codes)?;
    time(command(), codes)
}

/// The least times of the whole processes, which are run in turn, so that what else the machine does slows all of them.
fn least(runs: usize, commands: &[&dyn Fn() -> Command], codes: &[i32]) -> Result<Vec<Duration>, String> {
    let mut least = vec![Duration::MAX; commands.len()];
    for _ in 0..runs {
        for (least, command) in least.iter_mut().zip(commands) {
            *least = time(command(), codes)?.min(*least);
        }
    }
    Ok(least)
}

fn time(mut command: Command, codes: &[i32]) -> Result<Duration, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let started = Instant::now();
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("{program}: {error}"))?;
    let time = started.elapsed();
    if !output.status.code().is_some_and(|code| codes.contains(&code)) {
        let text = [output.stdout, output.stderr].concat();
        let text: String = String::from_utf8_lossy(&text).chars().take(2000).collect();
        return Err(format!("{program} ended with {}:\n{text}", output.status));
    }
    Ok(time)
}

fn ratio(slow: Duration, fast: Duration) -> f64 {
    slow.as_secs_f64() / fast.as_secs_f64()
}

fn python(work: &Path, packages: &[&str]) -> Result<(), String> {
    let venv = work.join("venv");
    if !venv.join("bin/linkml-validate").exists() {
        run::run(Command::new("python3").args(["-m", "venv"]).arg(&venv))?;
        run::run(Command::new(venv.join("bin/pip")).args(["install", "--quiet"]).args(packages))?;
    }
    Ok(())
}

/// Installs ajv-cli, if there is an npm.
fn node(work: &Path) -> Result<bool, String> {
    let prefix = work.join("npm");
    if Command::new("npm").arg("--version").output().is_err() {
        return Ok(false);
    }
    if !prefix.join("node_modules/.bin/ajv").exists() {
        run::run(Command::new("npm").args(["install", "--silent", "--prefix"]).arg(&prefix).arg("ajv-cli"))?;
    }
    Ok(true)
}

#[derive(Default)]
struct Table(String);

impl Table {
    fn row(&mut self, what: &str, documents: usize, time: Duration, note: Option<String>) {
        let _ = writeln!(
            self.0,
            "| {what} | {documents} | {:.1} ms | {} |",
            time.as_secs_f64() * 1000.0,
            note.unwrap_or_default()
        );
    }

    fn peer(&mut self, what: &str, documents: usize, time: Duration, ours: Duration) {
        self.row(what, documents, time, Some(format!("{:.0} × `margo check`", ratio(time, ours))));
    }

    fn text(&self) -> String {
        format!("| | Documents | Whole process | |\n| --- | --- | --- | --- |\n{}", self.0)
    }
}

/// Puts the table between its marks.
fn settle(table: &str) -> Result<(), String> {
    let path = page::root()?.join("docs/benchmarks.md");
    let text = fs::read_to_string(&path).map_err(|error| format!("docs/benchmarks.md: {error}"))?;
    let text =
        between(&text, table).ok_or_else(|| format!("docs/benchmarks.md has no `{BEGIN}` and `{END}`"))?;
    fs::write(&path, text).map_err(|error| format!("docs/benchmarks.md: {error}"))
}

fn between(text: &str, table: &str) -> Option<String> {
    let (before, rest) = text.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n\n{table}\n{END}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_takes_the_place_of_the_one_before() {
        let page = format!("a\n{BEGIN}\nold\n{END}\nb\n");
        let once = between(&page, "| new |\n").unwrap();
        assert_eq!(once, format!("a\n{BEGIN}\n\n| new |\n\n{END}\nb\n"));
        assert_eq!(between(&once, "| new |\n").unwrap(), once);
        assert_eq!(between("a", ""), None);
    }

    #[test]
    fn only_runs_that_ended_well_have_a_time() {
        let (well, ill) = (|| Command::new("true"), || Command::new("false"));
        assert_eq!(least(3, &[&well, &well], &[0]).unwrap().len(), 2);
        assert!(least(1, &[&well, &ill], &[0]).unwrap_err().starts_with("false ended with"));
        assert!(second(ill, &[1]).is_ok());
    }
}
