//! What a stranger sends to the assembled manager where only a socket shows it, and what its programs are started
//! with. Each gets a clear answer, nothing is stored, and the process lives on.

use std::io::Write as _;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use margo_api::DesiredStateSource as _;
use margo_cli::Onboarded;
use margo_core::SpecVersion;
use serde_json::{Value, json};

use crate::git_access::basic;
use crate::plant::{Device, Plant, Source};
use crate::program::{DEVICE, Program, WFM, free_address, until};
use crate::raw::{self, Connection};
use crate::secure::Secure;

/// A manager with a device that has said nothing yet.
struct Scene {
    plant: Plant,
    line: Onboarded,
    before: Value,
}

impl Scene {
    async fn set() -> Self {
        let plant = Plant::start().await;
        let line = plant.onboard("line-3", SpecVersion::V1_0_0Rc3).await;
        plant.deploy_pumps("line-3").await;
        let before = everything(&plant).await;
        Self { plant, line, before }
    }

    /// A request line and the device's token, each line ended.
    fn head(&self, line: &str) -> String {
        format!("{line} HTTP/1.1\r\nAuthorization: Bearer {}\r\n", self.line.token)
    }

    fn ask(&self, line: &str, headers: &str) -> raw::Answer {
        raw::ask(self.plant.address(), &(self.head(line) + headers))
    }

    fn send(&self, line: &str, headers: &str, body: &[u8]) -> raw::Answer {
        raw::send(self.plant.address(), &(self.head(line) + headers), body)
    }

    async fn nothing_was_stored(&self) {
        assert_eq!(everything(&self.plant).await, self.before);
    }
}

/// All that an operator can see.
async fn everything(plant: &Plant) -> Value {
    let mut all = json!({});
    for name in ["devices", "applications", "deployments"] {
        let request =
            plant.http().get(plant.at(&format!("/operator/v1/{name}"))).bearer_auth(plant.operator_token());
        all[name] = request.send().await.unwrap().json().await.unwrap();
    }
    all
}

fn capabilities() -> String {
    json!({ "properties": {
        "id": "line-3", "vendor": "v", "modelNumber": "m", "serialNumber": "s", "cpus": [{ "cores": 1 }],
        "memory": "1Gi", "storage": "1Gi", "peripherals": [], "interfaces": [], "otelCollector": true,
        "supportedRuntimes": ["oci"], "supportedDeploymentTypes": ["helm"],
    }})
    .to_string()
}

