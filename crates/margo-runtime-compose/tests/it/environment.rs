//! What Compose reads from the files this crate writes. Needs `docker-compose`, and no engine.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use margo_api::WorkloadRuntime as _;
use margo_runtime_compose::{Collector, Protocol, Tool};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::world::{STEADY, World, apply, deployment};

/// Texts full of what has a meaning in such files.
fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "a", "B", "7", " ", "  ", "\"", "'", "\\", "\\n", "\n", "\r", "\t", "$", "$$", "${", "}", "${A}",
        "$A", "#", " #", "=", ":", ":-", "`", "ü", "😀", "!", "%", "*", "&", "|", "<", "{{", "\\\"", "\\'",
    ]);
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// Every value arrives as it was given, in a container's environment and in the Compose file.
#[test]
fn compose_reads_exactly_what_was_given() {
    let Some(world) = World::new("environment") else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tool = runtime.block_on(world.tool());
    let mut runner = TestRunner::new(Config { cases: 6, failure_persistence: None, ..Config::default() });
    let rounds = Cell::new(0);
    let outcome = runner.run(&prop::collection::vec(text(), 60), |texts| {
        rounds.set(rounds.get() + 1);
        let round = rounds.get();
        let mut compose =
            "services:\n  web:\n    image: REGISTRY/box:1\n    network_mode: host\n    labels: [for=compose]\n    environment:\n"
                .to_owned();
        let mut parameters = Vec::new();
        for (index, text) in texts.iter().enumerate() {
            writeln!(compose, "      V{index}: '${{V{index}}}'").unwrap();
            parameters.push((format!("V{index}"), json!(text).to_string()));
        }
        let version = format!("1.0.{round}");
        world.package(&version, &compose);
        let parameters: Vec<_> =
            parameters.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let document = deployment(&version, &parameters);
        let root = format!("env-{round}");
        let compose = runtime.block_on(world.runtime_in(&root, World::options()));
        runtime.block_on(compose.prepare(&document)).unwrap();

        let shelf = world.folder.path().join(&root).join("pump-1/web");
        let files = find(&shelf, |path| path.join("app").is_dir());
        let config = config(&tool, &files.join("app"), Path::new("compose.yaml"));
        let found: BTreeMap<String, Value> =
            serde_json::from_value(config["services"]["web"]["environment"].clone()).unwrap();
        for (index, text) in texts.iter().enumerate() {
            // `config` writes a dollar twice, as a Compose file does.
            let value = found[&format!("V{index}")].as_str().unwrap_or_default().replace("$$", "$");
            prop_assert_eq!(&value, text);
        }
        Ok(())
    });
    outcome.unwrap();
}

/// A file that is read here, with Compose not asked, says what Compose would have made of it.
#[tokio::test]
async fn a_plain_file_is_what_compose_makes_of_it() {
    let Some(world) = World::new("plain") else { return };
    let tool = world.tool().await;
    let file = "version: '2.4'
services:
  db:
    image: REGISTRY/box:${TAG:-1}
    hostname: $NAME.example
    entrypoint: sh -c
    command: 'echo \"$$HOME\" ${MODE-none} > /dev/null'
    volumes: ['data:/data', './:/etc/app:ro']
    tmpfs: /run
    healthcheck: { test: 'true $MODE', interval: 200ms, timeout: 5s, retries: 3, start_period: 1m }
    stop_grace_period: 3s
    stop_signal: SIGKILL
    restart: unless-stopped
    user: '1000'
    labels: { of: '${MODE}', number: 7 }
  web:
    image: 10.0.0.1:5000/web
    depends_on: [db]
    environment: [MODE=$MODE, 'PRICE=5$$', PLAIN=a=b]
    ports: ['8080:80', '127.0.0.1:5353:53/udp']
    networks: [inside]
    init: true
    read_only: false
    tty: true
    cap_drop: [ALL]
    working_dir: |
      /srv
volumes:
  data:
networks:
  inside: {}
";
    let parameters = [("MODE", "'eco full'"), ("NAME", "web-1"), ("PRICE", "7")];
    world.package("1.0.0", file);
    let mut options = World::options();
    options.pull_early = false;
    let runtime = world.runtime_with(options).await;
    runtime.prepare(&deployment("1.0.0", &parameters)).await.unwrap();
    let shelf = world.folder.path().join("compose/pump-1/web");
    let app = find(&shelf, |path| path.join("app").is_dir()).join("app");
    let plain = find(&shelf, |path| path.extension().is_some_and(|extension| extension == "yaml"));
    let mut ours = config(&tool, &app, &plain);
    for (_, service) in ours["services"].as_object_mut().unwrap() {
        let labels = service["labels"].as_object_mut().unwrap();
        labels.retain(|name, _| !name.starts_with("org.margo."));
        if labels.is_empty() {
            service.as_object_mut().unwrap().remove("labels");
        }
    }
    std::fs::write(app.join(".env"), "MODE=eco full\nNAME=web-1\nPRICE=7\n").unwrap();
    assert_eq!(ours, config(&tool, &app, Path::new("compose.yaml")));
}

