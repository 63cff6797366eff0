//! Where the workspace cites the specification, and which tests show it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use crate::citation::Id;
use crate::scan::{Kind, Place, scan};

/// How many places or tests a page names before it only counts them.
const NAMED: usize = 4;

/// Sources that speak of citations and hold them as examples only.
const ABOUT_CITATIONS: [&str; 4] = [
    "margo-core/src/interpretation.rs",
    "margo-core/src/reading.rs",
    "margo-core/src/schema.rs",
    "margo-core/src/strictness.rs",
];

/// Every citation in the sources of the workspace but these tasks, which speak of citations as well.
#[derive(Debug, Default)]
pub(crate) struct Register {
    cited: BTreeMap<Id, Evidence>,
    misprints: Vec<String>,
}

/// What there is to see of one sentence.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// Files, from `crates/` on.
    code: BTreeSet<String>,
    /// Tests, each with its crate.
    tests: BTreeSet<String>,
    /// With the level that code gives it when it reports it.
    levels: BTreeMap<u8, String>,
    first: String,
}

impl Register {
    /// Reads the sources under `root`.
    pub(crate) fn read(root: &Path) -> Result<Self, String> {
        let mut register = Self::default();
        let files = rust_files(root)?;
        for file in files.iter().filter(|file| !ABOUT_CITATIONS.contains(&file.as_str())) {
            let source = std::fs::read_to_string(root.join("crates").join(file))
                .map_err(|error| format!("{file} cannot be read: {error}"))?;
            register.add(file, &source);
        }
        Ok(register)
    }

    pub(crate) fn evidence(&self, id: Id) -> Option<&Evidence> {
        self.cited.get(&id)
    }

    /// What is cited of those that `is_meant`, and is not in `known`; and what nobody can read.
    pub(crate) fn unknown(&self, is_meant: impl Fn(Id) -> bool, known: &BTreeSet<Id>) -> Vec<String> {
        let unknown = self.cited.iter().filter(|(id, _)| is_meant(**id) && !known.contains(id));
        let unknown = unknown.map(|(id, evidence)| format!("{}: there is no {id}", evidence.first));
        self.misprints.iter().cloned().chain(unknown).collect()
    }

    fn add(&mut self, file: &str, source: &str) {
        let mut parts = file.split('/');
        let (package, folder) = (parts.next().unwrap_or_default(), parts.next());
        let name = file.rsplit('/').next().unwrap_or_default();
        let kind = match name {
            _ if folder == Some("tests") => Kind::Tests,
            "examination.rs" => Kind::Examination,
            _ => Kind::Code,
        };
        for citation in scan(source, kind) {
            let at = format!("crates/{file}:{}", citation.line);
            let id = match citation.id {
                Ok(id) => id,
                Err(misprint) => {
                    self.misprints.push(format!("{at}: {misprint}"));
                    continue;
                }
            };
            let evidence = self.cited.entry(id).or_default();
            if evidence.first.is_empty() {
                evidence.first.clone_from(&at);
            }
            if let Some(level) = citation.level {
                evidence.levels.insert(level, at);
            }
            match citation.place {
                Place::Code => evidence.code.insert(file.to_owned()),
                Place::Test(Some(test)) => evidence.tests.insert(format!("{package}::{test}")),
                Place::Test(None) => evidence.tests.insert(file.to_owned()),
            };
        }
    }
}

impl Evidence {
    /// The tests as text, nothing if there are none.
    pub(crate) fn tests(&self) -> Option<String> {
        list(&self.tests)
    }

    /// The files as text, nothing if there are none.
    pub(crate) fn code(&self) -> Option<String> {
        list(&self.code)
    }

    /// The levels given to it in code that are not among `levels`, with the place.
    pub(crate) fn other_levels<'a>(&'a self, levels: &'a [u8]) -> impl Iterator<Item = (u8, &'a str)> {
        let others = self.levels.iter().filter(|(level, _)| !levels.contains(level));
        others.map(|(level, at)| (*level, at.as_str()))
    }
}

