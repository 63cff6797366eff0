//! `docs/configuration.md`: what may stand in a device's configuration file, from the types that read it.
//!
//! The types are read as text, so that the page costs no derive and no feature. What it understands is what is written
//! there: structs and enums with documentation, `#[serde(default)]`, and one word of another case for each name.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

const PAGE: &str = "docs/configuration.md";
const SOURCES: &str = "crates/margo-reference/src";
const ROOT: &str = "DeviceConfig";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Type {
    doc: String,
    /// What is left out has a default, whatever it is.
    has_defaults: bool,
    is_enum: bool,
    members: Vec<Member>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    name: String,
    /// Empty for the variant of an enum.
    of: String,
    doc: String,
    has_default: bool,
}

/// Writes the page; with `--check` it must be up to date.
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    let check = super::page::is_check(args)?;
    let root = super::page::root()?;
    let mut types = BTreeMap::new();
    for file in sources(&root.join(SOURCES))? {
        let text = std::fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        read(&text, &mut types);
    }
    super::page::settle(&root, PAGE, &page(&types)?, check, "configuration")
}

fn sources(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() {
            found.extend(sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// Every public struct and enum of a source, as `rustfmt` leaves it.
fn read(source: &str, types: &mut BTreeMap<String, Type>) {
    let mut lines = source.lines();
    let (mut doc, mut attributes) = (String::new(), String::new());
    while let Some(line) = lines.next() {
        let head = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "));
        if let Some(name) = head.and_then(|head| head.strip_suffix(" {")) {
            let mut found = Type {
                doc: std::mem::take(&mut doc),
                has_defaults: is_default(&attributes),
                is_enum: line.starts_with("pub enum"),
                members: Vec::new(),
            };
            found.members = members(&mut lines, found.is_enum);
            types.insert(name.to_owned(), found);
        }
        if !collect(line, &mut doc, &mut attributes) {
            doc.clear();
            attributes.clear();
        }
    }
}

fn members<'a>(lines: &mut impl Iterator<Item = &'a str>, is_enum: bool) -> Vec<Member> {
    let mut members = Vec::new();
    let (mut doc, mut attributes) = (String::new(), String::new());
    for line in lines.take_while(|line| *line != "}") {
        let text = line.trim();
        let found = match text.strip_prefix("pub ").and_then(|field| field.split_once(": ")) {
            Some((name, of)) => Some((name.replace('_', "-"), of.trim_end_matches(',').to_owned())),
            None if is_enum && text.starts_with(char::is_uppercase) => {
                Some((kebab(text.trim_end_matches(',')), String::new()))
            }
            None => None,
        };
        if let Some((name, of)) = found {
            let has_default = is_default(&attributes);
            // The only one that is written otherwise than its type says.
            let of = if attributes.contains("\"bytes\"") { "Amount".to_owned() } else { of };
            members.push(Member { name, of, doc: std::mem::take(&mut doc), has_default });
        }
        if !collect(line, &mut doc, &mut attributes) {
            doc.clear();
            attributes.clear();
        }
    }
    members
}

/// Keeps documentation and attributes until what they are of; says whether the line was one of them.
fn collect(line: &str, doc: &mut String, attributes: &mut String) -> bool {
    let text = line.trim();
    if let Some(words) = text.strip_prefix("///") {
        if !doc.is_empty() && !words.is_empty() {
            doc.push(' ');
        }
        doc.push_str(words.trim());
        return true;
    }
    attributes.push_str(text);
    text.starts_with("#[")
}

fn is_default(attributes: &str) -> bool {
    attributes.split("serde(").skip(1).any(|rest| {
        let inside = rest.split(")]").next().unwrap_or_default();
        inside.split(',').any(|part| part.trim() == "default" || part.trim().starts_with("default ="))
    })
}

fn kebab(name: &str) -> String {
    name.chars().enumerate().fold(String::new(), |mut kebab, (at, letter)| {
        if letter.is_uppercase() && at > 0 {
            kebab.push('-');
        }
        kebab.extend(letter.to_lowercase());
        kebab
    })
}

fn page(types: &BTreeMap<String, Type>) -> Result<String, String> {
    let root = types.get(ROOT).ok_or_else(|| format!("no `{ROOT}` in {SOURCES}"))?;
    let mut page = String::from(
        "# The configuration of a device\n\n\
         `cargo xtask configuration` writes this page from the types that read the file.\n\n\
         The file is TOML, and is given as `margo-device --config FILE`. ",
    );
    page.push_str(&root.doc);
    page.push('\n');
    for section in &root.members {
        section_of(&mut page, types, &key(section), section, 0)?;
    }
    Ok(page)
}

fn section_of(
    page: &mut String,
    types: &BTreeMap<String, Type>,
    path: &str,
    member: &Member,
    depth: usize,
) -> Result<(), String> {
    let name = innermost(&member.of);
    let found =
        types.get(name).ok_or_else(|| format!("`{path}` is a `{name}`, which is not in {SOURCES}"))?;
    if depth > 8 {
        return Err(format!("`{path}` has sections in sections without end"));
    }
    // Writing to a `String` cannot fail.
    let _ = write!(page, "\n## `[{path}]`\n\n{}\n", if depth == 0 { &found.doc } else { &member.doc });
    let is_section = |member: &Member| types.get(innermost(&member.of)).is_some_and(|of| !of.is_enum);
    let rows: Vec<_> = found.members.iter().filter(|member| !is_section(member)).collect();
    if !rows.is_empty() {
        page.push_str("\n| Key | Value | Needed | |\n| --- | --- | --- | --- |\n");
    }
    for row in rows {
        let needed = !(found.has_defaults || row.has_default || row.of.starts_with("Option<"));
        let needed = if needed { "yes" } else { "" };
        let _ = writeln!(
            page,
            "| `{}` | {} | {needed} | {} |",
            row.name,
            value(types, &row.of)?,
            row.doc.replace('|', "\\|")
        );
    }
    for member in found.members.iter().filter(|member| is_section(member)) {
        section_of(page, types, &format!("{path}.{}", key(member)), member, depth + 1)?;
    }
    Ok(())
}

/// How a section is called; one of many has a name that its owner chose.
fn key(section: &Member) -> String {
    let is_one_of_many = section.of.contains("BTreeMap<");
    if is_one_of_many { format!("{}.NAME", section.name) } else { section.name.clone() }
}

/// `Section` of `Option<BTreeMap<String, Section>>`.
fn innermost(of: &str) -> &str {
    let mut of = of;
    while let Some((_, inside)) = of.split_once('<') {
        let inside = inside.strip_suffix('>').unwrap_or(inside);
        of = inside.split_once(", ").map_or(inside, |(_, value)| value);
    }
    of
}

/// How a value is written in the file.
fn value(types: &BTreeMap<String, Type>, of: &str) -> Result<String, String> {
    if let Some(inside) = of.strip_prefix("Option<").and_then(|of| of.strip_suffix('>')) {
        return value(types, inside);
    }
    if let Some(inside) = of.strip_prefix("Vec<").and_then(|of| of.strip_suffix('>')) {
        return Ok(format!("list of {}", value(types, inside)?));
    }
    Ok(match of {
        "bool" => "`true` or `false`".to_owned(),
        "PathBuf" => "path".to_owned(),
        "Duration" => "duration, such as `30s`".to_owned(),
        "Url" | "BundleUri" => "URL".to_owned(),
        "u16" | "u32" | "u64" | "usize" | "f64" => "number".to_owned(),
        "Amount" => "amount, such as `256Mi`".to_owned(),
        "SpecVersion" => "revision, such as `1.0.0-rc.3`".to_owned(),
        _ => match types.get(of) {
            Some(of) if of.is_enum => {
                let values: Vec<_> = of.members.iter().map(|member| format!("`{}`", member.name)).collect();
                values.join(", ")
            }
            _ => "text".to_owned(),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOURCE: &str = "
/// All of it.
#[derive(Deserialize)]
#[serde(rename_all = \"kebab-case\")]
pub struct DeviceConfig {
    /// The one.
    pub one_part: OnePart,
    /// Others.
    #[serde(default)]
    pub others: BTreeMap<String, OnePart>,
}

/// One part.
pub struct OnePart {
    /// How long,
    /// at most.
    #[serde(default = \"x\", deserialize_with = \"duration\")]
    pub how_long: Duration,
    pub kind: Kind,
    /// Whose.
    pub owner: Option<String>,
}

pub enum Kind {
    /// A.
    FirstKind,
    Second,
}
";

    #[test]
    fn the_page_says_what_the_types_say() {
        let mut types = BTreeMap::new();
        read(SOURCE, &mut types);
        let page = page(&types).unwrap();
        for line in [
            "## `[one-part]`",
            "| `how-long` | duration, such as `30s` |  | How long, at most. |",
            "| `kind` | `first-kind`, `second` | yes |  |",
            "| `owner` | text |  | Whose. |",
            "## `[others.NAME]`",
        ] {
            assert!(page.lines().any(|found| found == line), "{line} in\n{page}");
        }
    }

    #[test]
    fn a_section_that_is_not_there_is_named() {
        let mut types = BTreeMap::new();
        read("pub struct DeviceConfig {\n    pub a: Absent,\n}\n", &mut types);
        assert!(page(&types).unwrap_err().contains("`Absent`"));
    }
}
