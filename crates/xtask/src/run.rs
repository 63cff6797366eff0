//! The tasks that start other programs.

use std::path::{Path, PathBuf};
use std::process::Command;

type Done = Result<(), String>;

/// Builds the programs and runs the demonstration with them.
pub(crate) fn demo(args: &[String]) -> Done {
    setup()?;
    cargo(&["build", "--package", "margo-reference", "--package", "margo-cli", "--bins"])?;
    let metadata = metadata()?;
    let root = metadata["workspace_root"].as_str().ok_or("no workspace")?;
    let program = target_directory()?.join("debug").join("margo-demo");
    run(Command::new(program).arg("--fixtures").arg(Path::new(root).join("fixtures")).args(args))
}

/// Runs every test of the workspace, documentation examples included. With arguments, which choose among them, those
/// behind the feature `schema` are left out.
pub(crate) fn test(args: &[String]) -> Done {
    setup()?;
    // The tests of the programs start them as processes.
    cargo(&["build", "--package", "margo-reference", "--package", "margo-cli", "--bins"])?;
    // Everything that fails is told, not only what fails first.
    let mut all = vec!["test", "--workspace", "--no-fail-fast"];
    all.extend(args.iter().map(String::as_str));
    cargo(&all)?;
    if args.is_empty() { test_schemas() } else { Ok(()) }
}

/// Runs the tests of the crates that have schemas, with the feature that adds them. By themselves: for the whole
/// workspace the feature would have everything compiled twice.
fn test_schemas() -> Done {
    let packages = with_schemas()?;
    let packages = packages.iter().flat_map(|name| ["--package", name.as_str()]);
    let all: Vec<_> =
        ["test", "--no-fail-fast", "--features", "schema"].into_iter().chain(packages).collect();
    cargo(&all)
}

/// The crates that have the feature `schema`.
pub(crate) fn with_schemas() -> Result<Vec<String>, String> {
    let metadata = metadata()?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let packages = packages.filter(|package| !package["features"]["schema"].is_null());
    Ok(packages.filter_map(|package| package["name"].as_str()).map(str::to_owned).collect())
}

/// Installs what the other tasks need and a machine may lack: the manager serves Git with the `git` program.
pub(crate) fn setup() -> Done {
    debian_package("git", "--version")
        .map_err(|error| format!("{error}\nthe manager needs the program `git`: install it, then try again"))
}

/// Installs a program from the package of the same name, unless it is there.
pub(crate) fn debian_package(program: &str, argument: &str) -> Done {
    if Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success()) {
        return Ok(());
    }
    install(program)
}

pub(crate) fn install(package: &str) -> Done {
    println!("installing {package}");
    run(Command::new("apt-get").args(["update"]))?;
    run(Command::new("apt-get").args(["install", "--yes", "--no-install-recommends", package]))
}

/// Everything a change must pass.
pub(crate) fn ci() -> Done {
    step("format", || cargo(&["fmt", "--all", "--check"]))?;
    step("layers", super::layers::check)?;
    let check = ["--check".to_owned()];
    step("coverage", || super::coverage::run(&check))?;
    step("configuration", || super::configuration::run(&check))?;
    step("interpretations", || super::interpretations::run(&check))?;
    step("clippy", || {
        cargo(&["clippy", "--workspace", "--all-targets", "--all-features", "--", "--deny", "warnings"])
    })?;
    step("schemas", || super::schemas::run(&check))?;
    step("deny", deny)?;
    step("fixtures", || {
        cargo(&["run", "--quiet", "--package", "margo-cli", "--bin", "margo", "--", "check", "fixtures"])
    })?;
    step("documentation", || {
        run(cargo_command(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "--deny warnings"))
    })?;
    step("shipping", super::ship::check)?;
    step("engine", engine)?;
    step("demonstration", || demo(&[]))?;
    step("tests", || test(&[]))?;
    step("device page", device_page)?;
    step("interoperability", super::interop::interop)?;
    match std::env::var("MARGO_FUZZ_SECONDS") {
        Ok(seconds) => step("fuzz", || super::fuzz::run_all(&["--seconds".to_owned(), seconds])),
        Err(_) => Ok(()),
    }
}

