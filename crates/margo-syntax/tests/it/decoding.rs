use std::collections::BTreeMap;

use margo_syntax::{
    DecodeError, Fault, Format, Limits, SyntaxErrorKind, decode, decode_checked, decode_with,
    decode_with_tree, from_value, parse, pointer,
};
use proptest::prelude::*;
use proptest::sample;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::values;

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Deployment {
    name: String,
    #[serde(default)]
    components: Vec<Component>,
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Component {
    display_name: String,
    replicas: Option<u8>,
    kind: Option<Kind>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    Plain,
    Limited { cpu: u8 },
}

fn read(text: &str) -> Result<Deployment, DecodeError> {
    decode(text.as_bytes(), Format::Yaml, &Limits::default())
}

fn complaint(text: &str) -> String {
    read(text).unwrap_err().to_string()
}

proptest! {
    /// Places cost nothing where a value fits, and change nothing where it does not.
    #[test]
    fn json_decodes_as_its_tree_does(
        replacement in values(),
        place in sample::select(vec!["", "/name", "/components", "/components/0", "/components/0/replicas",
            "/components/0/kind", "/components/0/kind/limited", "/components/0/kind/limited/cpu", "/labels"]),
        key in sample::select(vec![None, Some("name"), Some("other"), Some("displayName")]),
    ) {
        let mut document = json!({
            "name": "a",
            "components": [{"displayName": "c", "replicas": 2, "kind": {"limited": {"cpu": 1}}}],
            "labels": {"on": "yes"}
        });
        match (document.pointer_mut(place).unwrap(), key) {
            (Value::Object(entries), Some(key)) => drop(entries.insert(key.to_owned(), replacement)),
            (value, _) => *value = replacement,
        }
        let text = serde_json::to_vec(&document).unwrap();
        let limits = Limits::default();
        let tree = parse(&text, Format::Json, &limits).unwrap();
        prop_assert_eq!(decode::<Deployment>(&text, Format::Json, &limits), tree.decode::<Deployment>());
        let check = |deployment: &Deployment| match deployment.labels.keys().next() {
            Some(label) => Err(Fault::of_key(pointer!["labels", label], "no labels today")),
            None => Ok(()),
        };
        let checked = tree.decode_with(|_, value| {
            let deployment = from_value(value)?;
            check(&deployment).map(|()| deployment)
        });
        prop_assert_eq!(decode_checked(&text, Format::Json, &limits, check), checked);
    }
}

#[test]
fn yaml_and_json_decode_alike() {
    let expected = Deployment {
        name: "a".into(),
        components: vec![Component {
            display_name: "c".into(),
            replicas: Some(2),
            kind: Some(Kind::Limited { cpu: 1 }),
        }],
        labels: BTreeMap::from([("on".into(), "yes".into())]),
    };
    let yaml = "name: a\ncomponents:\n  - {displayName: c, replicas: 2, kind: {limited: {cpu: 1}}}\nlabels: {on: yes}\n";
    assert_eq!(read(yaml).unwrap(), expected);
    let json = r#"{"name":"a","components":[{"displayName":"c","replicas":2,"kind":{"limited":{"cpu":1}}}],"labels":{"on":"yes"}}"#;
    assert_eq!(decode::<Deployment>(json.as_bytes(), Format::Json, &Limits::default()).unwrap(), expected);
}

#[test]
fn faults_name_pointer_and_place() {
    assert_eq!(
        complaint("name: a\ncomponents:\n  - displayName: c\n    replicas: many\n"),
        "line 4, column 15: /components/0/replicas: invalid type: string \"many\", expected u8"
    );
    assert_eq!(
        complaint("name: a\nlabels:\n  x: 1.0\n"),
        "line 3, column 6: /labels/x: invalid type: floating point `1.0`, expected a string"
    );
    assert_eq!(
        complaint("name: a\ncomponents:\n  - displayName: c\n    kind:\n      limited: {cpu: 300}\n"),
        "line 5, column 22: /components/0/kind/limited/cpu: invalid value: integer `300`, expected u8"
    );
    assert_eq!(
        complaint("name: a\nlabels: 3\n"),
        "line 2, column 9: /labels: invalid type: integer `3`, expected a map"
    );
}

#[test]
fn what_is_missing_is_reported_where_it_should_be() {
    assert_eq!(
        complaint("name: a\ncomponents:\n  - replicas: 1\n"),
        "line 3, column 5: /components/0: missing field `displayName`"
    );
    assert_eq!(complaint("labels: {}\n"), "line 1, column 1: document: missing field `name`");
}

#[test]
fn an_unknown_field_is_reported_at_the_field() {
    assert_eq!(
        complaint("name: a\nlabel: {}\n"),
        "line 2, column 1: /label: unknown field `label`, expected one of `name`, `components`, `labels`"
    );
}

#[test]
fn a_key_that_does_not_fit_is_reported() {
    let error = decode::<BTreeMap<String, BTreeMap<u8, u8>>>(
        b"a:\n  1: 1\n  x: 2\n",
        Format::Yaml,
        &Limits::default(),
    );
    assert_eq!(
        error.unwrap_err().to_string(),
        "line 2, column 3: /a: invalid value: expected key to be a number in quotes"
    );
    let limits = Limits::default();
    let error = decode_with::<()>(b"a:\n  b: 1\n", Format::Yaml, &limits, |_| {
        Err(Fault::of_key(pointer!["a", "b"], "expected an uppercase name"))
    });
    assert_eq!(error.unwrap_err().to_string(), "line 2, column 3: /a/b: expected an uppercase name");
}

#[test]
fn messages_repeat_only_the_beginning_of_a_long_text() {
    let text =
        format!("name: a\ncomponents: \"{}\"\n\"\\e{}\": 1\n", "x".repeat(100_000), "y".repeat(100_000));
    for text in [&text, &text.replace("components", "other")] {
        let message = complaint(text);
        assert!(message.len() < 1000, "{message}");
        assert!(!message.contains('\u{1b}'), "{message:?}");
    }
    let unknown = format!("name: a\n\"\\e{}\": 1\n", "y".repeat(100_000));
    let message = complaint(&unknown);
    assert!(message.len() < 1000, "{message}");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}

#[test]
fn an_unknown_variant_is_reported_at_the_value() {
    assert_eq!(
        complaint("name: a\ncomponents:\n  - displayName: c\n    kind: huge\n"),
        "line 4, column 11: /components/0/kind: unknown variant `huge`, expected `plain` or `limited`"
    );
}

#[test]
fn only_texts_that_are_no_document_are_malformed() {
    // 400 for these (X-D-36) …
    for text in ["", "[", "{\"name\": }", "[]", "3", "null", "{\"name\": \"a\", \"name\": \"b\"}"] {
        let error = decode::<Deployment>(text.as_bytes(), Format::Json, &Limits::default()).unwrap_err();
        assert!(error.is_malformed(), "{text}: {error}");
    }
    assert!(decode::<Deployment>(b"\xff", Format::Json, &Limits::default()).unwrap_err().is_malformed());
    // … and 422 for those.
    for text in ["{}", "{\"name\": 1}", "{\"name\": \"a\", \"labels\": []}"] {
        let error = decode::<Deployment>(text.as_bytes(), Format::Json, &Limits::default()).unwrap_err();
        assert!(!error.is_malformed(), "{text}: {error}");
    }
}

#[test]
fn a_text_that_cannot_be_read_says_so_once() {
    let error = read("name: a\nname: b\n").unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 1: duplicate key `name`, first used on line 1, column 1");
    assert_eq!(error.message(), "duplicate key `name`, first used on line 1, column 1");
    assert!(error.pointer().is_root());
    assert!(matches!(error.syntax(), Some(SyntaxErrorKind::DuplicateKey { .. })));
}

#[test]
fn the_callers_own_faults_are_placed_in_the_text() {
    let refuse = |at| {
        let limits = Limits::default();
        decode_with::<()>(b"a:\n  b: 1\n", Format::Yaml, &limits, |_| Err(Fault::new(at, "no"))).unwrap_err()
    };
    assert_eq!(refuse(pointer!["a", "b"]).to_string(), "line 2, column 6: /a/b: no");
    // What is not in the text is placed where it should have been, and keeps its name.
    assert_eq!(refuse(pointer!["a", "c", "d"]).to_string(), "line 2, column 3: /a/c/d: no");
    assert_eq!(refuse(pointer![]).to_string(), "line 1, column 1: document: no");
    assert_eq!(refuse(pointer!["a"]).syntax(), None);
}

/// A description's `version` may be written as a number, and then means its own text (X-A-22).
#[test]
fn a_number_can_stand_for_its_text() {
    #[derive(Deserialize)]
    struct Metadata {
        version: String,
    }
    let read = |text: &str| {
        let metadata =
            decode_with_tree(text.as_bytes(), Format::Yaml, &Limits::default(), |tree, mut value| {
                let at = pointer!["version"];
                if value["version"].is_number() {
                    value["version"] = tree.literal(&at).map_or(Value::Null, Value::from);
                }
                from_value::<Metadata>(value)
            });
        metadata.map(|metadata| metadata.version)
    };
    assert_eq!(read("version: 1.0\n").unwrap(), "1.0");
    assert_eq!(read("version: 1.10\n").unwrap(), "1.10");
    assert_eq!(read("version: \"1.0\"\n").unwrap(), "1.0");
    assert!(read("version: true\n").is_err());
}

#[test]
fn values_of_any_type_can_be_read() {
    assert_eq!(from_value::<Value>(json!({"a": [1]})).unwrap(), json!({"a": [1]}));
    assert_eq!(from_value::<BTreeMap<u8, bool>>(json!({"1": true})).unwrap(), BTreeMap::from([(1, true)]));
    let fault = from_value::<Vec<Vec<u8>>>(json!([[1], [2, -1]])).unwrap_err();
    assert_eq!(fault.pointer(), &pointer![1, 1]);
}
