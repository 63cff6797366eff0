//! The two examples for vendors meet: a complete device agent, and a complete manager of one's own.
//!
//! The agent is a program and runs as one; it speaks to the manager over a socket.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use margo_identity::Token;
use tokio::io::{AsyncBufReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

#[path = "../../../margo-server/examples/wos_in_memory.rs"]
#[expect(dead_code, reason = "`main` opens a socket of its own")]
mod wos_in_memory;

/// How long anything may take that should happen soon.
const PATIENCE: Duration = Duration::from_mins(1);

const CAPABILITIES: &str = "
properties:
  id: plc-7
  vendor: Acme
  modelNumber: A-1
  serialNumber: '1'
  peripherals: []
  interfaces: []
  otelCollector: true
  supportedRuntimes: [custom]
  supportedDeploymentTypes: [helm]
";

/// R-A-020, R-B-033, R-B-035, R-D-020: the agent reports what the device is, starts what the manager wants, says so,
/// and from then on only asks; after a restart it does so again.
#[tokio::test]
async fn the_agent_runs_what_the_manager_wants() {
    let token = Token::generate().unwrap();
    let manager = Manager::start(&token).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("capabilities.yaml"), CAPABILITIES).unwrap();

    let (mut agent, mut says) = agent(&manager, &token, folder.path());
    assert_eq!(next(&mut says).await, "start a3e2f5dc/hello with []");
    manager.until_seen("GET /api/v1/deployments 304").await;
    manager.until_seen("PUT /api/v1/capabilities/plc-7 201").await;
    let status = "POST /api/v1/deployments/a3e2f5dc/status";
    manager.until_said(3).await;
    // Pending, installing, installed: the first is the first.
    let [first, others @ ..] = &manager.said()[..] else { unreachable!() };
    assert_eq!(*first, format!("{status} 201"));
    assert!(others.iter().all(|other| *other == format!("{status} 200")), "{others:?}");

    agent.kill().await.unwrap();
    let (_agent, mut says) = self::agent(&manager, &token, folder.path());
    assert_eq!(next(&mut says).await, "start a3e2f5dc/hello with []");
    manager.until_said(6).await;
}

/// The program is short enough to be read standing.
#[test]
fn the_agent_has_forty_lines_of_code_at_most() {
    let source = include_str!("../../examples/vendor_agent.rs");
    let is_code = |line: &&str| !line.trim().is_empty() && !line.trim_start().starts_with("//");
    assert!(source.lines().filter(is_code).count() <= 40);
}

/// The manager of `wos_in_memory`, on a socket, and what it was asked with how it answered.
struct Manager {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Manager {
    async fn start(token: &Token) -> Self {
        let seen = Arc::<Mutex<Vec<String>>>::default();
        let notes = Arc::clone(&seen);
        let note = move |request: Request, next: Next| note(Arc::clone(&notes), request, next);
        let app = wos_in_memory::app(token).unwrap().layer(from_fn(note));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let service = app.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async { axum::serve(listener, service).await });
        Self { address, seen }
    }

    /// The status reports.
    fn said(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.contains("/status ")).cloned().collect()
    }

    async fn until_said(&self, times: usize) {
        self.until(&format!("{times} status reports"), || self.said().len() >= times).await;
    }

    async fn until_seen(&self, what: &str) {
        self.until(what, || self.seen.lock().unwrap().iter().any(|seen| seen == what)).await;
    }

    async fn until(&self, what: &str, is_so: impl Fn() -> bool) {
        let wait = async {
            while !is_so() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, wait).await;
        assert!(waited.is_ok(), "not seen: {what}; but {:?}", self.seen.lock().unwrap());
    }
}

async fn note(notes: Arc<Mutex<Vec<String>>>, request: Request, next: Next) -> Response {
    let asked = format!("{} {}", request.method(), request.uri().path());
    let response = next.run(request).await;
    notes.lock().unwrap().push(format!("{asked} {}", response.status().as_u16()));
    response
}

/// Starts the example as a process that ends with the test.
fn agent(manager: &Manager, token: &Token, folder: &Path) -> (Child, Lines<BufReader<ChildStdout>>) {
    let program = example("vendor_agent");
    assert!(program.exists(), "{} is not built: run `cargo test -p margo-agent`", program.display());
    let mut child = Command::new(program)
        .arg(format!("http://{}", manager.address))
        .arg(token.reveal())
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let says = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, says)
}

async fn next(says: &mut Lines<BufReader<ChildStdout>>) -> String {
    tokio::time::timeout(PATIENCE, says.next_line()).await.unwrap().unwrap().unwrap()
}

/// Cargo builds examples together with tests, into a folder beside theirs.
fn example(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    test.parent().and_then(Path::parent).unwrap().join("examples").join(name)
}
