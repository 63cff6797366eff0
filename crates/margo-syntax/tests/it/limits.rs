use std::fmt::Write;

use margo_syntax::{Format, Limits, SyntaxErrorKind, parse, parse_all};

use crate::{json, yaml};

fn kind(text: &str, format: Format, limits: &Limits) -> SyntaxErrorKind {
    parse(text.as_bytes(), format, limits).unwrap_err().kind().clone()
}

#[test]
fn a_large_text_is_refused_before_it_is_read() {
    let limits = Limits::default().with_max_bytes(8);
    for format in [Format::Yaml, Format::Json] {
        assert!(parse(b"[1, 2]  ", format, &limits).is_ok());
        assert_eq!(kind("[1, 2]   ", format, &limits), SyntaxErrorKind::TooLarge { limit: 8 });
        // Neither are its bytes looked at.
        let error = parse(&[0xFF; 9], format, &limits).unwrap_err();
        assert_eq!(error.kind(), &SyntaxErrorKind::TooLarge { limit: 8 });
        assert_eq!(error.location(), None);
    }
}

#[test]
fn text_must_be_utf_8() {
    for format in [Format::Yaml, Format::Json] {
        let error = parse(b"\"a\xc3\xa9\n\xff\"", format, &Limits::default()).unwrap_err();
        assert_eq!(error.to_string(), "line 2, column 1: text is not UTF-8");
        assert_eq!(error.offset(), Some(5));
    }
}

#[test]
fn nesting_is_counted_in_collections() {
    let limits = Limits::default().with_max_depth(2);
    for format in [Format::Yaml, Format::Json] {
        assert!(parse(b"{\"a\": [1]}", format, &limits).is_ok());
        let error = parse(b"{\"a\": [1, []]}", format, &limits).unwrap_err();
        assert_eq!(error.to_string(), "line 1, column 11: nested deeper than 2 levels");
        assert!(parse(b"1", format, &Limits::default().with_max_depth(0)).is_ok());
    }
    assert!(parse(b"a:\n  - 1\n", Format::Yaml, &limits).is_ok());
    let error = parse(b"a:\n  - b: 1\n", Format::Yaml, &limits).unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 5: nested deeper than 2 levels");
}

#[test]
fn ten_thousand_levels_are_refused_whatever_is_asked_for() {
    let greedy = Limits::default().with_max_depth(usize::MAX);
    let blocks: String =
        (0..10_000).fold(String::new(), |text, level| text + &" ".repeat(level % 400) + "- \n");
    let steps: String = (0..400).fold(String::new(), |text, level| text + &" ".repeat(level) + "a:\n");
    for (text, format) in [
        ("[".repeat(10_000), Format::Json),
        ("{\"a\":".repeat(10_000), Format::Json),
        ("[".repeat(10_000), Format::Yaml),
        ("{a: ".repeat(10_000), Format::Yaml),
        ("- ".repeat(10_000), Format::Yaml),
        (blocks, Format::Yaml),
        (steps, Format::Yaml),
    ] {
        assert_eq!(kind(&text, format, &Limits::default()), SyntaxErrorKind::TooDeep { limit: 64 });
        assert_eq!(kind(&text, format, &greedy), SyntaxErrorKind::TooDeep { limit: 128 });
    }
}

#[test]
fn the_deepest_document_allowed_can_be_used() {
    let limits = Limits::default().with_max_depth(128);
    let text = format!("{}1{}", "[".repeat(128), "]".repeat(128));
    for format in [Format::Yaml, Format::Json] {
        let tree = parse(text.as_bytes(), format, &limits).unwrap();
        let value: serde_json::Value = margo_syntax::from_value(tree.to_value()).unwrap();
        assert_eq!(serde_json::to_string(&value).unwrap(), text);
        assert_eq!(tree.nodes().last().unwrap().pointer().segments().count(), 128);
        assert_eq!(margo_syntax::to_canonical_json(&value).unwrap(), text.as_bytes());
    }
}

