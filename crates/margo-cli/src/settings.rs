//! `margo.toml`: what holds for every document below the folder it lies in.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf, absolute};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::gitignore::{Gitignore, GitignoreBuilder};
use margo_core::{SpecVersion, Strictness};
use margo_validate::RuleLevel;
use serde::{Deserialize, Deserializer};
use toml::Spanned;

/// What the file is called.
pub(crate) const FILE: &str = "margo.toml";

/// The most bytes of it that are read.
const MOST: u64 = 1 << 20;

/// What one `margo.toml` says.
#[derive(Debug)]
pub(crate) struct Settings {
    /// The revision every document follows; otherwise it is told by the shape of each.
    pub(crate) revision: Option<SpecVersion>,
    /// How contradictions of the specification are read.
    pub(crate) strictness: Option<Strictness>,
    /// What becomes of a rule's findings, by the rule's name.
    pub(crate) levels: BTreeMap<String, RuleLevel>,
    ignored: Gitignore,
}

impl Settings {
    /// Reads `text`, the content of `file`. `is_rule` tells which rules there are.
    pub(crate) fn parse(file: &Path, text: &str, is_rule: fn(&str) -> bool) -> Result<Self, SettingsError> {
        let wrong = |at: usize, message: &str| SettingsError::at(file, text, at, message);
        let raw: Raw = toml::from_str(text)
            .map_err(|error| wrong(error.span().map_or(0, |span| span.start), error.message().trim_end()))?;
        let mut levels = BTreeMap::new();
        for (rule, level) in raw.rules {
            if !is_rule(rule.get_ref()) {
                let message = format!("no rule is named `{}`; `margo rules` lists them", rule.get_ref());
                return Err(wrong(rule.span().start, &message));
            }
            levels.insert(rule.into_inner(), level);
        }
        let mut ignored = GitignoreBuilder::new(folder_of(file));
        for pattern in raw.ignore {
            if let Err(error) = ignored.add_line(None, pattern.get_ref()) {
                return Err(wrong(pattern.span().start, &format!("no pattern: {error}")));
            }
        }
        let ignored = ignored.build().map_err(|error| wrong(0, &format!("`ignore`: {error}")))?;
        Ok(Self { revision: raw.revision, strictness: raw.strictness, levels, ignored })
    }

    /// Whether what lies at `path` is to be left out.
    pub(crate) fn ignores(&self, path: &Path, is_folder: bool) -> bool {
        let Ok(path) = absolute(path) else { return false };
        path.starts_with(self.ignored.path())
            && self.ignored.matched_path_or_any_parents(&path, is_folder).is_ignore()
    }
}

fn folder_of(file: &Path) -> &Path {
    file.parent().unwrap_or(Path::new(""))
}

/// The settings of every file: the nearest `margo.toml` in its folder or above, but not above the root of the Git
/// repository it lies in.
#[derive(Debug)]
pub(crate) struct SettingsByFolder {
    is_rule: fn(&str) -> bool,
    /// Holds for every file instead of what is found.
    fixed: Option<Arc<Settings>>,
    /// The folder that was asked for last, as it was written: files of one folder are asked for one after the other.
    last: Mutex<Option<(PathBuf, Option<Arc<Settings>>)>>,
    known: Mutex<BTreeMap<PathBuf, Option<Arc<Settings>>>>,
    faults: Mutex<BTreeMap<PathBuf, SettingsError>>,
}

impl SettingsByFolder {
    /// Settings that are found.
    pub(crate) fn found(is_rule: fn(&str) -> bool) -> Self {
        Self {
            is_rule,
            fixed: None,
            last: Mutex::default(),
            known: Mutex::default(),
            faults: Mutex::default(),
        }
    }

    /// The settings in `file`, wherever a document lies.
    pub(crate) fn fixed(file: &Path, is_rule: fn(&str) -> bool) -> Result<Self, SettingsError> {
        let file = absolute(file).map_err(|cause| SettingsError::unreadable(file, &cause))?;
        let settings = Settings::parse(&file, &read(&file)?, is_rule)?;
        Ok(Self { fixed: Some(Arc::new(settings)), ..Self::found(is_rule) })
    }

