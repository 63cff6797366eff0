use margo_syntax::{Format, Limits, SyntaxErrorKind, parse, parse_all};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{values, yaml, yaml_complaint};

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in any::<Vec<u8>>()) {
        let _ = parse(&bytes, Format::Yaml, &Limits::default());
        let _ = parse_all(&bytes, &Limits::default());
    }

    #[test]
    fn nothing_like_yaml_makes_it_panic_and_every_node_is_where_it_says(
        text in "([-?:,\\[\\]{}#&*!|>'\"%~ab1é\u{feff}] ?|\n {0,4}|\n- |\t|a: |&a |\\*a |!!str |--- |\\.\\.\\.\n){0,24}",
    ) {
        let Ok(tree) = yaml(&text) else { return Ok(()) };
        let value = tree.to_value();
        for node in tree.nodes() {
            let pointer = node.pointer();
            prop_assert!(text.get(node.span()).is_some());
            prop_assert!(tree.span(&pointer).is_some(), "{}", pointer);
            prop_assert_eq!(&node.to_value(), value.pointer(pointer.as_str()).unwrap());
            let (start, end) = (node.span().start, node.span().end);
            prop_assert!(node.parent().is_none_or(|parent| parent.span().start <= start && end <= parent.span().end));
        }
    }
}

/// Without the characters that YAML 1.1 and 1.2 treat differently: controls, separators, byte order marks.
fn printable(text: &str) -> String {
    let is_special = |c: char| c.is_control() || "\u{2028}\u{2029}\u{feff}\u{fffe}\u{ffff}".contains(c);
    text.chars().filter(|&c| !is_special(c)).collect()
}

fn printable_values() -> impl Strategy<Value = Value> {
    fn within(value: Value) -> Value {
        match value {
            Value::String(text) => Value::String(printable(&text)),
            Value::Array(items) => items.into_iter().map(within).collect(),
            Value::Object(entries) => {
                entries.into_iter().map(|(key, value)| (printable(&key), within(value))).collect()
            }
            other => other,
        }
    }
    values().prop_map(within)
}

