use serde_json::{Map, Value};

use super::PointerError;

/// As in Helm, whose parser gives up beyond it.
const DEEPEST: usize = 30;

/// Elements that lists are filled up with, in one file: `a[65535]` alone is as much as Helm allows.
const MOST_ELEMENTS: usize = 65_536;

/// The `values.yaml` of a component: every value where its pointer says, as `helm --set` reads pointers.
///
/// `a.b` is a member, `a[0]` an element, `a\.b` one member whose name has a dot. Members are created as needed; the
/// elements before an index are null. Two pointers that want different things of one place are an error, because
/// parameters have no order in which the last could win (MI-021).
///
/// ```
/// # use margo_deployment::workload::helm_values;
/// # use serde_json::json;
/// let values = helm_values([("server.ports[0]", &json!(80)), ("labels.a\\.b", &json!("x"))].into_iter())?;
/// assert_eq!(values, json!({"server": {"ports": [80]}, "labels": {"a.b": "x"}}));
/// # Ok::<(), margo_deployment::workload::PointerError>(())
/// ```
///
/// # Errors
///
/// A pointer that cannot be read, or that contradicts another.
pub fn helm_values<'a>(
    assignments: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Result<Value, PointerError> {
    let mut parsed = Vec::new();
    for (pointer, value) in assignments {
        let path = parse(pointer).map_err(|problem| PointerError::new(pointer, problem))?;
        parsed.push((path, pointer, value));
    }
    // Whole objects first, so that the result does not depend on the names of parameters.
    parsed.sort_by_key(|(path, pointer, _)| (path.len(), *pointer));
    let mut built = Value::Object(Map::new());
    let mut room = MOST_ELEMENTS;
    for (path, pointer, value) in parsed {
        assign(&mut built, &path, value, &mut room).map_err(|problem| PointerError::new(pointer, problem))?;
    }
    Ok(built)
}

#[derive(Debug, PartialEq, Eq)]
enum Segment {
    Member(String),
    Element(usize),
}

fn parse(pointer: &str) -> Result<Vec<Segment>, String> {
    let mut path = Vec::new();
    let mut rest = pointer;
    loop {
        let (name, after) = member(rest);
        if name.is_empty() {
            return Err("a name is missing".to_owned());
        }
        path.push(Segment::Member(name));
        rest = after;
        while let Some(after) = rest.strip_prefix('[') {
            let (number, after) = after.split_once(']').ok_or("a bracket is not closed")?;
            let is_number = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            let number =
                is_number.then(|| number.parse().ok()).flatten().filter(|index| *index < MOST_ELEMENTS);
            path.push(Segment::Element(number.ok_or("expected an index below 65536 between brackets")?));
            rest = after;
        }
        if path.len() > DEEPEST {
            return Err(format!("more than {DEEPEST} levels"));
        }
        match rest.strip_prefix('.') {
            Some(after) => rest = after,
            None if rest.is_empty() => return Ok(path),
            None => return Err("expected `.` or `[` after a bracket".to_owned()),
        }
    }
}

/// A name up to the next `.` or `[` that no backslash precedes, and what follows it.
fn member(text: &str) -> (String, &str) {
    let mut name = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' => name.extend(characters.next().map(|(_, escaped)| escaped)),
            '.' | '[' => return (name, &text[at..]),
            _ => name.push(character),
        }
    }
    (name, "")
}

fn assign(mut place: &mut Value, path: &[Segment], value: &Value, room: &mut usize) -> Result<(), String> {
    for segment in path {
        place = match segment {
            Segment::Member(name) => {
                if place.is_null() {
                    *place = Value::Object(Map::new());
                }
                let members = place.as_object_mut().ok_or_else(|| taken(name))?;
                members.entry(name.clone()).or_insert(Value::Null)
            }
            Segment::Element(index) => {
                if place.is_null() {
                    *place = Value::Array(Vec::new());
                }
                let elements = place.as_array_mut().ok_or_else(|| taken(&format!("[{index}]")))?;
                let missing = (index + 1).saturating_sub(elements.len());
                *room = room.checked_sub(missing).ok_or("too many elements in lists")?;
                elements.resize(elements.len() + missing, Value::Null);
                &mut elements[*index]
            }
        };
    }
    if place.is_null() {
        *place = value.clone();
    } else if place != value {
        return Err("another parameter sets the same place to something else".to_owned());
    }
    Ok(())
}

