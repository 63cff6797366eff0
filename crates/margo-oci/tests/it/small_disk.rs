//! A disk that fills up, for every crate whose tests need one.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, which only an administrator can make.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None`, and a loud word, where it cannot be made. With `MARGO_REQUIRE_ENGINE=1` the test fails instead.
    pub(crate) fn mount(folder: &Path, kibibytes: u32) -> Option<Self> {
        std::fs::create_dir_all(folder).unwrap();
        let disk = Self(folder.to_owned());
        if disk.run("mount", &["-t", "tmpfs", "-o", &format!("size={kibibytes}k"), "margo-test"]) {
            return Some(disk);
        }
        assert!(std::env::var_os("MARGO_REQUIRE_ENGINE").is_none(), "mounting a small disk needs root");
        crate::services::say("SKIPPED: mounting a small disk needs root");
        None
    }

    pub(crate) fn grow(&self, kibibytes: u32) {
        assert!(self.run("mount", &["-o", &format!("remount,size={kibibytes}k")]));
    }

    fn run(&self, program: &str, arguments: &[&str]) -> bool {
        let mut command = Command::new(program);
        command.args(arguments).arg(&self.0).status().is_ok_and(|status| status.success())
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Of no use if nothing was mounted.
        self.run("umount", &["-l"]);
    }
}
