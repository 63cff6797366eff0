//! `docs/device.md`, run as it stands: `cargo xtask device-page`.
//!
//! Every `console` block is run in one shell, and what the page shows of a command's output must be what it says. Only
//! what would disturb others on the same machine is replaced: the folder, the device's name, and the two ports.

use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::page;

const PAGE: &str = "docs/device.md";

/// How long the whole page may take.
const PATIENCE: Duration = Duration::from_mins(10);

/// What stands for whatever differs from one time to the next.
const ANYTHING: &str = "…";

/// One command, and what the page shows of its output.
#[derive(Debug, PartialEq, Eq)]
struct Step {
    /// Where it stands in the page.
    line: usize,
    command: String,
    shown: Vec<String>,
}

/// What is not run, and what it would need.
#[derive(Debug, PartialEq, Eq)]
struct Omitted {
    line: usize,
    needs: String,
}

/// Runs the page.
pub(crate) fn run() -> Result<(), String> {
    let root = page::root()?;
    let scratch = Scratch::new()?;
    let (ports, device) = ([free_port()?, free_port()?], format!("hall-7-{}", std::process::id()));
    let text = replaced(&page::read(&root, PAGE)?, &scratch.0.join("margo"), &device, ports);
    let (steps, omitted) = parse(&text)?;
    for Omitted { line, needs } in &omitted {
        println!("NOT RUN: line {line} of {PAGE} needs {needs}");
    }

    let script = scratch.0.join("script");
    let written = fs::write(&script, script_of(&steps, &scratch.0, &device));
    written.map_err(|error| format!("`{}`: {error}", script.display()))?;
    let mut shell = Command::new("bash");
    shell.arg(&script).current_dir(&root).env("MARGO_MANAGER", format!("http://127.0.0.1:{}", ports[0]));
    // Where the programs are when it is not where the page expects them.
    let built = crate::run::target_directory()?.join("debug");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(std::iter::once(built).chain(std::env::split_paths(&path)));
    shell.env("PATH", path.map_err(|error| error.to_string())?);
    let is_done = finish(&mut shell)?;

    let at: usize = scratch.read("at").trim().parse().unwrap_or_default();
    for (index, step) in steps.iter().enumerate().take(at + 1) {
        let said = scratch.read(&index.to_string());
        let is_last = index == at && !is_done;
        if is_last || !is_shown(&step.shown, &said) {
            let what = if is_last { "failed" } else { "says something else than the page" };
            let logs =
                ["wfm.log", "device.log"].map(|name| last_lines(&scratch.read(&format!("margo/{name}"))));
            return Err(format!(
                "{PAGE}:{}: this {what}:\n$ {}\n{said}\n== shown\n{}\n== the manager's log\n{}\n== the device's log\n{}",
                step.line,
                step.command,
                step.shown.join("\n"),
                logs[0],
                logs[1],
            ));
        }
    }
    if !is_done {
        return Err(format!("{PAGE}: the shell did not come to its end"));
    }
    println!("{PAGE}: {} commands say what is shown", steps.len());
    Ok(())
}

/// A folder of its own, which goes away.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Self, String> {
        let folder = std::env::temp_dir().join(format!("margo-device-page-{}", std::process::id()));
        fs::create_dir(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
        Ok(Self(folder))
    }

    /// A file in it, as far as it is there and is text.
    fn read(&self, name: &str) -> String {
        let bytes = fs::read(self.0.join(name)).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn free_port() -> Result<u16, String> {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    free.map(|address| address.port()).map_err(|error| format!("no free port: {error}"))
}

fn replaced(page: &str, folder: &Path, device: &str, [manager, application]: [u16; 2]) -> String {
    let engine = std::env::var("MARGO_ENGINE").unwrap_or_else(|_| "/tmp/margo-engine".to_owned());
    page.replace("/tmp/margo-engine", "\0")
        .replace("/tmp/margo", &folder.display().to_string())
        .replace('\0', &engine)
        .replace("hall-7", device)
        .replace("18080", &application.to_string())
        .replace("127.0.0.1:8080", &format!("127.0.0.1:{manager}"))
}

/// What is to be run, and what is not, by a remark before its block.
fn parse(page: &str) -> Result<(Vec<Step>, Vec<Omitted>), String> {
    let (mut steps, mut omitted) = (Vec::new(), Vec::new());
    let mut needs = None;
    let mut lines = page.lines().zip(1..);
    while let Some((text, line)) = lines.next() {
        if let Some(remark) = text.strip_prefix("<!-- not run: ").and_then(|text| text.strip_suffix(" -->")) {
            needs = Some(remark.to_owned());
        }
        let Some(kind) = text.strip_prefix("```") else { continue };
        let block: Vec<_> = lines.by_ref().take_while(|(text, _)| *text != "```").collect();
        if kind != "console" {
            return Err(format!("{PAGE}:{line}: only blocks of the kind `console` are run"));
        }
        match needs.take() {
            Some(needs) => omitted.push(Omitted { line, needs }),
            None => steps.extend(commands(&block)?),
        }
    }
    Ok((steps, omitted))
}

fn commands(block: &[(&str, usize)]) -> Result<Vec<Step>, String> {
    let mut steps: Vec<Step> = Vec::new();
    let mut lines = block.iter();
    while let Some((text, line)) = lines.next() {
        let Some(command) = text.strip_prefix("$ ") else {
            let step = steps.last_mut().ok_or(format!("{PAGE}:{line}: a block begins with a command"))?;
            step.shown.push((*text).to_owned());
            continue;
        };
        let mut command = command.to_owned();
        if command.ends_with("<<END") {
            for (text, _) in lines.by_ref() {
                // Writing to a `String` cannot fail.
                let _ = write!(command, "\n{text}");
                if *text == "END" {
                    break;
                }
            }
        }
        steps.push(Step { line: *line, command, shown: Vec::new() });
    }
    Ok(steps)
}

/// One shell for all of it, which ends at the first command that fails. What it started ends with it.
fn script_of(steps: &[Step], folder: &Path, device: &str) -> String {
    let folder = folder.display();
    let mut script = format!(
        "end() {{\n  kill $(jobs -p) 2> /dev/null; wait\n  \
         docker ps --all --quiet --filter label=org.margo.owner={device} | xargs --no-run-if-empty docker rm --force\n\
         }}\ntrap 'end > /dev/null 2>&1' EXIT\n"
    );
    for (index, step) in steps.iter().enumerate() {
        let command = &step.command;
        // Writing to a `String` cannot fail.
        let _ = write!(
            script,
            "echo {index} > '{folder}/at'\n{{\n{command}\n}} > '{folder}/{index}' 2>&1 || exit 1\n"
        );
    }
    script
}

/// Whether it came to its end, and that with success.
fn finish(shell: &mut Command) -> Result<bool, String> {
    std::os::unix::process::CommandExt::process_group(shell, 0);
    let child = shell.stdin(Stdio::null()).stdout(Stdio::null()).spawn();
    let mut child = child.map_err(|error| format!("`bash` cannot be started: {error}"))?;
    let started = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Ok(status.success()),
            Ok(None) if started.elapsed() > PATIENCE => {
                crate::run::run(Command::new("kill").args(["--", &format!("-{}", child.id())]))?;
                let _ = child.wait();
                return Ok(false);
            }
            Ok(None) => std::thread::sleep(Duration::from_millis(100)),
            Err(error) => return Err(error.to_string()),
        }
    }
}