/// Writes what `margo check` prints of each document in `fixtures/invalid` beside it, to be read in review.
pub(crate) fn bless() -> Done {
    run(cargo_command(&["test", "--quiet", "--package", "margo-cli", "--test", "it", "golden"])
        .env("MARGO_BLESS", "1"))
}

fn step(name: &str, task: impl FnOnce() -> Done) -> Done {
    println!("\n== {name}");
    let started = std::time::Instant::now();
    task().map_err(|error| format!("{name}: {error}"))?;
    println!("== {name}: {} s", started.elapsed().as_secs());
    Ok(())
}

/// The container engine and the Helm of the tests. Where they cannot be had, `MARGO_SKIP_ENGINE=1` says that this is known.
fn engine() -> Done {
    if is_skipped() {
        println!("SKIPPED: `MARGO_SKIP_ENGINE=1`, so no test starts a container");
        return Ok(());
    }
    super::engine::up()
        .and_then(|()| super::helm::install().map(drop))
        .map_err(|error| format!("{error}\n`MARGO_SKIP_ENGINE=1` goes on without containers"))
}

/// What a reader of `docs/device.md` would do. It needs the engine.
fn device_page() -> Done {
    if is_skipped() {
        println!("SKIPPED: `MARGO_SKIP_ENGINE=1`, so nobody follows docs/device.md");
        return Ok(());
    }
    super::device_page::run()
}

fn is_skipped() -> bool {
    std::env::var_os("MARGO_SKIP_ENGINE").is_some_and(|value| value == "1")
}

/// Licences, sources and bans. Advisories need a database from the network and are not part of it.
fn deny() -> Done {
    let program = cargo_tool("cargo-deny", "0.20.2")?;
    run(Command::new(program).args([
        "--offline",
        "--log-level",
        "error",
        "check",
        "bans",
        "licenses",
        "sources",
    ]))
}

/// A program from the registry, in this version, installed below the target directory.
pub(crate) fn cargo_tool(name: &str, version: &str) -> Result<PathBuf, String> {
    let root = target_directory()?.join("tools");
    let program = root.join("bin").join(name);
    if !program.exists() {
        let root = root.display().to_string();
        cargo(&["install", "--locked", "--debug", "--quiet", "--root", &root, "--version", version, name])?;
    }
    Ok(program)
}

pub(crate) fn cargo(args: &[&str]) -> Done {
    run(&mut cargo_command(args))
}

pub(crate) fn cargo_command(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(args);
    command
}

pub(crate) fn run(command: &mut Command) -> Done {
    let program = Path::new(command.get_program()).display().to_string();
    match command.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{program}` ended with {status}")),
        Err(error) => Err(format!("`{program}` cannot be started: {error}")),
    }
}

pub(crate) fn metadata() -> Result<serde_json::Value, String> {
    let output = cargo_command(&["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .map_err(|error| format!("`cargo metadata` cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    serde_json::from_slice(&output.stdout).map_err(|error| format!("`cargo metadata` wrote no JSON: {error}"))
}

/// Every crate that `package` is built from, one a line.
pub(crate) fn tree(package: &str) -> Result<String, String> {
    let args = ["tree", "--locked", "--package", package, "--edges", "normal", "--prefix", "none"];
    let output =
        cargo_command(&args).output().map_err(|error| format!("`cargo tree` cannot be started: {error}"))?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

pub(crate) fn target_directory() -> Result<PathBuf, String> {
    let metadata = metadata()?;
    metadata["target_directory"].as_str().map(PathBuf::from).ok_or_else(|| "no target directory".to_owned())
}
