use margo_syntax::{DecodeError, Format, Limits, SyntaxErrorKind, decode, decode_with, parse};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::{json, json_complaint, values};

/// Whether a mapping anywhere in `value` would have lost entries, had `serde_json` read it.
fn has_duplicates(error: &SyntaxErrorKind) -> bool {
    matches!(error, SyntaxErrorKind::DuplicateKey { .. })
}

/// What is read without places is what is read with them, and so is what is refused.
fn agrees_with_the_tree(text: &[u8], limits: &Limits) -> Result<(), TestCaseError> {
    let with_places =
        parse(text, Format::Json, limits).map_err(DecodeError::from).map(|tree| tree.to_value());
    prop_assert_eq!(&decode_with(text, Format::Json, limits, Ok), &with_places);
    // A value fits itself.
    prop_assert_eq!(&decode::<Value>(text, Format::Json, limits), &with_places);
    Ok(())
}

/// Our reader and `serde_json` say the same about `text`, but for duplicate keys.
fn agrees_with_serde_json(text: &[u8]) -> Result<(), TestCaseError> {
    agrees_with_the_tree(text, &Limits::default())?;
    let peer = serde_json::from_slice::<Value>(text);
    match parse(text, Format::Json, &Limits::default().with_max_depth(127)) {
        Ok(tree) => prop_assert_eq!(tree.to_value(), peer.expect("we accept what serde_json refuses")),
        // The peer does not see duplicates, and may accept or refuse what follows.
        Err(error) if has_duplicates(error.kind()) => {}
        Err(error) => prop_assert!(peer.is_err(), "we refuse what serde_json accepts: {}", error),
    }
    Ok(())
}

proptest! {
    #[test]
    fn every_value_reads_back_from_compact_text(value in values()) {
        let text = serde_json::to_string(&value).unwrap();
        prop_assert_eq!(json(&text).unwrap().to_value(), value);
    }

    #[test]
    fn every_value_reads_back_from_indented_text(value in values()) {
        let text = serde_json::to_string_pretty(&value).unwrap();
        prop_assert_eq!(json(&text).unwrap().to_value(), value);
    }

    #[test]
    fn any_bytes_are_judged_as_serde_json_does(bytes in any::<Vec<u8>>()) {
        agrees_with_serde_json(&bytes)?;
    }

    #[test]
    fn anything_like_json_is_judged_as_serde_json_does(
        text in r#"([\[\]{},:" \n-]|"a"|"b":|[0-9]{1,3}|\.|e|E\+|true|null|\\u?|\\"|[0-9A-Fd]{4}|é|\t){0,24}"#,
    ) {
        agrees_with_serde_json(text.as_bytes())?;
    }

    #[test]
    fn anything_like_a_number_is_judged_as_serde_json_does(text in r"-?[0-9]{0,22}\.?[0-9]{0,3}([eE][-+]?[0-9]{0,4})?") {
        agrees_with_serde_json(text.as_bytes())?;
    }

    #[test]
    fn anything_like_a_string_is_judged_as_serde_json_does(
        text in r#"(\\u[dD][89a-fA-F][0-9a-f]{2}|\\u00[0-9a-f]{2}|\\[bfnrt/"\\x]|[a-zé"]|[\x00-\x20]){0,8}"#,
    ) {
        agrees_with_serde_json(format!("\"{text}\"").as_bytes())?;
    }

    #[test]
    fn limits_hold_without_places_too(value in values(), bytes in 0..200_usize, depth in 0..6_usize, nodes in 0..20_usize) {
        let limits = Limits::default().with_max_bytes(bytes).with_max_depth(depth).with_max_nodes(nodes);
        agrees_with_the_tree(&serde_json::to_vec(&value).unwrap(), &limits)?;
    }

    #[test]
    fn keys_used_twice_are_seen_without_places_too(keys in proptest::collection::vec("[a-f]{1,2}|\\\\u0061", 0..40)) {
        let entries: Vec<_> = keys.iter().map(|key| format!("\"{key}\": {{\"a\": 1}}")).collect();
        agrees_with_the_tree(format!("{{{}}}", entries.join(",")).as_bytes(), &Limits::default())?;
    }

    #[test]
    fn a_damaged_document_is_judged_as_serde_json_does(value in values(), at: proptest::sample::Index, byte: u8) {
        let mut text = serde_json::to_vec(&value).unwrap();
        let at = at.index(text.len());
        text[at] = byte;
        agrees_with_serde_json(&text)?;
        text.truncate(at);
        agrees_with_serde_json(&text)?;
    }
}

