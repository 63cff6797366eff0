//! Which files are meant by what stands on a command line, and reading them without surprises.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs::{self, File, FileType};
use std::io::{self, Read};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use globset::{GlobBuilder, GlobMatcher};
use ignore::{DirEntry, WalkBuilder};
use margo_syntax::Format;

/// What the standard input is called.
pub(crate) const STDIN: &str = "<stdin>";

/// The files that are to be looked at, and what stood in the way of finding more.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// In the order of the command line, and by name within a folder.
    pub(crate) files: Vec<Source>,
    /// One for each place that could not be looked at.
    pub(crate) problems: Vec<Problem>,
    /// How many files were left out because the configuration says so.
    pub(crate) ignored: usize,
}

/// A file, or the standard input.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Source {
    /// Where it is; `None` for the standard input.
    pub(crate) path: Option<PathBuf>,
    /// What people know it by.
    pub(crate) name: String,
    /// Whether it was named itself, and not found in a folder.
    pub(crate) is_named: bool,
    /// How many bytes it had when it was found; 0 if that is not known.
    pub(crate) size: u64,
}

/// Why something could not be looked at. It names the place.
#[derive(Debug, thiserror::Error)]
#[error("`{name}` {kind}")]
pub(crate) struct Problem {
    /// The place, as people know it.
    pub(crate) name: String,
    /// Why not.
    pub(crate) kind: ProblemKind,
}

/// What can stand in the way.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProblemKind {
    /// There is nothing of that name.
    #[error("does not exist")]
    Missing,
    /// A link leads nowhere.
    #[error("is a link to something that does not exist")]
    Dangling,
    /// The system refuses.
    #[error("cannot be read: {}", plain(.0))]
    Unreadable(io::Error),
    /// A FIFO, a socket or a device.
    #[error("is {0}, not a file")]
    NotAFile(&'static str),
    /// The system does not let it be changed.
    #[error("cannot be written: {}", plain(.0))]
    Unwritable(io::Error),
    /// More than is read at all.
    #[error("is larger than {} MiB, the most that is read", .0 >> 20)]
    TooLarge(u64),
    /// A link to a folder that contains it.
    #[error("is a link back to `{}`, which contains it; it is not followed", .0)]
    Loop(String),
    /// A pattern that fits nothing.
    #[error("matches no file")]
    NoMatch,
    /// A pattern that is none.
    #[error("is not a pattern for files: {0}")]
    BadPattern(String),
    /// The standard input, twice.
    #[error("can be read only once")]
    Twice,
}

/// The error without the number the system gives it.
fn plain(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    // An abbreviation stays as it is.
    if text.chars().nth(1).is_some_and(char::is_uppercase) {
        return text.to_owned();
    }
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_lowercase().chain(characters).collect())
}

impl Problem {
    pub(crate) fn new(name: impl Into<String>, kind: ProblemKind) -> Self {
        Self { name: name.into(), kind }
    }

    fn io(name: impl Into<String>, error: io::Error) -> Self {
        let kind = match error.kind() {
            io::ErrorKind::NotFound => ProblemKind::Missing,
            _ => ProblemKind::Unreadable(error),
        };
        Self::new(name, kind)
    }
}

impl Source {
    pub(crate) fn stdin() -> Self {
        Self { path: None, name: STDIN.to_owned(), is_named: true, size: 0 }
    }

    fn file(path: &Path, is_named: bool) -> Self {
        let size = fs::metadata(path).map_or(0, |metadata| metadata.len());
        Self { path: Some(path.to_owned()), name: shown(path), is_named, size }
    }

    /// Reads it, if it is a file of at most `most` bytes. The size is looked at first, and no FIFO is waited for.
    pub(crate) fn read(&self, most: u64) -> Result<Vec<u8>, Problem> {
        let problem = |error| Problem::io(&self.name, error);
        let Some(path) = &self.path else {
            return self.bounded(io::stdin().lock(), 0, most);
        };
        let metadata = fs::metadata(path).map_err(problem)?;
        if !metadata.is_file() {
            return Err(Problem::new(&self.name, not_a_file(metadata.file_type())));
        }
        if metadata.len() > most {
            return Err(Problem::new(&self.name, ProblemKind::TooLarge(most)));
        }
        self.bounded(File::open(path).map_err(problem)?, metadata.len(), most)
    }

    fn bounded(&self, from: impl Read, expected: u64, most: u64) -> Result<Vec<u8>, Problem> {
        let mut bytes = Vec::with_capacity(usize::try_from(expected).unwrap_or_default());
        from.take(most + 1).read_to_end(&mut bytes).map_err(|error| Problem::io(&self.name, error))?;
        if bytes.len() as u64 > most {
            return Err(Problem::new(&self.name, ProblemKind::TooLarge(most)));
        }
        Ok(bytes)
    }
}

