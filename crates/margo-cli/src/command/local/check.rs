use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{IsTerminal as _, Write, stderr, stdout};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use margo_core::{SpecVersion, Strictness};
use margo_validate::render::{self, Outcome, Problem, Summary};
use margo_validate::{CLEAN, COULD_NOT_LOOK, DocumentKind, FINDINGS, Report, Severity, Source, docs};

use super::{Stop, count, tell};
use crate::check::{self, Expect, Fixing, Group, Looked, Plan};
use crate::files::{self, Found, Ignore};
use crate::settings::SettingsByFolder;

const EXAMPLES: &str = "\
Examples:
  margo check .
  margo check deployment.yaml --with capabilities.json description.yaml
  margo check 'apps/**/margo.yaml' --fix
  margo check fixtures --format sarif > margo.sarif
  kubectl get … -o yaml | margo check -";

const EXIT_CODES: &str = "\
Exit codes:
  0  everything was looked at, and no MUST is broken
  1  something is wrong with a document
  2  something could not be looked at, or the command line or `margo.toml` is wrong";

/// Errors of one file that are told, and warnings; the rest is counted.
const MOST_FINDINGS: usize = 200;

/// Findings that are kept until the end, for a format that is one whole; the rest is counted. GitHub takes no more of SARIF.
const MOST_AT_THE_END: usize = 25_000;

/// Check documents, and say everything that is wrong with them
///
/// Kind and revision of each document are told by its shape. Folders are searched for `.yaml`, `.yml` and `.json` files;
/// what is no Margo document is passed over, unless it is named itself. Files named together, and files of one folder,
/// are compared with each other.
///
/// A `margo.toml` in the folder of a file or above sets the revision, the strictness, the level of rules, and what is
/// ignored. A comment `# margo: allow(rule) reason` allows a finding on its line or the next one.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = [EXAMPLES, "\n\n", EXIT_CODES].concat())]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch on the command line")]
pub(in crate::command) struct CheckArgs {
    /// Files, folders, patterns, or `-` for the standard input
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Compare with these files too; what is wrong with them alone is not told
    #[arg(long, value_name = "FILE", num_args = 1..)]
    with: Vec<PathBuf>,
    /// The revision of every document, instead of the one its shape tells
    #[arg(long)]
    revision: Option<SpecVersion>,
    /// What every document is, instead of what its shape tells
    #[arg(long)]
    kind: Option<DocumentKind>,
    /// Refuse what conformance forbids (the default)
    #[arg(long, conflicts_with = "lenient")]
    strict: bool,
    /// Accept what can be understood, as a manager or a device does
    #[arg(long)]
    lenient: bool,
    /// What is expected of every file
    #[arg(long, value_enum, default_value_t)]
    expect: Expect,
    /// How findings are written; `github` under `GITHUB_ACTIONS`, otherwise `full`
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// When to use color
    #[arg(long, value_enum, default_value_t, value_name = "WHEN")]
    color: When,
    /// Put right what is certain, in the files
    #[arg(long)]
    fix: bool,
    /// Show what `--fix` would change, and change nothing
    #[arg(long, conflicts_with = "fix")]
    diff: bool,
    /// Fail on warnings too
    #[arg(long)]
    deny_warnings: bool,
    /// What becomes of files that are no Margo documents; by default an error if they were named themselves
    #[arg(long, value_enum, value_name = "WHAT")]
    unrecognized: Option<Unrecognized>,
    /// The configuration, instead of the nearest `margo.toml`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// The place in the text, what to do, and the clause
    Full,
    /// One line for each finding
    Concise,
    /// One JSON object
    Json,
    /// One JSON object for each finding, on a line of its own
    Jsonl,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// Annotations of GitHub Actions
    Github,
    /// `JUnit` XML
    Junit,
    /// GitLab Code Quality
    Gitlab,
}

