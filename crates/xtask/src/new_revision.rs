//! What a new revision of the specification touches: the list beside the recipe in `docs/new-revision.md`.

use std::collections::BTreeSet;
use std::path::Path;

use crate::page;
use crate::register::rust_files;

const USAGE: &str = "usage: cargo xtask new-revision 1.0.0-rc.4 --dry-run

The command lists what would be touched; touching it is for people. The recipe is in docs/new-revision.md.";

/// Where the revisions are enumerated.
const VERSIONS: &str = "crates/margo-core/src/version.rs";

/// Prints every file that a revision of this name would touch.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let [name, dry_run] = args else { return Err(USAGE.to_owned()) };
    if dry_run != "--dry-run" {
        return Err(USAGE.to_owned());
    }
    let touched = touched(&page::root()?, name)?;
    let mut step = "";
    for touch in &touched {
        if touch.step != step {
            step = touch.step;
            println!("\n{step}");
        }
        println!("  {:9} {}", touch.action.name(), touch.file);
    }
    println!("\n{} files; how is said in docs/new-revision.md", touched.len());
    Ok(())
}

/// One file to touch.
#[derive(Debug, PartialEq, Eq)]
struct Touch {
    step: &'static str,
    action: Action,
    file: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Action {
    Create,
    Edit,
    Generate,
}

impl Action {
    fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Edit => "edit",
            Self::Generate => "generate",
        }
    }
}

/// Every file a revision called `name` touches, in the order of the recipe, each once.
fn touched(root: &Path, name: &str) -> Result<Vec<Touch>, String> {
    let versions = Versions::read(&page::read(root, VERSIONS)?)?;
    let is_plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-');
    if !is_plain || !name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(format!("`{name}` is no version; expected one such as 1.0.0-rc.4"));
    }
    if versions.names.contains(name) {
        return Err(format!("there is a revision `{name}` already"));
    }
    let sources = Sources::read(root)?;
    let older: Vec<_> = versions.names.iter().map(|name| module(name)).collect();
    let mut list = List { root, touched: Vec::new(), seen: BTreeSet::new() };

    list.add("1. the name", Action::Edit, VERSIONS);

    let step = "2. the documents: each root becomes a file of its own, and changes";
    for package in sources.models() {
        list.add(step, Action::Create, &format!("{package}/src/{}.rs", module(&versions.newest)));
        list.add(step, Action::Edit, &format!("{package}/src/lib.rs"));
        // The value of any revision, and the conversions that lead to the root.
        list.edit(step, sources.under(&package, "src").filter(|source| source.text.contains("pub enum Any")));
        list.edit(
            step,
            sources.under(&package, "src").filter(|source| older.iter().any(|module| source.is(module))),
        );
        // The root: what serves a sentence of the newest revision.
        let page = format!("specification.margo.org/{}", versions.newest);
        list.edit(step, sources.under(&package, "src").filter(|source| source.text.contains(&page)));
    }

    let step = "3. the routes";
    list.edit(step, sources.0.iter().filter(|source| source.text.contains("const ROUTES")));

    let step = "4. wherever else the newest revision is named";
    // Not `SpecVersion::` before it, for many files name the variants without.
    list.edit(step, sources.0.iter().filter(|source| source.text.contains(&versions.newest_variant)));
    // The tables of what has schemas, and of what the specification's examples are, go by its text.
    for table in ["schemas", "verdicts"] {
        list.add(step, Action::Edit, &format!("crates/xtask/tests/it/{table}.rs"));
    }

    let step = "5. laws and fixtures";
    for package in sources.models() {
        let of_older =
            |source: &&Source| older.iter().any(|module| source.text.contains(&format!("{module}::")));
        list.edit(step, sources.under(&package, "tests").filter(of_older));
    }
    list.add(step, Action::Create, &format!("fixtures/valid/{name}/"));
    // What is broken lies by what is wrong with it; its revision begins the names of the files.
    list.add(step, Action::Create, "fixtures/invalid/RULE/");
    list.add(step, Action::Create, &format!("fixtures/messages/accepted/{name}/"));
    list.add(step, Action::Create, "fixtures/messages/refused/REASON/");

    let step = "6. pages, and what is generated";
    for file in ["crates/xtask/src/citation.rs", "docs/coverage.md", "docs/interpretations.md", "README.md"] {
        list.add(step, Action::Edit, file);
    }
    list.add(step, Action::Generate, &format!("schemas/{name}/"));
    list.add(step, Action::Generate, "schemas/README.md");
    Ok(list.touched)
}

/// What is to be touched, so far.
struct List<'a> {
    root: &'a Path,
    touched: Vec<Touch>,
    seen: BTreeSet<String>,
}

impl List<'_> {
    fn edit<'s>(&mut self, step: &'static str, sources: impl Iterator<Item = &'s Source>) {
        for source in sources {
            self.add(step, Action::Edit, &source.file);
        }
    }

    /// A file is listed once, where the recipe comes to it first.
    fn add(&mut self, step: &'static str, action: Action, file: &str) {
        let can_be = action != Action::Edit || self.root.join(file).exists();
        if can_be && self.seen.insert(file.to_owned()) {
            self.touched.push(Touch { step, action, file: file.to_owned() });
        }
    }
}

struct Source {
    /// From the root of the workspace on.
    file: String,
    text: String,
}

impl Source {
    fn is(&self, module: &str) -> bool {
        self.file.ends_with(&format!("/{module}.rs"))
    }
}

