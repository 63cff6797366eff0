use std::fmt;

/// Rows of text in aligned columns, for people.
///
/// ```
/// use margo_cli::Table;
///
/// let mut table = Table::new(["device", "state"]);
/// table.row(["line-3", "installed"]);
/// assert_eq!(table.to_string(), "DEVICE  STATE\nline-3  installed\n");
/// ```
#[derive(Clone, Debug)]
pub struct Table<const N: usize> {
    rows: Vec<[String; N]>,
}

impl<const N: usize> Table<N> {
    /// A table with these columns.
    #[must_use]
    pub fn new(columns: [&str; N]) -> Self {
        Self { rows: vec![columns.map(str::to_uppercase)] }
    }

    /// Adds a row. Control characters, such as a terminal's, become spaces: rows hold what devices say.
    pub fn row(&mut self, cells: [impl Into<String>; N]) {
        self.rows.push(cells.map(|cell| plain(&cell.into())));
    }

    /// Whether there is nothing below the heading.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.len() == 1
    }
}

impl<const N: usize> fmt::Display for Table<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width =
            |column: usize| self.rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..N).map(width).collect();
        for row in &self.rows {
            let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}  "));
            writeln!(f, "{}", cells.collect::<String>().trim_end())?;
        }
        Ok(())
    }
}

/// A stranger's text on one line, unable to move a terminal's cursor or to turn the order of what is read.
pub(crate) fn plain(text: &str) -> String {
    let turns =
        |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{2028}' | '\u{2029}');
    text.chars().map(|c| if c.is_control() || turns(c) { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_stays_in_its_cell() {
        let mut table = Table::new(["device", "error"]);
        assert!(table.is_empty());
        table.row(["größe-1", "a\u{1b}[2J\nb\u{202e}c"]);
        assert!(!table.is_empty());
        assert_eq!(table.to_string(), "DEVICE   ERROR\ngröße-1  a [2J b c\n");
    }
}
