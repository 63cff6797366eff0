//! PGP signatures, checked by `gpgv`, which Debian has wherever it has `apt`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio::process::Command;

use crate::{FetchError, FetchErrorKind};

/// How long checking may take.
const TIME: Duration = Duration::from_mins(1);

/// What `gpgv` says of signatures that are not good enough, though they fit.
const NOT_GOOD: &[&str] =
    &["BADSIG", "ERRSIG", "EXPSIG", "EXPKEYSIG", "REVKEYSIG", "KEYEXPIRED", "KEYREVOKED", "NODATA"];

#[derive(Clone, Debug)]
pub(crate) struct Gpgv(Arc<Path>);

impl Gpgv {
    pub(crate) fn new(program: PathBuf) -> Self {
        Self(program.into())
    }

    /// That `file` was signed with `key`, as the detached `signature` says (R-A-032).
    pub(crate) async fn check(&self, key: &[u8], signature: &[u8], file: &Path) -> Result<(), FetchError> {
        let bad = |problem: String| FetchError::new(FetchErrorKind::BadSignature, problem);
        let key =
            dearmor(key).ok_or_else(|| bad("the key is neither armored nor binary OpenPGP".to_owned()))?;
        let storage = |cause| FetchError::storage("a signature cannot be checked", cause);
        let folder = tempfile::tempdir().map_err(storage)?;
        let (keyring, signature_file) = (folder.path().join("key.gpg"), folder.path().join("signature"));
        tokio::fs::write(&keyring, key).await.map_err(storage)?;
        tokio::fs::write(&signature_file, signature).await.map_err(storage)?;
        let output = Command::new(&*self.0)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("LC_ALL", "C")
            .args(["--status-fd", "1", "--homedir"])
            .arg(folder.path())
            .arg("--keyring")
            .arg(&keyring)
            .arg("--")
            .arg(&signature_file)
            .arg(file)
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(TIME, output)
            .await
            .map_err(|_| bad("the signature cannot be checked in a minute".to_owned()))?
            .map_err(|cause| {
                let message = format!(
                    "signatures cannot be checked: `{}` cannot be started; install `gpgv`",
                    self.0.display()
                );
                bad(message).because(cause)
            })?;
        let status = String::from_utf8_lossy(&output.stdout);
        let words: Vec<_> =
            status.lines().filter_map(|line| line.strip_prefix("[GNUPG:] ")?.split(' ').next()).collect();
        let is_good = output.status.success()
            && words.contains(&"GOODSIG")
            && words.contains(&"VALIDSIG")
            && !words.iter().any(|word| NOT_GOOD.contains(word));
        if is_good {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr);
        let said = said.lines().last().unwrap_or_default().trim_start_matches("gpgv: ");
        Err(bad(format!("the archive's signature is not good: {said}")))
    }
}

/// The bytes of a key that may be written as text (RFC 9580, section 6).
fn dearmor(key: &[u8]) -> Option<Vec<u8>> {
    // Bit 7 of the first byte of every packet is set.
    if key.first().is_some_and(|byte| byte & 0x80 != 0) {
        return Some(key.to_vec());
    }
    let text = std::str::from_utf8(key).ok()?;
    let (_, block) = text.split_once("-----BEGIN PGP PUBLIC KEY BLOCK-----")?;
    let (block, _) = block.split_once("-----END PGP PUBLIC KEY BLOCK-----")?;
    // Headers end with an empty line; the last line, `=` and four characters, is a checksum nobody needs.
    let mut lines = block.lines().map(str::trim).skip_while(|line| !line.is_empty()).skip(1).peekable();
    lines.peek()?;
    let body: String =
        lines.skip_while(|line| line.contains(": ")).filter(|line| !line.starts_with('=')).collect();
    let bytes = STANDARD.decode(body).ok()?;
    bytes.first().is_some_and(|byte| byte & 0x80 != 0).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_key_is_read_in_both_forms() {
        let armored = "-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\nmDMEZ\r\nw==\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n";
        assert_eq!(dearmor(armored.as_bytes()), STANDARD.decode("mDMEZw==").ok());
        assert_eq!(dearmor(&[0x98, 1, 2]), Some(vec![0x98, 1, 2]));
        assert_eq!(dearmor(b""), None);
        assert_eq!(dearmor(b"ssh-ed25519 AAAA"), None);
    }

    proptest! {
        #[test]
        fn no_key_is_a_panic(text in "[ -~\n]{0,60}") {
            let _ = dearmor(format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n{text}").as_bytes());
            let _ = dearmor(format!("-----BEGIN PGP PUBLIC KEY BLOCK-----\n{text}-----END PGP PUBLIC KEY BLOCK-----").as_bytes());
        }
    }
}