/// What is to be left out, and whether it is asked of a folder.
pub(crate) type Ignore = Arc<dyn Fn(&Path, bool) -> bool + Send + Sync>;

/// Finds what `arguments` mean: files, folders, patterns, and `-` for the standard input.
///
/// Folders are searched for files whose extension is `yaml`, `yml` or `json`, and bundles; hidden ones and what `.gitignore` lists
/// are passed over. Links are followed, and a folder is entered through a link only if it was not entered before. What
/// `is_ignored` says is left out wherever it is found.
pub(crate) fn find(arguments: &[PathBuf], is_ignored: &Ignore) -> Found {
    let mut finder = Finder {
        found: Found::default(),
        seen: BTreeSet::new(),
        is_several: arguments.len() > 1,
        is_ignored: Arc::clone(is_ignored),
    };
    for argument in arguments {
        finder.argument(argument);
    }
    finder.found
}

struct Finder {
    found: Found,
    /// What was found already, so that a file named twice is looked at once.
    seen: BTreeSet<PathBuf>,
    /// Whether there is more than one argument: one alone names no file twice.
    is_several: bool,
    is_ignored: Ignore,
}

impl Finder {
    fn argument(&mut self, argument: &Path) {
        if argument == Path::new("-") {
            if self.seen.insert(argument.to_owned()) {
                self.found.files.push(Source::stdin());
            } else {
                self.problem(STDIN, ProblemKind::Twice);
            }
            return;
        }
        match fs::metadata(argument) {
            Ok(metadata) if metadata.is_dir() => self.folder(argument, None),
            Ok(metadata) if metadata.is_file() => self.file(argument, true),
            Ok(metadata) => self.problem(shown(argument), not_a_file(metadata.file_type())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.absent(argument),
            Err(error) => self.problem(shown(argument), ProblemKind::Unreadable(error)),
        }
    }

    /// What is no file may be a pattern for files.
    fn absent(&mut self, argument: &Path) {
        let text = shown(argument);
        if fs::symlink_metadata(argument).is_ok() {
            return self.problem(text, ProblemKind::Dangling);
        }
        if !text.contains(WILD) {
            return self.problem(text, ProblemKind::Missing);
        }
        match pattern(text.trim_start_matches("./")) {
            Ok(glob) => {
                let before = self.count();
                let folder: PathBuf = argument.iter().take_while(|part| !is_wild(part)).collect();
                let folder = if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder };
                if folder.is_dir() {
                    self.folder(&folder, Some(&glob));
                }
                if self.count() == before {
                    self.problem(text, ProblemKind::NoMatch);
                }
            }
            Err(error) => self.problem(text, ProblemKind::BadPattern(error)),
        }
    }

    fn count(&self) -> usize {
        self.found.files.len() + self.found.problems.len() + self.found.ignored
    }

    fn folder(&mut self, folder: &Path, glob: Option<&GlobMatcher>) {
        let is_ignored = Arc::clone(&self.is_ignored);
        let entered = Mutex::new(BTreeSet::new());
        let walk = WalkBuilder::new(folder)
            .follow_links(true)
            .git_global(false)
            // A report that is written into the folder is not looked at.
            .skip_stdout(true)
            .sort_by_file_name(Ord::cmp)
            .filter_entry(move |entry| {
                if !entry.file_type().is_some_and(|kind| kind.is_dir()) {
                    return true;
                }
                if entry.depth() > 0 && is_ignored(entry.path(), true) {
                    return false;
                }
                let Ok(real) = entry.path().canonicalize() else { return true };
                let is_new = entered.lock().unwrap_or_else(PoisonError::into_inner).insert(real);
                is_new || !entry.path_is_symlink()
            })
            .build();
        for entry in walk {
            match entry {
                Ok(entry) => self.entry(&entry, glob),
                Err(error) => self.walking(folder, error),
            }
        }
    }

    fn entry(&mut self, entry: &DirEntry, glob: Option<&GlobMatcher>) {
        let path = entry.path();
        let Some(kind) = entry.file_type().filter(|kind| !kind.is_dir()) else { return };
        let is_wanted = match glob {
            Some(glob) => glob.is_match(path.strip_prefix(".").unwrap_or(path)),
            None => has_known_extension(path),
        };
        if is_wanted && kind.is_file() {
            self.file(path, false);
        } else if is_wanted && !(self.is_ignored)(path, false) {
            self.problem(shown(path), not_a_file(kind));
        }
    }

