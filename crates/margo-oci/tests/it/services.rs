//! The engine and the registries of `cargo xtask engine up`, for every crate whose tests need them.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Where they are, by the names in the file `env`: `DOCKER_HOST`, `MARGO_REGISTRY` and `MARGO_REGISTRY_AUTH`.
///
/// `None`, and a loud word, where one of them is missing or of an earlier run. With `MARGO_REQUIRE_ENGINE=1` the test
/// fails instead.
pub(crate) fn services() -> Option<BTreeMap<String, String>> {
    let folder = std::env::var_os("MARGO_ENGINE")
        .map_or_else(|| std::env::temp_dir().join("margo-engine"), PathBuf::from);
    match look(&folder.join("env")) {
        Ok(services) => Some(services),
        Err(why) => {
            assert!(
                std::env::var_os("MARGO_REQUIRE_ENGINE").is_none(),
                "no engine: {why}; `cargo xtask engine up` starts it"
            );
            say(&format!("SKIPPED: no engine ({why}); `cargo xtask engine up` starts it"));
            None
        }
    }
}

/// Says it even where the output of tests that pass is held back.
pub(crate) fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn look(file: &Path) -> Result<BTreeMap<String, String>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("`{}`: {error}", file.display()))?;
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let services: BTreeMap<_, _> = lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    for name in ["DOCKER_HOST", "MARGO_REGISTRY", "MARGO_REGISTRY_AUTH"] {
        let address = services.get(name).ok_or_else(|| format!("`{}` has no `{name}`", file.display()))?;
        let answer = match address.strip_prefix("unix://") {
            Some(socket) => UnixStream::connect(socket).map(drop),
            None => TcpStream::connect(address).map(drop),
        };
        answer.map_err(|error| format!("`{name}`, `{address}`: {error}"))?;
    }
    Ok(services)
}

#[test]
fn what_an_earlier_run_left_is_no_engine() {
    let folder = tempfile::tempdir().unwrap();
    let (file, socket) = (folder.path().join("env"), folder.path().join("docker.sock"));
    let listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
    let registry = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = registry.local_addr().unwrap();
    let text = format!(
        "DOCKER_HOST=unix://{}\nMARGO_REGISTRY={address}\nMARGO_REGISTRY_AUTH={address}\n",
        socket.display()
    );
    assert!(look(&file).is_err());
    std::fs::write(&file, text).unwrap();
    assert_eq!(look(&file).unwrap()["MARGO_REGISTRY"], address.to_string());
    drop(registry);
    assert!(look(&file).unwrap_err().starts_with("`MARGO_REGISTRY`"));
    // The socket's file stays where its engine was killed.
    drop(listener);
    assert!(look(&file).unwrap_err().starts_with("`DOCKER_HOST`"));
}