    /// The settings of files in the folder of `path`; those of the current folder for what has no path.
    pub(crate) fn of(&self, path: Option<&Path>) -> Option<Arc<Settings>> {
        if self.fixed.is_some() {
            return self.fixed.clone();
        }
        let folder = path.map_or(Path::new(""), folder_of);
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        let mut last = lock(&self.last);
        if let Some((known, settings)) = &*last
            && known.as_os_str() == folder.as_os_str()
        {
            return settings.clone();
        }
        let settings = self.of_folder(&absolute(folder).ok()?);
        *last = Some((folder.to_owned(), settings.clone()));
        settings
    }

    fn of_folder(&self, folder: &Path) -> Option<Arc<Settings>> {
        if let Some(known) = lock(&self.known).get(folder) {
            return known.clone();
        }
        let file = folder.join(FILE);
        let settings = if file.is_file() {
            match read(&file).and_then(|text| Settings::parse(&file, &text, self.is_rule)) {
                Ok(settings) => Some(Arc::new(settings)),
                Err(fault) => {
                    lock(&self.faults).insert(file, fault);
                    None
                }
            }
        } else if folder.join(".git").exists() {
            None
        } else {
            folder.parent().and_then(|above| self.of_folder(above))
        };
        lock(&self.known).insert(folder.to_owned(), settings.clone());
        settings
    }

    /// What is wrong with the files that were found so far.
    pub(crate) fn faults(&self) -> Vec<SettingsError> {
        lock(&self.faults).values().cloned().collect()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read(file: &Path) -> Result<String, SettingsError> {
    let unreadable = |cause: io::Error| SettingsError::unreadable(file, &cause);
    if !fs::metadata(file).map_err(unreadable)?.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    let mut text = String::new();
    File::open(file).and_then(|open| open.take(MOST).read_to_string(&mut text)).map_err(unreadable)?;
    Ok(text)
}

/// A `margo.toml` cannot be followed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SettingsError {
    file: PathBuf,
    /// Line and column, from 1.
    place: Option<(usize, usize)>,
    message: String,
}

impl SettingsError {
    fn at(file: &Path, text: &str, offset: usize, message: &str) -> Self {
        let before = text.get(..offset).unwrap_or(text);
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        let message = message.replace('\n', ", ");
        Self { file: file.to_owned(), place: Some((line, column)), message }
    }

    fn unreadable(file: &Path, cause: &io::Error) -> Self {
        Self { file: file.to_owned(), place: None, message: format!("cannot be read: {cause}") }
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let here = std::env::current_dir().unwrap_or_default();
        let file = self.file.strip_prefix(here).unwrap_or(&self.file).display();
        match self.place {
            Some((line, column)) => write!(f, "{file}:{line}:{column}: {}", self.message),
            None => write!(f, "{file}: {}", self.message),
        }
    }
}

impl std::error::Error for SettingsError {}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    #[serde(default, deserialize_with = "revision")]
    revision: Option<SpecVersion>,
    #[serde(default, deserialize_with = "strictness")]
    strictness: Option<Strictness>,
    #[serde(default)]
    ignore: Vec<Spanned<String>>,
    #[serde(default)]
    rules: BTreeMap<Spanned<String>, RuleLevel>,
}

fn revision<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SpecVersion>, D::Error> {
    SpecVersion::deserialize(deserializer).map(Some)
}

