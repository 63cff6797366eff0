//! What the crate promises, seen from outside.

#![expect(clippy::unwrap_used, reason = "helpers of tests may stop the test")]

mod decoding;
mod json;
mod limits;
mod places;
mod writing;
mod yaml;

use margo_syntax::{Format, Limits, SyntaxError, Tree, parse};
use proptest::prelude::*;
use serde_json::{Number, Value};

fn yaml(text: &str) -> Result<Tree, SyntaxError> {
    parse(text.as_bytes(), Format::Yaml, &Limits::default())
}

fn json(text: &str) -> Result<Tree, SyntaxError> {
    parse(text.as_bytes(), Format::Json, &Limits::default())
}

/// What a person is told about YAML that cannot be read.
fn yaml_complaint(text: &str) -> String {
    yaml(text).unwrap_err().to_string()
}

/// What a person is told about JSON that cannot be read.
fn json_complaint(text: &str) -> String {
    json(text).unwrap_err().to_string()
}

/// Strings of every kind, with a liking for those that a writer gets wrong.
fn strings() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z]{0,8}",
        "[ \n\t#:,'\"|>{}\\[\\]&*!%@`~=<?.-]{0,6}",
        "[-+.0-9_exobTZ: ]{1,10}",
        "[ a\n]{0,12}",
        "[\u{0}-\u{20}\u{7f}-\u{a0}\u{2028}\u{2029}\u{feff}\u{fffe}\u{1f600}a]{0,6}",
        proptest::sample::select(vec![
            "yes",
            "No",
            "on",
            "OFF",
            "y",
            "N",
            "null",
            "~",
            "true",
            "False",
            ".inf",
            "-.INF",
            ".nan",
            "1_000",
            "017",
            "0o17",
            "0x1F",
            "0b11",
            "12:30:45",
            "8080:80",
            "2024-05-01",
            "2024-05-01T10:00:00Z",
            "1e3",
            "1.0",
            "1.2.3",
            "=",
            "<<",
            "---",
            "...",
            "--- a",
            "- a",
            "-",
            "--flag",
            "? a",
            ": a",
            "a: b",
            "a #b",
            "a:",
            "http://a/b",
            "@a",
            "`a`",
            "%a",
            "&a",
            "*a",
            "!a",
            "|",
            ">",
            "{a}",
            "[a]",
            "\u{feff}a",
            "a\n",
            "a\nb",
            "a\nb\n",
            "a\n\nb\n\n",
            " a\nb",
            "\na",
            "a\n b\n",
            "a \nb",
            "a\r\nb",
            "\tb\nc",
            "a\n\tb",
        ])
        .prop_map(str::to_owned),
    ]
}

fn numbers() -> impl Strategy<Value = Number> {
    prop_oneof![
        any::<u64>().prop_map(Number::from),
        any::<i64>().prop_map(Number::from),
        any::<i8>().prop_map(Number::from),
        any::<f64>().prop_filter_map("JSON has finite numbers only", Number::from_f64),
        (-1000.0..1000.0).prop_filter_map("JSON has finite numbers only", Number::from_f64),
    ]
}

/// Values of every shape, small enough to print.
fn values() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        numbers().prop_map(Value::Number),
        strings().prop_map(Value::String),
    ];
    scalar.prop_recursive(5, 48, 12, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            proptest::collection::btree_map(strings(), inner, 0..12)
                .prop_map(|entries| Value::Object(entries.into_iter().collect())),
        ]
    })
}