/// Whether this is what was said. Spaces count as one.
fn is_shown(shown: &[String], said: &str) -> bool {
    let plain = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(" ");
    let shown: Vec<_> = shown.iter().map(|line| plain(line)).collect();
    let said: Vec<_> = said.lines().map(plain).collect();
    are_lines(&shown, &said)
}

fn are_lines(shown: &[String], said: &[String]) -> bool {
    match (shown, said) {
        ([], said) => said.is_empty(),
        ([first, rest @ ..], said) if first == ANYTHING => {
            (0..=said.len()).any(|count| are_lines(rest, &said[count..]))
        }
        ([first, rest @ ..], [line, more @ ..]) => is_line(first, line) && are_lines(rest, more),
        (_, []) => false,
    }
}

fn is_line(shown: &str, said: &str) -> bool {
    let Some((start, rest)) = shown.split_once(ANYTHING) else { return shown == said };
    let Some(said) = said.strip_prefix(start) else { return false };
    said.char_indices().map(|(at, _)| at).chain([said.len()]).any(|at| is_line(rest, &said[at..]))
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(10)..].join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_page_is_commands_and_what_they_say() {
        let page = "# A\n\n```console\n$ one\nsaid\n$ cat > f <<END\n$ no command\nEND\n$ three\n```\n\n\
                    <!-- not run: a friend -->\n```console\n$ four\n```\n";
        let (steps, omitted) = parse(page).unwrap();
        let step = |line, command: &str, shown: &[&str]| Step {
            line,
            command: command.to_owned(),
            shown: strings(shown),
        };
        let cat = "cat > f <<END\n$ no command\nEND";
        assert_eq!(steps, [step(4, "one", &["said"]), step(6, cat, &[]), step(9, "three", &[])]);
        assert_eq!(omitted, [Omitted { line: 13, needs: "a friend".to_owned() }]);
        assert!(parse("```sh\nx\n```\n").is_err());
        assert!(parse("```console\nx\n```\n").is_err());
    }

    #[test]
    fn what_differs_each_time_is_left_out() {
        let shown = |shown: &[&str], said: &str| is_shown(&strings(shown), said);
        assert!(shown(&["a … c", ANYTHING, "end"], "a   b  c\nx\ny\nend\n"));
        assert!(shown(&[ANYTHING, "end"], "end\n"));
        assert!(shown(&["sha256:…"], "sha256:0a\n"));
        assert!(!shown(&["a … c"], "a b d\n"));
        assert!(!shown(&["a"], ""));
        assert!(!shown(&[], "a warning\n"));
        assert!(!shown(&["a"], "a\nb\n"));
    }

    #[test]
    fn only_what_is_ours_is_replaced() {
        let page = "/tmp/margo-engine/env /tmp/margo/x hall-7 127.0.0.1:8080 18080";
        let text = replaced(page, Path::new("/s"), "hall-8", [1, 2]);
        assert!(text.ends_with("/env /s/x hall-8 127.0.0.1:1 2"), "{text}");
    }

    #[test]
    fn a_script_stops_at_what_fails_and_says_where() {
        let scratch = tempfile_folder();
        let page = "```console\n$ A=1\n$ echo $A; echo x >&2\n$ false\n$ echo never\n```\n";
        let (steps, _) = parse(page).unwrap();
        let script = script_of(&steps, &scratch.0, "nobody-of-this-name");
        let done = finish(Command::new("bash").args(["-c", &script])).unwrap();
        assert!(!done);
        assert_eq!((scratch.read("at").trim(), scratch.read("1").as_str()), ("2", "1\nx\n"));
    }

    fn tempfile_folder() -> Scratch {
        let folder = std::env::temp_dir().join(format!("margo-device-page-test-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        Scratch(folder)
    }
}