fn strictness<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Strictness>, D::Error> {
    match String::deserialize(deserializer)?.as_str() {
        "strict" => Ok(Some(Strictness::Strict)),
        "lenient" => Ok(Some(Strictness::Lenient)),
        _ => Err(serde::de::Error::custom("expected `strict` or `lenient`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_rule(name: &str) -> bool {
        name == "unknown-member"
    }

    fn parse(text: &str) -> Result<Settings, String> {
        Settings::parse(Path::new("/project/margo.toml"), text, is_rule).map_err(|error| error.to_string())
    }

    #[test]
    fn everything_that_can_be_said() {
        let settings = parse(
            "revision = \"1.0.0-rc.2\"\nstrictness = \"lenient\"\nignore = [\"vendor/\", \"*.draft.yaml\"]\n\
             [rules]\nunknown-member = \"warn\"\n",
        )
        .unwrap();
        assert_eq!(settings.revision, Some(SpecVersion::V1_0_0Rc2));
        assert_eq!(settings.strictness, Some(Strictness::Lenient));
        assert_eq!(settings.levels["unknown-member"], RuleLevel::Warn);
        for (path, is_folder, ignored) in [
            ("/project/vendor", true, true),
            ("/project/sub/vendor/a.yaml", false, true),
            ("/project/sub/a.draft.yaml", false, true),
            ("/project/a.yaml", false, false),
            ("/elsewhere/vendor/a.yaml", false, false),
        ] {
            assert_eq!(settings.ignores(Path::new(path), is_folder), ignored, "{path}");
        }
        assert!(parse("").is_ok());
    }

    #[test]
    fn what_is_wrong_has_a_place() {
        for (text, message) in [
            ("revison = \"rc.3\"", "/project/margo.toml:1:1: unknown field `revison`, expected one of"),
            ("revision = \"rc.9\"", "/project/margo.toml:1:12: expected one of `pre-draft`"),
            ("\nstrictness = true", "/project/margo.toml:2:14: invalid type: boolean"),
            ("strictness = \"hard\"", "/project/margo.toml:1:14: expected `strict` or `lenient`"),
            ("[rules]\nno-such-rule = \"allow\"", "/project/margo.toml:2:1: no rule is named `no-such-rule`"),
            (
                "[rules]\nunknown-member = \"deny\"",
                "/project/margo.toml:2:18: unknown variant `deny`, expected one of `allow`, `warn`, `error`",
            ),
            ("ignore = [\"a\", \"{b\"]", "/project/margo.toml:1:16: no pattern"),
            ("revision = ", "/project/margo.toml:1:12: "),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.starts_with(message), "{text}: {error}");
        }
    }

    #[test]
    fn the_nearest_file_holds_up_to_the_root_of_the_repository() {
        let root = tempfile::tempdir().unwrap();
        let at = |path: &str| root.path().join(path);
        for folder in ["near/deep", "repository/.git", "repository/sub"] {
            fs::create_dir_all(at(folder)).unwrap();
        }
        fs::write(at("margo.toml"), "revision = \"rc.1\"").unwrap();
        fs::write(at("near/margo.toml"), "revision = \"rc.2\"").unwrap();
        let settings = SettingsByFolder::found(is_rule);
        let revision = |path: &str| settings.of(Some(&at(path))).and_then(|settings| settings.revision);
        assert_eq!(revision("a.yaml"), Some(SpecVersion::V1_0_0Rc1));
        assert_eq!(revision("near/deep/a.yaml"), Some(SpecVersion::V1_0_0Rc2));
        assert_eq!(revision("repository/sub/a.yaml"), None);
        assert_eq!(settings.faults(), []);

        let fixed = SettingsByFolder::fixed(&at("margo.toml"), is_rule).unwrap();
        assert_eq!(fixed.of(Some(&at("near/a.yaml"))).unwrap().revision, Some(SpecVersion::V1_0_0Rc1));
        assert!(SettingsByFolder::fixed(&at("absent.toml"), is_rule).is_err());
    }

    #[test]
    fn a_file_that_cannot_be_followed_is_told() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("margo.toml"), "x = 1").unwrap();
        let settings = SettingsByFolder::found(is_rule);
        assert!(settings.of(Some(&root.path().join("a.yaml"))).is_none());
        assert_eq!(settings.faults().len(), 1);
    }
}