impl Format {
    /// Whether findings are written as they are found.
    fn streams(self) -> bool {
        matches!(self, Self::Full | Self::Concise | Self::Jsonl | Self::Github)
    }

    fn is_for_people(self) -> bool {
        matches!(self, Self::Full | Self::Concise)
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum When {
    /// On a terminal, unless `NO_COLOR` is set
    #[default]
    Auto,
    Always,
    Never,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Unrecognized {
    /// Pass over them
    Skip,
    /// Report them
    Error,
}

pub(super) fn run(
    args: &CheckArgs,
    json: bool,
    out: &mut dyn Write,
    err: &mut dyn Write,
) -> Result<u8, Stop> {
    let settings = match &args.config {
        Some(file) => {
            SettingsByFolder::fixed(file, is_rule).map_err(|error| Stop::because(error.to_string()))?
        }
        None => SettingsByFolder::found(is_rule),
    };
    let settings = Arc::new(settings);
    let mut found = files::find(&args.paths, &ignore(&settings));
    let with = files::find(&args.with, &nothing());
    found.problems.extend(with.problems);
    if args.fix && found.files.iter().any(|file| file.path.is_none()) {
        return Err(Stop::because("`--fix` cannot change the standard input")
            .help("`--diff` shows what it would change"));
    }
    let plan = Plan {
        revision: args.revision,
        kind: args.kind,
        strictness: match (args.strict, args.lenient) {
            (true, _) => Some(Strictness::Strict),
            (_, true) => Some(Strictness::Lenient),
            _ => None,
        },
        expect: args.expect,
        with: with.files,
    };
    let Found { files, problems, ignored } = found;
    let total = files.len();
    let (groups, apart) = plan.groups(files, &settings);
    let faults: Vec<String> = settings.faults().iter().map(ToString::to_string).collect();
    if !faults.is_empty() {
        return Err(Stop::CouldNotLook(faults));
    }
    for place in apart {
        tell(err, &format!("note: {place} holds too much to be compared; each file is checked by itself"));
    }
    if total == 0 && ignored == 0 && problems.is_empty() {
        return Err(Stop::because("there is nothing to check")
            .help("folders are searched for files that end in `.yaml`, `.yml` or `.json`"));
    }

    let format = args.format.unwrap_or(if json {
        Format::Json
    } else if std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true" || value == "1") {
        Format::Github
    } else {
        Format::Full
    });
    let mut run = Run {
        format,
        is_colored: is_colored(args.color),
        fixing: match (args.fix, args.diff) {
            (true, _) => Fixing::Write,
            (_, true) => Fixing::Show,
            _ => Fixing::Tell,
        },
        unrecognized: args.unrecognized,
        out,
        total: Summary::default(),
        outcome: Outcome::default(),
        problems: Vec::new(),
        skipped: 0,
        fixed: (0, 0),
        stopped: None,
        is_unread: false,
        bar: progress(total),
    };
    for problem in problems {
        run.problem(&problem, err);
    }
    check::run(&groups, |looked| {
        if run.stopped.is_none() {
            run.looked(looked, err);
        }
    });
    run.bar.finish_and_clear();
    if let Some(stop) = run.stopped.take() {
        return Err(stop);
    }
    run.finish(ignored, args.deny_warnings, err)
}

pub(super) fn is_rule(name: &str) -> bool {
    docs::rules().iter().any(|rule| rule.name == name)
}

pub(super) fn nothing() -> Ignore {
    Arc::new(|_, _| false)
}

fn ignore(settings: &Arc<SettingsByFolder>) -> Ignore {
    let settings = Arc::clone(settings);
    Arc::new(move |path: &Path, is_folder: bool| {
        settings.of(Some(path)).is_some_and(|settings| settings.ignores(path, is_folder))
    })
}

fn is_colored(when: When) -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => {
            stdout().is_terminal()
                && !is_set("NO_COLOR")
                && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
        }
    }
}

/// Files that are checked without telling how far it got.
const FEW: usize = 100;

