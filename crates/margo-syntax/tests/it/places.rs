use margo_syntax::{Format, Limits, Location, NodeKind, Pointer, Style, parse, parse_all, pointer};
use proptest::prelude::*;

use crate::{json, values, yaml};

const DOCUMENT: &str = "\
apiVersion: v1 # the newest
metadata:
  name: \"é: x\"
  note: |
    one
    two
spec:
- &first {a/b: 1.0, c~d: [x, 'y']}
- *first
-
  multi: one
    two
last: ~
";

const SPEC: &str = "- &first {a/b: 1.0, c~d: [x, 'y']}\n- *first\n-\n  multi: one\n    two";

fn at(line: usize, column: usize) -> Location {
    Location::new(line, column)
}

#[test]
fn values_and_keys_are_where_they_stand() {
    let tree = yaml(DOCUMENT).unwrap();
    for (pointer, key, value, raw) in [
        (pointer!["apiVersion"], Some(at(1, 1)), at(1, 13), "v1"),
        (pointer!["metadata", "name"], Some(at(3, 3)), at(3, 9), "\"é: x\""),
        (pointer!["spec"], Some(at(7, 1)), at(8, 1), SPEC),
        (pointer!["spec", 0, "a/b"], Some(at(8, 11)), at(8, 16), "1.0"),
        (pointer!["spec", 0, "c~d"], Some(at(8, 21)), at(8, 26), "[x, 'y']"),
        (pointer!["spec", 0, "c~d", 1], None, at(8, 30), "'y'"),
        (pointer!["spec", 1], None, at(9, 3), "*first"),
        // What an alias stands for is where it is written.
        (pointer!["spec", 1, "a/b"], Some(at(8, 11)), at(8, 16), "1.0"),
        (pointer!["spec", 2, "multi"], Some(at(11, 3)), at(11, 10), "one\n    two"),
        (pointer!["last"], Some(at(13, 1)), at(13, 7), "~"),
    ] {
        assert_eq!(tree.locate_key(&pointer), key, "{pointer}");
        assert_eq!(tree.locate(&pointer), Some(value), "{pointer}");
        assert_eq!(tree.get(&pointer).unwrap().raw(), raw, "{pointer}");
    }
    assert_eq!(tree.locate(&Pointer::root()), Some(at(1, 1)));
    assert_eq!(tree.locate_key(&Pointer::root()), None);
}

#[test]
fn what_is_not_there_has_no_place_but_a_nearest_one() {
    let tree = yaml(DOCUMENT).unwrap();
    for missing in ["/nope", "/spec/3", "/spec/01", "/spec/+1", "/spec/-", "/spec/0/a~1b/x", "/apiVersion/0"]
    {
        assert_eq!(tree.locate(&missing.parse().unwrap()), None, "{missing}");
    }
    assert_eq!(tree.locate_nearest(&pointer!["metadata", "labels", "x"]), at(3, 3));
    assert_eq!(tree.locate_nearest(&pointer!["nope"]), at(1, 1));
}