proptest! {
    #[test]
    fn what_another_writer_writes_is_read(value in printable_values()) {
        let text = serde_yaml::to_string(&value).unwrap();
        let read = yaml(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(read.to_value(), value, "{}", text);
    }

    #[test]
    fn printable_json_is_yaml(value in printable_values()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(yaml(&text).unwrap().to_value(), value);
    }
}

/// A table of plain scalars and what the core schema makes of them.
fn core_schema() -> Vec<(&'static str, Value)> {
    vec![
        ("", Value::Null),
        ("~", Value::Null),
        ("Null", Value::Null),
        ("nUll", json!("nUll")),
        ("TRUE", json!(true)),
        ("False", json!(false)),
        ("yes", json!("yes")),
        ("NO", json!("NO")),
        ("on", json!("on")),
        ("off", json!("off")),
        ("y", json!("y")),
        ("017", json!(17)),
        ("0o17", json!(15)),
        ("0o18", json!("0o18")),
        ("0o", json!("0o")),
        ("0x1F", json!(31)),
        ("0xFFFFFFFFFFFFFFFFF", json!(295_147_905_179_352_825_855.0)),
        ("-0x1F", json!("-0x1F")),
        ("0b11", json!("0b11")),
        ("1_000", json!("1_000")),
        ("12:30", json!("12:30")),
        ("2024-05-01", json!("2024-05-01")),
        ("+5", json!(5)),
        ("-0", json!(0)),
        ("18446744073709551615", json!(u64::MAX)),
        ("18446744073709551616", json!(18_446_744_073_709_551_616.0)),
        ("-9223372036854775808", json!(i64::MIN)),
        ("-9223372036854775809", json!(-9_223_372_036_854_775_809.0)),
        ("1.0", json!(1.0)),
        ("1.", json!(1.0)),
        (".5", json!(0.5)),
        ("-.5e-1", json!(-0.05)),
        ("1e3", json!(1000.0)),
        ("12E+03", json!(12000.0)),
        (".", json!(".")),
        ("+", json!("+")),
        ("1e", json!("1e")),
        ("e1", json!("e1")),
        (".e1", json!(".e1")),
        ("1.2.3", json!("1.2.3")),
        ("1 2", json!("1 2")),
        ("+.nan", json!("+.nan")),
        ("<<", json!("<<")),
        ("!!str", json!("")),
        ("!!str 12", json!("12")),
        ("! 12", json!("12")),
        ("!<tag:yaml.org,2002:str> true", json!("true")),
        ("!!int \"12\"", json!(12)),
        ("!!int 0o17", json!(15)),
        ("!!float 1", json!(1.0)),
        ("!!bool 'true'", json!(true)),
        ("!!null ''", Value::Null),
        ("!!seq [1]", json!([1])),
        ("!!map {a: 1}", json!({"a": 1})),
        ("'1'", json!("1")),
        ("\"\\ud83d\\ude00 \\x41 \\/\"", json!("😀 A /")),
    ]
}

#[test]
fn scalars_have_the_types_of_the_core_schema() {
    for (text, expected) in core_schema() {
        let tree = yaml(&format!("value: {text}\n")).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(tree.to_value()["value"], expected, "{text}");
    }
}

#[test]
fn what_json_cannot_say_is_refused_at_its_place() {
    assert_eq!(yaml_complaint("a: 1\nb: .inf"), "line 2, column 4: `.inf` is not a finite number");
    assert_eq!(yaml_complaint("- -.INF"), "line 1, column 3: `-.INF` is not a finite number");
    assert_eq!(yaml_complaint("- .NaN"), "line 1, column 3: `.NaN` is not a finite number");
    assert_eq!(yaml_complaint("- 1e999"), "line 1, column 3: number `1e999` is out of range");
    assert_eq!(yaml_complaint("? [a]\n: b"), "line 1, column 3: a mapping key must be a scalar");
    assert_eq!(yaml_complaint("{a: 1}: b"), "line 1, column 1: a mapping key must be a scalar");
    assert_eq!(yaml_complaint("- &a [1]\n- *a : 2"), "line 2, column 3: a mapping key must be a scalar");
}

#[test]
fn only_tags_of_the_core_schema_are_known() {
    assert_eq!(yaml_complaint("a: !Ref b"), "line 1, column 4: tag `!Ref` is not supported");
    assert_eq!(yaml_complaint("a: !!binary aGk="), "line 1, column 4: tag `!!binary` is not supported");
    assert_eq!(yaml_complaint("a: !!set {b}"), "line 1, column 4: tag `!!set` is not supported");
    assert_eq!(yaml_complaint("!x [1]"), "line 1, column 1: tag `!x` is not supported");
    assert_eq!(yaml_complaint("!x a: 1"), "line 1, column 1: tag `!x` is not supported");
    assert_eq!(yaml_complaint("a: !!int 1.5"), "line 1, column 4: value is not a `!!int`");
    assert_eq!(yaml_complaint("a: !!bool yes"), "line 1, column 4: value is not a `!!bool`");
    assert_eq!(yaml_complaint("a: !!seq {b: 1}"), "line 1, column 4: value is not a `!!seq`");
    assert_eq!(yaml_complaint("a: !!map b"), "line 1, column 4: value is not a `!!map`");
}

#[test]
fn duplicate_keys_are_compared_as_text() {
    assert_eq!(
        yaml_complaint("a:\n  k: 1\n  x: 2\n  'k': 3\n"),
        "line 4, column 3: duplicate key `k`, first used on line 2, column 3"
    );
    assert_eq!(
        yaml_complaint("{1: a, \"1\": b}"),
        "line 1, column 8: duplicate key `1`, first used on line 1, column 2"
    );
    assert!(yaml("{1: a, 1.0: b, 01: c}").is_ok());
}

#[test]
fn keys_that_are_not_strings_become_their_own_text() {
    let value = yaml("1.0: a\ntrue: b\nnull: c\n? \n: d\n.inf: e\n!!int 0x1F: f\n").unwrap().to_value();
    assert_eq!(value, json!({"1.0": "a", "true": "b", "null": "c", "": "d", ".inf": "e", "0x1F": "f"}));
    assert_eq!(yaml_complaint("!!int x: 1"), "line 1, column 1: value is not a `!!int`");
}

#[test]
fn aliases_stand_for_what_they_name() {
    let tree = yaml("base: &base {cpu: 2}\nuse: [*base, *base]\n&key k: *key\n").unwrap();
    assert_eq!(tree.to_value(), json!({"base": {"cpu": 2}, "use": [{"cpu": 2}, {"cpu": 2}], "k": "k"}));
    let redefined = yaml("- &a 1\n- *a\n- &a 2\n- *a\n- *a : x\n").unwrap();
    assert_eq!(redefined.to_value(), json!([1, 1, 2, 2, {"2": "x"}]));
}

#[test]
fn aliases_that_stand_for_nothing_are_refused() {
    assert_eq!(yaml_complaint("a: [1, *nope]"), "line 1, column 8: no anchor is named `nope`");
    assert_eq!(yaml_complaint("a: &x [1, *x]"), "line 1, column 11: alias stands inside the value it names");
    assert_eq!(
        parse_all(b"- &a 1\n---\n- *a\n", &Limits::default()).unwrap_err().to_string(),
        "line 3, column 3: no anchor is named `a`"
    );
}

#[test]
fn a_merge_key_is_a_key() {
    let value = yaml("base: &base {a: 1}\nuse: {<<: *base, b: 2}\n").unwrap().to_value();
    assert_eq!(value["use"], json!({"<<": {"a": 1}, "b": 2}));
}

#[test]
fn a_single_document_is_one() {
    assert_eq!(
        yaml_complaint("a: 1\n---\nb: 2\n"),
        "line 2, column 1: expected a single document, found another"
    );
    assert_eq!(yaml_complaint(""), "document is empty");
    assert_eq!(yaml_complaint("# nothing\n"), "document is empty");
    assert_eq!(yaml("---\n").unwrap().to_value(), Value::Null);
    assert_eq!(yaml("%YAML 1.2\n---\na: 1\n...\n").unwrap().to_value(), json!({"a": 1}));
}

#[test]
fn a_stream_has_any_number_of_documents() {
    let values = |text: &str| -> Vec<Value> {
        let trees = parse_all(text.as_bytes(), &Limits::default()).unwrap();
        trees.iter().map(margo_syntax::Tree::to_value).collect()
    };
    assert_eq!(values("# nothing\n"), Vec::<Value>::new());
    assert_eq!(
        values("a: 1\n--- 2\n---\n...\n---\n- 3\n"),
        [json!({"a": 1}), json!(2), Value::Null, json!([3])]
    );
    let error = parse_all(b"a: 1\n---\nb: [\n", &Limits::default()).unwrap_err();
    assert_eq!(error.location().unwrap().line, 3);
}

#[test]
fn a_byte_order_mark_is_skipped() {
    let tree = yaml("\u{feff}a: 1\n").unwrap();
    assert_eq!(tree.to_value(), json!({"a": 1}));
    assert_eq!(tree.root().children().next().unwrap().location().to_string(), "line 1, column 4");
}

#[test]
fn broken_grammar_is_refused_at_its_place() {
    for (text, line) in [
        ("a: 1\n\tb: 2\n", 1),
        ("a:\n\t- b\n", 2),
        ("a: b: c\n", 1),
        ("a: 'b\n", 1),
        ("a: [1, 2\n", 1),
        ("a: @b\n", 1),
        ("a: 1\n b: 2\n", 2),
        ("- a\nb: 1\n", 2),
        ("a: \u{7}\n", 1),
    ] {
        let error = yaml(text).unwrap_err();
        assert!(matches!(error.kind(), SyntaxErrorKind::Malformed { .. }), "{text:?}: {error}");
        assert_eq!(error.location().unwrap().line, line, "{text:?}: {error}");
    }
}
