//! The program everybody else uses.

use std::path::Path;
use std::process::{Command, Output};

/// Runs `git` in a folder, blind to the machine's configuration.
pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .args(["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "safe.directory=*"])
        .args(["-c", "init.defaultBranch=main", "-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .args(arguments)
        .current_dir(folder);
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("these tests need the program `git` in the PATH: {error}"),
    }
}

/// As [`try_git`]; it must succeed. Returns what it printed.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> String {
    let output = try_git(folder, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}

/// Asserts that a repository holds nothing that Git finds fault with.
pub(crate) fn assert_sound(repository: &Path) {
    let output = try_git(repository, &["fsck", "--strict", "--full", "--no-dangling"]);
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && said.trim().is_empty(), "git fsck: {said}");
}

/// Writes files into a working folder and commits all of it.
pub(crate) fn commit(folder: &Path, files: &[(&str, &str)], message: &str) {
    for (path, text) in files {
        let path = folder.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    git(folder, &["add", "--all"]);
    git(folder, &["commit", "--quiet", "--allow-empty", "--message", message]);
}