#[test]
fn a_literal_is_the_text_of_a_scalar() {
    let tree = yaml(DOCUMENT).unwrap();
    assert_eq!(tree.literal(&pointer!["spec", 0, "a/b"]), Some("1.0"));
    assert_eq!(tree.literal(&pointer!["metadata", "name"]), Some("é: x"));
    assert_eq!(tree.literal(&pointer!["metadata", "note"]), Some("one\ntwo\n"));
    assert_eq!(tree.literal(&pointer!["last"]), Some("~"));
    assert_eq!(tree.literal(&pointer!["spec"]), None);
    let tree = json(r#"{"a": 1.50e0, "b": "x\ty"}"#).unwrap();
    assert_eq!(tree.literal(&pointer!["a"]), Some("1.50e0"));
    assert_eq!(tree.literal(&pointer!["b"]), Some("x\ty"));
}

#[test]
fn nothing_at_all_has_an_empty_text() {
    let tree = yaml("a:\nb: &x\nc: [*x]\n").unwrap();
    for pointer in [pointer!["a"], pointer!["b"], pointer!["c", 0]] {
        assert_eq!(tree.literal(&pointer), Some(""), "{pointer}");
        assert_eq!(tree.get(&pointer).unwrap().kind(), NodeKind::Null);
    }
    assert_eq!(tree.locate(&pointer!["a"]).unwrap().line, 1);
}

#[test]
fn styles_tell_how_it_was_written() {
    let tree = yaml("a: 1\nb: '1'\nc: \"1\"\nd: |\n  1\ne: >\n  1\nf: {g: &x 1}\nh:\n- *x\n").unwrap();
    let styles: Vec<_> = tree.root().children().map(|node| node.style()).collect();
    assert_eq!(
        styles,
        [
            Style::Plain,
            Style::SingleQuoted,
            Style::DoubleQuoted,
            Style::Literal,
            Style::Folded,
            Style::Flow,
            Style::Block
        ]
    );
    let alias = tree.get(&pointer!["h", 0]).unwrap();
    assert_eq!((alias.style(), alias.kind()), (Style::Alias, NodeKind::Number));
    assert_eq!(alias.target().unwrap().pointer(), pointer!["f", "g"]);
    let tree = json("{\"a\": [\"b\", 1]}").unwrap();
    let styles: Vec<_> = tree.nodes().map(|node| node.style()).collect();
    assert_eq!(styles, [Style::Flow, Style::Flow, Style::DoubleQuoted, Style::Plain]);
    assert_eq!(tree.get(&pointer!["a"]).unwrap().key().unwrap().raw(), "\"a\"");
}

#[test]
fn nodes_can_be_walked_from_front_to_back() {
    let tree = yaml("a: &x {b: [1, 2]}\n&k c: *x\nd: *k\n").unwrap();
    let pointers: Vec<_> = tree.nodes().map(|node| node.pointer().to_string()).collect();
    assert_eq!(pointers, ["", "/a", "/a/b", "/a/b/0", "/a/b/1", "/c", "/d"]);
    assert_eq!(tree.root().children().len(), 3);
    assert_eq!(tree.root().get("a").unwrap().parent().unwrap().pointer(), Pointer::root());
}

#[test]
fn lines_end_in_every_known_way() {
    let tree = yaml("a: 1\r\nb: 2\rc: 3\nd: 4").unwrap();
    let lines: Vec<_> = tree.root().children().map(|node| node.location()).collect();
    assert_eq!(lines, [at(1, 4), at(2, 4), at(3, 4), at(4, 4)]);
}

#[test]
fn columns_count_characters_even_on_one_very_long_line() {
    let text = format!("[{}]", vec!["\"é\""; 5000].join(","));
    let tree = json(&text).unwrap();
    assert_eq!(tree.locate(&pointer![0]), Some(at(1, 2)));
    assert_eq!(tree.locate(&pointer![4999]), Some(at(1, 2 + 4999 * 4)));
    assert_eq!(tree.location_of(usize::MAX), at(1, text.chars().count() + 1));
}

#[test]
fn documents_of_a_stream_are_placed_in_the_stream() {
    let trees = parse_all(b"a: 1\n---\nb: 2\n", &Limits::default()).unwrap();
    assert_eq!(trees[1].locate(&pointer!["b"]), Some(at(3, 4)));
    assert_eq!(trees[0].span(&Pointer::root()), Some(0..4));
}

/// The slow and obvious way to count.
fn counted(text: &str, offset: usize) -> Location {
    let before = &text[..offset];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap().chars().count() + 1;
    Location::new(line, column)
}

proptest! {
    #[test]
    fn every_node_is_found_by_its_pointer_and_reads_as_itself(value in values()) {
        for format in [Format::Json, Format::Yaml] {
            let text = match format {
                Format::Json => serde_json::to_string_pretty(&value).unwrap(),
                _ => margo_syntax::to_yaml(&value).unwrap(),
            };
            let tree = parse(text.as_bytes(), format, &Limits::default()).unwrap();
            for node in tree.nodes() {
                let pointer = node.pointer();
                prop_assert_eq!(value.pointer(pointer.as_str()), Some(&node.to_value()));
                prop_assert_eq!(tree.span(&pointer), Some(node.span()));
                prop_assert_eq!(node.location(), counted(&text, node.span().start));
                if node.style() != Style::Literal && node.style() != Style::Block && format == Format::Json {
                    let alone = parse(node.raw().as_bytes(), format, &Limits::default()).unwrap();
                    prop_assert_eq!(alone.to_value(), node.to_value());
                }
            }
        }
    }

    #[test]
    fn a_pointer_survives_its_text(segments in proptest::collection::vec(any::<String>(), 0..5)) {
        let pointer: Pointer = segments.iter().collect();
        prop_assert_eq!(pointer.as_str().parse::<Pointer>().unwrap(), pointer.clone());
        prop_assert_eq!(pointer.segments().map(std::borrow::Cow::into_owned).collect::<Vec<_>>(), segments);
        let text = serde_json::to_string(&pointer).unwrap();
        prop_assert_eq!(serde_json::from_str::<Pointer>(&text).unwrap(), pointer);
    }
}