/// R-A-050: every container is told, in whichever way its file is read, unless its author says otherwise.
#[tokio::test]
async fn containers_learn_of_the_collector() {
    let Some(world) = World::new("collector") else { return };
    let own = "    environment: [HTTP_OTEL_EXPORTER_OTLP_ENDPOINT=http://own:1]\n";
    let other = "  db:\n    image: REGISTRY/box:1\n    network_mode: host\n    stop_signal: SIGKILL\n";
    let asked = "    labels: [for=compose]\n";
    let from_file = "    env_file: ./.env\n";
    for (version, compose, told) in [
        ("1.0.0", format!("{STEADY}{other}"), "http://10.0.0.1:4318"),
        ("2.0.0", format!("{STEADY}{own}{other}"), "http://own:1"),
        ("3.0.0", format!("{STEADY}{asked}{other}"), "http://10.0.0.1:4318"),
        ("4.0.0", format!("{STEADY}{asked}{own}{other}"), "http://own:1"),
        ("5.0.0", format!("{STEADY}{from_file}{other}"), "http://own:2"),
    ] {
        world.package(version, &compose);
        let mut options = World::options();
        let collector = Collector::new("http://10.0.0.1:4318").with_protocol(Protocol::HttpProtobuf);
        options.collector = Some(collector);
        let runtime = world.runtime_with(options).await;
        let parameters = [("HTTP_OTEL_EXPORTER_OTLP_ENDPOINT", "'http://own:2'")];
        let parameters = if version == "5.0.0" { parameters.as_slice() } else { &[] };
        let document = deployment(version, parameters);
        runtime.prepare(&document).await.unwrap();
        apply(&runtime, &document).await.unwrap();
        for (service, told) in [("web", told), ("db", "http://10.0.0.1:4318")] {
            let (environment, _) = world.docker(&["exec", &world.id(service), "env"]);
            let has = |line: &str| environment.lines().any(|it| it == line);
            assert!(
                has(&format!("HTTP_OTEL_EXPORTER_OTLP_ENDPOINT={told}"))
                    && has("OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf"),
                "{version} {service}: {environment}"
            );
        }
        // And nothing is made anew for it.
        let before = world.containers();
        apply(&runtime, &document).await.unwrap();
        assert_eq!(world.containers(), before);
    }
}

fn find(folder: &Path, is_it: impl Fn(&Path) -> bool) -> PathBuf {
    let mut entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.find(|path| is_it(path)).unwrap()
}

/// What Compose makes of a file.
fn config(tool: &Tool, folder: &Path, file: &Path) -> Value {
    let program = tool.kind().to_string();
    let mut words = program.split(' ');
    let output = std::process::Command::new(words.next().unwrap())
        .args(words)
        .args(["-p", "it", "--project-directory", "."])
        .arg("-f")
        .arg(file)
        .arg("config")
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let limits = margo_syntax::Limits::default();
    let config = margo_syntax::parse(&output.stdout, margo_syntax::Format::Yaml, &limits);
    config.unwrap().to_value()
}

/// R-A-042: a parameter reaches the container it is meant for.
#[tokio::test]
async fn a_container_sees_its_parameters() {
    let Some(world) = World::new("parameters") else { return };
    let compose = "services:
  web:
    image: REGISTRY/box:1
    network_mode: host
    stop_signal: SIGKILL
    env_file: .env
    environment: { SHOWN: '<${MODE}>' }
";
    world.package("1.0.0", compose);
    let runtime = world.runtime().await;
    let document = deployment("1.0.0", &[("MODE", "\"it's \\\"eco\\\" #1\""), ("ENV.LEVEL", "7")]);
    runtime.prepare(&document).await.unwrap();
    apply(&runtime, &document).await.unwrap();
    let (environment, _) = world.docker(&["exec", &world.id("web"), "env"]);
    assert!(environment.contains("SHOWN=<it's \"eco\" #1>\n"), "{environment}");
    assert!(
        environment.contains("MODE=it's \"eco\" #1\n") && environment.contains("LEVEL=7\n"),
        "{environment}"
    );
}
