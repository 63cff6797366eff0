//! The files of `schemas/` and what stands in them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::page;

/// Every file with its text: the schemas as canonical JSON with sorted members, and the index.
pub(super) fn files<'a>(
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

fn path(revision: &str, kind: &str) -> String {
    format!("{revision}/{kind}.schema.json")
}

fn index(kinds: &BTreeMap<&str, BTreeSet<&str>>, revisions: &[&str]) -> String {
    let head: Vec<_> = ["Document"].iter().chain(revisions).copied().collect();
    let mut rows = vec![page::row(&head), page::row(&vec!["---"; head.len()])];
    for (kind, has) in kinds {
        let link = |revision: &&str| {
            if has.contains(revision) {
                format!("[schema]({})", path(revision, kind))
            } else {
                "–".to_owned()
            }
        };
        let cells: Vec<_> = [format!("`{kind}`")].into_iter().chain(revisions.iter().map(link)).collect();
        let cells: Vec<_> = cells.iter().map(String::as_str).collect();
        rows.push(page::row(&cells));
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
