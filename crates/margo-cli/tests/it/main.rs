//! The program as an operator meets it: its help, and its verbs against a manager that says what it is told to.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, fails it")]

mod check;
mod fake;
mod formats;
mod golden;
mod help;
mod identity;
mod lsp;
#[cfg(target_os = "linux")]
mod memory;
mod verbs;
mod waiting;
