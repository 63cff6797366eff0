//! Files in the repository that are written by a task, in part or as a whole.

use std::path::{Path, PathBuf};

/// How many lines that differ are shown.
const SHOWN: usize = 8;

/// The folder of the workspace.
pub(crate) fn root() -> Result<PathBuf, String> {
    let metadata = super::run::metadata()?;
    metadata["workspace_root"].as_str().map(PathBuf::from).ok_or_else(|| "no workspace".to_owned())
}

/// What stands in a file of the repository.
pub(crate) fn read(root: &Path, file: &str) -> Result<String, String> {
    std::fs::read_to_string(root.join(file)).map_err(|error| format!("{file} cannot be read: {error}"))
}

/// Writes `text` into `file`; with `check` it must stand there already. `task` is what would write it.
pub(crate) fn settle(root: &Path, file: &str, text: &str, check: bool, task: &str) -> Result<(), String> {
    let path = root.join(file);
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    if before == text {
        return Ok(());
    }
    if check {
        return Err(out_of_date(file, &before, text, task));
    }
    let folder = path.parent().unwrap_or(root);
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&path, text))
        .map_err(|error| format!("{file} cannot be written: {error}"))?;
    println!("wrote {file}");
    Ok(())
}

/// Which lines would be written that are not there.
fn out_of_date(file: &str, before: &str, text: &str, task: &str) -> String {
    let new: Vec<_> = text.lines().filter(|line| !before.lines().any(|other| other == *line)).collect();
    let mut message = format!("{file} is out of date; `cargo xtask {task}` writes it anew");
    for line in new.iter().take(SHOWN) {
        message = format!("{message}\n  {line}");
    }
    if new.len() > SHOWN {
        message = format!("{message}\n  and {} more lines", new.len() - SHOWN);
    }
    message
}

/// Whether the arguments of a task ask for a check alone.
pub(crate) fn is_check(args: &[String]) -> Result<bool, String> {
    match args {
        [] => Ok(false),
        [only] if only == "--check" => Ok(true),
        _ => Err("expected `--check` or nothing".to_owned()),
    }
}

/// The cells of a row of a Markdown table; `\|` is no border.
pub(crate) fn cells(line: &str) -> Option<Vec<String>> {
    let inner = line.trim().strip_prefix('|')?.strip_suffix('|')?;
    let mut cells = vec![String::new()];
    let mut characters = inner.chars().peekable();
    while let Some(character) = characters.next() {
        match (character, cells.last_mut()) {
            ('|', _) => cells.push(String::new()),
            ('\\', Some(cell)) if characters.peek() == Some(&'|') => {
                characters.next();
                cell.push_str("\\|");
            }
            (_, Some(cell)) => cell.push(character),
            (_, None) => {}
        }
    }
    Some(cells.iter().map(|cell| cell.trim().to_owned()).collect())
}

/// A row of a Markdown table.
pub(crate) fn row(cells: &[&str]) -> String {
    format!("| {} |", cells.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_as_it_is_written() {
        for cells_of in [vec!["a", "b \\| c", "d"], vec!["a", "", "ä", ""]] {
            assert_eq!(cells(&row(&cells_of)).unwrap(), cells_of);
        }
        assert_eq!(row(&["a", "", "b"]), "| a |  | b |");
        assert_eq!(cells("no row"), None);
    }

    #[test]
    fn what_is_out_of_date_is_shown_in_part() {
        let message = out_of_date("docs/a.md", "same\nold\n", "same\nnew\n", "coverage");
        assert_eq!(message, "docs/a.md is out of date; `cargo xtask coverage` writes it anew\n  new");
        let long: Vec<_> = (0..20).map(|number| number.to_string()).collect();
        assert!(
            out_of_date("docs/a.md", "", &long.join("\n"), "coverage")
                .ends_with("\n  7\n  and 12 more lines")
        );
    }

    #[test]
    fn only_a_check_may_be_asked_for() {
        let args = |args: &[&str]| args.iter().map(|arg| (*arg).to_owned()).collect::<Vec<_>>();
        assert_eq!(is_check(&args(&[])), Ok(false));
        assert_eq!(is_check(&args(&["--check"])), Ok(true));
        assert!(is_check(&args(&["--chek"])).is_err());
    }
}
