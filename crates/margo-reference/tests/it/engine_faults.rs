//! What can go wrong between a device, its engine and its registries, as its manager sees it.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};

use margo_cli::Deployment;
use margo_core::Digest;
use serde_json::json;

use crate::cable::{Cable, Fuse};
use crate::engine::{Engine, STEADY, code, deploy, message, update};
use crate::plant::Plant;
use crate::program::until;

/// R-A-023: packages that cannot be had, or are not what they should be, are told of with code, source and reason;
/// the version before runs on untouched, and nothing is in the way of the next.
#[tokio::test]
async fn a_package_that_is_no_good_is_told_of() {
    let Some(engine) = Engine::find("packages") else { return };
    let plant = Plant::start().await;
    let liar = Liar::start();
    let lying = format!("[runtime.packages.registries.\"{}\"]\nplain-http = true\n", liar.address);
    let mut device = engine.device_at(&plant, &engine.host, &lying).await;
    device.start();
    let good = engine.publish(&plant, "collector", "1.0.0", "1m0s", STEADY).await;
    let id = deploy(&plant, &good).await;
    plant.until_converged(&id).await;
    let running = engine.containers();

    let compose = STEADY.replace("REGISTRY", &engine.registry);
    let layer = archive(&[("app/compose.yaml", &compose)]);
    let bomb = archive(&[("app/compose.yaml", &compose), ("app/zeros", &"0".repeat(64 << 20))]);
    let honest = Offer::new(&layer);
    let other = Offer::new(b"other bytes");
    let mut wrong_type = honest.clone();
    wrong_type.manifest = wrong_type.manifest.replace("component.compose.tar+gzip", "component.compose.zip");
    let at = |host: &str| format!("{host}/pumps/collector");
    let lie = liar.address.to_string();
    let cases = [
        ("2.0.0", "127.0.0.1:1", honest.clone(), "registry-unreachable", "cannot be reached"),
        ("3.0.0", engine.closed_registry.as_str(), honest.clone(), "registry-unauthorized", "credentials"),
        ("4.0.0", &lie, Offer { layer: other.layer, ..honest.clone() }, "package-corrupt", "manifest"),
        ("5.0.0", &lie, Offer { layer: tampered(&layer), ..honest.clone() }, "package-corrupt", "digest"),
        ("6.0.0", &lie, Offer { breaks_off: true, ..honest.clone() }, "registry-unreachable", "breaks off"),
        ("7.0.0", &lie, wrong_type, "wrong-package-type", "layer"),
        ("8.0.0", &lie, Offer::new(&bomb), "package-too-large", "more than"),
        ("9.0.0", &lie, Offer::new(&escaping()), "bad-archive", "escape"),
        ("10.0.0", &lie, Offer::new(&archive(&[("app/readme", "")])), "compose-invalid", "compose.yaml"),
    ];
    for (version, host, offer, expected, says) in cases {
        liar.offer(offer);
        let application = engine.describe(&plant, "collector", version, "1m0s", &at(host)).await;
        update(&plant, &id, &application).await;
        let is_told =
            |it: &Deployment| it.state == "failed" && code(it) == expected && message(it).contains(says);
        let what = format!("{version} has failed with {expected} and says `{says}`");
        let failed = plant.until(&id, &what, is_told).await;
        let of_component = failed.components[0].error.as_ref().unwrap();
        assert_eq!(of_component.source, "collector", "{version}");
        assert_eq!(engine.containers(), running, "{version}");
    }
    liar.offer(honest);
    let application = engine.describe(&plant, "collector", "11.0.0", "1m0s", &at(&lie)).await;
    update(&plant, &id, &application).await;
    plant.until_converged(&id).await;
    device.terminate().await;
}

