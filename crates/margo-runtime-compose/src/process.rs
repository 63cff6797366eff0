use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use margo_api::BoxError;
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};

/// The most bytes of an answer that are read; more is an error, since half an answer is none.
pub(crate) const MOST_OUTPUT: usize = 8 << 20;

/// The most bytes of standard error that are kept: the last ones.
const MOST_ERRORS: usize = 16 << 10;

/// A program to run: with its own environment, a time limit, and an end when nobody waits for it.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    program: PathBuf,
    arguments: Vec<OsString>,
    directory: PathBuf,
    environment: Vec<(&'static str, OsString)>,
    limit: Duration,
    trace: Option<PathBuf>,
}

impl Call {
    pub(crate) fn new(program: &Path, directory: &Path, limit: Duration) -> Self {
        Self {
            program: program.to_owned(),
            arguments: Vec::new(),
            directory: directory.to_owned(),
            environment: Vec::new(),
            limit,
            trace: None,
        }
    }

    pub(crate) fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    pub(crate) fn args<A: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(Into::into));
        self
    }

    pub(crate) fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Leaves a trace of the process in this file while it runs, by which [`end_traced`] finds it after a crash.
    pub(crate) fn traced(mut self, file: PathBuf) -> Self {
        self.trace = Some(file);
        self
    }

    /// What the program wrote to standard output, if it succeeded.
    pub(crate) async fn read(self) -> Result<String, CallError> {
        self.finish().await.map(|(output, _)| output)
    }

    /// What the program wrote to standard output and then to standard error, if it succeeded.
    pub(crate) async fn read_both(self) -> Result<String, CallError> {
        self.finish().await.map(|(output, errors)| output + &errors)
    }

    /// Starts the program to read its standard output as it comes.
    pub(crate) fn stream(self) -> Result<Streaming, CallError> {
        let (child, group) = self.spawn(Stdio::null())?;
        Ok(Streaming { child, _group: group })
    }

    /// Standard output and standard error, within the time limit.
    async fn finish(self) -> Result<(String, String), CallError> {
        let (program, limit) = (self.program.display().to_string(), self.limit);
        let output = tokio::time::timeout(limit, self.run()).await;
        output.unwrap_or(Err(CallError::TimeLimit { program, limit }))
    }

    async fn run(self) -> Result<(String, String), CallError> {
        let program = self.program.display().to_string();
        let (mut child, group) = self.spawn(Stdio::piped())?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let broken = |source| CallError::Broken { program: program.clone(), source };
        let (output, errors, status) =
            tokio::try_join!(read_all(output), read_last(errors), child.wait()).map_err(broken)?;
        group.release();
        let Some(output) = output else { return Err(CallError::TooMuch { program }) };
        if status.success() { Ok((output, errors)) } else { Err(CallError::Failed { program, errors }) }
    }

    fn spawn(self, errors: Stdio) -> Result<(Child, Group), CallError> {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .current_dir(&self.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(errors)
            .process_group(0)
            .kill_on_drop(true);
        let child = command
            .spawn()
            .map_err(|source| CallError::Start { program: self.program.display().to_string(), source })?;
        let id = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        if let (Some(file), Some(id)) = (&self.trace, id)
            && let Some(started) = start_time(id)
        {
            // Without it a crash leaves a process behind that ends by itself.
            let _ = fs::write(file, format!("{} {started}", id.as_raw_nonzero()));
        }
        Ok((child, Group { id, trace: self.trace }))
    }
}

/// A program that writes until it is dropped.
#[derive(Debug)]
pub(crate) struct Streaming {
    pub(crate) child: Child,
    _group: Group,
}

/// A process and its children, ended when dropped.
#[derive(Debug)]
struct Group {
    id: Option<Pid>,
    trace: Option<PathBuf>,
}

impl Group {
    fn release(mut self) {
        self.id = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            // It may have ended by itself.
            let _ = kill_process_group(id, Signal::KILL);
        }
        if let Some(file) = &self.trace {
            let _ = fs::remove_file(file);
        }
    }
}

/// Ends the process that left its trace in `file`, unless it ended by itself. Says whether there was one.
pub(crate) fn end_traced(file: &Path) -> bool {
    let Ok(text) = fs::read_to_string(file) else { return false };
    let _ = fs::remove_file(file);
    let trace = text.split_once(' ').and_then(|(id, started)| {
        let id = Pid::from_raw(id.parse().ok()?)?;
        (start_time(id).as_deref() == Some(started)).then_some(id)
    });
    trace.is_some_and(|id| kill_process_group(id, Signal::KILL).is_ok())
}