    /// A folder that could not be searched, or something in it that could not be looked at.
    fn walking(&mut self, folder: &Path, error: ignore::Error) {
        let mut path = folder.to_owned();
        let mut inner = &error;
        loop {
            match inner {
                ignore::Error::WithPath { path: at, err } => {
                    at.clone_into(&mut path);
                    inner = err;
                }
                ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
                    inner = err;
                }
                ignore::Error::Loop { ancestor, child } => {
                    return self.problem(shown(child), ProblemKind::Loop(shown(ancestor)));
                }
                _ => break,
            }
        }
        let text = error.to_string();
        let cause = error.into_io_error().unwrap_or_else(|| io::Error::other(text));
        if cause.kind() != io::ErrorKind::NotFound {
            self.problem(shown(&path), ProblemKind::Unreadable(cause));
        } else if has_known_extension(&path) && !is_hidden(&path) {
            self.problem(shown(&path), ProblemKind::Dangling);
        }
    }

    fn file(&mut self, path: &Path, is_named: bool) {
        if (self.is_ignored)(path, false) {
            self.found.ignored += 1;
        } else if !self.is_several || self.seen.insert(without_dot(path).to_owned()) {
            self.found.files.push(Source::file(path, is_named));
        }
    }

    fn problem(&mut self, name: impl Into<String>, kind: ProblemKind) {
        self.found.problems.push(Problem::new(name, kind));
    }
}

/// What bundles are called.
const BUNDLES: [&str; 2] = [".tar.gz", ".tgz"];

/// What makes an argument a pattern.
const WILD: [char; 4] = ['*', '?', '[', '{'];

fn is_wild(part: &OsStr) -> bool {
    part.to_string_lossy().contains(WILD)
}

/// A pattern in which `*` stays within a folder and `**` does not.
pub(crate) fn pattern(text: &str) -> Result<GlobMatcher, String> {
    let glob = GlobBuilder::new(text).literal_separator(true).build();
    glob.map(|glob| glob.compile_matcher()).map_err(|error| error.kind().to_string())
}

/// Documents, and the bundles they name.
fn has_known_extension(path: &Path) -> bool {
    let is_document = path.extension().and_then(OsStr::to_str).and_then(Format::of_extension).is_some();
    let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
    is_document || BUNDLES.iter().any(|extension| name.ends_with(extension))
}

fn is_hidden(path: &Path) -> bool {
    path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'))
}

fn without_dot(path: &Path) -> &Path {
    path.strip_prefix(".").ok().filter(|path| !path.as_os_str().is_empty()).unwrap_or(path)
}

/// The path as it is told: with `/` between its parts.
fn shown(path: &Path) -> String {
    let text = without_dot(path).to_string_lossy();
    if MAIN_SEPARATOR == '/' { text.into_owned() } else { text.replace(MAIN_SEPARATOR, "/") }
}

