//! Programs that need nothing of the machine they run on: `cargo xtask static`.

use std::fs;
use std::path::Path;
use std::process::Command;

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
    run(Command::new(&program).arg("--version"))?;
    println!("{}", shown(&program)?);
    Ok(())
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
