use std::io::{self, Write};

use serde::Serialize;

use super::failure::Failure;
use crate::table::plain;
use crate::{Changed, Table, Warning};

/// Where a verb says what it found (standard output) and everything else (standard error).
pub(super) struct Output<'a> {
    out: &'a mut dyn Write,
    err: &'a mut dyn Write,
    json: bool,
}

impl<'a> Output<'a> {
    pub(super) fn new(out: &'a mut dyn Write, err: &'a mut dyn Write, json: bool) -> Self {
        Self { out, err, json }
    }

    /// Whether programs read what is found.
    pub(super) fn is_json(&self) -> bool {
        self.json
    }

    /// What was found, for programs.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.json_with(value, serde_json::to_string_pretty)
    }

    /// One of many things that are found, for programs: on a line of its own.
    pub(super) fn json_line(&mut self, value: &impl Serialize) -> Result<(), Failure> {
        self.json_with(value, serde_json::to_string)
    }

    fn json_with<T: Serialize>(
        &mut self,
        value: &T,
        write: impl FnOnce(&T) -> serde_json::Result<String>,
    ) -> Result<(), Failure> {
        let text = write(value).map_err(io::Error::from)?;
        self.text(&format!("{text}\n"))
    }

    /// What was found, for people. Says nothing when there is nothing in it.
    pub(super) fn table<const N: usize>(&mut self, table: &Table<N>) -> Result<(), Failure> {
        if table.is_empty() { Ok(()) } else { self.text(&table.to_string()) }
    }

    /// What was found, for people: names and values, where there are any.
    pub(super) fn members(&mut self, members: &[(&str, String)]) -> Result<(), Failure> {
        let members = members.iter().filter(|(_, value)| !value.is_empty());
        let width = members.clone().map(|(name, _)| name.len()).max().unwrap_or_default();
        let lines: Vec<String> =
            members.map(|(name, value)| format!("{name:<width$}  {}\n", plain(value))).collect();
        self.text(&lines.concat())
    }

    /// What was found, for people: one line.
    pub(super) fn line(&mut self, line: &str) -> Result<(), Failure> {
        self.text(&format!("{}\n", plain(line)))
    }

    /// What was found, for people: a document of several lines.
    pub(super) fn document(&mut self, document: &str) -> Result<(), Failure> {
        document.lines().try_for_each(|line| self.line(line))
    }

    /// What was found, to the byte.
    pub(super) fn exactly(&mut self, text: &str) -> Result<(), Failure> {
        self.text(text)
    }

    fn text(&mut self, text: &str) -> Result<(), Failure> {
        // Whoever reads a line may act on it at once.
        Ok(self.out.write_all(text.as_bytes()).and_then(|()| self.out.flush())?)
    }

    /// Something worth knowing besides.
    pub(super) fn note(&mut self, note: &str) {
        self.tell(note);
    }

    /// Something that may not be what the operator wants.
    pub(super) fn warning(&mut self, warning: &str) {
        self.tell(&format!("warning: {warning}"));
    }

    /// Why the verb did not do what it was asked.
    pub(super) fn failure(&mut self, failure: &Failure) {
        for line in failure.lines() {
            self.tell(&line);
        }
    }

    /// The deployments a verb has changed, and what could not be said to their devices.
    pub(super) fn changed(&mut self, changed: &Changed) -> Result<(), Failure> {
        if changed.deployments.is_empty() && !self.json {
            self.note("no deployment is selected; nothing was changed");
        }
        self.of_device(changed)
    }

    /// The deployments of a device that has changed: there may be none.
    pub(super) fn of_device(&mut self, changed: &Changed) -> Result<(), Failure> {
        for Warning { device, kind, pointer, reason, .. } in &changed.warnings {
            self.warning(&match kind.as_str() {
                "placement" => format!("whether {device} fits is not known: {reason}"),
                _ => format!("the revision of {device} cannot say `{pointer}`: {reason}"),
            });
        }
        if self.json {
            return self.json(changed);
        }
        self.table(&super::status::table(&changed.deployments, false))
    }

    // A standard error that cannot be written to is no reason to stop.
    fn tell(&mut self, line: &str) {
        let _ = writeln!(self.err, "{}", plain(line)).and_then(|()| self.err.flush());
    }
}
