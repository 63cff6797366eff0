//! The only child: `git upload-pack`, which turns what a client wants and has into a pack.

use std::io;
use std::path::Path;
use std::process::Stdio;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

/// How much of what the child complains about is kept for the log.
const MAX_COMPLAINT: usize = 4096;

/// Why the child gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum UploadPackError {
    #[error("the program `git` cannot be started")]
    Start(#[source] io::Error),
    #[error("`git upload-pack` cannot be talked to")]
    Talk(#[source] io::Error),
    #[error("`git upload-pack` failed: {0}")]
    Failed(String),
    #[error("the answer has more than {max} bytes")]
    TooLarge { max: usize },
}

/// What the child answered.
pub(super) struct Answer {
    pub(super) body: Bytes,
    /// Whether it finished what was asked; otherwise the body says why not.
    pub(super) is_complete: bool,
}

/// Runs `git upload-pack` in a bare repository for one request. It is killed when the future is dropped.
pub(super) async fn run(
    repository: &Path,
    protocol: u8,
    request: &[u8],
    max: usize,
    on_start: impl FnOnce(),
) -> Result<Answer, UploadPackError> {
    let mut command = Command::new("git");
    // Nothing of this process's environment or of this machine's configuration reaches the child.
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*");
    if protocol > 0 {
        command.env("GIT_PROTOCOL", format!("version={protocol}"));
    }
    command
        .args(["upload-pack", "--strict", "--stateless-rpc", "."])
        .current_dir(repository)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(UploadPackError::Start)?;
    on_start();

    let missing = || UploadPackError::Talk(io::ErrorKind::BrokenPipe.into());
    let mut input = child.stdin.take().ok_or_else(missing)?;
    let mut output = child.stdout.take().ok_or_else(missing)?;
    let mut complaints = child.stderr.take().ok_or_else(missing)?;

    let write = async {
        // A child that has heard enough closes its end; what it answers says why.
        let _ = input.write_all(request).await;
        drop(input);
        Ok(())
    };
    let read = read_limited(&mut output, max);
    let listen = async { Ok(read_some(&mut complaints, MAX_COMPLAINT).await) };
    let ((), body, complaints) = tokio::try_join!(write, read, listen)?;

    let status = child.wait().await.map_err(UploadPackError::Talk)?;
    let complaints = String::from_utf8_lossy(&complaints);
    let complaints = complaints.trim();
    if !status.success() {
        if body.is_empty() {
            return Err(UploadPackError::Failed(format!("{status}: {complaints}")));
        }
        tracing::debug!(%status, complaints, "git upload-pack refused");
    }
    Ok(Answer { body, is_complete: status.success() })
}

async fn read_limited(from: &mut (impl AsyncRead + Unpin), max: usize) -> Result<Bytes, UploadPackError> {
    let mut body = BytesMut::new();
    while from.read_buf(&mut body).await.map_err(UploadPackError::Talk)? > 0 {
        if body.len() > max {
            return Err(UploadPackError::TooLarge { max });
        }
    }
    Ok(body.freeze())
}

/// Reads to the end, keeping the beginning.
async fn read_some(from: &mut (impl AsyncRead + Unpin), max: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = from.read(&mut buffer).await {
        let room = max.saturating_sub(kept.len()).min(count);
        kept.extend_from_slice(buffer.get(..room).unwrap_or_default());
    }
    kept
}
