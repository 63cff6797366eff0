//! Putting right what is certain: `--fix` writes it, `--diff` shows it.

use std::fs;
use std::io::Write as _;
use std::path::Path;

use margo_validate::{Edit, Report, Source};
use similar::TextDiff;

use super::plan::Group;
use crate::files::{Problem, ProblemKind};

/// What becomes of fixes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fixing {
    /// They are told.
    Tell,
    /// They are written.
    Write,
    /// What would be written is shown.
    Show,
}

/// How often fixes are applied: one may reveal another.
const ROUNDS: usize = 8;

/// Applies the fixes of `report` to `sources`, in memory, until there is none left. Both are then those of the texts
/// as they would be. Files that others are only compared with are left alone. The result is each file that changed: its
/// index, and its text before.
pub(crate) fn fix(group: &Group, sources: &mut [Source], report: &mut Report) -> Vec<(usize, String)> {
    let original = sources.to_vec();
    for _ in 0..ROUNDS {
        let edits: Vec<Edit> = report
            .diagnostics()
            .iter()
            .filter_map(|found| found.fix.as_ref())
            .flat_map(|fix| &fix.edits)
            .filter(|edit| edit.source < group.asked)
            .cloned()
            .collect();
        if edits.is_empty() {
            break;
        }
        let mut is_changed = false;
        for (index, source) in sources.iter_mut().enumerate() {
            let Ok(text) = str::from_utf8(source.bytes()) else { continue };
            let fixed = Edit::apply(text, index, &edits);
            if fixed != text {
                is_changed = true;
                *source = Source::new(source.name(), fixed).with_format(source.format());
            }
        }
        if !is_changed {
            break;
        }
        *report = group.checker.check(sources);
    }
    let changed = original.iter().zip(sources.iter()).enumerate();
    let before = changed.filter(|(_, (before, after))| before.bytes() != after.bytes());
    before.map(|(index, (before, _))| (index, before.text().to_owned())).collect()
}

/// What changed, as `diff -u` and `git apply` write and read it.
pub(crate) fn diff(name: &str, before: &str, after: &str) -> String {
    let name = name.replace(['\n', '\r'], " ");
    TextDiff::from_lines(before, after)
        .unified_diff()
        .header(&format!("a/{name}"), &format!("b/{name}"))
        .to_string()
}

/// Replaces the content of the file in one step; its permissions stay, and a link keeps leading to it.
pub(crate) fn write(name: &str, path: &Path, text: &str) -> Result<(), Problem> {
    let replace = || {
        let path = path.canonicalize()?;
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(text.as_bytes())?;
        file.as_file().set_permissions(fs::metadata(&path)?.permissions())?;
        file.as_file().sync_all()?;
        file.persist(&path).map_err(|error| error.error)?;
        Ok(())
    };
    replace().map_err(|error| Problem::new(name, ProblemKind::Unwritable(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_is_one_that_git_can_apply() {
        assert_eq!(
            diff("x/a.yaml", "a: 1\nb: 2\n", "a: 1\nb: 3\n"),
            "--- a/x/a.yaml\n+++ b/x/a.yaml\n@@ -1,2 +1,2 @@\n a: 1\n-b: 2\n+b: 3\n"
        );
        assert_eq!(diff("a.yaml", "a", "a"), "");
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_replaced_behind_its_link_and_keeps_its_mode() {
        use std::os::unix::fs::{PermissionsExt as _, symlink};
        let root = tempfile::tempdir().unwrap();
        let (file, link) = (root.path().join("a.yaml"), root.path().join("link.yaml"));
        fs::write(&file, "old").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        symlink("a.yaml", &link).unwrap();
        write("link.yaml", &link, "new").unwrap();
        assert_eq!(fs::read_to_string(&file).unwrap(), "new");
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        assert!(link.is_symlink());
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 2);
        let problem = write("gone", &root.path().join("gone"), "x").unwrap_err();
        assert!(problem.to_string().starts_with("`gone` cannot be written: "), "{problem}");
    }
}