#[test]
fn what_yaml_would_forgive_is_refused() {
    for text in [
        "{\"a\": 1,}",
        "[1,]",
        "{'a': 1}",
        "{a: 1}",
        "# c\n1",
        "NaN",
        "\u{feff}1",
        "\"a\nb\"",
        "+1",
        "01",
        ".5",
        "1.",
        "0x1F",
        "- 1",
        "a: 1",
        "{\"a\": 1} {\"b\": 2}",
        "TRUE",
        "[1 2]",
        "{\"a\" 1}",
        "\"\\x41\"",
    ] {
        assert!(matches!(json(text).unwrap_err().kind(), SyntaxErrorKind::Malformed { .. }), "{text}");
    }
}

#[test]
fn complaints_name_the_place_and_what_was_expected() {
    assert_eq!(json_complaint("{\"é\": tru}"), "line 1, column 7: expected a value");
    assert_eq!(json_complaint("{\n  \"a\": 1\n  \"b\": 2\n}"), "line 3, column 3: expected `,` or `}`");
    assert_eq!(json_complaint("[1, 2"), "line 1, column 6: expected `,` or `]`, found the end of the text");
    assert_eq!(json_complaint("{'a': 1}"), "line 1, column 2: expected a key in double quotes");
    assert_eq!(json_complaint("{\"a\" 1}"), "line 1, column 6: expected `:`");
    assert_eq!(json_complaint("1 2"), "line 1, column 3: expected the end of the document");
    assert_eq!(json_complaint("-x"), "line 1, column 2: expected a digit");
    assert_eq!(json_complaint("012"), "line 1, column 2: a number has no leading zeros");
    assert_eq!(json_complaint("[1e999]"), "line 1, column 2: number `1e999` is out of range");
    assert_eq!(json_complaint("\"abc"), "line 1, column 5: expected `\"`, found the end of the text");
    assert_eq!(
        json_complaint("\"a\tb\""),
        "line 1, column 3: a control character in a string must be escaped"
    );
    assert_eq!(json_complaint(r#""\ud800""#), "line 1, column 2: an escaped surrogate needs its other half");
    assert_eq!(json_complaint(" \n"), "document is empty");
}

#[test]
fn a_duplicate_key_is_reported_at_the_key() {
    assert_eq!(
        json_complaint("{\"a\": {\"k\": 1,\n  \"\\u006b\": 2}}"),
        "line 2, column 3: duplicate key `k`, first used on line 1, column 8"
    );
    // Enough keys for the other way of searching.
    let keys: Vec<_> = (0..40).map(|key| format!("\"{}\": 0", key % 30)).collect();
    assert_eq!(
        json_complaint(&format!("{{{}}}", keys.join(",\n"))),
        "line 31, column 1: duplicate key `0`, first used on line 1, column 2"
    );
}

#[test]
fn integers_are_exact_over_64_bits_and_floats_beyond() {
    let text = "[18446744073709551615, -9223372036854775808, 18446744073709551616, -9223372036854775809, -0]";
    assert_eq!(
        json(text).unwrap().to_value(),
        json!([u64::MAX, i64::MIN, 18_446_744_073_709_551_616.0, -9_223_372_036_854_775_809.0, -0.0])
    );
}