/// A body that is too large is refused before it is read, whoever it is for.
#[tokio::test]
async fn an_oversized_body() {
    let scene = Scene::set().await;
    let address = scene.plant.address();
    // Of all these bytes, none is sent.
    for (line, token) in [
        ("PUT /api/v1/capabilities/line-3", &scene.line.token),
        ("POST /api/v1/deployments/x/status", &scene.line.token),
        ("POST /device/line-3/capabilities", &scene.line.token),
        ("POST /operator/v1/applications", &scene.plant.operator_token()),
        ("POST /operator/v1/deployments", &scene.plant.operator_token()),
    ] {
        let kind = if line.ends_with("applications") { "application/yaml" } else { "application/json" };
        let head = format!(
            "{line} HTTP/1.1\r\nAuthorization: Bearer {token}\r\nContent-Type: {kind}\r\nContent-Length: 99999999999\r\n"
        );
        let problem = raw::ask(address, &head).problem(413);
        assert!(problem["detail"].as_str().unwrap().contains("bytes"), "{line}: {problem}");
    }
    // Nor does it help to say nothing about the size.
    let mut connection = Connection::open(address);
    let head = scene.head("PUT /api/v1/capabilities/line-3");
    let head =
        format!("{head}Host: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    connection.send(head.as_bytes());
    let chunk = [&b"100000\r\n"[..], &vec![b' '; 1 << 20], b"\r\n"].concat();
    // 16 MiB may be sent, and no more is read.
    assert!((0..64).any(|_| !connection.try_send(&chunk)) || connection.answer().unwrap().status == 413);

    let token = basic("margo", &scene.line.git_token);
    let head = format!(
        "POST /git/{}.git/git-upload-pack HTTP/1.1\r\n{token}\r\nContent-Length: 99999999\r\n\
         Content-Type: application/x-git-upload-pack-request\r\n",
        scene.line.client_id
    );
    assert_eq!(raw::send(address, &head, &vec![b'0'; 4 << 20]).status, 413);
    scene.nothing_was_stored().await;
}

/// A body that arrives slowly keeps nobody waiting but its sender; one that never ends is nothing.
#[tokio::test]
async fn a_slow_body() {
    let scene = Scene::set().await;
    let body = capabilities();
    let head = format!(
        "{}Host: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        scene.head("PUT /api/v1/capabilities/line-3"),
        body.len()
    );
    let (first, rest) = body.split_at(body.len() / 2);
    let mut slow: Vec<Connection> = (0..50).map(|_| Connection::open(scene.plant.address())).collect();
    for connection in &mut slow {
        connection.send(head.as_bytes());
        connection.send(first.as_bytes());
    }
    scene.nothing_was_stored().await;
    let mut last = slow.pop().unwrap();
    drop(slow);
    scene.nothing_was_stored().await;
    last.send(rest.as_bytes());
    assert_eq!(last.answer().unwrap().status, 201);
}

/// R-D-037: an unknown path and a method that it does not have, on every part of the manager.
#[tokio::test]
async fn an_unknown_route_or_method() {
    let scene = Scene::set().await;
    for line in [
        "GET /",
        "GET /api/v1",
        "GET /api/v2/deployments",
        "POST /operator/v2/devices",
        "GET /git",
        "GET /healthz/x",
    ] {
        scene.ask(line, "").problem(404);
    }
    for (line, allowed) in [
        ("POST /api/v1/capabilities/line-3", "PUT"),
        ("DELETE /api/v1/deployments", "GET"),
        ("GET /device/line-3/capabilities", "POST"),
        ("BREW /api/v1/deployments", "GET"),
        ("PATCH /operator/v1/deployments", "GET"),
    ] {
        let answer = scene.ask(line, "");
        answer.problem(405);
        assert!(answer.headers["allow"].contains(allowed), "{line}: {answer:?}");
    }
    assert_eq!(scene.ask("POST /healthz", "").status, 405);
    scene.nothing_was_stored().await;
}

/// Clients tidy a path before they send it. Whoever writes it by hand need not, and comes no further.
#[tokio::test]
async fn dots_in_a_path() {
    let scene = Scene::set().await;
    let id = &scene.before["deployments"]["deployments"][0]["deploymentId"];
    let id = id.as_str().unwrap();
    let json = "Content-Type: application/json\r\n";
    let body = capabilities();
    let sized = format!("{json}Content-Length: {}\r\n", body.len());
    for device in [
        "..",
        ".",
        "../line-3",
        "line-3/..",
        "line-3/../..",
        "%2e%2e",
        "%2e%2e%2fline-3",
        "line-3%2f..",
        "a//b",
    ] {
        for line in
            [format!("PUT /api/v1/capabilities/{device}"), format!("PUT /device/{device}/capabilities")]
        {
            let status = scene.send(&line, &sized, body.as_bytes()).status;
            assert!((400..500).contains(&status), "{line}: {status}");
        }
        let status = scene.ask(&format!("DELETE /api/v1/capabilities/{device}"), "").status;
        assert!((400..500).contains(&status), "{device}: {status}");
    }
    for path in [
        "/api/v1/deployments/../../../operator/v1/devices",
        "/api/v1/deployments/..%2f..%2f..%2foperator%2fv1%2fdevices",
        "/api/v1/bundles/../../../../etc/passwd",
        "/api/v1/deployments/%2e%2e/sha256:0",
        "/git/../operator/v1/devices",
        "/%00",
        "/api/v1/deployments/%ff/x",
    ] {
        let answer = scene.ask(&format!("GET {path}"), "");
        assert!((400..500).contains(&answer.status), "{path}: {answer:?}");
        assert!(!answer.body.contains(id), "{path}: {answer:?}");
    }
    let token = basic("margo", &scene.line.git_token);
    let client = &scene.line.client_id;
    for path in ["../../margo.db", "..%2f..%2fmargo.db", "objects/../../../operator-token", "config"] {
        let answer =
            raw::ask(scene.plant.address(), &format!("GET /git/{client}.git/{path} HTTP/1.1\r\n{token}\r\n"));
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
    }
    scene.nothing_was_stored().await;
}

/// A few bytes that would be a billion: nobody unpacks them.
#[tokio::test]
async fn a_compressed_body() {
    let scene = Scene::set().await;
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let blank = vec![b' '; 1 << 20];
    for _ in 0..256 {
        bomb.write_all(&blank).unwrap();
    }
    let bomb = bomb.finish().unwrap();
    let mut honest = GzEncoder::new(Vec::new(), Compression::best());
    honest.write_all(capabilities().as_bytes()).unwrap();
    for body in [bomb.clone(), honest.finish().unwrap()] {
        let headers = format!(
            "Content-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n",
            body.len()
        );
        let answer = scene.send("PUT /api/v1/capabilities/line-3", &headers, &body);
        let problem = answer.problem(answer.status);
        assert!([400, 415].contains(&answer.status), "{problem}");
        let token = scene.plant.operator_token();
        let head =
            format!("POST /operator/v1/deployments HTTP/1.1\r\nAuthorization: Bearer {token}\r\n{headers}");
        let answer = raw::send(scene.plant.address(), &head, &body);
        assert!([400, 415].contains(&answer.status), "{answer:?}");
    }
    // Git does compress its requests.
    let head = format!(
        "POST /git/{}.git/git-upload-pack HTTP/1.1\r\n{}\r\nContent-Encoding: gzip\r\nContent-Length: {}\r\n\
         Content-Type: application/x-git-upload-pack-request\r\n",
        scene.line.client_id,
        basic("margo", &scene.line.git_token),
        bomb.len()
    );
    assert_eq!(raw::send(scene.plant.address(), &head, &bomb).status, 413);
    scene.nothing_was_stored().await;
}

/// Bodies whose end is told in two ways, wrongly, or not at all: no second request hides in a first.
#[tokio::test]
async fn an_ambiguous_body() {
    let scene = Scene::set().await;
    let put = format!(
        "{}Host: x\r\nContent-Type: application/json\r\n",
        scene.head("PUT /api/v1/capabilities/line-3")
    );
    let hidden = format!("{}Host: x\r\n\r\n", scene.head("DELETE /api/v1/capabilities/line-3"));
    for (headers, body) in [
        ("Transfer-Encoding: gzip\r\n", String::new()),
        ("Transfer-Encoding: chunked, gzip\r\n", String::new()),
        ("Transfer-Encoding: chunked\r\n", "nonsense\r\n\r\n".to_owned()),
        ("Transfer-Encoding: chunked\r\n", "ffffffffffffffffff\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("Transfer-Encoding: chunked\r\n", "-1\r\n{}\r\n0\r\n\r\n".to_owned()),
        ("Content-Length: 2\r\nContent-Length: 4\r\n", "{}{}".to_owned()),
        ("Content-Length: -1\r\n", String::new()),
        ("Content-Length: 99999999999999999999999\r\n", String::new()),
        ("Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", format!("0\r\n\r\n{hidden}")),
        ("Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", format!("0\r\n\r\n{hidden}")),
    ] {
        let mut connection = Connection::open(scene.plant.address());
        connection.send(format!("{put}{headers}\r\n{body}").as_bytes());
        let first = connection.answer().unwrap();
        assert!((400..500).contains(&first.status), "{headers:?}: {first:?}");
        if body.contains("DELETE") {
            // Either nothing more is heard, or the rest is a request of its own: that of a device that is not there.
            let second = connection.answer();
            assert!(second.is_none_or(|second| second.status == 404), "{headers:?}");
        }
    }
    for nonsense in
        ["\r\n\r\n\r\n", "GET\r\n\r\n", "\u{16}\u{3}\u{1}\u{2}\r\n\r\n", "GET / HTTP/9.9\r\nHost: x\r\n\r\n"]
    {
        let mut connection = Connection::open(scene.plant.address());
        connection.send(nonsense.as_bytes());
        if nonsense.trim().is_empty() {
            continue;
        }
        assert!(connection.answer().is_none_or(|answer| (400..600).contains(&answer.status)), "{nonsense:?}");
        connection.until_closed();
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(1 << 20));
    let mut connection = Connection::open(scene.plant.address());
    connection.try_send(long.as_bytes());
    assert!(connection.answer().is_none_or(|answer| [414, 431].contains(&answer.status)));
    scene.nothing_was_stored().await;
}

/// Development tokens are taken from this machine alone, and a proxy on this machine speaks for another.
#[tokio::test]
async fn a_forwarded_request() {
    let scene = Scene::set().await;
    for header in
        ["X-Forwarded-For: 192.0.2.1\r\n", "Forwarded: for=192.0.2.1\r\n", "x-forwarded-for: 127.0.0.1\r\n"]
    {
        scene.ask("GET /api/v1/deployments", header).problem(403);
        let head = format!(
            "GET /git/{}.git/info/refs?service=git-upload-pack HTTP/1.1\r\n{}\r\n{header}",
            scene.line.client_id,
            basic("margo", &scene.line.git_token)
        );
        assert_eq!(raw::ask(scene.plant.address(), &head).status, 403, "{header}");
    }
    assert_eq!(scene.ask("GET /api/v1/deployments", "").status, 200);
}

/// The operator's API asks for the operator's token, and says the rest about itself to everybody.
#[tokio::test]
async fn the_manager_speaks_about_itself() {
    let plant = Plant::start().await;
    let get = async |path: &str| plant.http().get(plant.at(path)).send().await.unwrap();
    for path in ["/operator/v1/devices", "/operator/v1/deployments", "/operator/v1/events"] {
        let answer = get(path).await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()),
            (401, &b"Bearer"[..])
        );
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let wrong = plant.http().get(plant.at(path)).bearer_auth("margo_wrong").send().await.unwrap();
        assert_eq!(wrong.status(), 401);
        assert!(wrong.text().await.unwrap().contains("operator"));
    }
    let health = get("/healthz").await;
    assert_eq!((health.status().as_u16(), health.text().await.unwrap().as_str()), (200, "ok\n"));
    let openapi: Value = get("/operator/v1/openapi.json").await.json().await.unwrap();
    assert!(openapi["openapi"].as_str().unwrap().starts_with("3.1"));
    for path in ["/operator/v1/devices", "/operator/v1/deployments/{id}", "/operator/v1/events"] {
        assert!(openapi["paths"][path].is_object(), "{path}");
    }
    let before = plant.requests("GET", "/operator/v1/devices").await;
    plant.operator().devices().await.unwrap();
    assert_eq!(plant.requests("GET", "/operator/v1/devices").await, before + 1);
    assert!(
        get("/metrics").await.text().await.unwrap().contains("margo_http_request_duration_seconds_bucket")
    );

    // A request is found again in the log, by the id that its answer carries; no secret is.
    let id = "3d1c0a77-this-request";
    let request = plant.http().get(plant.at("/operator/v1/devices")).bearer_auth(plant.operator_token());
    let answer = request.header("x-request-id", id).send().await.unwrap();
    assert_eq!(answer.headers()["x-request-id"], id);
    let log = plant.folder().join("manager.log");
    until("the request is logged", async || {
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(!log.contains(&plant.operator_token()));
        log.contains(id).then_some(())
    })
    .await;
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(plant.data().join("operator-token")).unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
}

