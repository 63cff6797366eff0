use std::collections::BTreeMap;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

/// The operator's token.
pub(crate) const TOKEN: &str = "margo_operator";

/// How long something may take that should happen at once. A test that waits as long has failed.
const PATIENCE: Duration = Duration::from_mins(1);

/// A manager that answers what it is told to, and remembers what it was asked.
pub(crate) struct Fake {
    pub(crate) url: String,
    state: Arc<Mutex<Told>>,
    _runtime: tokio::runtime::Runtime,
}

#[derive(Default)]
struct Told {
    answers: BTreeMap<String, (u16, String)>,
    asked: Vec<Asked>,
    /// The connections to the event stream: those before the last are closed.
    events: Option<UnboundedSender<String>>,
    connections: usize,
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// Method, path and query.
    pub(crate) what: String,
    pub(crate) authorization: String,
    pub(crate) content_type: String,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }
}

impl Fake {
    pub(crate) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let state = Arc::<Mutex<Told>>::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&state));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { url, state, _runtime: runtime }
    }

    /// From now on answers `what` (method and path) so.
    pub(crate) fn answer(&self, what: &str, status: u16, body: &Value) {
        self.answer_text(what, status, &body.to_string());
    }

    pub(crate) fn answer_text(&self, what: &str, status: u16, body: &str) {
        self.told().answers.insert(what.to_owned(), (status, body.to_owned()));
    }

    /// What was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.told().asked.clone()
    }

    /// Waits until so many have asked for events so far.
    pub(crate) fn await_listeners(&self, connections: usize) {
        let started = Instant::now();
        while self.told().connections < connections {
            assert!(started.elapsed() < PATIENCE, "nobody asks for events");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until `what` was asked so many times.
    pub(crate) fn await_asked(&self, what: &str, times: usize) {
        let started = Instant::now();
        while self.told().asked.iter().filter(|asked| asked.what == what).count() < times {
            assert!(started.elapsed() < PATIENCE, "nobody asks for {what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Tells whoever listens.
    pub(crate) fn say(&self, event: &Value) {
        let text = format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
        self.told().events.as_ref().unwrap().send(text).unwrap();
    }

    /// Closes the connection of whoever listens.
    pub(crate) fn hang_up(&self) {
        self.told().events = None;
    }

    /// The program, for this manager.
    pub(crate) fn margo(&self, args: &[&str]) -> Command {
        let mut margo = margo(args);
        margo.env("MARGO_MANAGER", &self.url).env("MARGO_OPERATOR_TOKEN", TOKEN);
        margo
    }

    /// Runs the program against this manager.
    pub(crate) fn run(&self, args: &[&str]) -> Said {
        said(self.margo(args).output().unwrap())
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.state.lock().unwrap()
    }
}

/// The program, with nothing of this process's environment.
pub(crate) fn margo(args: &[&str]) -> Command {
    let mut margo = Command::new(env!("CARGO_BIN_EXE_margo"));
    margo.env_clear().args(args);
    margo
}

/// What the program said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

pub(crate) fn said(output: Output) -> Said {
    Said {
        code: output.status.code(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Told>>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let header = |name| headers.get(name).map_or("", |value| value.to_str().unwrap()).to_owned();
    let mut told = state.lock().unwrap();
    told.asked.push(Asked {
        what: format!("{method} {uri}"),
        authorization: header(header::AUTHORIZATION),
        content_type: header(header::CONTENT_TYPE),
        body: String::from_utf8(body.into()).unwrap(),
    });
    let what = format!("{method} {}", uri.path());
    if let Some((status, body)) = told.answers.get(&what) {
        return (StatusCode::from_u16(*status).unwrap(), body.clone()).into_response();
    }
    if what == "GET /operator/v1/events" {
        let (sender, mut receiver) = unbounded_channel();
        sender.send(": ready\n\n".to_owned()).unwrap();
        told.events = Some(sender);
        told.connections += 1;
        let events = futures_util::stream::poll_fn(move |context| receiver.poll_recv(context));
        let events = futures_util::StreamExt::map(events, Ok::<_, std::convert::Infallible>);
        return ([(header::CONTENT_TYPE, "text/event-stream")], Body::from_stream(events)).into_response();
    }
    let problem =
        json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": format!("no {what}")});
    (StatusCode::NOT_FOUND, problem.to_string()).into_response()
}

/// A deployment that is installed as it should be, but for `different`.
pub(crate) fn deployment(id: &str, different: &Value) -> Value {
    let mut deployment = json!({
        "deploymentId": id, "clientId": "c-1", "device": "line-3", "revision": "1.0.0-rc.3",
        "applicationId": "pump-monitor", "applicationVersion": "1.0.0", "profile": "cluster",
        "namespace": "pump-monitor", "values": {}, "desired": "present", "state": "installed", "confirmed": true,
        "components": [{"name": "pump-analyzer", "state": "installed"}], "digest": "sha256:00", "since": 3,
        "adoptedVersion": 3, "converged": true, "createdAt": "2026-03-02T08:00:00Z",
        "changedAt": "2026-03-02T08:00:00Z", "reportedAt": "2026-03-02T08:00:09.5Z",
    });
    for (name, member) in different.as_object().unwrap() {
        deployment[name] = member.clone();
    }
    deployment
}

/// A deployment about which nothing was reported yet.
pub(crate) fn pending(id: &str) -> Value {
    let mut deployment = deployment(
        id,
        &json!({
            "state": "pending", "confirmed": false, "converged": false,
            "components": [{"name": "pump-analyzer", "state": "pending"}],
        }),
    );
    for absent in ["adoptedVersion", "reportedAt"] {
        deployment.as_object_mut().unwrap().remove(absent);
    }
    deployment
}

/// A package folder whose description is one of `pump-monitor` 1.1.0.
pub(crate) fn package() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("margo.yaml"), DESCRIPTION).unwrap();
    folder
}

pub(crate) const DESCRIPTION: &str = "\
apiVersion: v1
id: pump-monitor
metadata: { name: Pump monitor, version: 1.1.0, catalog: { organization: [{ name: Example Pumps }] } }
deploymentProfiles:
  - type: helm
    id: cluster
    components:
      - name: pump-analyzer
        properties: { repository: 'oci://registry.example/pump-analyzer', revision: 1.1.0 }
";
