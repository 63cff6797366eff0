//! Which files belong together, and what holds for them.

use std::collections::BTreeMap;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};
use std::sync::Arc;

use margo_core::{SpecVersion, Strictness};
use margo_validate::{Checker, DocumentKind, Options};

use super::expect::{self, Expect, Expectation};
use super::run::FILE;
use crate::files::Source;
use crate::settings::{Settings, SettingsByFolder};

/// The most bytes of files that are compared with each other; beyond, each is checked by itself.
const MOST_TOGETHER: u64 = 8 << 20;

/// What was asked for, for every file.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    pub(crate) revision: Option<SpecVersion>,
    pub(crate) kind: Option<DocumentKind>,
    pub(crate) strictness: Option<Strictness>,
    pub(crate) expect: Expect,
    /// Files that others are compared with.
    pub(crate) with: Vec<Source>,
}

/// Files that are looked at together.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) checker: Arc<Checker>,
    pub(crate) expectation: Expectation,
    /// Those that were asked for, and behind them those they are compared with.
    pub(crate) files: Vec<Source>,
    /// How many were asked for.
    pub(crate) asked: usize,
    /// Whether the folder makes an assertion about them.
    pub(crate) is_corpus: bool,
}

/// What tells groups apart. Files named on the command line belong together, and so do those of one folder; in a
/// corpus each file stands alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    place: Option<String>,
    settings: usize,
    revision: Option<SpecVersion>,
    kind: Option<DocumentKind>,
    expectation: Expectation,
    is_corpus: bool,
}

impl Plan {
    /// The groups, in the order of their first file. The second result names what is too large to be compared.
    pub(crate) fn groups(
        &self,
        files: Vec<Source>,
        settings: &SettingsByFolder,
    ) -> (Vec<Group>, Vec<String>) {
        let mut order: Vec<(Key, Option<Arc<Settings>>, Vec<Source>)> = Vec::new();
        let mut known: BTreeMap<Key, usize> = BTreeMap::new();
        let here = std::env::current_dir().ok().filter(|here| expect::is_within_corpus(here));
        for file in files {
            let settings = settings.of(file.path.as_deref());
            let key = self.key(&file, settings.as_ref(), here.as_deref());
            let index = *known.entry(key.clone()).or_insert_with(|| {
                order.push((key, settings, Vec::new()));
                order.len() - 1
            });
            order[index].2.push(file);
        }
        let mut checkers = BTreeMap::new();
        let mut groups = Vec::new();
        let mut apart = Vec::new();
        for (key, settings, files) in order {
            let identity = (key.settings, key.revision, key.kind);
            let checker = checkers.entry(identity).or_insert_with(|| {
                Arc::new(Checker::new(self.options(settings.as_deref(), key.revision, key.kind)))
            });
            let mut push = |files: Vec<Source>| {
                let asked = files.len();
                groups.push(Group {
                    checker: Arc::clone(checker),
                    expectation: key.expectation.clone(),
                    files: files.into_iter().chain(self.with.iter().cloned()).collect(),
                    asked,
                    is_corpus: key.is_corpus,
                });
            };
            if files.len() > 1 && files.iter().map(|file| file.size + FILE).sum::<u64>() > MOST_TOGETHER {
                apart.push(key.place.unwrap_or_else(|| "the files named".to_owned()));
                for file in files {
                    push(vec![file]);
                }
            } else {
                push(files);
            }
        }
        (groups, apart)
    }

