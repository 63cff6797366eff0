//! The verbs that need no manager: they look at documents.

use std::io::{self, Write};

use clap::Subcommand;
use margo_validate::{CLEAN, COULD_NOT_LOOK, DocumentKind};

use crate::table::plain;

mod check;
mod convert;
mod explain;
mod fit;
mod lsp;
mod read;
mod rules;
mod schema;

#[derive(Debug, Subcommand)]
pub(super) enum LocalVerb {
    Check(check::CheckArgs),
    Explain(explain::ExplainArgs),
    Rules(rules::RulesArgs),
    Schema(schema::SchemaArgs),
    Convert(convert::ConvertArgs),
    Fit(fit::FitArgs),
    Lsp(lsp::LspArgs),
}

/// What the names of these verbs are.
pub(super) const NAMES: &[&str] = &["check", "explain", "rules", "schema", "convert", "fit", "lsp"];

/// The verb as it is described: without the manager, which it does not ask.
pub(super) fn describe(verb: clap::Command) -> clap::Command {
    verb.mut_args(|argument| match argument.get_id().as_str() {
        "manager" | "token_file" => argument.hide(true),
        "json" => argument.help_heading(None).help("Print JSON"),
        _ => argument,
    })
}

/// Does what was asked, and says with which code the program ends. `json` prints JSON instead of tables.
pub(super) fn main(verb: LocalVerb, json: bool) -> u8 {
    // Its threads write to standard output, which must not be locked by this one.
    if let LocalVerb::Lsp(_) = verb {
        return lsp::run(&mut io::stderr());
    }
    run(verb, json, &mut io::stdout().lock(), &mut io::stderr().lock())
}

fn run(verb: LocalVerb, json: bool, out: &mut dyn Write, err: &mut dyn Write) -> u8 {
    let done = match verb {
        LocalVerb::Check(args) => check::run(&args, json, out, err),
        LocalVerb::Explain(args) => explain::run(&args, json, out),
        LocalVerb::Rules(_) => rules::run(json, out),
        LocalVerb::Schema(args) => schema::run(&args, out),
        LocalVerb::Convert(args) => convert::run(&args, out, err),
        LocalVerb::Fit(args) => fit::run(&args, json, out, err),
        LocalVerb::Lsp(_) => Ok(CLEAN), // served by now
    };
    match done {
        Ok(code) => code,
        // The reader has gone away, as `head` does.
        Err(Stop::Unread) => CLEAN,
        Err(Stop::CouldNotLook(lines)) => {
            for (index, line) in lines.iter().enumerate() {
                let before = if index == 0 { "error: " } else { "  " };
                tell(err, &format!("{before}{line}"));
            }
            COULD_NOT_LOOK
        }
    }
}

/// Why a verb ends before it is done.
#[derive(Debug)]
enum Stop {
    /// Nobody reads what is written.
    Unread,
    /// What is wrong, and below it what to do.
    CouldNotLook(Vec<String>),
}

impl Stop {
    fn because(message: impl Into<String>) -> Self {
        Self::CouldNotLook(vec![message.into()])
    }

    fn help(self, help: impl std::fmt::Display) -> Self {
        match self {
            Self::CouldNotLook(mut lines) => {
                lines.push(format!("help: {help}"));
                Self::CouldNotLook(lines)
            }
            Self::Unread => self,
        }
    }
}

/// Of writing to standard output.
impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::Unread;
        }
        Self::because(format!("what was found cannot be written to standard output: {error}"))
    }
}

/// Says something besides. A standard error that cannot be written to is no reason to stop.
fn tell(err: &mut dyn Write, line: &str) {
    let _ = writeln!(err, "{}", plain(line)).and_then(|()| err.flush());
}

/// `a DeviceCapabilities`, `an ApplicationDeployment`.
fn a(kind: DocumentKind) -> String {
    let kind = kind.to_string();
    let article = if kind.starts_with(['A', 'E', 'I', 'O', 'U']) { "an" } else { "a" };
    format!("{article} {kind}")
}

/// `1 error`, `2 errors`.
fn count(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}
