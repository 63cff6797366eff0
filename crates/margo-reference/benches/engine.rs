//! What a device holds and does while nothing happens, with ten Compose deployments that run on the engine of the tests
//! (`cargo xtask engine up`): resident memory and processor time of the program itself, from the kernel.
//!
//! `cargo bench -p margo-reference --bench engine`

#![expect(clippy::print_stdout, reason = "it speaks to a person")]
#![expect(clippy::print_stderr, reason = "what the programs said last explains a failure")]
#![expect(clippy::unwrap_used, reason = "a benchmark that cannot be set up has failed")]
#![expect(dead_code, unused_imports, reason = "the tests' own stage, of which this needs a part")]

#[path = "../tests/it/engine.rs"]
mod engine;
#[path = "../tests/it/plant.rs"]
mod plant;
#[path = "../tests/it/program.rs"]
mod program;
#[path = "../../margo-oci/tests/it/services.rs"]
mod services;

use std::time::Duration;

use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::engine::{Engine, STEADY};
use crate::plant::Plant;

const DEPLOYMENTS: usize = 10;

/// For how long the device is left alone.
const IDLE: Duration = Duration::from_mins(1);

/// The kernel counts processor time in hundredths of a second.
const TICKS_PER_SECOND: u32 = 100;

#[tokio::main]
async fn main() {
    // Somebody runs all benches as tests, or asks for a list of them.
    if std::env::args().any(|argument| matches!(argument.as_str(), "--test" | "--list")) {
        return;
    }
    let Some(engine) = Engine::find("idle") else { return };
    let plant = Plant::start().await;
    let mut device = engine.device(&plant).await;
    // As often as a device asks that was not told otherwise.
    let configuration = device.read_configuration().replace("rate = \"200ms\"", "rate = \"30s\"");
    device.configure(&configuration.replace("capabilities-check = \"100ms\"\n", ""));
    device.start();
    sleep(Duration::from_secs(5)).await;
    let process = Process::find(&plant.folder().join("line-3/margo-device.toml"));
    println!("without deployments: {}", process.memory());

    let application = engine.publish(&plant, "collector", "1.0.0", "5m0s", STEADY).await;
    let profile = application.profiles[0].id.as_str();
    let values = plant::object(json!({}));
    let mut ids = Vec::new();
    for number in 0..DEPLOYMENTS {
        let namespace = format!("plant-{number}");
        let to = ["line-3".to_owned()];
        let changed = plant
            .operator()
            .deploy(&application, Some(profile), Some(&namespace), &values, &to)
            .await
            .unwrap();
        ids.extend(changed.deployments.into_iter().map(|deployment| deployment.deployment_id));
    }
    let began = Instant::now();
    while !all_converged(&plant, &ids).await {
        assert!(began.elapsed() < Duration::from_mins(5), "not everything is installed");
        sleep(Duration::from_millis(500)).await;
    }
    println!("{DEPLOYMENTS} deployments, installed: {}", process.memory());
    sleep(Duration::from_secs(10)).await;
    let (before, began) = (process.busy(), Instant::now());
    sleep(IDLE).await;
    let (busy, elapsed) = (process.busy() - before, began.elapsed());
    let share = 100.0 * f64::from(busy) / f64::from(TICKS_PER_SECOND) / elapsed.as_secs_f64();
    println!("{DEPLOYMENTS} deployments, after a minute: {}", process.memory());
    println!(
        "processor in {} s without change: {} ms, {share:.2} % of one; processes of its own: {}",
        elapsed.as_secs(),
        busy * 1000 / TICKS_PER_SECOND,
        process.children()
    );
    for id in &ids {
        plant.delete(id).await;
    }
    device.terminate().await;
}

async fn all_converged(plant: &Plant, ids: &[String]) -> bool {
    for id in ids {
        let deployment = plant.look_at(id).await;
        assert!(deployment.state != "failed", "{}", engine::message(&deployment));
        if !deployment.converged {
            return false;
        }
    }
    true
}

/// The device's process.
struct Process(u32);

impl Process {
    /// The one that was started with this configuration.
    fn find(configuration: &std::path::Path) -> Self {
        let configuration = configuration.to_str().unwrap();
        let is_it = |id: &u32| {
            let text = std::fs::read_to_string(format!("/proc/{id}/cmdline")).unwrap_or_default();
            text.contains(configuration)
        };
        let ids = std::fs::read_dir("/proc").unwrap();
        let mut ids = ids.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        Self(ids.find(is_it).unwrap())
    }

    fn memory(&self) -> String {
        let text = std::fs::read_to_string(format!("/proc/{}/status", self.0)).unwrap();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            let kibibytes: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
            kibibytes / 1024.0
        };
        format!(
            "{:.1} MiB resident, {:.1} of which private, {:.1} at most",
            field("VmRSS"),
            field("RssAnon"),
            field("VmHWM")
        )
    }

    /// The processor time it took, its ended children's included.
    fn busy(&self) -> u32 {
        let text = std::fs::read_to_string(format!("/proc/{}/stat", self.0)).unwrap();
        let fields = text.rsplit_once(')').unwrap().1.split_whitespace().skip(11).take(4);
        fields.map(|field| field.parse::<u32>().unwrap()).sum()
    }

    fn children(&self) -> usize {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0)).unwrap();
        let of = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("children"));
        tasks.filter_map(|task| of(task.ok()?).ok()).map(|text| text.split_whitespace().count()).sum()
    }
}
