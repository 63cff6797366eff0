//! Programs that need nothing of the machine they run on: `cargo xtask static`.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::run::{run, target_directory};

const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Builds `margo-device` with the C library in it, and puts it into `target/static` beside Helm.
pub(crate) fn build() -> Result<(), String> {
    let target = target_directory()?;
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.args(["build", "--release", "--package", "margo-reference", "--bin", "margo-device"]);
    // Named, so that what runs while it is built is not linked in the same way.
    cargo.args(["--target", TARGET]).env("RUSTFLAGS", "-C target-feature=+crt-static");
    run(&mut cargo)?;
    let folder = target.join("static");
    let io = |error: std::io::Error| format!("`{}`: {error}", folder.display());
    fs::create_dir_all(folder.join("data")).map_err(io)?;
    let built = [
        ("margo-device", target.join(TARGET).join("release/margo-device")),
        ("helm", super::helm::install()?),
    ];
    for (name, program) in built {
        if asks_for_a_loader(&fs::read(&program).map_err(io)?)? {
            return Err(format!("`{}` is not static", program.display()));
        }
        fs::copy(&program, folder.join(name)).map_err(io)?;
    }
    let program = folder.join("margo-device");
    alone(&program)?;
    image(&folder)?;
    println!("{}", shown(&program)?);
    Ok(())
}

/// A configuration that needs nothing and reaches nobody.
const CONFIGURATION: &str = "[device]\nid = \"line-3\"\ncapabilities = \"capabilities.yaml\"\n\
    [manager]\nurl = \"http://127.0.0.1:1\"\ntoken-file = \"token\"\n[desired-state]\nsource = \"rest\"\n\
    [runtime]\nkind = \"folder\"\nfolder = \"workloads\"\n";

/// How long it has to run to be believed.
const A_WHILE: Duration = Duration::from_secs(2);

/// Starts the program where there is nothing else: no library, no time zones, no certificates.
fn alone(program: &Path) -> Result<(), String> {
    let empty = program.with_file_name("empty");
    let io = |error: std::io::Error| format!("`{}`: {error}", empty.display());
    let _ = fs::remove_dir_all(&empty);
    fs::create_dir(&empty).map_err(io)?;
    fs::copy(program, empty.join("margo-device")).map_err(io)?;
    let capabilities = super::page::root()?.join("fixtures/devices/line-3/capabilities.yaml");
    fs::copy(capabilities, empty.join("capabilities.yaml")).map_err(io)?;
    fs::write(empty.join("margo-device.toml"), CONFIGURATION).map_err(io)?;
    fs::write(empty.join("token"), "none").map_err(io)?;
    let within = || {
        let mut command = Command::new("chroot");
        command.arg(&empty).arg("/margo-device");
        command
    };
    if !within().arg("--version").status().is_ok_and(|status| status.success()) {
        return Err(format!("`{}` does not run by itself, or `chroot` needs root", program.display()));
    }
    let mut child = within().stderr(Stdio::null()).spawn().map_err(io)?;
    std::thread::sleep(A_WHILE);
    let ended = child.try_wait().map_err(io)?;
    child.kill().and_then(|()| child.wait()).map_err(io)?;
    if let Some(status) = ended {
        return Err(format!("`chroot {} /margo-device` ended at once, with {status}", empty.display()));
    }
    fs::remove_dir_all(&empty).map_err(io)
}

/// Makes the container image of `docs/shipping/Containerfile` and starts it, where the engine of the tests is.
fn image(folder: &Path) -> Result<(), String> {
    let Some(host) = super::engine::running_host() else {
        println!("NOT MADE: the container image, since no engine runs; `cargo xtask engine up` starts one");
        return Ok(());
    };
    let docker = |arguments: &[&str]| {
        let mut command = Command::new("docker");
        // Without the plugin that newer command lines would build with.
        command.env("DOCKER_HOST", &host).env("DOCKER_BUILDKIT", "0").args(arguments);
        run(&mut command)
    };
    let recipe = super::page::root()?.join("docs/shipping/Containerfile").display().to_string();
    let folder = folder.display().to_string();
    docker(&["build", "--quiet", "--tag", "margo-device", "--file", &recipe, &folder])?;
    docker(&["run", "--rm", "--read-only", "--network=none", "margo-device", "--version"])
}

const SCRIPTS: &[&str] = &[".ci/run", "docs/device/push-component", "docs/shipping/helm-on-your-cluster.sh"];

const UNIT: &str = "docs/shipping/margo-device.service";

/// How much a unit may leave open, in tenths, as `systemd-analyze security` counts.
const EXPOSURE: u32 = 20;

/// Looks at what is shipped and cannot be run here: scripts, and the unit of systemd.
pub(crate) fn check() -> Result<(), String> {
    let root = super::page::root()?;
    super::run::debian_package("shellcheck", "--version")?;
    run(Command::new("shellcheck").args(SCRIPTS).current_dir(&root))?;
    let analyze = || {
        let mut command = Command::new("systemd-analyze");
        command.stdout(Stdio::null());
        command
    };
    if analyze().arg("--version").status().is_err() {
        super::run::install("systemd")?;
    }
    // The program it starts is not installed here.
    let folder = target_directory()?.join("unit");
    let file = folder.join("margo-device.service");
    let text = super::page::read(&root, UNIT)?.replace("/usr/bin/margo-device", "/bin/true");
    fs::create_dir_all(&folder)
        .and_then(|()| fs::write(&file, text))
        .map_err(|error| format!("`{}`: {error}", file.display()))?;
    run(analyze().arg("verify").arg(&file))?;
    let threshold = format!("--threshold={EXPOSURE}");
    run(analyze().args(["security", "--offline=true", &threshold]).arg(&file))
        .map_err(|error| format!("{error}\n{UNIT} leaves more open than it did"))
}

fn shown(program: &Path) -> Result<String, String> {
    let size = fs::metadata(program).map_err(|error| error.to_string())?.len();
    Ok(format!("{}: {} MiB", program.display(), size >> 20))
}

/// Whether a 64-bit ELF file has a program header of the kind `PT_INTERP`.
fn asks_for_a_loader(elf: &[u8]) -> Result<bool, String> {
    const PT_INTERP: u32 = 3;
    let odd = || "not a 64-bit ELF file".to_owned();
    if !elf.starts_with(b"\x7fELF\x02\x01") {
        return Err(odd());
    }
    let bytes = |at: usize, length: usize| elf.get(at..at + length).ok_or_else(odd);
    let number = |at: usize, length: usize| {
        Ok::<_, String>(
            bytes(at, length)?.iter().rev().fold(0_u64, |number, byte| number << 8 | u64::from(*byte)),
        )
    };
    let size = |number: u64| usize::try_from(number).map_err(|_| odd());
    let (start, step, count) = (size(number(32, 8)?)?, size(number(54, 2)?)?, size(number(56, 2)?)?);
    for index in 0..count {
        let at = index.checked_mul(step).and_then(|offset| offset.checked_add(start)).ok_or_else(odd)?;
        if number(at, 4)? == u64::from(PT_INTERP) {
            return Ok(true);
        }
    }
    Ok(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_needs_a_loader_is_told() {
        // This test is one: it is linked as usual.
        let this = fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(asks_for_a_loader(&this), Ok(true));
        assert!(asks_for_a_loader(b"#!/bin/sh").is_err());
        assert!(asks_for_a_loader(&this[..60]).is_err());
    }
}