/// Every source of the workspace.
struct Sources(Vec<Source>);

impl Sources {
    fn read(root: &Path) -> Result<Self, String> {
        let files = rust_files(root)?.into_iter().map(|file| format!("crates/{file}"));
        let read = |file: String| Ok(Source { text: page::read(root, &file)?, file });
        files.map(read).collect::<Result<_, String>>().map(Self)
    }

    fn under(&self, package: &str, folder: &str) -> impl Iterator<Item = &Source> {
        let start = format!("{package}/{folder}/");
        self.0.iter().filter(move |source| source.file.starts_with(&start))
    }

    /// The folders of the crates that hold documents of several revisions.
    fn models(&self) -> Vec<String> {
        let oldest = self.0.iter().filter_map(|source| source.file.strip_suffix("/src/pre_draft.rs"));
        oldest.map(str::to_owned).collect()
    }
}

/// The revisions there are, as `SpecVersion` names them.
struct Versions {
    names: BTreeSet<String>,
    newest: String,
    newest_variant: String,
}

impl Versions {
    fn read(source: &str) -> Result<Self, String> {
        let named = source.lines().filter_map(|line| {
            let (variant, name) = line.trim().strip_prefix("Self::")?.split_once(" => \"")?;
            Some((variant, name.strip_suffix("\",")?.to_owned()))
        });
        let named: Vec<_> = named.collect();
        let latest =
            source.split("const LATEST: Self = Self::").nth(1).and_then(|rest| rest.split(';').next());
        let newest = named.iter().find(|(variant, _)| Some(*variant) == latest);
        let (variant, newest) =
            newest.ok_or_else(|| format!("{VERSIONS} does not say which revision is the newest"))?;
        let (newest_variant, newest) = ((*variant).to_owned(), newest.clone());
        Ok(Self { newest_variant, newest, names: named.into_iter().map(|(_, name)| name).collect() })
    }
}

/// `1.0.0-rc.3` stands in `rc3.rs`, `pre-draft` in `pre_draft.rs`, `1.1.0` in `v1_1_0.rs`.
fn module(name: &str) -> String {
    match name.split_once("-rc.") {
        Some((_, number)) => format!("rc{number}"),
        None if name.starts_with(|c: char| c.is_ascii_digit()) => {
            format!("v{}", name.replace(['.', '-'], "_"))
        }
        None => name.replace('-', "_"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workspace() -> &'static Path {
        Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
    }

    #[test]
    fn the_list_names_what_the_recipe_speaks_of() {
        let touched = touched(workspace(), "1.0.0-rc.9").unwrap();
        let has = |action: Action, file: &str| {
            touched.iter().any(|touch| touch.action == action && touch.file == file)
        };
        assert!(has(Action::Edit, VERSIONS));
        for model in ["application", "capability", "deployment", "status"] {
            assert!(has(Action::Create, &format!("crates/margo-{model}/src/rc3.rs")), "{model}");
            for file in ["src/lib.rs", "src/any.rs", "src/pre_draft.rs", "tests/it/laws.rs"] {
                assert!(has(Action::Edit, &format!("crates/margo-{model}/{file}")), "{model} {file}");
            }
        }
        for root in ["application/src/description.rs", "deployment/src/manifest.rs", "status/src/status.rs"] {
            assert!(has(Action::Edit, &format!("crates/margo-{root}")), "{root}");
        }
        for endpoint in ["get_desired_state", "report_capabilities", "report_deployment_status"] {
            assert!(has(Action::Edit, &format!("crates/margo-api/src/endpoint/{endpoint}.rs")), "{endpoint}");
        }
        for table in [
            "margo-validate/src/schema",
            "margo-api/src/schema",
            "xtask/tests/it/schemas",
            "xtask/tests/it/verdicts",
        ] {
            assert!(has(Action::Edit, &format!("crates/{table}.rs")), "{table}");
        }
        assert!(has(Action::Create, "fixtures/valid/1.0.0-rc.9/"));
        assert!(has(Action::Create, "fixtures/messages/accepted/1.0.0-rc.9/"));
        assert!(has(Action::Generate, "schemas/1.0.0-rc.9/"));
        assert!(has(Action::Edit, "docs/interpretations.md"));
        let files: BTreeSet<_> = touched.iter().map(|touch| &touch.file).collect();
        let sources = Sources::read(workspace()).unwrap();
        let naming = sources.0.iter().filter(|source| source.text.contains("V1_0_0Rc3"));
        assert!(
            naming.map(|source| &source.file).all(|file| files.contains(file)),
            "every file that names it"
        );
        assert_eq!(files.len(), touched.len(), "each once");
    }

    #[test]
    fn a_name_is_a_version_and_new() {
        for name in ["", "rc.4", "../1", "1.0.0-rc.3", "pre-draft"] {
            assert!(touched(workspace(), name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_revision_has_a_file_of_its_name() {
        assert_eq!(["1.0.0-rc.3", "pre-draft", "1.1.0"].map(module), ["rc3", "pre_draft", "v1_1_0"]);
    }

    #[test]
    fn the_newest_revision_is_read_from_the_list_of_them() {
        let source =
            "const LATEST: Self = Self::B;\n Self::A => \"pre-draft\",\n Self::B => \"1.0.0-rc.1\",\n";
        let versions = Versions::read(source).unwrap();
        assert_eq!((versions.newest.as_str(), versions.names.len()), ("1.0.0-rc.1", 2));
        assert!(Versions::read("Self::A => \"pre-draft\",").is_err());
    }
}
