//! Which crate may depend on which, and the check that it is so.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

/// What a crate may depend on within the workspace. Development dependencies are free: tests may assemble.
const ALLOWED: &[(&str, &[&str])] = &[
    ("margo-core", &[]),
    ("margo-syntax", &[]),
    ("margo-deployment", &["core", "syntax"]),
    ("margo-capability", &["core", "syntax"]),
    ("margo-status", &["core", "syntax"]),
    ("margo-application", &["core", "syntax", "deployment"]),
    ("margo-placement", &["core", "deployment", "capability"]),
    ("margo-validate", &["core", "syntax", "deployment", "capability", "status", "application", "placement"]),
    ("margo-lsp", &["core", "syntax", "validate"]),
    ("margo-api", &["core", "syntax", "deployment", "capability", "status"]),
    ("margo-detect", &["core", "syntax", "deployment", "capability", "status", "application", "api"]),
    ("margo-identity", &["core", "api"]),
    ("margo-client", &["core", "syntax", "deployment", "capability", "status", "api", "identity"]),
    ("margo-git", &["core", "syntax", "deployment", "capability", "status", "api"]),
    ("margo-agent", &["core", "syntax", "deployment", "capability", "status", "placement", "api"]),
    ("margo-oci", &["core", "deployment", "application", "api"]),
    ("margo-runtime-compose", &["core", "syntax", "deployment", "api", "oci"]),
    ("margo-runtime-folder", &["core", "syntax", "deployment", "api"]),
    ("margo-runtime-helm", &["core", "syntax", "deployment", "api", "oci"]),
    (
        "margo-server",
        &[
            "core",
            "syntax",
            "deployment",
            "capability",
            "status",
            "application",
            "placement",
            "api",
            "identity",
        ],
    ),
    ("margo-store-sql", &["core", "deployment", "capability", "status", "api", "identity", "server"]),
    ("margo-conformance", &["core", "syntax", "deployment", "capability", "status", "api"]),
    (
        "margo-cli",
        &[
            "core",
            "syntax",
            "deployment",
            "capability",
            "status",
            "application",
            "identity",
            "placement",
            "validate",
            "lsp",
        ],
    ),
    ("margo-reference", &["*"]),
    ("xtask", &["*"]),
];

/// What a crate never sees, whatever else it depends on: the reason stands beside it.
const FORBIDDEN: &[(&str, &[&str], &str)] = &[
    ("margo-core", &["tokio", "http"], "the ground floor does no I/O"),
    ("margo-syntax", &["tokio", "http"], "it knows text"),
    ("margo-deployment", &["tokio", "http"], "a model does no I/O"),
    ("margo-capability", &["tokio", "http"], "a model does no I/O"),
    ("margo-status", &["tokio", "http"], "a model does no I/O"),
    ("margo-application", &["tokio", "http"], "a model does no I/O"),
    ("margo-placement", &["tokio", "http"], "it compares two documents"),
    ("margo-validate", &["tokio", "http"], "it reads bytes that others fetched"),
    ("margo-api", &["tokio", "hyper", "axum", "reqwest"], "it describes messages and moves none"),
    ("margo-detect", &["tokio"], "it looks at bytes"),
    ("margo-identity", &["axum", "sqlx"], "credentials know neither a framework nor a store"),
    ("margo-agent", &["http", "reqwest", "axum", "gix"], "the agent knows roles, not transports"),
];

/// What a vendor takes alone, and the number of crates that it stays below, itself included.
const SMALL: (&[&str], usize) = (&["margo-status", "margo-capability", "margo-deployment"], 40);

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    path: Option<String>,
}

/// Fails with every edge that should not be there.
pub(crate) fn check() -> Result<(), String> {
    let metadata: Metadata = serde_json::from_value(super::run::metadata()?)
        .map_err(|error| format!("`cargo metadata` is not understood: {error}"))?;
    let mut wrong = offending(&metadata.packages);
    let (small, most) = SMALL;
    for name in small {
        let tree = super::run::tree(name)?;
        wrong.extend(too_many(name, &tree, most));
    }
    if wrong.is_empty() {
        println!("layers: {} crates, every arrow points down", metadata.packages.len());
        return Ok(());
    }
    Err(wrong.join("\n"))
}

/// Whether what `cargo tree` lists is too much for a crate that should stay small.
fn too_many(name: &str, tree: &str, most: usize) -> Option<String> {
    let crates: BTreeSet<_> = tree.lines().map(|line| line.trim_end_matches(" (*)")).collect();
    let count = crates.len();
    (count >= most)
        .then(|| format!("{name}: {count} crates, itself included, and there should be fewer than {most}"))
}

fn offending(packages: &[Package]) -> Vec<String> {
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();
    let mut wrong = Vec::new();
    for package in packages {
        let name = package.name.as_str();
        let Some(allowed) = allowed.get(name) else {
            wrong.push(format!("{name}: not in the table of layers"));
            continue;
        };
        for dependency in package.dependencies.iter().filter(|d| d.kind.as_deref() != Some("dev")) {
            let short = dependency.name.strip_prefix("margo-").unwrap_or(&dependency.name);
            if dependency.path.is_some() && !allowed.contains(&short) && !allowed.contains(&"*") {
                wrong.push(format!("{name} -> {}: this arrow points up or sideways", dependency.name));
            }
            let forbidden = FORBIDDEN
                .iter()
                .find(|(who, what, _)| *who == name && what.contains(&dependency.name.as_str()));
            if let Some((_, _, reason)) = forbidden {
                wrong.push(format!("{name} -> {}: {reason}", dependency.name));
            }
        }
    }
    wrong
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>, bool)]) -> Package {
        let dependencies = dependencies
            .iter()
            .map(|(name, kind, ours)| Dependency {
                name: (*name).to_owned(),
                kind: kind.map(str::to_owned),
                path: ours.then(String::new),
            })
            .collect();
        Package { name: name.to_owned(), dependencies }
    }

    #[test]
    fn an_arrow_that_points_up_is_named() {
        let packages = [package("margo-agent", &[("margo-core", None, true), ("margo-client", None, true)])];
        assert_eq!(offending(&packages), ["margo-agent -> margo-client: this arrow points up or sideways"]);
    }

    #[test]
    fn what_a_crate_never_sees_is_named_with_its_reason() {
        let packages = [package("margo-api", &[("http", None, false), ("tokio", None, false)])];
        assert_eq!(offending(&packages), ["margo-api -> tokio: it describes messages and moves none"]);
    }

    #[test]
    fn a_crate_that_should_stay_small_is_counted() {
        let tree = "a v1\nb v1\nc v1\nb v1 (*)\n";
        assert_eq!(too_many("a", tree, 4), None);
        let grown = too_many("a", tree, 3).unwrap();
        assert_eq!(grown, "a: 3 crates, itself included, and there should be fewer than 3");
    }

    #[test]
    fn tests_may_assemble_and_unknown_crates_may_not_hide() {
        let packages =
            [package("margo-agent", &[("margo-client", Some("dev"), true)]), package("margo-new", &[])];
        assert_eq!(offending(&packages), ["margo-new: not in the table of layers"]);
    }
}