fn not_a_file(kind: FileType) -> ProblemKind {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return ProblemKind::NotAFile("a FIFO");
        }
        if kind.is_socket() {
            return ProblemKind::NotAFile("a socket");
        }
        if kind.is_char_device() || kind.is_block_device() {
            return ProblemKind::NotAFile("a device");
        }
    }
    ProblemKind::NotAFile(if kind.is_dir() { "a folder" } else { "something else" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing() -> Ignore {
        Arc::new(|_, _| false)
    }

    /// What is found below `root` for these arguments, and what is wrong.
    fn found(root: &Path, arguments: &[&str]) -> (Vec<String>, Vec<String>) {
        let at = |argument: &&str| if *argument == "." { root.to_owned() } else { root.join(argument) };
        let arguments: Vec<PathBuf> = arguments.iter().map(at).collect();
        let Found { files, problems, .. } = find(&arguments, &nothing());
        let prefix = format!("{}/", root.display());
        let short = |text: String| text.replace(&prefix, "");
        let files = files.into_iter().map(|file| short(file.name)).collect();
        (files, problems.iter().map(|problem| short(problem.to_string())).collect())
    }

    fn corpus() -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for name in
            ["b.yaml", "a.yml", "c.JSON", "notes.txt", ".hidden.yaml", "sub/d.yaml", "sub/deep/e.yaml"]
        {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "kind: x\n").unwrap();
        }
        root
    }

    #[test]
    fn a_folder_is_searched_by_name_and_a_file_is_taken_whatever_it_is_called() {
        let root = corpus();
        let (files, problems) = found(root.path(), &["."]);
        assert_eq!(files, ["a.yml", "b.yaml", "c.JSON", "sub/d.yaml", "sub/deep/e.yaml"]);
        assert_eq!(problems, [""; 0]);
        assert_eq!(
            found(root.path(), &["notes.txt", "sub"]).0,
            ["notes.txt", "sub/d.yaml", "sub/deep/e.yaml"]
        );
        assert_eq!(found(root.path(), &["b.yaml", "b.yaml"]).0, ["b.yaml"]);
    }

    #[test]
    fn a_pattern_finds_files() {
        let root = corpus();
        assert_eq!(found(root.path(), &["*.yaml"]).0, ["b.yaml"]);
        assert_eq!(found(root.path(), &["**/*.yaml"]).0, ["b.yaml", "sub/d.yaml", "sub/deep/e.yaml"]);
        assert_eq!(found(root.path(), &["sub/{d,x}.yaml"]).0, ["sub/d.yaml"]);
        assert_eq!(found(root.path(), &["*.toml"]).1, ["`*.toml` matches no file"]);
        assert_eq!(found(root.path(), &["absent/*.yaml"]).1, ["`absent/*.yaml` matches no file"]);
        let (_, problems) = found(root.path(), &["[.yaml"]);
        assert!(problems[0].starts_with("`[.yaml` is not a pattern for files: "), "{problems:?}");
        // A file with such a name is that file.
        fs::write(root.path().join("[1].yaml"), "").unwrap();
        assert_eq!(found(root.path(), &["[1].yaml"]).0, ["[1].yaml"]);
    }

    #[test]
    fn what_is_not_there_is_named_and_the_rest_is_found() {
        let root = corpus();
        let (files, problems) = found(root.path(), &["absent.yaml", "b.yaml"]);
        assert_eq!(files, ["b.yaml"]);
        assert_eq!(problems, ["`absent.yaml` does not exist"]);
    }

    #[test]
    fn what_is_ignored_is_counted_even_if_named() {
        let root = corpus();
        let ignore: Ignore = Arc::new(|path, _| path.ends_with("b.yaml") || path.ends_with("sub"));
        let found = find(&[root.path().to_owned(), root.path().join("b.yaml")], &ignore);
        let names: Vec<_> = found.files.iter().filter_map(|file| file.path.as_ref()?.file_name()).collect();
        assert_eq!(names, ["a.yml", "c.JSON"]);
        assert_eq!(found.ignored, 2);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_followed_once_and_never_in_a_circle() {
        use std::os::unix::fs::symlink;
        let root = corpus();
        symlink("..", root.path().join("sub/back")).unwrap();
        symlink("sub", root.path().join("also-sub")).unwrap();
        symlink("b.yaml", root.path().join("link.yaml")).unwrap();
        symlink("nowhere", root.path().join("dangling.yaml")).unwrap();
        symlink("nowhere", root.path().join("dangling")).unwrap();
        let (files, problems) = found(root.path(), &["."]);
        assert_eq!(
            files,
            [
                "a.yml",
                "also-sub/d.yaml",
                "also-sub/deep/e.yaml",
                "b.yaml",
                "c.JSON",
                "link.yaml",
                "sub/d.yaml",
                "sub/deep/e.yaml"
            ]
        );
        assert_eq!(problems.len(), 3, "{problems:?}");
        assert!(
            problems.iter().any(|problem| problem.starts_with("`sub/back` is a link back to ")),
            "{problems:?}"
        );
        assert!(problems.contains(&"`dangling.yaml` is a link to something that does not exist".to_owned()));
    }

    #[cfg(unix)]
    #[test]
    fn neither_a_fifo_nor_a_device_is_waited_for() {
        let root = corpus();
        let fifo = root.path().join("fifo.yaml");
        let made = std::process::Command::new("mkfifo").arg(&fifo).status().unwrap();
        assert!(made.success());
        let (files, problems) = found(root.path(), &["."]);
        assert_eq!(files.len(), 5);
        assert_eq!(problems, ["`fifo.yaml` is a FIFO, not a file"]);
        assert_eq!(found(root.path(), &["fifo.yaml"]).1, ["`fifo.yaml` is a FIFO, not a file"]);
        let problem = Source::file(&fifo, true).read(1024).unwrap_err();
        assert!(problem.to_string().ends_with("is a FIFO, not a file"), "{problem}");
        assert_eq!(found(root.path(), &["/dev/null"]).1, ["`/dev/null` is a device, not a file"]);
    }

    #[test]
    fn a_file_is_measured_before_it_is_read() {
        let root = corpus();
        let path = root.path().join("large.yaml");
        File::create(&path).unwrap().set_len(3 << 20).unwrap();
        let source = Source::file(&path, true);
        assert!(
            source
                .read(2 << 20)
                .unwrap_err()
                .to_string()
                .ends_with("is larger than 2 MiB, the most that is read")
        );
        assert_eq!(source.read(3 << 20).unwrap().len(), 3 << 20);
    }
}