/// R-A-023: an engine that goes away in the middle is told of, and when it is back the work is finished.
#[tokio::test]
async fn an_engine_that_goes_away_is_told_of() {
    let Some(engine) = Engine::find("away") else { return };
    let plant = Plant::start().await;
    let cable = Cable::new(&plant.folder().join("engine.sock"), &engine.host);
    let mut device = engine.device_at(&plant, &cable.host(), "").await;
    device.start();
    let first = engine.publish(&plant, "collector", "1.0.0", "1m0s", STEADY).await;
    let second =
        engine.publish(&plant, "collector", "2.0.0", "1m0s", &STEADY.replace("box:1", "box:2")).await;
    let told = async |id: &str| {
        let is_told = |it: &Deployment| it.state == "failed" && code(it) == "engine-unavailable";
        let failed = plant.until(id, "it is told", is_told).await;
        assert!(message(&failed).contains("the container engine does not answer"), "{}", message(&failed));
    };
    let runs = |image: &str| {
        let containers = engine.containers();
        assert_eq!(containers.len(), 1, "{containers:?}");
        assert!(containers["collector"].contains(&format!("{image} running")), "{containers:?}");
    };

    // Before anything has begun.
    plant.until_polled(&device, 1).await;
    cable.cut();
    let id = deploy(&plant, &first).await;
    told(&id).await;
    cable.mend();
    plant.until_converged(&id).await;
    runs("box:1");

    let fuse = |method, path, arrives| Fuse { method, path, arrives };
    for (fuse, wanted, image) in [
        (fuse("POST", "/containers/create", false), &second, "box:2"),
        (fuse("POST", "/stop", true), &first, "box:1"),
        (fuse("POST", "/start", true), &second, "box:2"),
    ] {
        cable.arm(fuse);
        update(&plant, &id, wanted).await;
        told(&id).await;
        assert!(cable.is_cut(), "{fuse:?}");
        cable.mend();
        plant.until_converged(&id).await;
        runs(image);
    }

    cable.arm(fuse("DELETE", "/containers/", false));
    plant.delete(&id).await;
    told(&id).await;
    cable.mend();
    assert_eq!(plant.until_converged(&id).await.state, "removed");
    assert!(engine.containers().is_empty());
    device.terminate().await;
}

/// R-B-029, R-B-032: killed while the engine is being asked for exactly this, the next start finishes what was begun.
#[tokio::test]
async fn power_may_fail_in_every_phase() {
    let Some(engine) = Engine::find("phases") else { return };
    let plant = Plant::start().await;
    let cable = Cable::new(&plant.folder().join("engine.sock"), &engine.host);
    let mut device = engine.device_at(&plant, &cable.host(), "").await;
    device.start();
    let first = engine.publish(&plant, "collector", "1.0.0", "1m0s", STEADY).await;
    let second =
        engine.publish(&plant, "collector", "2.0.0", "1m0s", &STEADY.replace("box:1", "box:3")).await;
    let strike = async |device: &mut crate::plant::Device, what: &str| {
        until(&format!("the device is at `{what}`"), async || (cable.waiting() > 0).then_some(())).await;
        device.kill();
        cable.open_gate();
        device.start();
    };
    let runs = |image: &str, what: &str| {
        let containers = engine.containers();
        assert_eq!(containers.len(), 1, "{what}: {containers:?}");
        assert!(containers["collector"].contains(&format!("{image} running")), "{what}: {containers:?}");
    };
    // While an image comes.
    let image = engine.own_image();
    let third =
        engine.publish(&plant, "collector", "3.0.0", "1m0s", &STEADY.replace("REGISTRY/box:1", &image)).await;
    cable.close_gate("POST", "/images/create");
    let id = deploy(&plant, &third).await;
    strike(&mut device, "/images/create").await;
    plant.until_converged(&id).await;
    runs(&image, "/images/create");
    plant.delete(&id).await;
    plant.until_converged(&id).await;
    engine.docker(&["image", "rm", &image]);

    for (of_installation, of_update, of_removal) in [
        (("GET", "/images/"), ("POST", "/stop"), ("POST", "/stop")),
        (("POST", "/containers/create"), ("POST", "/containers/create"), ("DELETE", "/containers/")),
        (("POST", "/start"), ("POST", "/start"), ("GET", "/containers/json")),
    ] {
        cable.close_gate(of_installation.0, of_installation.1);
        let id = deploy(&plant, &first).await;
        strike(&mut device, of_installation.1).await;
        plant.until_converged(&id).await;
        runs("box:1", of_installation.1);

        cable.close_gate(of_update.0, of_update.1);
        update(&plant, &id, &second).await;
        strike(&mut device, of_update.1).await;
        plant.until_converged(&id).await;
        runs("box:3", of_update.1);

        cable.close_gate(of_removal.0, of_removal.1);
        plant.delete(&id).await;
        strike(&mut device, of_removal.1).await;
        plant.until_converged(&id).await;
        until("nothing is left", async || engine.containers().is_empty().then_some(())).await;
    }
}