#[test]
fn values_are_counted() {
    let limits = Limits::default().with_max_nodes(3);
    for format in [Format::Yaml, Format::Json] {
        assert!(parse(b"[1, 2]", format, &limits).is_ok());
        let error = parse(b"[1, 2, 3]", format, &limits).unwrap_err();
        assert_eq!(error.to_string(), "line 1, column 8: more than 3 values");
    }
    // A mapping takes as much as four values, and a key as much as one.
    let limits = Limits::default().with_max_nodes(6);
    for format in [Format::Yaml, Format::Json] {
        assert!(parse(br#"{"a": 1}"#, format, &limits).is_ok());
        let error = parse(br#"{"a": 1, "b": 2}"#, format, &limits).unwrap_err();
        assert_eq!(error.to_string(), "line 1, column 15: more than 6 values");
    }
    assert!(parse(b"[{}, 1]", Format::Json, &limits).is_ok());
    assert!(parse(b"[{}, {}]", Format::Json, &limits).is_err());
    // Documents share what a stream may hold.
    let limits = Limits::default().with_max_nodes(3);
    assert!(parse_all(b"[1]\n--- 2\n", &limits).is_ok());
    assert!(parse_all(b"[1]\n--- 2\n--- 3\n", &limits).is_err());
}

#[test]
fn a_billion_laughs_are_refused_where_they_pass_the_limit() {
    let mut text = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..10 {
        let uses = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(text, "a{level}: &a{level} [{uses}]").unwrap();
    }
    let error = yaml(&text).unwrap_err();
    assert_eq!(error.kind(), &SyntaxErrorKind::AliasBomb { limit: 1_000_000, unit: "values" });
    assert_eq!(error.location().unwrap().line, 6);
}

#[test]
fn a_repeated_mapping_counts_as_much_as_the_first() {
    let limits = Limits::default().with_max_nodes(13);
    assert!(parse(b"[&a {b: 1}, *a]", Format::Yaml, &limits).is_ok());
    let error = parse(b"[&a {b: 1}, *a, *a]", Format::Yaml, &limits).unwrap_err();
    assert_eq!(error.to_string(), "line 1, column 17: alias repeats more than 13 values");
}

#[test]
fn repeating_a_long_text_is_refused_too() {
    let limits = Limits::default().with_max_bytes(4096);
    let text = |uses: usize| format!("- &long {}\n{}", "x".repeat(1000), "- *long\n".repeat(uses));
    assert!(parse(text(3).as_bytes(), Format::Yaml, &limits).is_ok());
    let error = parse(text(4).as_bytes(), Format::Yaml, &limits).unwrap_err();
    assert_eq!(error.to_string(), "line 5, column 3: alias repeats more than 4096 bytes");
}

#[test]
fn aliases_do_not_hide_depth() {
    let limits = Limits::default().with_max_depth(4);
    assert!(parse(b"- &a [[1]]\n- [*a]\n", Format::Yaml, &limits).is_ok());
    let error = parse(b"- &a [[1]]\n- [[*a]]\n", Format::Yaml, &limits).unwrap_err();
    assert_eq!(error.to_string(), "line 2, column 5: nested deeper than 4 levels");
    // One alias in another counts with everything it contains.
    let error = parse(b"- &a [[1]]\n- &b [*a]\n- [*b]\n", Format::Yaml, &limits).unwrap_err();
    assert_eq!(error.to_string(), "line 3, column 4: nested deeper than 4 levels");
}

#[test]
fn strangers_cannot_make_a_message_long_or_harmful() {
    let key = format!("\\u001b[31m{}", "k".repeat(100_000));
    let message = json(&format!("{{\"{key}\": 1, \"{key}\": 2}}")).unwrap_err().to_string();
    assert!(message.len() < 200, "{message}");
    assert!(!message.contains('\u{1b}'), "{message:?}");
}