fn progress(files: usize) -> ProgressBar {
    if files <= FEW || !stderr().is_terminal() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::with_draw_target(Some(files as u64), ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("checking {bar:30} {pos}/{len} files") {
        bar.set_style(style);
    }
    bar
}

/// One run, as far as it has got.
struct Run<'a> {
    format: Format,
    is_colored: bool,
    fixing: Fixing,
    unrecognized: Option<Unrecognized>,
    out: &'a mut dyn Write,
    /// The figures of what is no longer in `outcome`.
    total: Summary,
    /// What is not yet written.
    outcome: Outcome,
    problems: Vec<Problem>,
    /// Files that hold no Margo document.
    skipped: usize,
    /// Findings that were put right, and in how many files.
    fixed: (usize, usize),
    stopped: Option<Stop>,
    /// Whether nobody reads what is written.
    is_unread: bool,
    bar: ProgressBar,
}

impl Run<'_> {
    fn problem(&mut self, problem: &files::Problem, err: &mut dyn Write) {
        let message = problem.to_string();
        self.bar.suspend(|| tell(err, &format!("error: {message}")));
        self.problems.push(Problem::new(problem.name.clone(), message));
    }

    fn looked(&mut self, looked: Looked<'_>, err: &mut dyn Write) {
        let Looked { group, mut sources, mut report, problems, .. } = looked;
        self.bar.inc(group.files.len() as u64);
        for problem in &problems {
            self.problem(problem, err);
        }
        if let Some(first) = report.first_alone() {
            let name = &group.files[first].name;
            let why = "are not compared with the others: together they hold too much";
            self.bar.suspend(|| tell(err, &format!("note: `{name}` and the files behind it {why}")));
        }
        let skipped = self.pass_over(group, &mut report);
        self.skipped += skipped.iter().filter(|skipped| **skipped).count();

        let mut diffs = String::new();
        let mut is_unwritten = false;
        if self.fixing != Fixing::Tell && group.expectation.is_valid() {
            let original = report.clone();
            for (index, before) in &check::fix(group, &mut sources, &mut report) {
                let (name, after) = (sources[*index].name(), sources[*index].text());
                match (&group.files[*index].path, self.fixing) {
                    (Some(path), Fixing::Write) => {
                        if let Err(problem) = check::write(name, path, after) {
                            self.problem(&problem, err);
                            // What was found in it still stands.
                            let format = sources[*index].format();
                            sources[*index] =
                                Source::new(name.to_owned(), before.clone()).with_format(format);
                            is_unwritten = true;
                            continue;
                        }
                    }
                    _ => diffs.push_str(&check::diff(name, before, after)),
                }
                self.fixed.1 += 1;
            }
            if is_unwritten {
                report = group.checker.check(&sources);
            }
            self.pass_over(group, &mut report);
            self.fixed.0 += original.diagnostics().len().saturating_sub(report.diagnostics().len());
            if self.fixing == Fixing::Show {
                // Nothing was changed: what was found still stands.
                report = original;
            }
        }

        let is_unread = |source: &Source| problems.iter().any(|problem| problem.name == source.name());
        let judged = sources[..group.asked].iter().zip(&skipped);
        let judged: Vec<_> =
            judged.map(|(source, skipped)| (!skipped && !is_unread(source)).then_some(source)).collect();
        let (unexpected, expected) = check::judge(&group.expectation, &mut report, &judged);
        self.outcome.expected += expected;
        let hidden = self.hide(&mut report, &skipped);
        let known = self.outcome.files.len();
        self.outcome.add(&report, &sources);
        let files = self.outcome.files.split_off(known);
        let asked = files.into_iter().zip(&judged).filter(|(_, judged)| judged.is_some());
        self.outcome.files.extend(asked.map(|(file, _)| file));
        self.outcome.findings.extend(unexpected.iter().cloned());

        let text = if self.fixing == Fixing::Show {
            diffs
        } else {
            let mut text = match self.format {
                Format::Full => {
                    let unexpected =
                        unexpected.iter().map(|record| render::headline(record, self.is_colored));
                    render::full(&report, &sources, self.is_colored) + &unexpected.collect::<String>()
                }
                Format::Concise => render::concise(&self.outcome),
                Format::Jsonl => self.outcome.findings.iter().map(render::json_line).collect(),
                Format::Github => render::github(&in_workspace(&self.outcome)),
                _ => String::new(),
            };
            for (source, hidden) in sources.iter().zip(hidden).filter(|(_, hidden)| *hidden > 0) {
                let more = format!("{hidden} more findings in `{}` are not shown", source.name());
                if self.format == Format::Full {
                    let _ = write!(text, "note: {more}\n\n");
                } else {
                    self.bar.suspend(|| tell(err, &format!("note: {more}")));
                }
            }
            text
        };
        self.write(&text);
        if self.format.streams() {
            self.settle();
        }
    }

    /// Takes out what nobody reads on to, and says how many findings that are, for each source. Those that were skipped
    /// have none.
    fn hide(&mut self, report: &mut Report, skipped: &[bool]) -> Vec<usize> {
        let left_out = |(source, is_skipped): (usize, &bool)| {
            if *is_skipped { 0 } else { report.left_out(source) }
        };
        let mut hidden: Vec<_> = skipped.iter().enumerate().map(left_out).collect();
        // Errors and warnings apart, so that no number of warnings hides an error.
        let mut seen = vec![[0_usize; 2]; skipped.len()];
        let mut room = if self.format.streams() {
            usize::MAX
        } else {
            MOST_AT_THE_END.saturating_sub(self.outcome.findings.len())
        };
        let total = &mut self.total;
        report.retain(|found| {
            let source = found.primary.source;
            let is_error = found.severity == Severity::Error;
            let seen = &mut seen[source][usize::from(is_error)];
            *seen += 1;
            if *seen <= MOST_FINDINGS {
                if room > 0 {
                    room -= 1;
                    return true;
                }
                *(if is_error { &mut total.errors } else { &mut total.warnings }) += 1;
            }
            hidden[source] += 1;
            false
        });
        hidden
    }

    /// Takes out what is not asked for: what is said of documents that are none of Margo's, where that is no fault, and
    /// what is wrong with a file alone that others are only compared with. Says in which files there is nothing else.
    fn pass_over(&self, group: &Group, report: &mut Report) -> Vec<bool> {
        let passes = |source: usize| match self.unrecognized {
            Some(Unrecognized::Error) => false,
            Some(Unrecognized::Skip) => true,
            None => group.files.get(source).is_some_and(|file| !file.is_named && !group.is_corpus),
        };
        let foreign: BTreeSet<(usize, usize)> = report
            .diagnostics()
            .iter()
            .filter(|found| found.rule.name == UNRECOGNIZED && passes(found.primary.source))
            .map(|found| (found.primary.source, found.primary.document))
            .collect();
        report.retain(|found| {
            let is_asked = |source: usize| source < group.asked;
            let related = || found.related.iter().any(|label| is_asked(label.source));
            !foreign.contains(&(found.primary.source, found.primary.document))
                && (is_asked(found.primary.source) || related())
        });
        let mut skipped = vec![false; group.files.len()];
        for (source, _) in &foreign {
            skipped[*source] = true;
        }
        for document in report.documents().iter().filter(|document| document.kind.is_some()) {
            skipped[document.source] = false;
        }
        for found in report.diagnostics() {
            skipped[found.primary.source] = false;
        }
        skipped
    }

    fn write(&mut self, text: &str) {
        if text.is_empty() || self.is_unread {
            return;
        }
        let out = &mut self.out;
        let written = self.bar.suspend(|| out.write_all(text.as_bytes()).and_then(|()| out.flush()));
        match written.map_err(Stop::from) {
            Ok(()) => {}
            // The reader has gone away, as `head` does; the exit code still tells what was found.
            Err(Stop::Unread) => self.is_unread = true,
            Err(stop) => self.stopped = Some(stop),
        }
    }

    /// Forgets what is written, but for the figures.
    fn settle(&mut self) {
        let summary = std::mem::take(&mut self.outcome).summary();
        add(&mut self.total, &summary);
    }

    fn finish(mut self, ignored: usize, deny_warnings: bool, err: &mut dyn Write) -> Result<u8, Stop> {
        self.outcome.problems = std::mem::take(&mut self.problems);
        add(&mut self.total, &self.outcome.summary());
        let text = match self.format {
            Format::Full | Format::Concise => String::new(),
            _ if self.fixing == Fixing::Show => String::new(),
            Format::Json => render::json(&self.outcome),
            Format::Jsonl => render::json_end(&self.outcome.problems, &self.total),
            Format::Sarif => render::sarif(&self.outcome),
            Format::Github => render::github(&in_workspace(&self.outcome)),
            Format::Junit => render::junit(&self.outcome),
            Format::Gitlab => render::gitlab(&self.outcome),
        };
        self.write(&text);
        if let Some(stop) = self.stopped.take() {
            return Err(stop);
        }
        if self.format.is_for_people() {
            tell(err, &self.sentence(ignored));
        }
        let Summary { files, errors, warnings, problems, .. } = self.total;
        if files == 0 && self.skipped > 0 && self.unrecognized != Some(Unrecognized::Skip) {
            tell(err, "warning: no file holds a Margo document");
        }
        Ok(if problems > 0 {
            COULD_NOT_LOOK
        } else if errors > 0 || (deny_warnings && warnings > 0) {
            FINDINGS
        } else {
            CLEAN
        })
    }

    /// What was done, in one sentence.
    fn sentence(&self, ignored: usize) -> String {
        let Summary { files, documents, errors, warnings, problems, allowed, expected, .. } = self.total;
        let mut parts = vec![count(errors, "error"), count(warnings, "warning")];
        let mut add = |number: usize, text: &str| {
            if number > 0 {
                parts.push(format!("{number} {text}"));
            }
        };
        add(expected, "as expected");
        add(allowed, "allowed");
        add(problems, "not checked");
        add(self.skipped, "no Margo documents");
        add(ignored, "ignored");
        let mut sentence = format!(
            "checked {} in {}: {}",
            count(documents, "document"),
            count(files, "file"),
            parts.join(", ")
        );
        let (findings, changed) = self.fixed;
        if changed > 0 {
            let done = if self.fixing == Fixing::Show { "could be put right" } else { "put right" };
            let _ = write!(sentence, "; {} {done} in {}", count(findings, "finding"), count(changed, "file"));
        }
        sentence
    }
}

/// GitHub wants the names of files as they are from the root of the repository.
fn in_workspace(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    let Some(root) = std::env::var_os("GITHUB_WORKSPACE").filter(|root| !root.is_empty()) else {
        return outcome;
    };
    let rename = |file: &mut String| {
        if file.starts_with('<') {
            return;
        }
        let path = std::path::absolute(&*file).unwrap_or_default();
        if let Ok(below) = path.strip_prefix(&root) {
            *file = below.to_string_lossy().replace(std::path::MAIN_SEPARATOR, "/");
        }
    };
    outcome.findings.iter_mut().for_each(|found| rename(&mut found.place.file));
    outcome.problems.iter_mut().for_each(|problem| rename(&mut problem.file));
    outcome
}

/// The rule that says that nothing is known of a document.
const UNRECOGNIZED: &str = "unrecognized-document";

fn add(total: &mut Summary, more: &Summary) {
    total.files += more.files;
    total.documents += more.documents;
    total.errors += more.errors;
    total.warnings += more.warnings;
    total.problems += more.problems;
    total.allowed += more.allowed;
    total.expected += more.expected;
}
