use std::path::Path;

use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use url::Url;

use super::failure::Failure;
use super::output::Output;
use crate::OperatorClient;
use crate::client::is_loopback;

const TOKEN: &str = "MARGO_OPERATOR_TOKEN";

/// The most bytes of a file with a token that are read.
const MAX_TOKEN: u64 = 64 << 10;

/// Which manager is asked, who asks, and how the answer is shown.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manager")]
pub(super) struct ManagerArgs {
    /// Where the manager is
    #[arg(long, value_name = "URL", global = true, env = "MARGO_MANAGER", hide_env_values = true)]
    #[arg(default_value = "http://127.0.0.1:8080", value_parser = manager_url)]
    manager: Url,
    /// The file with the operator's token
    ///
    /// Without it, the token is in the variable `MARGO_OPERATOR_TOKEN`.
    #[arg(
        long,
        value_name = "FILE",
        global = true,
        env = "MARGO_OPERATOR_TOKEN_FILE",
        hide_env_values = true
    )]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    token_file: Option<String>,
    /// Print the manager's JSON instead of tables
    #[arg(long, global = true)]
    json: bool,
}

/// A manager that can be asked.
#[derive(Debug)]
pub(super) struct Session {
    /// The manager.
    pub(super) client: OperatorClient,
    /// Where it is, without a slash at the end.
    pub(super) manager: String,
}

impl ManagerArgs {
    pub(super) fn json(&self) -> bool {
        self.json
    }

    pub(super) fn session(&self, output: &mut Output<'_>) -> Result<Session, Failure> {
        let token = self.token()?;
        if is_readable_on_its_way(&self.manager) {
            output.warning(&format!("the token is sent to {} without encryption", self.manager));
        }
        let client = OperatorClient::new(self.manager.clone(), token)?;
        Ok(Session { client, manager: self.manager.as_str().trim_end_matches('/').to_owned() })
    }

    fn token(&self) -> Result<String, Failure> {
        let (place, text) = if let Some(file) = &self.token_file {
            (format!("`{file}`"), read(Path::new(file))?)
        } else {
            let missing = || {
                Failure::not_asked("there is no operator's token").help(format!(
                    "name its file with `--token-file` or MARGO_OPERATOR_TOKEN_FILE, or set {TOKEN}"
                ))
            };
            (TOKEN.to_owned(), std::env::var(TOKEN).map_err(|_| missing())?)
        };
        let token = text.trim();
        // Anything else cannot be sent. What it is instead is not said: it may be a secret nevertheless.
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::not_asked(format!("{place} does not hold a token")));
        }
        Ok(token.to_owned())
    }
}

/// Reads a small file of text.
fn read(path: &Path) -> Result<String, Failure> {
    use std::io::Read as _;
    let mut text = String::new();
    std::fs::File::open(path).and_then(|file| file.take(MAX_TOKEN).read_to_string(&mut text)).map_err(
        |cause| Failure::not_asked(format!("`{}` cannot be read", path.display())).because(&cause),
    )?;
    Ok(text)
}

fn manager_url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error: url::ParseError| error.to_string())?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("expected a URL that begins with `http://` or `https://`".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("a secret on the command line is seen by every user of the machine".to_owned());
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err("expected a URL without `?` and `#`".to_owned());
    }
    Ok(url)
}

/// Whether what is sent can be read by those it passes.
fn is_readable_on_its_way(url: &Url) -> bool {
    url.scheme() == "http" && !is_loopback(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manager_is_a_plain_http_url() {
        assert_eq!(manager_url("https://wfm.example/margo").unwrap().path(), "/margo");
        for wrong in [
            "127.0.0.1:8080",
            "wfm.example",
            "ftp://wfm.example",
            "http://operator:secret@wfm.example",
            "http://wfm.example?x=1",
            "http://wfm.example#x",
        ] {
            let error = manager_url(wrong).unwrap_err();
            assert!(!error.contains("operator:secret"), "{error}");
        }
    }

    #[test]
    fn a_token_that_leaves_the_machine_in_the_clear_is_warned_of() {
        let warned = |text: &str| is_readable_on_its_way(&text.parse().unwrap());
        assert!(warned("http://192.0.2.7:8080"));
        assert!(warned("http://wfm.example"));
        assert!(!warned("https://wfm.example"));
        assert!(!warned("http://localhost:8080"));
        assert!(!warned("http://[::1]:8080"));
    }
}