fn taken(segment: &str) -> String {
    format!("another parameter sets a place above `{segment}` to something that cannot hold it")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(assignments: &[(&str, Value)]) -> Result<Value, String> {
        helm_values(assignments.iter().map(|(pointer, value)| (*pointer, value)))
            .map_err(|error| error.to_string())
    }

    /// rev-A 2.1: pointers are those of `helm --set`.
    #[test]
    fn pointers_are_read_as_helm_does() {
        assert_eq!(of(&[]), Ok(json!({})));
        assert_eq!(
            of(&[("a.b.c", json!(1)), ("a.d", json!(true))]),
            Ok(json!({"a": {"b": {"c": 1}, "d": true}}))
        );
        assert_eq!(
            of(&[("nodeSelector.kubernetes\\.io/role", json!("master"))]),
            Ok(json!({"nodeSelector": {"kubernetes.io/role": "master"}}))
        );
        assert_eq!(
            of(&[("servers[1].port", json!(80)), ("servers[1].host", json!("x"))]),
            Ok(json!({"servers": [null, {"port": 80, "host": "x"}]}))
        );
        assert_eq!(of(&[("a[0][1]", json!("x"))]), Ok(json!({"a": [[null, "x"]]})));
        assert_eq!(of(&[("a\\[0]", json!(1))]), Ok(json!({"a[0]": 1})));
        assert_eq!(of(&[("ключ.ü", json!(1))]), Ok(json!({"ключ": {"ü": 1}})));
    }

    #[test]
    fn values_keep_their_types() {
        let list = json!(["a", {"b": null}]);
        assert_eq!(
            of(&[("s", json!("30")), ("n", json!(30)), ("l", list.clone())]),
            Ok(json!({"s": "30", "n": 30, "l": list}))
        );
    }

    #[test]
    fn an_object_can_be_completed_in_any_order() {
        let whole = ("a", json!({"b": 1}));
        let part = ("a.c", json!(2));
        let expected = Ok(json!({"a": {"b": 1, "c": 2}}));
        assert_eq!(of(&[whole.clone(), part.clone()]), expected);
        assert_eq!(of(&[part, whole]), expected);
    }

    /// MI-021.
    #[test]
    fn contradictions_and_nonsense_are_named() {
        let error = |assignments: &[(&str, Value)]| of(assignments).unwrap_err();
        assert_eq!(
            error(&[("a", json!(1)), ("a.b", json!(2))]),
            "pointer `a.b`: another parameter sets a place above `b` to something that cannot hold it"
        );
        assert!(error(&[("a", json!(1)), ("a", json!(2))]).contains("the same place"));
        assert!(of(&[("a", json!(1)), ("a", json!(1))]).is_ok());
        assert!(error(&[("a.b", json!(1)), ("a[0]", json!(2))]).contains("cannot hold it"));
        for (pointer, problem) in [
            ("", "a name is missing"),
            ("a..b", "a name is missing"),
            ("a.", "a name is missing"),
            ("[0]", "a name is missing"),
            ("a[", "a bracket is not closed"),
            ("a[x]", "expected an index"),
            ("a[-1]", "expected an index"),
            ("a[65536]", "expected an index"),
            ("a[99999999999999999999]", "expected an index"),
            ("a[0]b", "expected `.` or `[`"),
        ] {
            assert!(error(&[(pointer, json!(1))]).contains(problem), "{pointer}");
        }
        assert!(error(&[(&"a.".repeat(31), json!(1))]).contains("more than 30 levels"));
    }

    #[test]
    fn lists_are_filled_up_within_limits() {
        assert!(of(&[("a[65535]", json!(1))]).is_ok());
        assert!(of(&[("a[65535]", json!(1)), ("b[0]", json!(1))]).unwrap_err().contains("too many elements"));
    }

    proptest! {
        #[test]
        fn any_pointer_is_read_without_panic(pointer in "[a-c.\\[\\]0-9\\\\ü]{0,20}") {
            let _ = of(&[(&pointer, json!(1))]);
        }

        /// Whatever the names, escaping makes one member of each.
        #[test]
        fn an_escaped_name_is_one_member(names in prop::collection::vec("[a-z.\\[\\]\\\\=,]{1,8}", 1..5)) {
            let escape = |name: &String| name.chars().flat_map(|c| ['\\', c]).collect::<String>();
            let pointer = names.iter().map(escape).collect::<Vec<_>>().join(".");
            let built = of(&[(&pointer, json!("here"))]).unwrap();
            let found = names.iter().try_fold(&built, |value, name| value.get(name));
            prop_assert_eq!(found, Some(&json!("here")));
        }
    }
}
