//! `docker compose`, and `podman-compose` on a Podman that runs in a container too: part of `cargo xtask engine up`.
//!
//! What the tests use lies in the engine's folder: `compose/cli-plugins/docker-compose` is the plugin, and `podman/bin`
//! has `podman` and `podman-compose`. Nothing else on the machine uses them.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::run::run;

type Done = Result<(), String>;

/// Has both ready. Podman keeps images and containers of its own in `folder`, and takes images from `registry`.
pub(crate) fn up(folder: &Path, registry: &str) -> Done {
    let (plugins, compose) = (folder.join("compose/cli-plugins"), folder.join("podman/compose"));
    let is_there = plugins.join("docker-compose").exists() && compose.exists();
    if !is_there {
        println!("fetching `docker compose` and `podman-compose`");
        let unpacked = unpacked(folder, &["docker-compose", "podman-compose"])?;
        create(&plugins)?;
        create(&folder.join("podman"))?;
        let plugin = "usr/libexec/docker/cli-plugins/docker-compose";
        rename(&unpacked.join(plugin), &plugins.join("docker-compose"))?;
        rename(&unpacked.join("usr"), &compose)?;
        let apt = folder.join("apt");
        fs::remove_dir_all(&apt).map_err(|error| format!("`{}`: {error}", apt.display()))?;
    }
    if std::env::var_os("MARGO_SKIP_PODMAN").is_some_and(|value| value == "1") {
        println!("SKIPPED: `MARGO_SKIP_PODMAN=1`, so no test starts Podman");
        return Ok(());
    }
    podman(folder, registry).map_err(|error| {
        format!("{error}\nPodman does not run here; `MARGO_SKIP_PODMAN=1` goes on without it")
    })
}

/// Removes what Podman runs.
pub(crate) fn down(folder: &Path) -> Done {
    let podman = folder.join("podman/bin/podman");
    if !podman.exists() {
        return Ok(());
    }
    run(Command::new(podman).args(["rm", "--all", "--force"]).stdout(Stdio::null()))
}

/// What is in these packages of Debian 13, in a folder. They need no more of the system than Debian 12 has, which has
/// them too, and too old: without a plugin, and without `podman-compose config`.
fn unpacked(folder: &Path, packages: &[&str]) -> Result<PathBuf, String> {
    let apt = folder.join("apt");
    let (sources, unpacked) = (apt.join("trixie.sources"), apt.join("unpacked"));
    for part in ["lists/partial", "cache/archives/partial", "packages", "unpacked"] {
        create(&apt.join(part))?;
    }
    write(
        &sources,
        "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie\nComponents: main\n\
         Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
    )?;
    let apt_get = || {
        let mut command = Command::new("apt-get");
        let options = [
            format!("Dir::Etc::sourcelist={}", sources.display()),
            "Dir::Etc::sourceparts=/dev/null".to_owned(),
            format!("Dir::State::Lists={}", apt.join("lists").display()),
            format!("Dir::Cache={}", apt.join("cache").display()),
            "APT::Sandbox::User=root".to_owned(),
        ];
        command.args(options.iter().flat_map(|option| ["-o", option.as_str()]));
        command.current_dir(apt.join("packages")).stdout(Stdio::null());
        command
    };
    run(apt_get().arg("update"))?;
    run(apt_get().arg("download").args(packages))?;
    let files =
        fs::read_dir(apt.join("packages")).map_err(|error| format!("`{}`: {error}", apt.display()))?;
    for file in files.filter_map(Result::ok) {
        run(Command::new("dpkg").arg("-x").arg(file.path()).arg(&unpacked))?;
    }
    Ok(unpacked)
}

/// Podman with everything of its own, and no more than a container gives: processes are limited, since Podman would
/// raise their limits, and cgroups are made without systemd.
fn podman(folder: &Path, registry: &str) -> Done {
    let home = folder.join("podman");
    let (podman, probe) = (home.join("bin/podman"), format!("{registry}/box:1"));
    create(&home.join("bin"))?;
    write(
        &home.join("containers.conf"),
        "[containers]\ndefault_ulimits = [\"nofile=1000:1000\", \"nproc=1000:1000\"]\n\
         [engine]\nruntime = \"runc\"\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\n",
    )?;
    write(
        &home.join("storage.conf"),
        &format!(
            "[storage]\ndriver = \"vfs\"\ngraphroot = \"{0}/graph\"\nrunroot = \"{0}/run\"\n",
            home.display()
        ),
    )?;
    write(
        &home.join("registries.conf"),
        &format!("[[registry]]\nlocation = \"{registry}\"\ninsecure = true\n"),
    )?;
    let variables = format!(
        "export CONTAINERS_CONF='{0}/containers.conf' CONTAINERS_STORAGE_CONF='{0}/storage.conf' \
         CONTAINERS_REGISTRIES_CONF='{0}/registries.conf'",
        home.display()
    );
    program(&podman, &format!("{variables}\nexec {} \"$@\"", find("podman")?))?;
    let compose = home.join("compose");
    let (modules, script) = (compose.join("lib/python3/dist-packages"), compose.join("bin/podman-compose"));
    let compose = format!(
        "export PYTHONPATH='{}'\nexec /usr/bin/python3 '{}' \"$@\"",
        modules.display(),
        script.display()
    );
    program(&home.join("bin/podman-compose"), &compose)?;
    run(Command::new(&podman)
        .args(["run", "--quiet", "--rm", "--network=host", &probe, "true"])
        .stdout(Stdio::null()))
}

/// A program that does what these lines of shell say.
fn program(path: &Path, lines: &str) -> Done {
    write(path, &format!("#!/bin/sh\n{lines}\n"))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755))
        .map_err(|error| format!("`{}`: {error}", path.display()))
}

fn find(program: &str) -> Result<String, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|file| file.is_file());
    found.map(|file| file.display().to_string()).ok_or_else(|| format!("there is no `{program}`"))
}

fn rename(from: &Path, to: &Path) -> Done {
    fs::rename(from, to).map_err(|error| format!("`{}`: {error}", from.display()))
}

fn create(folder: &Path) -> Done {
    fs::create_dir_all(folder).map_err(|error| format!("`{}`: {error}", folder.display()))
}

fn write(path: &Path, text: &str) -> Done {
    fs::write(path, text).map_err(|error| format!("`{}`: {error}", path.display()))
}
