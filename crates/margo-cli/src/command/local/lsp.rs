use std::io::Write;
use std::path::Path;

use clap::Args;
use margo_lsp::LanguageServer;
use margo_validate::{CLEAN, COULD_NOT_LOOK, Options};

use super::check::is_rule;
use super::tell;
use crate::check::options;
use crate::settings::SettingsByFolder;

const LONG: &str = "\
Serve an editor: findings while one writes

Editors start it themselves and speak the Language Server Protocol with it on standard input and output. \
`docs/check.md` says how to set up VS Code, Neovim and Helix. A `margo.toml` holds as it does for `margo check`.";

/// Serve an editor: findings while one writes
#[derive(Debug, Args)]
#[command(long_about = LONG)]
pub(in crate::command) struct LspArgs {
    /// What editors say by habit; it is the only way there is
    #[arg(long, hide = true)]
    stdio: bool,
}

pub(super) fn run(err: &mut dyn Write) -> u8 {
    match LanguageServer::new().with_options(of_file).serve_stdio() {
        Ok(()) => CLEAN,
        Err(error) => {
            tell(err, &format!("error: {error}"));
            COULD_NOT_LOOK
        }
    }
}

/// Found anew every time: the configuration may be what is being written.
fn of_file(path: Option<&Path>) -> Options {
    options(SettingsByFolder::found(is_rule).of(path).as_deref())
}
