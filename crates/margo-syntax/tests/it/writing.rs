use std::collections::BTreeMap;

use margo_syntax::{to_canonical_json, to_yaml};
use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{json, numbers, strings, values, yaml};

fn canonical<T: Serialize + ?Sized>(value: &T) -> String {
    String::from_utf8(to_canonical_json(value).unwrap()).unwrap()
}

/// Makes integers small enough for the float that RFC 8785 takes every number for.
fn within_53_bits(value: Value) -> Value {
    match value {
        Value::Number(number) if !number.is_f64() => {
            let small = number.as_f64().is_some_and(|float| float.abs() <= 9_007_199_254_740_992.0);
            if small { Value::Number(number) } else { Value::from(7) }
        }
        Value::Array(items) => items.into_iter().map(within_53_bits).collect(),
        Value::Object(entries) => {
            entries.into_iter().map(|(key, value)| (key, within_53_bits(value))).collect()
        }
        other => other,
    }
}

proptest! {
    #[test]
    fn yaml_reads_back_as_the_same_value(value in values()) {
        let text = to_yaml(&value).unwrap();
        let read = yaml(&text).map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(read.to_value(), value, "{}", text);
    }

    #[test]
    fn a_string_survives_wherever_it_stands(text in strings(), key in strings()) {
        let value = json!([text, {key.clone(): text}, [[text]], {"a": {key: [text]}}]);
        let written = to_yaml(&value).unwrap();
        prop_assert_eq!(yaml(&written).unwrap().to_value(), value, "{}", written);
    }

    #[test]
    fn a_reader_of_yaml_1_1_reads_what_we_write(value in values()) {
        let text = to_yaml(&value).unwrap();
        let peer: Result<Value, _> = serde_yaml::from_str(&text);
        let peer = peer.map_err(|error| TestCaseError::fail(format!("{error}\n{text}")))?;
        prop_assert_eq!(peer, value, "{}", text);
    }

    #[test]
    fn canonical_json_is_what_the_peer_writes(value in values().prop_map(within_53_bits)) {
        prop_assert_eq!(canonical(&value), serde_json_canonicalizer::to_string(&value).unwrap());
    }

    #[test]
    fn floats_are_what_the_peer_writes(number in any::<f64>().prop_filter("finite", |float| float.is_finite())) {
        prop_assert_eq!(canonical(&number), serde_json_canonicalizer::to_string(&number).unwrap());
    }

    #[test]
    fn canonical_json_keeps_every_number(number in numbers()) {
        let read = json(&canonical(&number)).unwrap().to_value();
        // A float may come back as the integer that it is.
        prop_assert_eq!(read.as_f64(), number.as_f64());
        if !number.is_f64() {
            prop_assert_eq!(read, Value::Number(number));
        }
    }

    #[test]
    fn canonical_json_is_its_own_canonical_form(value in values()) {
        let once = canonical(&value);
        prop_assert_eq!(canonical(&json(&once).unwrap().to_value()), once);
    }
}

#[test]
fn integers_are_written_exactly() {
    assert_eq!(canonical(&[u64::MAX, 9_007_199_254_740_993]), "[18446744073709551615,9007199254740993]");
    assert_eq!(canonical(&[i64::MIN]), "[-9223372036854775808]");
    assert_eq!(canonical(&u128::from(u64::MAX)), "18446744073709551615");
    assert_eq!(to_yaml(&[u64::MAX]).unwrap(), "- 18446744073709551615\n");
}