    /// `here` is the folder the program runs in, if that says something about the files in it.
    fn key(&self, file: &Source, settings: Option<&Arc<Settings>>, here: Option<&Path>) -> Key {
        let settings = settings.map_or(0, |settings| Arc::as_ptr(settings).addr());
        let folder = || file.name.rsplit_once('/').map_or(".", |(folder, _)| folder).to_owned();
        let key = |place, expectation| Key {
            place,
            settings,
            revision: None,
            kind: None,
            expectation,
            is_corpus: false,
        };
        let together = (!file.is_named).then(folder);
        let absolute = here.zip(file.path.as_ref()).map(|(here, path)| {
            let absolute: PathBuf = here.join(path).components().collect();
            absolute.to_string_lossy().replace(MAIN_SEPARATOR, "/")
        });
        match self.expect {
            Expect::Valid => key(together, Expectation::Valid),
            Expect::Invalid => key(together, Expectation::Invalid),
            Expect::Folder => match expect::place(&file.name).or_else(|| expect::place(absolute.as_deref()?))
            {
                None => key(together, Expectation::Valid),
                Some(place) => Key {
                    revision: place.revision,
                    kind: place.kind.filter(|_| place.scene.is_none()),
                    is_corpus: true,
                    ..key(Some(place.scene.unwrap_or(&file.name).to_owned()), place.expectation)
                },
            },
        }
    }

    fn options(
        &self,
        settings: Option<&Settings>,
        revision: Option<SpecVersion>,
        kind: Option<DocumentKind>,
    ) -> Options {
        let mut options = options(settings);
        options.revision = self.revision.or(revision).or(options.revision);
        options.kind = self.kind.or(kind);
        options.strictness = self.strictness.unwrap_or(options.strictness);
        options
    }
}

/// What a `margo.toml` says.
pub(crate) fn options(settings: Option<&Settings>) -> Options {
    let mut options = Options::default();
    if let Some(settings) = settings {
        options.revision = settings.revision;
        options.strictness = settings.strictness.unwrap_or(options.strictness);
        options.levels.clone_from(&settings.levels);
    }
    options
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str, is_named: bool, size: u64) -> Source {
        Source { path: Some(name.into()), name: name.to_owned(), is_named, size }
    }

    fn groups(plan: &Plan, files: Vec<Source>) -> Vec<Vec<String>> {
        let settings = SettingsByFolder::found(|_| false);
        let (groups, _) = plan.groups(files, &settings);
        groups.iter().map(|group| group.files.iter().map(|file| file.name.clone()).collect()).collect()
    }

    #[test]
    fn what_is_named_belongs_together_and_so_does_a_folder() {
        let files = vec![
            file("a.yaml", true, 1),
            file("d/x.yaml", false, 1),
            file("e/b.yaml", true, 1),
            file("d/y.yaml", false, 1),
        ];
        assert_eq!(
            groups(&Plan::default(), files),
            [vec!["a.yaml", "e/b.yaml"], vec!["d/x.yaml", "d/y.yaml"]]
        );
    }

    #[test]
    fn in_a_corpus_each_file_stands_alone_but_for_scenes() {
        let names =
            ["valid/a.yaml", "valid/b.yaml", "invalid/r/c.yaml", "invalid/r/s/d.yaml", "invalid/r/s/e.yaml"];
        let files = || names.map(|name| file(name, false, 1)).to_vec();
        assert_eq!(
            groups(&Plan::default(), files()),
            [
                vec!["valid/a.yaml"],
                vec!["valid/b.yaml"],
                vec!["invalid/r/c.yaml"],
                vec!["invalid/r/s/d.yaml", "invalid/r/s/e.yaml"]
            ]
        );
        let plan = Plan { expect: Expect::Invalid, ..Plan::default() };
        assert_eq!(groups(&plan, files()).len(), 3);
    }

    #[test]
    fn what_is_large_stands_alone() {
        let settings = SettingsByFolder::found(|_| false);
        let files = vec![file("d/a.yaml", false, 20 << 20), file("d/b.yaml", false, 20 << 20)];
        let (groups, apart) = Plan::default().groups(files, &settings);
        assert_eq!((groups.len(), apart.as_slice()), (2, ["d".to_owned()].as_slice()));
    }

    #[test]
    fn every_group_is_compared_with_what_was_named_for_that() {
        let plan = Plan { with: vec![file("w.yaml", true, 1)], ..Plan::default() };
        assert_eq!(groups(&plan, vec![file("d/a.yaml", false, 1)]), [vec!["d/a.yaml", "w.yaml"]]);
    }
}
