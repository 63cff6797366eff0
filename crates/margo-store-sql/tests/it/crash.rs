//! What was acknowledged survives SIGKILL at any moment. A process, because only a process can be killed.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use margo_core::{ClientId, DeploymentId, ManifestVersion};
use margo_server::{Change, Store};
use margo_store_sql::SqliteStore;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};

use crate::records::{client, deployment, manifest, status};

/// Where it is set, this process is the one that writes until it is killed.
const FILE: &str = "MARGO_STORE_SQL_WRITE_TO";
const ROUNDS: u32 = 16;
/// Large enough that the log is moved into the file several times in a round.
const DOCUMENT: usize = 40_000;

#[tokio::test]
async fn what_was_acknowledged_survives_sigkill() {
    if let Some(path) = std::env::var_os(FILE) {
        return write_for_ever(Path::new(&path)).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("manager.db");
    let plant = client("plant-7").client_id;
    let store = SqliteStore::open(&path).await.unwrap();
    store.add_client(client("plant-7"), manifest(ManifestVersion::FIRST)).await.unwrap();
    store.close().await;

    let mut published = 1;
    for round in 0..ROUNDS {
        let acknowledged = kill_in_the_middle(&path);
        assert!(!acknowledged.is_empty(), "round {round}");

        let store = SqliteStore::open(&path).await.unwrap();
        let current = store.manifest(&plant).await.unwrap().unwrap();
        let deployments = store.deployments(Some(&plant)).await.unwrap();
        // One write may have happened without the acknowledgement being read; it happened completely.
        let last = acknowledged.iter().filter(|ack| ack.what == "published").map(|ack| ack.version).max();
        let last = last.unwrap_or(published);
        assert!((last..=last + 1).contains(&current.version.get()), "{last}: {current:?}");
        assert_eq!(current, manifest(current.version));
        assert_eq!(deployments.len() as u64, current.version.get() - 1);
        assert_eq!(deployments.last().map(|last| last.since), Some(current.version));
        for ack in &acknowledged {
            match ack.what.as_str() {
                "published" => {
                    let found = store.deployment(&id(ack.version)).await.unwrap().unwrap();
                    assert_eq!(found.document.len(), DOCUMENT, "{ack:?}");
                }
                "reported" => {
                    assert_eq!(store.status_history(&id(ack.version)).await.unwrap().len(), 1, "{ack:?}");
                }
                "fetched" => {
                    let fetched = store.client(&plant).await.unwrap().unwrap().fetched.unwrap();
                    assert!(fetched.get() >= ack.version, "{ack:?}");
                }
                _ => panic!("{ack:?}"),
            }
        }
        published = current.version.get();
        store.close().await;
        assert_eq!(integrity(&path).await, "ok");
    }
}

#[derive(Debug)]
struct Acknowledgement {
    what: String,
    version: u64,
}

/// Starts this very test as the process that writes, kills it after some acknowledgements, and returns them all.
fn kill_in_the_middle(path: &Path) -> Vec<Acknowledgement> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["crash::what_was_acknowledged_survives_sigkill", "--exact", "--nocapture", "--test-threads=1"])
        .env(FILE, path)
        .stdout(Stdio::piped())
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let random = RandomState::new().build_hasher().finish();
    let mut said = String::new();
    let mut acknowledged = 0;
    while acknowledged < 1 + random % 40 {
        let start = said.len();
        assert_ne!(output.read_line(&mut said).unwrap(), 0, "the writer ended: {said}");
        acknowledged += u64::from(read_acknowledgement(&said[start..]).is_some());
    }
    // Anywhere between two acknowledgements, not right after one.
    std::thread::sleep(std::time::Duration::from_micros((random >> 32) % 3000));
    child.kill().unwrap();
    child.wait().unwrap();
    output.read_to_string(&mut said).unwrap();
    // A line that was cut is no acknowledgement.
    let complete = &said[..=said.rfind('\n').unwrap()];
    complete.lines().filter_map(read_acknowledgement).collect()
}

fn read_acknowledgement(line: &str) -> Option<Acknowledgement> {
    let (_, text) = line.trim_end().split_once("acknowledged: ")?;
    let (what, version) = text.split_once(' ')?;
    Some(Acknowledgement { what: what.to_owned(), version: version.parse().ok()? })
}

async fn write_for_ever(path: &Path) {
    let store = SqliteStore::open(path).await.unwrap();
    let plant: ClientId = client("plant-7").client_id;
    loop {
        let from = store.manifest(&plant).await.unwrap().unwrap().version;
        let to = from.next().unwrap();
        let new = deployment(id(to.get()).as_str(), &plant, to, vec![b'd'; DOCUMENT]);
        store.publish(vec![Change::new(plant.clone(), from, manifest(to), vec![new])]).await.unwrap();
        acknowledge("published", to);
        store.put_status(status(&id(to.get()), &plant, vec![b's'; DOCUMENT])).await.unwrap();
        acknowledge("reported", to);
        store.note_fetched(&plant, to).await.unwrap();
        acknowledge("fetched", to);
    }
}

fn acknowledge(what: &str, version: ManifestVersion) {
    let mut output = std::io::stdout().lock();
    // One write, so that a line is there completely or not at all.
    output.write_all(format!("\nacknowledged: {what} {version}\n").as_bytes()).unwrap();
    output.flush().unwrap();
}

fn id(version: u64) -> DeploymentId {
    format!("d{version}").parse().unwrap()
}

async fn integrity(path: &Path) -> String {
    let mut connection = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let result = sqlx::query_scalar("PRAGMA integrity_check").fetch_one(&mut connection).await.unwrap();
    let dangling = sqlx::query("PRAGMA foreign_key_check").fetch_all(&mut connection).await.unwrap();
    assert!(dangling.is_empty(), "{} rows refer to nothing", dangling.len());
    connection.close().await.unwrap();
    result
}
