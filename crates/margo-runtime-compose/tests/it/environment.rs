//! What Compose reads from the files this crate writes. Needs `docker-compose`, and no engine.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use margo_api::WorkloadRuntime as _;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::world::{World, apply, deployment};

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
            "services:\n  web:\n    image: REGISTRY/box:1\n    network_mode: host\n    environment:\n"
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

        let files = std::fs::read_dir(world.folder.path().join(&root).join("pump-1/web")).unwrap();
        let files = files.map(|entry| entry.unwrap().path()).find(|path| path.join("app").is_dir()).unwrap();
        let program = tool.kind().to_string();
        let mut words = program.split(' ');
        let output = std::process::Command::new(words.next().unwrap())
            .args(words)
            .args(["-f", "compose.yaml", "config"])
            .current_dir(files.join("app"))
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .output()
            .unwrap();
        let config =
            margo_syntax::parse(&output.stdout, margo_syntax::Format::Yaml, &margo_syntax::Limits::default());
        let config = config.unwrap().to_value();
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
