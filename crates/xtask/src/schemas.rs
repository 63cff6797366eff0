//! `schemas/<revision>/<document>.schema.json`, generated from the types of the model crates.
//!
//! Those crates are linked only with the feature `codegen`: without it this task starts itself again with it.

#[cfg(any(feature = "codegen", test))]
use std::collections::{BTreeMap, BTreeSet};

#[cfg(any(feature = "codegen", test))]
use serde_json::Value;

/// Compiles the models, and writes or checks their schemas.
#[cfg(not(feature = "codegen"))]
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    crate::page::is_check(args)?;
    let mut all = vec!["run", "--quiet", "--package", "xtask", "--features", "codegen", "--", "schemas"];
    all.extend(args.iter().map(String::as_str));
    crate::run::cargo(&all)
}

/// Writes the schemas and their index, or with `--check` fails when they are not what would be written.
#[cfg(feature = "codegen")]
pub(crate) fn run(args: &[String]) -> Result<(), String> {
    use crate::page;

    let check = page::is_check(args)?;
    let root = page::root()?;
    let documents = [margo_capability::schemas(), margo_status::schemas()].into_iter().flatten();
    let documents = documents.map(|(revision, kind, schema)| (revision.as_str(), kind, schema.to_value()));
    let revisions = margo_core::SpecVersion::ALL.map(margo_core::SpecVersion::as_str);
    let files = files(documents, &revisions)?;
    for (file, text) in &files {
        page::settle(&root, file, text, check, "schemas")?;
    }
    for file in left_over(&root, &files)? {
        if check {
            return Err(format!("{file} is the schema of no document; `cargo xtask schemas` removes it"));
        }
        std::fs::remove_file(root.join(&file))
            .map_err(|error| format!("{file} cannot be removed: {error}"))?;
        println!("removed {file}");
    }
    println!("schemas: {}", files.len() - 1);
    Ok(())
}

/// Every file with its text: the schemas as canonical JSON with sorted members, and the index.
#[cfg(any(feature = "codegen", test))]
fn files<'a>(
    documents: impl Iterator<Item = (&'a str, &'a str, Value)>,
    revisions: &[&str],
) -> Result<BTreeMap<String, String>, String> {
    let mut files = BTreeMap::new();
    let mut kinds: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (revision, kind, mut schema) in documents {
        let members = schema.as_object_mut().ok_or_else(|| format!("{revision} {kind}: no object"))?;
        members.insert("$id".to_owned(), format!("urn:margo:{revision}:{kind}").into());
        members.insert("title".to_owned(), format!("{kind} ({revision})").into());
        let text =
            serde_json::to_string_pretty(&schema).map_err(|error| format!("{revision} {kind}: {error}"))?;
        kinds.entry(kind).or_default().insert(revision);
        if files.insert(format!("schemas/{}", path(revision, kind)), text + "\n").is_some() {
            return Err(format!("{revision} {kind}: there are two schemas"));
        }
    }
    files.insert("schemas/README.md".to_owned(), index(&kinds, revisions));
    Ok(files)
}

#[cfg(any(feature = "codegen", test))]
fn path(revision: &str, kind: &str) -> String {
    format!("{revision}/{kind}.schema.json")
}

#[cfg(any(feature = "codegen", test))]
fn index(kinds: &BTreeMap<&str, BTreeSet<&str>>, revisions: &[&str]) -> String {
    let head: Vec<_> = ["Document"].iter().chain(revisions).copied().collect();
    let mut rows = vec![crate::page::row(&head), crate::page::row(&vec!["---"; head.len()])];
    for (kind, has) in kinds {
        let link = |revision: &&str| match has.contains(revision) {
            true => format!("[schema]({})", path(revision, kind)),
            false => "–".to_owned(),
        };
        let cells: Vec<_> = [format!("`{kind}`")].into_iter().chain(revisions.iter().map(link)).collect();
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        rows.push(crate::page::row(&cells));
    }
    format!(
        "# JSON Schemas\n\
        \n\
        Of every document, in each revision that has it: JSON Schema, draft 2020-12, generated from the types by\n\
        `cargo xtask schemas`. Do not edit them; `cargo xtask schemas --check` is part of the checks.\n\
        \n\
        An editor checks and completes a document that names its schema in its first line, relative to the document:\n\
        \n\
        ```yaml\n\
        # yaml-language-server: $schema=../schemas/1.0.0-rc.3/ApplicationDeployment.schema.json\n\
        ```\n\
        \n\
        A schema knows one document. What relates several places or several documents to one another is checked by\n\
        the types themselves, and what the specification says in two ways is read as\n\
        [`docs/interpretations.md`](../docs/interpretations.md) says.\n\
        \n\
        {}\n",
        rows.join("\n")
    )
}

/// Schemas that nothing generates any more.
#[cfg(feature = "codegen")]
fn left_over(root: &std::path::Path, files: &BTreeMap<String, String>) -> Result<Vec<String>, String> {
    let mut left_over = Vec::new();
    for folder in crate::register::entries(&root.join("schemas"))?.iter().filter(|folder| folder.is_dir()) {
        for path in crate::register::entries(folder)? {
            let file = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().replace('\\', "/");
            if file.ends_with(".schema.json") && !files.contains_key(&file) {
                left_over.push(file);
            }
        }
    }
    Ok(left_over)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_schema_says_whose_it_is_and_is_sorted() {
        let documents =
            [("pre-draft", "Status", json!({"type": "object", "$defs": {"b": 1, "a": 2}, "title": "S"}))];
        let files = files(documents.into_iter(), &["pre-draft", "1.0.0-rc.1"]).unwrap();
        let expected = r#"{
  "$defs": {
    "a": 2,
    "b": 1
  },
  "$id": "urn:margo:pre-draft:Status",
  "title": "Status (pre-draft)",
  "type": "object"
}
"#;
        assert_eq!(files["schemas/pre-draft/Status.schema.json"], expected);
        let index = &files["schemas/README.md"];
        assert!(index.contains("| Document | pre-draft | 1.0.0-rc.1 |"), "{index}");
        assert!(index.ends_with("| `Status` | [schema](pre-draft/Status.schema.json) | – |\n"), "{index}");
    }

    #[test]
    fn two_schemas_of_one_document_are_refused() {
        let twice = ["a", "b"].map(|text| ("pre-draft", "Status", json!({"description": text})));
        assert_eq!(files(twice.into_iter(), &[]).unwrap_err(), "pre-draft Status: there are two schemas");
        assert!(files([("pre-draft", "Status", json!(true))].into_iter(), &[]).is_err());
    }
}
