//! What a registry asks for with `WWW-Authenticate`.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::WWW_AUTHENTICATE;

/// One way to say who one is (RFC 9110, section 11.6.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Challenge {
    Basic,
    /// Ask the service at `realm` for a token.
    Bearer {
        realm: String,
        service: Option<String>,
        scope: Option<String>,
    },
}

/// The challenges that are understood; a token is preferred to a password.
pub(crate) fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut found = Vec::new();
    for value in headers.get_all(WWW_AUTHENTICATE).iter().take(8) {
        let Ok(text) = value.to_str() else { continue };
        let (scheme, rest) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer") {
            let mut parameters = parameters(rest);
            if let Some(realm) = parameters.remove("realm") {
                let (service, scope) = (parameters.remove("service"), parameters.remove("scope"));
                found.insert(0, Challenge::Bearer { realm, service, scope });
            }
        }
    }
    found
}

/// `name="value"` and `name=value`, with commas between.
fn parameters(text: &str) -> BTreeMap<String, String> {
    let mut parameters = BTreeMap::new();
    let mut rest = text.trim_start_matches([' ', ',']);
    while let Some((name, after)) = rest.split_once('=') {
        let (value, after) = if let Some(quoted) = after.strip_prefix('"') {
            unquote(quoted)
        } else {
            let (value, after) = after.split_once(',').unwrap_or((after, ""));
            (value.trim().to_owned(), after)
        };
        parameters.insert(name.trim().to_ascii_lowercase(), value);
        rest = after.trim_start_matches([' ', ',']);
    }
    parameters
}

/// A quoted text without its first quote, and what follows the last.
fn unquote(text: &str) -> (String, &str) {
    let mut value = String::new();
    let mut characters = text.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return (value, &text[at + 1..]),
            '\\' => value.extend(characters.next().map(|(_, escaped)| escaped)),
            other => value.push(other),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(values: &[&str]) -> Vec<Challenge> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(WWW_AUTHENTICATE, value.parse().unwrap());
        }
        challenges(&headers)
    }

    #[test]
    fn challenges_are_read_as_registries_write_them() {
        let bearer = |realm: &str, service: Option<&str>, scope: Option<&str>| Challenge::Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        };
        assert_eq!(
            read(&[
                r#"Bearer realm="https://a.example/token",service="r.example",scope="repository:a/b:pull,push""#
            ]),
            [bearer("https://a.example/token", Some("r.example"), Some("repository:a/b:pull,push"))]
        );
        assert_eq!(read(&[r#"Basic realm="x""#]), [Challenge::Basic]);
        assert_eq!(read(&["basic"]), [Challenge::Basic]);
        assert_eq!(
            read(&["Basic realm=x", r#"bearer realm=https://a/t , service="a \"b\"""#]),
            [bearer("https://a/t", Some(r#"a "b""#), None), Challenge::Basic]
        );
        assert_eq!(read(&["Bearer", "Negotiate", r#"Bearer service="x""#]), []);
        assert_eq!(read(&[]), []);
    }

    proptest! {
        #[test]
        fn nothing_a_server_says_is_a_panic(text in "[ -~]{0,60}") {
            let _ = read(&[&text, &format!("Bearer {text}")]);
        }
    }
}
