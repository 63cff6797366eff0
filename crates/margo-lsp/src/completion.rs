//! What could be written next.

use gen_lsp_types as lsp;
use margo_syntax::Format;
use serde_json::Value;

use crate::cursor::{Cursor, Writing};
use crate::hover::plain;
use crate::member::{Schema, Shape};

/// Something that could stand where somebody types.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) label: String,
    pub(crate) insert: String,
    pub(crate) kind: lsp::CompletionItemKind,
    pub(crate) detail: String,
    pub(crate) documentation: Option<String>,
    /// Sorts before those with a greater one.
    pub(crate) rank: u8,
}

/// Everything `schema` allows at `cursor`.
pub(crate) fn proposals(schema: &Schema, cursor: &Cursor, format: Format) -> Vec<Proposal> {
    let style = Style { is_json: format == Format::Json, is_quoted: cursor.is_quoted, indent: cursor.indent };
    match cursor.writing {
        Writing::Member => members(schema, &schema.at(&cursor.path), cursor, style),
        Writing::Value => values(&schema.at(&cursor.path), style),
        Writing::Item => {
            let item = schema.at(&cursor.path);
            let mut proposals = members(schema, &item, cursor, style);
            // Within brackets an object has to be opened first.
            if cursor.indent.is_none() {
                proposals.clear();
            }
            proposals.extend(values(&item, style));
            proposals.extend(whole(schema, &item, cursor, style));
            proposals
        }
    }
}

#[derive(Clone, Copy)]
struct Style {
    is_json: bool,
    is_quoted: bool,
    indent: Option<usize>,
}

impl Style {
    /// `value` as it is written here.
    fn write(self, value: &Value) -> Option<String> {
        if self.is_quoted {
            let text = value.as_str()?;
            return Some(text.escape_default().to_string()).filter(|escaped| escaped == text);
        }
        if self.is_json || self.indent.is_none() {
            return Some(value.to_string());
        }
        margo_syntax::to_yaml(value).ok().map(|text| text.trim_end().to_owned())
    }

    /// A member called `name`, up to where its value begins.
    fn member(self, name: &str, shape: &Shape<'_>) -> String {
        if self.is_quoted {
            return name.to_owned();
        }
        if self.is_json {
            return format!("\"{name}\": ");
        }
        let types = shape.types();
        let is_only =
            |wanted: &str| !types.is_empty() && types.iter().all(|&name| name == wanted || name == "null");
        match self.indent {
            Some(indent) if is_only("object") => format!("{name}:\n{}", " ".repeat(indent + 2)),
            Some(indent) if is_only("array") => format!("{name}:\n{}- ", " ".repeat(indent + 2)),
            _ => format!("{name}: "),
        }
    }
}

fn members(schema: &Schema, object: &Shape<'_>, cursor: &Cursor, style: Style) -> Vec<Proposal> {
    let typed_so_far = |name: &str| !cursor.present.contains(name);
    let members = schema.members(object).into_iter().filter(|(name, _)| typed_so_far(name));
    members
        .map(|(name, shape)| {
            let mut detail = shape.types().join(" or ");
            if shape.is_required {
                detail.push_str(", required");
            }
            Proposal {
                insert: style.member(&name, &shape),
                kind: lsp::CompletionItemKind::Field,
                detail,
                documentation: shape.description().map(str::to_owned),
                rank: u8::from(!shape.is_required),
                label: name,
            }
        })
        .collect()
}

/// An item with everything in it that it must have.
fn whole(schema: &Schema, item: &Shape<'_>, cursor: &Cursor, style: Style) -> Option<Proposal> {
    let example = schema.example(&cursor.path).filter(|example| example.is_object())?;
    // An item that is begun has members already.
    if style.is_quoted || !cursor.present.is_empty() {
        return None;
    }
    let insert = match style.indent {
        Some(indent) if !style.is_json => {
            let text = margo_syntax::to_yaml(example).ok()?;
            text.trim_end().replace('\n', &format!("\n{}", " ".repeat(indent)))
        }
        _ => example.to_string(),
    };
    let names = example.as_object()?.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Some(Proposal {
        label: format!("{{ {names} }}"),
        insert,
        kind: lsp::CompletionItemKind::Snippet,
        detail: "example".to_owned(),
        documentation: item.description().map(str::to_owned),
        rank: 2,
    })
}

