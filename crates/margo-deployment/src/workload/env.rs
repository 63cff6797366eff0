use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::PointerError;

/// The `.env` of a component: [`compose_variables`], quoted so that Compose reads back exactly the values.
///
/// ```
/// # use margo_deployment::workload::compose_env;
/// # use serde_json::json;
/// let env = compose_env([("PORT", &json!(80)), ("MODE", &json!("eco mode"))].into_iter())?;
/// assert_eq!(env, "MODE='eco mode'\nPORT=80\n");
/// # Ok::<(), margo_deployment::workload::PointerError>(())
/// ```
///
/// # Errors
///
/// A pointer that is not the name of a variable, or that contradicts another; a value no variable can hold.
pub fn compose_env<'a>(
    assignments: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Result<String, PointerError> {
    let variables = compose_variables(assignments)?;
    Ok(variables.iter().fold(String::new(), |mut file, (name, value)| {
        // Writing to a `String` cannot fail.
        let _ = writeln!(file, "{name}={}", quoted(value));
        file
    }))
}

/// The environment of a component: every value under the name its pointer gives.
///
/// Numbers and booleans are written as JSON does, lists and objects as JSON text; null is the empty text.
///
/// # Errors
///
/// A pointer that is not the name of a variable, or that contradicts another; a value no variable can hold.
pub fn compose_variables<'a>(
    assignments: impl Iterator<Item = (&'a str, &'a Value)>,
) -> Result<BTreeMap<&'a str, String>, PointerError> {
    let mut variables: BTreeMap<&str, String> = BTreeMap::new();
    for (pointer, value) in assignments {
        // X-A-15, X-C-04: older examples write `ENV.NAME`.
        let name = pointer.strip_prefix("ENV.").unwrap_or(pointer);
        if !is_name(name) {
            return Err(PointerError::new(pointer, "not the name of an environment variable"));
        }
        let text = text(value);
        if text.contains('\0') {
            return Err(PointerError::new(pointer, "an environment variable cannot hold a zero character"));
        }
        if variables.insert(name, text.clone()).is_some_and(|other| other != text) {
            return Err(PointerError::new(pointer, "another parameter sets it to something else"));
        }
    }
    Ok(variables)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn is_name(name: &str) -> bool {
    let is_first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(is_first) && name.chars().all(|c| is_first(c) || c.is_ascii_digit())
}

/// Bare where that cannot be misread, literal in single quotes where those suffice, escaped in double quotes
/// otherwise. In single quotes nothing is replaced, but a backslash can still hide the closing quote.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,-".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    if !value.contains(['\'', '\\', '\r']) {
        return format!("'{value}'");
    }
    let mut quoted = String::from('"');
    for character in value.chars() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '"' | '\\' | '$' => quoted.extend(['\\', character]),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn of(assignments: &[(&str, Value)]) -> Result<String, String> {
        compose_env(assignments.iter().map(|(pointer, value)| (*pointer, value)))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_file_a_person_can_read() {
        let file = of(&[
            ("PORT", json!(8080)),
            ("URL", json!("https://x.example:443/a,b")),
            ("GREETING", json!("it's $5\n\"now\"")),
            ("ENV.MODE", json!("eco mode #1")),
            ("CERT", json!("-----BEGIN-----\nabc=\n")),
            ("DEBUG", json!(false)),
            ("RATIO", json!(0.5)),
            ("TAGS", json!(["a", "b c"])),
            ("EMPTY", json!("")),
            ("NONE", json!(null)),
            ("CITY", json!("Zürich")),
        ])
        .unwrap();
        let expected = r#"CERT='-----BEGIN-----
abc=
'
CITY='Zürich'
DEBUG=false
EMPTY=
GREETING="it's \$5\n\"now\""
MODE='eco mode #1'
NONE=
PORT=8080
RATIO=0.5
TAGS='["a","b c"]'
URL=https://x.example:443/a,b
"#;
        assert_eq!(file, expected);
    }

    #[test]
    fn what_is_no_variable_is_named() {
        for name in ["", "1A", "A B", "A=B", "A\nB", "ä", "ENV.", "a.b", "a-b"] {
            let error = of(&[(name, json!(1))]).unwrap_err();
            assert!(error.starts_with(&format!("pointer `{name}`: not the name")), "{error}");
        }
        assert!(of(&[("A", json!("a\0b"))]).unwrap_err().contains("zero character"));
        assert!(of(&[("A", json!(1)), ("ENV.A", json!(2))]).unwrap_err().contains("something else"));
        assert!(of(&[("A", json!(1)), ("ENV.A", json!(1))]).is_ok());
    }

    /// How Compose reads one value (`compose-go`, `dotenv/parser.go`), without variables to put in: a `$` that is
    /// not escaped is a failure here.
    fn compose_reads(line: &str) -> String {
        // Compose does this to the whole file first.
        let source = line.replace("\r\n", "\n");
        let mut characters = source.chars();
        let Some(quote @ ('\'' | '"')) = characters.next() else {
            let bare = source.split('\n').next().unwrap().split(" #").next().unwrap().trim_end();
            assert!(!bare.contains('$'));
            return bare.to_owned();
        };
        let mut value = String::new();
        let mut escaped = false;
        for character in characters.by_ref() {
            if character != quote {
                if !escaped && character == '\\' {
                    escaped = true;
                    continue;
                }
                if std::mem::take(&mut escaped) {
                    value.push('\\');
                }
                value.push(character);
            } else if std::mem::take(&mut escaped) {
                value.push(character);
            } else {
                assert_eq!(characters.next(), Some('\n'), "something follows the closing quote");
                return if quote == '"' { compose_unescapes(&value) } else { value };
            }
        }
        panic!("unterminated quote");
    }

    fn compose_unescapes(value: &str) -> String {
        let mut text = String::new();
        let mut characters = value.chars();
        while let Some(character) = characters.next() {
            match character {
                '\\' => match characters.next() {
                    Some('n') => text.push('\n'),
                    Some('r') => text.push('\r'),
                    Some(same @ ('$' | '"' | '\\')) => text.push(same),
                    other => panic!("an escape that we do not write: {other:?}"),
                },
                '$' => panic!("a variable would be put in"),
                other => text.push(other),
            }
        }
        text
    }

    proptest! {
        #[test]
        fn compose_reads_back_what_was_meant(value in "[a-z0-9 '\"\\\\$#=\\r\\n\\tü\u{1F600}{}]{0,24}") {
            let file = of(&[("A", json!(value))]).unwrap();
            prop_assert_eq!(compose_reads(file.strip_prefix("A=").unwrap()), value);
        }

        #[test]
        fn any_text_survives(value in any::<String>().prop_filter("no variable holds it", |text| !text.contains('\0'))) {
            let file = of(&[("A", json!(value))]).unwrap();
            prop_assert_eq!(compose_reads(file.strip_prefix("A=").unwrap()), value);
        }
    }
}