/// Events are told as they happen, for as long as somebody listens; a manager that is asked to end does not wait for
/// that.
#[tokio::test]
async fn an_open_event_stream() {
    let mut plant = Plant::start().await;
    let request = plant.http().get(plant.at("/operator/v1/events")).bearer_auth(plant.operator_token());
    let mut stream = request.send().await.unwrap();
    assert_eq!(stream.headers()["content-type"], "text/event-stream");
    let mut told = String::new();
    while !told.contains(": ready\n\n") {
        told.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    let line = plant.onboard("line-3", SpecVersion::V1_0_0Rc3).await;
    plant.deploy_pumps("line-3").await;
    plant.client(&line).poll(None).await.unwrap();
    while !told.contains("desired-state-fetched") || !told.ends_with("\n\n") {
        told.push_str(std::str::from_utf8(&stream.chunk().await.unwrap().unwrap()).unwrap());
    }
    let data = told.lines().filter_map(|line| line.strip_prefix("data: "));
    let events: Vec<Value> = data.map(|data| serde_json::from_str(data).unwrap()).collect();
    let types: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    let expected = [
        "device-onboarded",
        "desired-state-published",
        "deployment-changed",
        "desired-state-published",
        "desired-state-fetched",
    ];
    assert_eq!(types, expected);
    assert!(events.iter().all(|event| event["clientId"] == *line.client_id), "{events:?}");
    assert!(!told.contains(&line.token) && !told.contains(&line.git_token));
    plant.terminate().await;
}

/// Logs for programs: one JSON object per line, each about a request with the request's id.
#[tokio::test]
async fn a_log_for_programs() {
    let folder = tempfile::tempdir().unwrap();
    let address = free_address();
    let arguments = ["--data", "data", "--listen", &address.to_string(), "--log-format", "json"];
    let manager = Program::start(WFM, "manager", folder.path(), &arguments);
    let line = |log: &str| {
        let lines = log.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.into_iter().find(|line| line["span"]["id"] == "the-one")
    };
    let told = until("the request is logged", async || {
        if let Ok(mut stream) = std::net::TcpStream::connect(address) {
            stream
                .write_all(b"BREW /api/v1/coffee HTTP/1.1\r\nHost: x\r\nX-Request-Id: the-one\r\n\r\n")
                .unwrap();
        }
        // The last line may not be complete yet.
        let log = manager.log();
        log.rsplit_once('\n').and_then(|(complete, _)| line(complete))
    })
    .await;
    assert_eq!(
        (&told["level"], &told["message"], &told["status"]),
        (&json!("INFO"), &json!("answered"), &json!(404))
    );
    assert_eq!((&told["span"]["method"], &told["span"]["path"]), (&json!("other"), &json!("/api/v1/coffee")));
}

/// Two processes in one folder would undo each other's work.
#[tokio::test]
async fn a_second_process_in_the_same_folder() {
    let mut plant = Plant::start().await;
    let mut device = Device::onboard(&plant, "line-3", SpecVersion::V1_0_0Rc3, Source::Rest, "").await;
    device.start();
    plant.until_polled(&device, 1).await;
    let (data, config) = (plant.data(), plant.folder().join("line-3/margo-device.toml"));
    for (program, arguments) in [
        (WFM, ["--data", data.to_str().unwrap(), "--listen", "127.0.0.1:0"].as_slice()),
        (DEVICE, &["--config", config.to_str().unwrap()]),
    ] {
        let complaint = refused(program, plant.folder(), arguments).await;
        assert!(complaint.contains("is in use by another process"), "{complaint}");
    }
    // Both live on, until they are asked to end.
    plant.until_polled(&device, 1).await;
    device.terminate().await;
    plant.terminate().await;
}

/// What a manager cannot be started with.
#[tokio::test]
async fn a_manager_that_cannot_start() {
    let plant = Plant::start().await;
    let folder = plant.folder().join("second");
    let address = plant.address().to_string();
    let folder = folder.to_str().unwrap();
    let complaint = refused(WFM, plant.folder(), &["--data", folder, "--listen", &address]).await;
    assert!(complaint.contains(&format!("cannot listen on {address}")), "{complaint}");

    let file = plant.folder().join("file");
    std::fs::write(&file, "").unwrap();
    let complaint =
        refused(WFM, plant.folder(), &["--data", file.to_str().unwrap(), "--listen", "127.0.0.1:0"]).await;
    assert!(complaint.contains("file"), "{complaint}");

    let damaged = plant.folder().join("damaged");
    std::fs::create_dir(&damaged).unwrap();
    std::fs::write(damaged.join("margo.db"), "this is no database, and long enough to be told from one")
        .unwrap();
    let damaged = damaged.to_str().unwrap();
    let complaint = refused(WFM, plant.folder(), &["--data", damaged, "--listen", "127.0.0.1:0"]).await;
    assert!(complaint.contains("margo.db` cannot be opened as a database"), "{complaint}");
}

/// What a device cannot be started with: each error names the place.
#[tokio::test]
async fn a_device_that_cannot_start() {
    let plant = Plant::start().await;
    let device = Device::onboard(&plant, "line-3", SpecVersion::V1_0_0Rc3, Source::Rest, "").await;
    let folder = plant.folder();
    let file = folder.join("line-3/margo-device.toml");
    let good = std::fs::read_to_string(&file).unwrap();
    let file = file.to_str().unwrap();
    for (from, to, expected) in [
        ("[runtime]", "[runtime]\nfodler = 1", "unknown field `fodler`"),
        ("[schedule]", "[schedule", "is not a configuration"),
        ("id = \"line-3\"", "id = \"../line-3\"", "id = \"../line-3\""),
        ("rate = \"200ms\"", "rate = \"soon\"", "rate = \"soon\""),
        ("jitter = 0.1", "jitter = 0.1\ntime-zone = \"Mars/Olympus\"", "schedule.time-zone"),
        ("jitter = 0.1", "jitter = 0.1\nperiod = [\"25:00-26:00\"]", "`25:00-26:00` in `schedule`"),
        ("revision = \"1.0.0-rc.3\"", "revision = \"2.0.0\"", "revision = \"2.0.0\""),
        ("source = \"rest\"", "source = \"carrier-pigeon\"", "carrier-pigeon"),
        ("kind = \"folder\"", "kind = \"helm\"", "helm"),
        ("token-file = \"token\"", "token-file = \"nowhere\"", "nowhere` cannot be read"),
        ("token-file = \"token\"", "token-file = \"capabilities.yaml\"", "capabilities.yaml`"),
    ] {
        assert!(good.contains(from), "{from}");
        device.configure(&good.replacen(from, to, 1));
        let complaint = refused(DEVICE, folder, &["--config", file]).await;
        assert!(complaint.contains(expected), "{to}: {complaint}");
    }
    let complaint = refused(DEVICE, folder, &["--config", "nowhere.toml"]).await;
    assert!(complaint.contains("`nowhere.toml` cannot be read"), "{complaint}");
    let complaint = refused(DEVICE, folder, &["--config", folder.to_str().unwrap()]).await;
    assert!(complaint.contains("cannot be read"), "{complaint}");
    std::fs::write(folder.join("line-3/token"), "\n").unwrap();
    device.configure(&good);
    let complaint = refused(DEVICE, folder, &["--config", file]).await;
    assert!(complaint.contains("token` is empty"), "{complaint}");
}

/// Starts a program that must not start; returns its complaint.
async fn refused(program: &str, folder: &Path, arguments: &[&str]) -> String {
    let logs = tempfile::tempdir_in(folder).unwrap();
    let mut program = Program::start_in(folder, program, "refused", logs.path(), arguments);
    let status = program.ended().await;
    let log = program.log();
    assert_eq!(status.code(), Some(1), "{log}");
    let complaint: Vec<&str> = log.lines().skip_while(|line| !line.starts_with("error: ")).collect();
    assert!(!complaint.is_empty(), "no complaint: {log}");
    complaint.join("\n")
}

/// Whoever asks for tokens too often has to wait, wherever they ask; whoever has one has not, and is not kept waiting.
#[tokio::test]
async fn strangers_may_ask_so_often_and_no_more() {
    let secure = Secure::start("[limits]\nrequests = 3\nrequest-interval = \"1h\"\n").await;
    let onboarded = secure.plant.onboard("line-3", SpecVersion::PreDraft).await;
    let form = format!("grant_type=client_credentials&client_id={}&client_secret=guess", onboarded.client_id);
    let ask = |path: &str| {
        let head = format!(
            "POST {path} HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: {}",
            form.len()
        );
        raw::send(secure.plant.address(), &head, form.as_bytes())
    };
    assert_eq!([ask("/token"), ask("/git-token"), ask("/token")].map(|answer| answer.status), [401; 3]);
    let before = everything(&secure.plant).await;
    for path in ["/token", "/git-token"] {
        let refused = ask(path);
        assert_eq!((refused.status, &*refused.body), (429, r#"{"error":"temporarily_unavailable"}"#));
        assert!(refused.headers["retry-after"].parse::<u64>().unwrap() > 0);
    }
    let onboarding = raw::ask(secure.plant.address(), "GET /api/v1/onboarding/certificate HTTP/1.1");
    assert_eq!((onboarding.status, &*onboarding.headers["content-type"]), (429, "application/json"));
    assert_eq!(everything(&secure.plant).await, before);
    let poll = format!("GET /api/v1/deployments HTTP/1.1\r\nAuthorization: Bearer {}", onboarded.token);
    assert_eq!(raw::ask(secure.plant.address(), &poll).status, 200);
}