/// When a process started, which tells it from others that had its number.
fn start_time(id: Pid) -> Option<String> {
    let status = fs::read_to_string(format!("/proc/{}/stat", id.as_raw_nonzero())).ok()?;
    // The second field is a name in parentheses, which may hold anything; this is the 22nd.
    status.rsplit_once(')')?.1.split_whitespace().nth(19).map(str::to_owned)
}

async fn read_all(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<Option<String>> {
    let mut bytes = Vec::new();
    if let Some(stream) = stream {
        let mut stream = stream.take(MOST_OUTPUT as u64 + 1);
        stream.read_to_end(&mut bytes).await?;
        if bytes.len() > MOST_OUTPUT {
            return Ok(None);
        }
    }
    Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
}

async fn read_last(stream: Option<impl AsyncRead + Unpin>) -> std::io::Result<String> {
    let Some(mut stream) = stream else { return Ok(String::new()) };
    let mut last = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let length = stream.read(&mut buffer).await?;
        if length == 0 {
            return Ok(String::from_utf8_lossy(&last).trim().to_owned());
        }
        last.extend_from_slice(&buffer[..length]);
        let excess = last.len().saturating_sub(MOST_ERRORS);
        last.drain(..excess);
    }
}

/// Why a program, or the engine, did not do what it was asked for.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    #[error("`{program}` cannot be started")]
    Start { program: String, source: std::io::Error },
    #[error("`{program}` cannot be listened to")]
    Broken { program: String, source: std::io::Error },
    #[error("`{program}` did not end within {} s", limit.as_secs())]
    TimeLimit { program: String, limit: Duration },
    #[error("`{program}` wrote more than {MOST_OUTPUT} bytes")]
    TooMuch { program: String },
    /// Of a socket.
    #[error("`{program}` does not answer: {cause}")]
    NoAnswer { program: String, cause: BoxError },
    #[error("`{program}` failed: {errors}")]
    Failed { program: String, errors: String },
}

impl CallError {
    /// What the program said about its failure; nothing when it did not get that far.
    pub(crate) fn said(&self) -> &str {
        match self {
            Self::Failed { errors, .. } => errors,
            _ => "",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit: Duration) -> Call {
        Call::new(Path::new("/bin/sh"), Path::new("/"), limit).args(["-c", script])
    }

    const LONG: Duration = Duration::from_secs(30);

    #[tokio::test]
    async fn a_program_has_only_the_environment_it_is_given() {
        let text = sh("env", LONG).env("A", "1").read().await.unwrap();
        let names: Vec<_> = text.lines().filter_map(|line| line.split('=').next()).collect();
        assert!(names.contains(&"A") && !names.contains(&"CARGO_MANIFEST_DIR"), "{text}");
    }

    #[tokio::test]
    async fn the_end_of_what_a_failure_says_is_kept() {
        let script = "i=0; while [ $i -lt 5000 ]; do echo line-$i >&2; i=$((i+1)); done; exit 3";
        let error = sh(script, LONG).read().await.unwrap_err();
        assert!(error.said().ends_with("line-4999") && error.said().len() <= MOST_ERRORS);
    }

    #[tokio::test]
    async fn too_much_is_an_error() {
        let script = format!("head -c {} /dev/zero", MOST_OUTPUT + 1);
        assert!(matches!(sh(&script, LONG).read().await, Err(CallError::TooMuch { .. })));
    }

    #[tokio::test]
    async fn children_of_a_program_end_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let (file, trace) = (folder.path().join("pid"), folder.path().join("trace"));
        let script = format!("sleep 1000 & echo $! > {}; wait", file.display());
        let call = sh(&script, Duration::from_millis(500)).traced(trace.clone());
        assert!(matches!(call.read().await, Err(CallError::TimeLimit { .. })));
        let child = fs::read_to_string(&file).unwrap();
        let state = || fs::read_to_string(format!("/proc/{}/stat", child.trim()));
        while state().is_ok_and(|text| !text.contains(") Z ")) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!trace.exists());
    }

    #[tokio::test]
    async fn what_a_crash_left_behind_is_ended_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let trace = folder.path().join("trace");
        let call = sh("exec sleep 1000", LONG).traced(trace.clone());
        let mut streaming = call.stream().unwrap();
        // As after a crash: the trace stays, and another process has the number.
        let text = fs::read_to_string(&trace).unwrap();
        fs::write(&trace, format!("{text}1")).unwrap();
        assert!(!end_traced(&trace));
        assert!(!trace.exists());
        fs::write(&trace, text).unwrap();
        assert!(end_traced(&trace));
        assert!(!streaming.child.wait().await.unwrap().success());
        assert!(!end_traced(&trace));
    }
}