fn list(names: &BTreeSet<String>) -> Option<String> {
    let first: Vec<_> = names.iter().take(NAMED).map(|name| format!("`{name}`")).collect();
    let more = names.len() - first.len();
    let rest = if more > 0 { format!(" and {more} more") } else { String::new() };
    (!first.is_empty()).then(|| first.join(", ") + &rest)
}

/// The sources and tests of every crate but this one, from `crates/` on, in order.
pub(crate) fn rust_files(root: &Path) -> Result<BTreeSet<String>, String> {
    let crates = root.join("crates");
    let mut files = BTreeSet::new();
    for package in entries(&crates)? {
        if package.file_name().is_some_and(|name| name == "xtask") {
            continue;
        }
        for folder in ["src", "tests"] {
            collect(&crates, &package.join(folder), &mut files)?;
        }
    }
    Ok(files)
}

fn collect(crates: &Path, folder: &Path, files: &mut BTreeSet<String>) -> Result<(), String> {
    if !folder.is_dir() {
        return Ok(());
    }
    for path in entries(folder)? {
        if path.is_dir() {
            collect(crates, &path, files)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let path = path.strip_prefix(crates).unwrap_or(&path);
            files.insert(path.to_string_lossy().replace('\\', "/"));
        }
    }
    Ok(())
}

/// What lies in a folder.
pub(crate) fn entries(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let paths = std::fs::read_dir(folder)
        .and_then(|entries| entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>());
    paths.map_err(|error| format!("{} cannot be read: {error}", folder.display()))
}

#[cfg(test)]
impl Register {
    /// What these sources cite.
    pub(crate) fn of(sources: &[(&str, &str)]) -> Self {
        let mut register = Self::default();
        for (file, source) in sources {
            register.add(file, source);
        }
        register
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> Id {
        Id::parse(text).unwrap()
    }

    #[test]
    fn code_and_tests_are_kept_apart() {
        let register = Register::of(&[
            ("margo-git/src/host.rs", "// R-A-004\nfn host() {}\n#[test] fn serves() { \"R-A-004\" }"),
            (
                "margo-git/tests/it/main.rs",
                "// R-A-004\n#[test] fn clones() {}\nconst A: &str = \"R-A-005\";",
            ),
        ]);
        let evidence = register.evidence(id("R-A-004")).unwrap();
        assert_eq!(evidence.code().as_deref(), Some("`margo-git/src/host.rs`"));
        assert_eq!(evidence.tests().as_deref(), Some("`margo-git::clones`, `margo-git::serves`"));
        let evidence = register.evidence(id("R-A-005")).unwrap();
        assert_eq!(evidence.tests().as_deref(), Some("`margo-git/tests/it/main.rs`"));
        assert!(register.evidence(id("R-A-006")).is_none());
    }

    #[test]
    fn a_number_that_does_not_exist_is_told_with_its_place() {
        let register = Register::of(&[("margo-core/src/id.rs", "\n// R-A-999, R-A-001, R-B-1\n")]);
        let known = [id("R-A-001")].into();
        assert_eq!(
            register.unknown(|_| true, &known),
            [
                "crates/margo-core/src/id.rs:2: `R-B-1` has not 3 digits",
                "crates/margo-core/src/id.rs:2: there is no R-A-999",
            ]
        );
        assert_eq!(register.unknown(|_| false, &known).len(), 1, "a misprint may be anything");
    }

    #[test]
    fn a_long_list_ends_with_a_number() {
        let names: BTreeSet<_> = (0..6).map(|number| number.to_string()).collect();
        assert_eq!(list(&names).as_deref(), Some("`0`, `1`, `2`, `3` and 2 more"));
        assert_eq!(list(&BTreeSet::new()), None);
    }
}
