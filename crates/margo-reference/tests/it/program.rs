//! A program that a test has started, and the patience to wait for what it does.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// How long anything may take that should happen soon. A test that waits as long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_mins(1);

pub(crate) const WFM: &str = env!("CARGO_BIN_EXE_margo-wfm");
pub(crate) const DEVICE: &str = env!("CARGO_BIN_EXE_margo-device");
pub(crate) const DEMO: &str = env!("CARGO_BIN_EXE_margo-demo");

/// A process that is killed at the end of the test, which shows what it said if the test has failed.
pub(crate) struct Program {
    label: String,
    child: Child,
    out: PathBuf,
    log: PathBuf,
}

impl Program {
    /// Starts a program. What it says goes to the ends of `<label>.out` and `<label>.log` in `folder`.
    pub(crate) fn start(program: &str, label: &str, folder: &Path, arguments: &[&str]) -> Self {
        Self::start_in(folder, program, label, folder, arguments)
    }

    /// As [`start`](Self::start), in another working directory.
    pub(crate) fn start_in(
        directory: &Path,
        program: &str,
        label: &str,
        folder: &Path,
        arguments: &[&str],
    ) -> Self {
        let [out, log] = ["out", "log"].map(|kind| folder.join(format!("{label}.{kind}")));
        let append = |path: &Path| File::options().create(true).append(true).open(path).unwrap();
        let child = Command::new(program)
            .args(arguments)
            .env("RUST_LOG", "info")
            .current_dir(directory)
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(append(&out))
            .stderr(append(&log))
            .spawn()
            .unwrap();
        Self { label: label.to_owned(), child, out, log }
    }

    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGTERM; returns how the process ended.
    pub(crate) async fn terminate(&mut self) -> ExitStatus {
        let order = format!("kill -TERM {}", self.child.id());
        assert!(Command::new("sh").args(["-c", &order]).status().unwrap().success(), "{order}");
        self.ended().await
    }

    /// Waits until the process has ended by itself.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        self.ended_within(PATIENCE).await
    }

    /// As [`ended`](Self::ended), for what takes longer.
    pub(crate) async fn ended_within(&mut self, patience: Duration) -> ExitStatus {
        let what = format!("`{}` ends", self.label);
        until_within(patience, &what, async || self.child.try_wait().unwrap()).await
    }

    pub(crate) fn must_run(&mut self) {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "`{}` ended by itself with {}", self.label, ended.unwrap());
    }

    /// What it said on standard output.
    pub(crate) fn out(&self) -> String {
        std::fs::read_to_string(&self.out).unwrap()
    }

    /// What it said on standard error.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            // With whatever it has started itself.
            let _ = Command::new("sh").args(["-c", &format!("kill -KILL -{}", self.child.id())]).status();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            let log = std::fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let last = lines[lines.len().saturating_sub(40)..].join("\n");
            eprintln!("--- `{}` said last:\n{last}\n---", self.label);
        }
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn until<T>(what: &str, ask: impl AsyncFnMut() -> Option<T>) -> T {
    until_within(PATIENCE, what, ask).await
}

async fn until_within<T>(patience: Duration, what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(started.elapsed() < patience, "not within {} s: {what}", patience.as_secs());
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}

/// An address where nobody listens, and where nobody else in this process will.
///
/// The port lies below those that the system gives to outgoing connections: it stays free while its owner is down.
pub(crate) fn free_address() -> SocketAddr {
    const FIRST: u32 = 20_000;
    const COUNT: u32 = 12_000;
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let offset = std::process::id().wrapping_mul(97).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + offset % COUNT).unwrap();
        if let Ok(listener) = TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// Runs the program everybody else uses in a folder, blind to the machine's configuration.
pub(crate) fn try_git(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .args(["-c", "user.name=Somebody", "-c", "user.email=somebody@example.com", "-c", "safe.directory=*"])
        .args(["-c", "gc.auto=0", "-c", "maintenance.auto=false"])
        .args(arguments)
        .current_dir(folder);
    match command.output() {
        Ok(output) => output,
        Err(error) => panic!("these tests need the program `git` in the PATH: {error}"),
    }
}

/// As [`try_git`]; it must succeed. Returns what it printed.
pub(crate) fn git(folder: &Path, arguments: &[&str]) -> Vec<u8> {
    let output = try_git(folder, arguments);
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "git {arguments:?}: {complaint}");
    output.stdout
}

/// As [`git`], where it prints text.
pub(crate) fn git_text(folder: &Path, arguments: &[&str]) -> String {
    String::from_utf8(git(folder, arguments)).unwrap().trim_end().to_owned()
}
