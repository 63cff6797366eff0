use std::collections::BTreeMap;
use std::fmt::Write as _;

use margo_deployment::workload::{compose_env, compose_variables};
use serde_json::Value;

/// Variables that steer the tools themselves, wherever they find them.
const RESERVED_PREFIXES: &[&str] = &["COMPOSE_", "DOCKER_", "PODMAN_", "BUILDAH_", "CONTAINERS_"];

/// Variables the tools are started with, which win over any file.
const RESERVED: &[&str] = &["HOME", "LANG", "PATH"];

/// Which reader of `.env` files a tool has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// `compose-go`: Compose 2 and newer.
    Go,
    /// `python-dotenv`: Compose 1.29 and `podman-compose`. It replaces `${NAME}` even in single quotes.
    Python,
}

/// What a component is given: the variables that its parameters' pointers name (R-A-042).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Environment(BTreeMap<String, Value>);

impl Environment {
    pub(crate) fn new<'a>(parameters: impl Iterator<Item = (&'a str, &'a Value)>) -> Result<Self, String> {
        let variables = compose_variables(parameters).map_err(|error| error.to_string())?;
        match variables.keys().find(|name| is_reserved(name)) {
            Some(name) => Err(format!("pointer `{name}`: this variable steers Compose itself")),
            None => {
                Ok(Self(variables.into_iter().map(|(name, text)| (name.to_owned(), text.into())).collect()))
            }
        }
    }

    /// The variables by name.
    pub(crate) fn variables(&self) -> BTreeMap<String, String> {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        self.0.iter().map(|(name, value)| (name.clone(), text(value))).collect()
    }

    /// The text of a `.env` file from which `dialect` reads exactly these values.
    pub(crate) fn to_file(&self, dialect: Dialect) -> String {
        let variables = self.0.iter().map(|(name, value)| (name.as_str(), value));
        match dialect {
            // These variables were taken once already.
            Dialect::Go => compose_env(variables).unwrap_or_default(),
            Dialect::Python => variables.fold(String::new(), |mut file, (name, value)| {
                // Writing to a `String` cannot fail.
                let _ = writeln!(file, "{name}={}", quoted(value.as_str().unwrap_or_default()));
                file
            }),
        }
    }
}

/// The first line of a `.env` file that would steer the tools themselves.
pub(crate) fn reserved_in(file: &str) -> Option<&str> {
    file.split(['\n', '\r']).map(str::trim).find(|line| {
        let line = line.trim_start_matches('\u{feff}').trim_start();
        let after = line.strip_prefix("export").filter(|rest| rest.starts_with(char::is_whitespace));
        // A name may stand in quotes.
        let name = after.unwrap_or(line).trim_start().trim_start_matches(['\'', '"']);
        is_reserved_prefix(name)
    })
}

/// Whether the tools take this variable for themselves.
pub(crate) fn is_reserved(name: &str) -> bool {
    is_reserved_prefix(name) || RESERVED.contains(&name)
}

fn is_reserved_prefix(name: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// Bare, or escaped in double quotes. What it would replace is broken up by `${:-…}`, which it replaces by what
/// follows the dash; a backslash before the closing quote is kept from it in the same way.
fn quoted(value: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+,-".contains(c);
    if value.chars().all(is_plain) {
        return value.to_owned();
    }
    let mut quoted = String::from('"');
    let mut characters = value.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '"' => quoted.push_str("\\\""),
            '\\' => {
                quoted.push_str("\\\\");
                if characters.peek().is_none() {
                    quoted.push_str("${:-}");
                }
            }
            '$' if characters.peek() == Some(&'{') => quoted.push_str("${:-$}"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(parameters: &[(&str, Value)]) -> Result<Environment, String> {
        Environment::new(parameters.iter().map(|(pointer, value)| (*pointer, value)))
    }

    #[test]
    fn a_file_a_person_can_read() {
        let environment = of(&[
            ("PORT", json!(8080)),
            ("ENV.MODE", json!("eco mode #1")),
            ("GREETING", json!("it's ${5}\n\"now\"\\")),
            ("TAGS", json!(["a", "b c"])),
            ("NONE", json!(null)),
        ])
        .unwrap();
        assert_eq!(
            environment.to_file(Dialect::Go),
            "GREETING=\"it's \\${5}\\n\\\"now\\\"\\\\\"\nMODE='eco mode #1'\nNONE=\nPORT=8080\nTAGS='[\"a\",\"b c\"]'\n"
        );
        assert_eq!(
            environment.to_file(Dialect::Python),
            "GREETING=\"it's ${:-$}{5}\\n\\\"now\\\"\\\\${:-}\"\nMODE=\"eco mode #1\"\nNONE=\nPORT=8080\n\
             TAGS=\"[\\\"a\\\",\\\"b c\\\"]\"\n"
        );
    }

    #[test]
    fn what_is_no_variable_and_what_steers_the_tools_is_named() {
        assert!(of(&[("A B", json!(1))]).unwrap_err().starts_with("pointer `A B`: not the name"));
        for name in ["PATH", "HOME", "COMPOSE_FILE", "DOCKER_HOST", "ENV.PODMAN_X"] {
            assert!(of(&[(name, json!(1))]).unwrap_err().contains("steers Compose"), "{name}");
        }
    }

    #[test]
    fn a_package_cannot_steer_the_tools_by_its_own_file() {
        for line in
            ["COMPOSE_FILE=/x", "  export DOCKER_HOST=tcp://x", "'COMPOSE_FILE'=/x", "export\tCOMPOSE_FILE=x"]
        {
            let file = format!("A=1\n{line}\n");
            assert_eq!(reserved_in(&file), Some(line.trim()), "{line}");
        }
        assert_eq!(reserved_in("A=1\nNOT_COMPOSE_FILE=2\n# COMPOSE_FILE\nexported=1\n"), None);
    }
}
