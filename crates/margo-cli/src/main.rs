//! `margo`: what an operator types. Everything is in the library, where it can be tested.

use std::process::ExitCode;

fn main() -> ExitCode {
    margo_cli::command::main()
}
