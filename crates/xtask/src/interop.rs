//! The tests against software that nobody here wrote, with everything they need.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::run;

type Done = Result<(), String>;

/// Exact versions: what these say may change, and is then looked at by somebody.
const PYTHON_PACKAGES: [&str; 4] =
    ["http-message-signatures==3.0.0", "schemathesis==4.32.5", "requests==2.34.2", "cryptography==50.0.2"];

/// The specification's own file is not kept here; where it is looked for beside the workspace.
const OPENAPI: &str = "../shared/spec/openapi/workload-management-api-1.0.0-rc.3.yaml";

/// Installs OpenSSL, curl and a virtual environment of Python, and runs the tests with them. What cannot be installed is
/// said loudly, and its tests are left out; whatever can be is demanded.
pub(crate) fn interop() -> Done {
    run::setup()?;
    for (program, argument) in [("openssl", "version"), ("curl", "--version")] {
        run::debian_package(program, argument)?;
    }
    let mut tests =
        run::cargo_command(&["test", "--package", "margo-reference", "--test", "it", "interoperability"]);
    let mut missing = Vec::new();
    match python() {
        Ok(bin) => {
            tests.env("MARGO_INTEROP_PYTHON", bin.join("python"));
            tests.env("MARGO_INTEROP_SCHEMATHESIS", bin.join("schemathesis"));
        }
        Err(error) => missing.push(format!("Python's packages cannot be installed: {error}")),
    }
    match openapi()? {
        Some(path) => drop(tests.env("MARGO_INTEROP_OPENAPI", path)),
        None => missing.push(format!("`{OPENAPI}` is not there; `MARGO_INTEROP_OPENAPI` says where it is")),
    }
    if missing.is_empty() {
        tests.env("MARGO_INTEROP_REQUIRED", "1");
    }
    for reason in &missing {
        println!("\n!!! NOT TESTED, although it should be: {reason}\n");
    }
    run::run(&mut tests)
}

fn openapi() -> Result<Option<PathBuf>, String> {
    let configured = std::env::var_os("MARGO_INTEROP_OPENAPI").map(PathBuf::from);
    let metadata = run::metadata()?;
    let root = metadata["workspace_root"].as_str().ok_or("no workspace")?;
    let path = configured.unwrap_or_else(|| Path::new(root).join(OPENAPI));
    Ok(path.exists().then_some(path))
}

/// The programs of a virtual environment with [`PYTHON_PACKAGES`], made if need be.
fn python() -> Result<PathBuf, String> {
    let folder = run::target_directory()?.join("tools").join("interop");
    let bin = folder.join("bin");
    let stamp = folder.join("packages");
    let wanted = PYTHON_PACKAGES.join("\n");
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(bin);
    }
    println!("installing {}", PYTHON_PACKAGES.join(", "));
    let make = || run::run(Command::new("python3").args(["-m", "venv"]).arg(&folder));
    if make().is_err() {
        run::install("python3-venv")?;
        make()?;
    }
    run::run(Command::new(bin.join("pip")).args(["install", "--quiet"]).args(PYTHON_PACKAGES))?;
    std::fs::write(&stamp, wanted).map_err(|error| error.to_string())?;
    Ok(bin)
}