/// RFC 8785, appendix B.
#[test]
fn floats_follow_the_samples_of_the_rfc() {
    for (bits, text) in [
        (0x0000_0000_0000_0000, "0"),
        (0x8000_0000_0000_0000, "0"),
        (0x0000_0000_0000_0001, "5e-324"),
        (0x8000_0000_0000_0001, "-5e-324"),
        (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
        (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
        (0x4340_0000_0000_0000, "9007199254740992"),
        (0xc340_0000_0000_0000, "-9007199254740992"),
        (0x4430_0000_0000_0000, "295147905179352830000"),
        (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
        (0x44b5_2d02_c7e1_4af6, "1e+23"),
        (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
        (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
        (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
        (0x444b_1ae4_d6e2_ef50, "1e+21"),
        (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
        (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
        (0x41b3_de43_5555_5553, "333333333.3333332"),
        (0x41b3_de43_5555_5554, "333333333.33333325"),
        (0x41b3_de43_5555_5555, "333333333.3333333"),
        (0x41b3_de43_5555_5556, "333333333.3333334"),
        (0x41b3_de43_5555_5557, "333333333.33333343"),
        (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
        (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
    ] {
        assert_eq!(canonical(&f64::from_bits(bits)), text);
    }
}

/// RFC 8785, section 3.2.3.
#[test]
fn members_are_ordered_by_utf_16() {
    let value = json!({
        "\u{20ac}": "Euro Sign",
        "\r": "Carriage Return",
        "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
        "1": "One",
        "\u{1f600}": "Emoji: Grinning Face",
        "\u{80}": "Control",
        "\u{f6}": "Latin Small Letter O With Diaeresis",
    });
    let text = canonical(&value);
    let order = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"];
    let places: Vec<_> = order.iter().map(|name| text.find(name).unwrap()).collect();
    assert!(places.is_sorted(), "{text}");
}

#[test]
fn control_characters_have_their_shortest_escapes() {
    assert_eq!(
        canonical("\u{0}\u{8}\t\n\u{b}\u{c}\r\u{1f}\"\\/\u{7f}"),
        "\"\\u0000\\b\\t\\n\\u000b\\f\\r\\u001f\\\"\\\\/\u{7f}\""
    );
}

#[test]
fn yaml_looks_as_people_write_it() {
    let value = json!({
        "spec": {
            "components": [{"name": "web", "ports": [80, 443], "note": "two\nlines\n"}, [[1], []], {}],
            "empty": [],
            "none": null,
            "script": "#!/bin/sh\nexit",
            "url": "http://a/b?c#d",
        },
    });
    assert_eq!(
        to_yaml(&value).unwrap(),
        "\
spec:
  components:
    - name: web
      note: |
        two
        lines
      ports:
        - 80
        - 443
    - - - 1
      - []
    - {}
  empty: []
  none: null
  script: |-
    #!/bin/sh
    exit
  url: http://a/b?c#d
"
    );
}

#[test]
fn what_reads_as_something_else_is_quoted() {
    for text in [
        "",
        "yes",
        "No",
        "on",
        "OFF",
        "y",
        "N",
        "null",
        "~",
        "True",
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
        "=",
        "<<",
        "---",
        "- a",
        "-",
        "a: b",
        "a #b",
        "a:",
        "@a",
        " a",
        "a ",
        "*a",
        "&a",
        "!a",
        "%a",
    ] {
        assert_eq!(to_yaml(text).unwrap(), format!("\"{text}\"\n"));
    }
    assert_eq!(to_yaml("say \"hi\"").unwrap(), "say \"hi\"\n");
    assert_eq!(to_yaml("\"hi\", it's").unwrap(), "'\"hi\", it''s'\n");
    assert_eq!(to_yaml("a\u{7}\u{2028}\r").unwrap(), "\"a\\x07\\u2028\\r\"\n");
}

#[test]
fn what_reads_as_itself_is_not_quoted() {
    for text in [
        "web",
        "a b",
        "--flag",
        "http://a:80/b",
        "sha256:0a",
        "it's",
        "v1.0",
        "é",
        "a,b",
        "x[0]",
        "no way",
        "1.0 GiB",
        "10Gi",
        "4f6e-1",
        "2024-05",
        "-a",
        ".hidden",
    ] {
        assert_eq!(to_yaml(text).unwrap(), format!("{text}\n"));
    }
}

#[test]
fn fields_keep_their_order_in_yaml() {
    #[derive(Serialize)]
    struct Unordered {
        z: u8,
        a: Option<u8>,
        m: Shape,
    }
    #[derive(Serialize)]
    enum Shape {
        Unit,
        New(u8),
        Tuple(u8, u8),
        Struct { x: u8 },
    }
    let text = to_yaml(&Unordered { z: 1, a: None, m: Shape::Struct { x: 1 } }).unwrap();
    assert_eq!(text, "z: 1\na: null\nm:\n  Struct:\n    x: 1\n");
    // Variants are written as `serde_json` writes them.
    let shapes = [Shape::Unit, Shape::New(1), Shape::Tuple(1, 2), Shape::Struct { x: 1 }];
    assert_eq!(canonical(&shapes), serde_json::to_string(&shapes).unwrap());
    assert_eq!(yaml(&to_yaml(&shapes).unwrap()).unwrap().to_value(), serde_json::to_value(&shapes).unwrap());
}

#[test]
fn keys_are_written_as_text() {
    assert_eq!(canonical(&BTreeMap::from([(10, 'x'), (9, 'y')])), r#"{"10":"x","9":"y"}"#);
    assert_eq!(to_yaml(&BTreeMap::from([(true, 1)])).unwrap(), "\"true\": 1\n");
    let long = "k".repeat(3000);
    let value = json!({"a": {long: {"b": 1}}});
    assert_eq!(yaml(&to_yaml(&value).unwrap()).unwrap().to_value(), value);
}

#[test]
fn what_could_not_be_read_again_is_not_written() {
    #[derive(Serialize)]
    struct Flat {
        a: u8,
        #[serde(flatten)]
        rest: BTreeMap<String, u8>,
    }

    let nan = BTreeMap::from([("a", vec![0.0, f64::INFINITY])]);
    assert_eq!(to_yaml(&nan).unwrap_err().to_string(), "/a/1: `inf` is not a finite number");
    assert_eq!(to_canonical_json(&nan).unwrap_err().pointer().as_str(), "/a/1");
    assert_eq!(
        to_yaml(&u128::MAX).unwrap_err().to_string(),
        "`340282366920938463463374607431768211455` needs more than 64 bits"
    );
    assert_eq!(
        to_yaml(&BTreeMap::from([([1], 1)])).unwrap_err().to_string(),
        "a mapping key must be a string"
    );

    let flat = Flat { a: 1, rest: BTreeMap::from([("a".into(), 2)]) };
    assert_eq!(to_canonical_json(&flat).unwrap_err().to_string(), "/a: duplicate key");

    let deep = (0..129).fold(json!(1), |inner, _| json!([inner]));
    assert!(to_yaml(&deep).unwrap_err().to_string().ends_with("nested deeper than 128 levels"));
}