fn values(shape: &Shape<'_>, style: Style) -> Vec<Proposal> {
    let is_boolean = shape.types().contains(&"boolean");
    let booleans = [Value::Bool(true), Value::Bool(false)];
    let booleans =
        booleans.iter().filter(|_| is_boolean).map(|value| (value, lsp::CompletionItemKind::Value, 1));
    let words = shape.words().map(|value| (value, lsp::CompletionItemKind::EnumMember, 1));
    let default = shape.default().into_iter().map(|value| (value, lsp::CompletionItemKind::Value, 0));
    let examples = shape.examples().map(|value| (value, lsp::CompletionItemKind::Value, 2));

    let mut proposals: Vec<Proposal> = Vec::new();
    for (value, kind, rank) in default.chain(words).chain(booleans).chain(examples) {
        let label = plain(value);
        if value.is_object() || value.is_array() || proposals.iter().any(|known| known.label == label) {
            continue;
        }
        let Some(insert) = style.write(value) else { continue };
        let detail = match rank {
            0 => "default",
            2 => "example",
            _ => "",
        };
        let documentation = shape.description().map(str::to_owned);
        proposals.push(Proposal { label, insert, kind, detail: detail.to_owned(), documentation, rank });
    }
    proposals
}

#[cfg(test)]
mod tests {
    use margo_core::SpecVersion;
    use margo_validate::DocumentKind;

    use super::*;
    use crate::member::Step;

    fn proposed(text: &str, format: Format) -> Vec<(String, String)> {
        let schema = Schema::of(DocumentKind::ApplicationDeployment, SpecVersion::V1_0_0Rc3).unwrap();
        let offset = text.find('|').unwrap();
        let cursor = Cursor::at(&text.replacen('|', "", 1), offset, format).unwrap();
        proposals(&schema, &cursor, format).into_iter().map(|it| (it.label, it.insert)).collect()
    }

    fn pair(label: &str, insert: &str) -> (String, String) {
        (label.to_owned(), insert.to_owned())
    }

    #[test]
    fn members_that_are_missing_are_proposed() {
        let found = proposed("id: x\nspec:\n  |\n", Format::Yaml);
        assert!(found.contains(&pair("applicationId", "applicationId: ")), "{found:?}");
        assert!(found.contains(&pair("deploymentProfile", "deploymentProfile:\n    ")), "{found:?}");
        assert!(!proposed("id: x\n|", Format::Yaml).iter().any(|(label, _)| label == "id"));
    }

    #[test]
    fn words_of_a_vocabulary_are_proposed() {
        let text = "spec:\n  deploymentProfile:\n    type: h|";
        assert!(proposed(text, Format::Yaml).contains(&pair("helm", "helm")));
        let text = "{\"spec\": {\"deploymentProfile\": {\"type\": |";
        assert!(proposed(text, Format::Json).contains(&pair("helm", "\"helm\"")));
        let text = "{\"spec\": {\"deploymentProfile\": {\"type\": \"h|";
        assert!(proposed(text, Format::Json).contains(&pair("helm", "helm")));
    }

    #[test]
    fn an_item_begins_with_a_member_or_is_a_word() {
        let text = "spec:\n  deploymentProfile:\n    components:\n      - |";
        assert!(proposed(text, Format::Yaml).contains(&pair("name", "name: ")));
        let text = "spec:\n  deploymentProfile:\n    components:\n      - properties:\n          wait: |";
        let proposed = proposed(text, Format::Yaml);
        assert_eq!(proposed, [pair("true", "true"), pair("false", "false")]);
    }

    /// Within brackets no member can stand yet; the object that could is shown whole, and follows the schema.
    #[test]
    fn an_item_is_proposed_whole() {
        let open = "spec:\n  deploymentProfile:\n    components: [|";
        let whole = |text: &str, format| {
            let all = proposed(text, format);
            all.into_iter().find(|(label, _)| label == "{ name, properties }").unwrap().1
        };
        let insert = whole(open, Format::Yaml);
        let value: Value = serde_json::from_str(&insert).unwrap();
        assert!(value["name"].is_string() && value["properties"]["repository"].is_string(), "{insert}");
        assert_eq!(proposed(open, Format::Yaml).len(), 1);
        let json = "{\"spec\": {\"deploymentProfile\": {\"components\": [|";
        assert_eq!(whole(json, Format::Json), insert);
        let block = "spec:\n  deploymentProfile:\n    components:\n      - |";
        let text = block.replace('|', &whole(block, Format::Yaml));
        let tree =
            margo_syntax::parse(text.as_bytes(), Format::Yaml, &margo_syntax::Limits::default()).unwrap();
        assert_eq!(tree.to_value()["spec"]["deploymentProfile"]["components"][0], value, "{text}");
        let begun = "spec:\n  deploymentProfile:\n    components:\n      - |\n        name: a\n";
        assert!(!proposed(begun, Format::Yaml).iter().any(|(label, _)| label.starts_with('{')));
    }

    #[test]
    fn nothing_is_proposed_where_nothing_is_known() {
        assert_eq!(proposed("nothing:\n  |", Format::Yaml), []);
        let steps = [Step::Item];
        let schema = Schema::of(DocumentKind::ApplicationDeployment, SpecVersion::V1_0_0Rc3).unwrap();
        assert!(schema.at(&steps).is_unknown());
    }
}
