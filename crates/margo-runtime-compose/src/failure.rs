use std::fmt::Write as _;

use margo_api::RuntimeError;

use crate::process::CallError;

/// The most characters of a program's own words in a message.
const LONGEST_DETAIL: usize = 1200;

/// What is said of an engine that is away.
pub(crate) const NO_ENGINE: &str = "the container engine does not answer";

/// What programs say when something went wrong, as far as it says why: the first that matches.
const CAUSES: &[(&str, &str, &[&str])] = &[
    (
        "engine-unavailable",
        NO_ENGINE,
        &[
            "cannot connect to the docker daemon",
            "couldn't connect to docker daemon",
            "error while fetching server api version",
            "unable to connect to podman",
            "connection aborted",
            "error during connect",
            "docker.sock",
        ],
    ),
    ("disk-full", "the disk is full", &["no space left on device", "disk quota exceeded"]),
    (
        "port-in-use",
        "a port is in use",
        &["address already in use", "port is already allocated", "address in use"],
    ),
    (
        "wrong-architecture",
        "an image is for another architecture",
        &["no matching manifest for", "does not match the specified platform", "exec format error"],
    ),
    (
        "registry-denied",
        "the registry refuses access",
        &[
            "unauthorized",
            "authentication required",
            "no basic auth credentials",
            "access denied",
            "access to the resource is denied",
            "403 forbidden",
            "401 ",
        ],
    ),
    (
        "image-not-found",
        "an image is not in its registry",
        &["manifest unknown", "not found: manifest", "repository does not exist", "name unknown"],
    ),
    (
        "registry-unreachable",
        "the registry cannot be reached",
        &[
            "connection refused",
            "no such host",
            "i/o timeout",
            "network is unreachable",
            "no route to host",
            "temporary failure in name resolution",
            "client.timeout exceeded",
            "tls handshake",
            "x509",
            "server gave http response to https client",
        ],
    ),
];

/// The error of a failed call: its code by what the program said, `otherwise` when that says nothing known.
pub(crate) fn explain(what: &str, otherwise: &str, error: CallError) -> RuntimeError {
    let said = error.said().to_lowercase();
    let cause = CAUSES.iter().find(|(_, _, signs)| signs.iter().any(|sign| said.contains(sign)));
    let code = match (&error, cause) {
        (CallError::Start { .. } | CallError::NoAnswer { .. }, _) => "engine-unavailable",
        (CallError::TimeLimit { .. }, _) => "time-limit",
        (_, Some((code, _, _))) => code,
        (_, None) => otherwise,
    };
    let mut message = what.to_owned();
    if let CallError::NoAnswer { .. } = error {
        let _ = write!(message, ": {NO_ENGINE}");
    }
    if let Some((_, reason, _)) = cause {
        let _ = write!(message, ": {reason}");
    }
    let detail = if error.said().is_empty() { error.to_string() } else { last(error.said()) };
    let _ = write!(message, ": {detail}");
    RuntimeError::new(code, message).because(error)
}

/// The end of a text, in whole lines where possible, bounded in length.
pub(crate) fn last(text: &str) -> String {
    let text = text.trim();
    let Some((start, _)) = text.char_indices().rev().nth(LONGEST_DETAIL) else { return text.to_owned() };
    let tail = &text[start..];
    tail.split_once('\n').map_or(tail, |(_, lines)| lines).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(said: &str) -> String {
        let error = CallError::Failed { program: "docker".to_owned(), errors: said.to_owned() };
        explain("x", "start-failed", error).code().to_owned()
    }

    #[test]
    fn a_cause_is_known_by_what_is_said() {
        for (said, expected) in [
            (
                "Cannot connect to the Docker daemon at unix:///x. Is the docker daemon running?",
                "engine-unavailable",
            ),
            ("write /var/lib/x: no space left on device", "disk-full"),
            ("Bind for 0.0.0.0:80 failed: port is already allocated", "port-in-use"),
            ("no matching manifest for linux/amd64 in the manifest list entries", "wrong-architecture"),
            ("Head \"http://r/v2/x\": no basic auth credentials", "registry-denied"),
            ("manifest for r/x:9 not found: manifest unknown: manifest unknown", "image-not-found"),
            (
                "Get \"http://127.0.0.1:1/v2/\": dial tcp 127.0.0.1:1: connect: connection refused",
                "registry-unreachable",
            ),
            ("something else", "start-failed"),
        ] {
            assert_eq!(code(said), expected, "{said}");
        }
    }

    #[test]
    fn a_message_has_an_end() {
        let text = "zeile ü\n".repeat(1000);
        let kept = last(&text);
        assert!(kept.chars().count() <= LONGEST_DETAIL && kept.starts_with("zeile"));
    }
}