/// What a registry that lies has to give.
#[derive(Clone)]
struct Offer {
    manifest: String,
    layer: Vec<u8>,
    /// Whether the layer ends before it should.
    breaks_off: bool,
}

impl Offer {
    fn new(layer: &[u8]) -> Self {
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "artifactType": "application/vnd.org.margo.component.compose+json",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": Digest::of(b"{}"), "size": 2 },
            "layers": [{
                "mediaType": "application/vnd.org.margo.component.compose.tar+gzip",
                "digest": Digest::of(layer),
                "size": layer.len(),
            }],
        });
        Self { manifest: manifest.to_string(), layer: layer.to_owned(), breaks_off: false }
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// A registry that gives everybody the same.
struct Liar {
    address: SocketAddr,
    offer: Arc<Mutex<Option<Offer>>>,
}

impl Liar {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let offer = Arc::<Mutex<Option<Offer>>>::default();
        let shared = Arc::clone(&offer);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let offer = shared.lock().unwrap().clone();
                if let (Ok(client), Some(offer)) = (client, offer) {
                    // Whoever hangs up first is not answered.
                    let _ = answer(client, &offer);
                }
            }
        });
        Self { address, offer }
    }

    fn offer(&self, offer: Offer) {
        *self.offer.lock().unwrap() = Some(offer);
    }
}

fn answer(mut client: TcpStream, offer: &Offer) -> std::io::Result<()> {
    let mut request = Vec::new();
    let mut byte = [0];
    while !request.ends_with(b"\r\n\r\n") && client.read(&mut byte)? == 1 {
        request.push(byte[0]);
    }
    let is_manifest = String::from_utf8_lossy(&request).contains("/manifests/");
    let (media_type, body) = if is_manifest {
        (MANIFEST, offer.manifest.as_bytes())
    } else {
        ("application/octet-stream", offer.layer.as_slice())
    };
    write!(
        client,
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: {media_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    )?;
    let sent = if offer.breaks_off && !is_manifest { &body[..body.len() / 2] } else { body };
    client.write_all(sent)
}

/// The same number of other bytes.
fn tampered(layer: &[u8]) -> Vec<u8> {
    let mut layer = layer.to_owned();
    *layer.last_mut().unwrap() ^= 1;
    layer
}

fn archive(files: &[(&str, &str)]) -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let file = folder.path().join(name);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, content).unwrap();
    }
    tar(folder.path(), &["app"])
}

/// An archive with a file outside of the folder it is unpacked into.
fn escaping() -> Vec<u8> {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("escape"), "").unwrap();
    std::fs::create_dir(folder.path().join("app")).unwrap();
    tar(&folder.path().join("app"), &["--absolute-names", "../escape"])
}

fn tar(folder: &std::path::Path, what: &[&str]) -> Vec<u8> {
    let output = Command::new("tar").arg("-C").arg(folder).arg("-cz").args(what).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
