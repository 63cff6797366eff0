//! Containers on a real engine, from a real registry, driven by manager and device as processes. Needs
//! `cargo xtask engine up`; without it these tests say loudly that they did not run.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use margo_cli::{Application, Deployment, Selection};
use margo_core::{Digest, SpecVersion};
use serde_json::json;

use crate::plant::{Device, Plant, Source, object, states};
use crate::program::until;
use crate::services::services;

/// A service that runs for ever. `REGISTRY` is the registry of the tests.
pub(crate) const STEADY: &str = "services:
  main:
    image: REGISTRY/box:1
    network_mode: host
    command: [sleep, '100000']
    stop_signal: SIGKILL
    environment: { MODE: '${MODE}' }
";

/// The engine, the registry, and what one test puts there.
pub(crate) struct Engine {
    pub(crate) host: String,
    pub(crate) registry: String,
    /// The one that asks for a password.
    pub(crate) closed_registry: String,
    test: String,
}

impl Engine {
    /// `None`, and a loud word, where there is no engine. With `MARGO_REQUIRE_ENGINE=1` the test fails instead.
    pub(crate) fn find(test: &str) -> Option<Self> {
        let services = services()?;
        Some(Self {
            host: services["DOCKER_HOST"].clone(),
            registry: services["MARGO_REGISTRY"].clone(),
            closed_registry: services["MARGO_REGISTRY_AUTH"].clone(),
            test: format!("{test}-{}", std::process::id()),
        })
    }

    /// An image of this test alone, in the registry and not on the engine.
    pub(crate) fn own_image(&self) -> String {
        let (box_1, image) =
            (format!("{}/box:1", self.registry), format!("{}/{}:1", self.registry, self.test));
        for arguments in [
            ["pull", "--quiet", &box_1].as_slice(),
            &["tag", &box_1, &image],
            &["push", "--quiet", &image],
            &["image", "rm", &image],
        ] {
            assert!(self.docker(arguments).1, "{arguments:?}");
        }
        image
    }

    pub(crate) fn docker(&self, arguments: &[&str]) -> (String, bool) {
        let output = Command::new("docker").env("DOCKER_HOST", &self.host).args(arguments).output().unwrap();
        (String::from_utf8_lossy(&output.stdout).trim().to_owned(), output.status.success())
    }

    /// Service, and id, image, state and `MODE` of its container, of every component of this test.
    pub(crate) fn containers(&self) -> BTreeMap<String, String> {
        let filter = format!("label=org.margo.owner={}", self.test);
        let (ids, _) = self.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        let of = |id: &str| {
            let format = "{{index .Config.Labels \"org.margo.component\"}} {{.Id}} {{.Config.Image}} {{.State.Status}} {{.Config.Env}}";
            let (text, was_there) = self.docker(&["inspect", "--format", format, id]);
            let (component, rest) = text.split_once(' ').filter(|_| was_there)?;
            Some((component.to_owned(), rest.to_owned()))
        };
        ids.split_whitespace().filter_map(of).collect()
    }

    pub(crate) fn id(&self, component: &str) -> String {
        self.containers()[component].split(' ').next().unwrap().to_owned()
    }

    /// Pushes a Compose component (R-D-034).
    async fn push(&self, plant: &Plant, component: &str, version: &str, compose: &str) {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("app")).unwrap();
        std::fs::write(folder.path().join("app/compose.yaml"), compose.replace("REGISTRY", &self.registry))
            .unwrap();
        let archive = folder.path().join("app.tgz");
        let packed =
            Command::new("tar").arg("-C").arg(folder.path()).arg("-czf").arg(&archive).arg("app").status();
        assert!(packed.unwrap().success());
        let layer = std::fs::read(archive).unwrap();
        let (layer_digest, empty_digest) = (Digest::of(&layer), Digest::of(b"{}"));
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "artifactType": "application/vnd.org.margo.component.compose+json",
            "config": { "mediaType": "application/vnd.oci.empty.v1+json", "digest": empty_digest, "size": 2 },
            "layers": [{
                "mediaType": "application/vnd.org.margo.component.compose.tar+gzip",
                "digest": layer_digest,
                "size": layer.len(),
                "annotations": { "org.margo.component.type": "compose", "org.margo.component.version": version },
            }],
        });
        let base = format!("http://{}/v2/{}", self.registry, self.repository(component));
        for (digest, blob) in [(layer_digest, layer), (empty_digest, b"{}".to_vec())] {
            let begun = plant.http().post(format!("{base}/blobs/uploads/")).send().await.unwrap();
            let place = begun.headers()["location"].to_str().unwrap().to_owned();
            let put = plant.http().put(format!("{place}&digest={digest}")).body(blob).send().await.unwrap();
            assert!(put.status().is_success(), "{}", put.text().await.unwrap());
        }
        let put = plant
            .http()
            .put(format!("{base}/manifests/{version}"))
            .header("content-type", "application/vnd.oci.image.manifest.v1+json")
            .body(manifest.to_string());
        let put = put.send().await.unwrap();
        assert!(put.status().is_success(), "{}", put.text().await.unwrap());
    }

    fn repository(&self, component: &str) -> String {
        format!("{}/{component}", self.test)
    }

    /// Pushes version `version` of an application with one component, and uploads its description.
    pub(crate) async fn publish(
        &self,
        plant: &Plant,
        name: &str,
        version: &str,
        timeout: &str,
        compose: &str,
    ) -> Application {
        self.push(plant, name, version, compose).await;
        let repository = format!("{}/{}", self.registry, self.repository(name));
        self.describe(plant, name, version, timeout, &repository).await
    }

    /// Uploads the description of an application whose one component is in this repository.
    pub(crate) async fn describe(
        &self,
        plant: &Plant,
        name: &str,
        version: &str,
        timeout: &str,
        repository: &str,
    ) -> Application {
        let description = format!(
            "apiVersion: v1
id: {name}
metadata:
  name: {name}
  version: {version}
  catalog:
    organization: [{{ name: Example, site: 'https://example.com' }}]
deploymentProfiles:
  - type: compose
    id: {name}-compose
    components:
      - name: {name}
        properties:
          repository: oci://{repository}
          revision: {version}
          timeout: {timeout}
parameters:
  mode: {{ value: eco, targets: [{{ pointer: MODE, components: [{name}] }}] }}
configuration:
  sections:
    - name: All
      settings: [{{ parameter: mode, name: Mode, schema: text }}]
  schema:
    - {{ name: text, dataType: string }}
"
        );
        plant.operator().upload(description.into_bytes()).await.unwrap()
    }

    /// A device that runs Compose deployments on this engine.
    pub(crate) async fn device(&self, plant: &Plant) -> Device {
        self.device_at(plant, &self.host, "").await
    }

    /// As [`device`](Self::device), with its engine at `host`, and with `more` in its configuration.
    pub(crate) async fn device_at(&self, plant: &Plant, host: &str, more: &str) -> Device {
        let device = Device::onboard(plant, "line-3", SpecVersion::V1_0_0Rc3, Source::Rest, "").await;
        let configuration = device.read_configuration().replace("kind = \"folder\"", "kind = \"engine\"")
            + &format!(
                "[runtime.packages.registries.\"{}\"]\nplain-http = true\n\
                 [runtime.packages.registries.\"{}\"]\nplain-http = true\n{more}\n\
                 [runtime.compose]\nhost = \"{host}\"\nowner = \"{}\"\nhost-network = true\nkeep-images = true\n",
                self.registry, self.closed_registry, self.test
            );
        device.configure(&configuration);
        device
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        let filter = format!("label=org.margo.owner={}", self.test);
        let (ids, _) = self.docker(&["ps", "--all", "--quiet", "--filter", &filter]);
        for id in ids.split_whitespace() {
            self.docker(&["rm", "--force", id]);
        }
    }
}

pub(crate) async fn update(plant: &Plant, id: &str, application: &Application) {
    let selection = Selection::ids(vec![id.to_owned()]);
    plant.operator().update(&selection, &application.version, &object(json!({}))).await.unwrap();
}

pub(crate) async fn deploy(plant: &Plant, application: &Application) -> String {
    plant.deploy(application, "compose", json!({}), &["line-3"]).await.remove(0)
}

pub(crate) fn code(deployment: &Deployment) -> &str {
    let of_component = deployment.components.iter().find_map(|component| component.error.as_ref());
    of_component.or(deployment.error.as_ref()).map_or("", |error| error.code.as_str())
}

pub(crate) fn message(deployment: &Deployment) -> String {
    let of_component = deployment.components.iter().find_map(|component| component.error.as_ref());
    of_component.or(deployment.error.as_ref()).map(|error| error.message.clone()).unwrap_or_default()
}

/// Two applications are installed, updated, reconfigured, healed and removed.
#[tokio::test]
async fn applications_live_and_go() {
    let Some(engine) = Engine::find("live") else { return };
    let plant = Plant::start().await;
    let mut device = engine.device(&plant).await;
    device.start();

    let collector = engine.publish(&plant, "collector", "1.0.0", "1m0s", STEADY).await;
    let viewer = engine.publish(&plant, "viewer", "1.0.0", "1m0s", STEADY).await;
    let (first, second) = (deploy(&plant, &collector).await, deploy(&plant, &viewer).await);
    plant.until_converged(&first).await;
    plant.until_converged(&second).await;
    let installed = engine.containers();
    assert!(installed.len() == 2 && installed.values().all(|it| it.contains(" running ")), "{installed:?}");

    let newer = engine.publish(&plant, "collector", "2.0.0", "1m0s", &STEADY.replace("box:1", "box:2")).await;
    update(&plant, &first, &newer).await;
    plant.until_converged(&first).await;
    let updated = engine.containers();
    assert!(updated["collector"].contains("box:2 running"), "{updated:?}");
    assert_eq!(updated["viewer"], installed["viewer"]);

    plant.reconfigure(&second, json!({ "mode": "it's \"full\"" })).await;
    plant.until_converged(&second).await;
    let reconfigured = engine.containers();
    assert!(reconfigured["viewer"].contains("MODE=it's \"full\""), "{reconfigured:?}");
    assert_eq!(reconfigured["collector"], updated["collector"]);

    // Somebody's hand.
    let reports = plant.history(&first).await.len();
    engine.docker(&["rm", "--force", &engine.id("collector")]);
    until("it runs again", async || {
        engine.containers().get("collector").filter(|it| it.contains(" running ")).map(drop)
    })
    .await;
    until("that is told", async || {
        (states(&plant.history(&first).await)[reports..].last() == Some(&"installed")).then_some(())
    })
    .await;

    // A start finds everything in place.
    device.kill();
    let before = engine.containers();
    device.start();
    plant.until_polled(&device, 3).await;
    assert_eq!(engine.containers(), before);

    plant.delete(&first).await;
    assert_eq!(plant.until_converged(&first).await.state, "removed");
    until("its container is gone", async || (!engine.containers().contains_key("collector")).then_some(()))
        .await;
    assert_eq!(engine.containers()["viewer"], before["viewer"]);
    device.terminate().await;
}

/// A bad update is told with its reason, and the version before runs on.
#[tokio::test]
async fn a_bad_update_is_told_and_undone() {
    let Some(engine) = Engine::find("bad") else { return };
    let plant = Plant::start().await;
    let mut device = engine.device(&plant).await;
    device.start();
    let good = engine.publish(&plant, "collector", "1.0.0", "1m0s", STEADY).await;
    let id = deploy(&plant, &good).await;
    plant.until_converged(&id).await;

    let sick = |check: &str| format!("{STEADY}    healthcheck: {{ {check} }}\n");
    let bad = [
        ("2.0.0", "1m0s", STEADY.replace("box:1", "box:none"), "image-not-found", "box:none"),
        (
            "3.0.0",
            "1m0s",
            sick("test: ['CMD-SHELL', 'echo no pressure; exit 1'], interval: 200ms, retries: 2"),
            "unhealthy",
            "no pressure",
        ),
        (
            "4.0.0",
            "1m0s",
            STEADY.replace("[sleep, '100000']", "[sh, -c, 'echo no license; exit 3']"),
            "container-exited",
            "no license",
        ),
        (
            "5.0.0",
            "0m4s",
            sick("test: ['CMD', 'sleep', '100'], interval: 1s, timeout: 100s"),
            "timeout",
            "previous version runs again",
        ),
    ];
    for (version, timeout, compose, expected, says) in bad {
        let application = engine.publish(&plant, "collector", version, timeout, &compose).await;
        update(&plant, &id, &application).await;
        let failed = plant
            .until(&id, "it has failed", |deployment| {
                deployment.state == "failed" && code(deployment) == expected
            })
            .await;
        assert!(message(&failed).contains(says), "{}", message(&failed));
        until("the version before runs", async || {
            engine.containers().get("collector").filter(|it| it.contains("box:1 running")).map(drop)
        })
        .await;
        let better = format!("{}.1.0", &version[..1]);
        let better = engine.publish(&plant, "collector", &better, "1m0s", STEADY).await;
        update(&plant, &id, &better).await;
        plant.until_converged(&id).await;
    }
}

/// A container that ends whenever it starts is reported as failed with what it wrote, and left alone.
#[tokio::test]
async fn a_crash_loop_is_told_once() {
    let Some(engine) = Engine::find("loop") else { return };
    let plant = Plant::start().await;
    let mut device = engine.device(&plant).await;
    device.start();
    let looping = STEADY.replace("[sleep, '100000']", "[sh, -c, 'sleep 1; echo out of paper; exit 1']")
        + "    restart: always\n";
    let application = engine.publish(&plant, "printer", "1.0.0", "1m0s", &looping).await;
    let id = deploy(&plant, &application).await;
    let failed = plant.until(&id, "it has failed", |deployment| code(deployment) == "crash-loop").await;
    assert!(message(&failed).contains("out of paper"), "{}", message(&failed));
    let reports = plant.history(&id).await.len();
    plant.until_polled(&device, 5).await;
    assert!(engine.containers()["printer"].contains(" exited "), "{:?}", engine.containers());
    assert_eq!(plant.history(&id).await.len(), reports);
}

/// R-B-029, R-B-032: whatever moment the device loses power in, the next start finishes what was begun.
#[tokio::test]
async fn power_may_fail_at_any_moment() {
    let Some(engine) = Engine::find("power") else { return };
    let plant = Plant::start().await;
    let mut device = engine.device(&plant).await;
    device.start();
    let first = engine.publish(&plant, "collector", "1.0.0", "1m0s", STEADY).await;
    let second =
        engine.publish(&plant, "collector", "2.0.0", "1m0s", &STEADY.replace("box:1", "box:2")).await;
    for moment in [150, 500, 900, 1300, 1800] {
        let moment = Duration::from_millis(moment);
        let id = deploy(&plant, &first).await;
        tokio::time::sleep(moment).await;
        device.kill();
        device.start();
        plant.until_converged(&id).await;
        assert!(engine.containers()["collector"].contains("box:1 running"), "{:?}", engine.containers());

        update(&plant, &id, &second).await;
        tokio::time::sleep(moment).await;
        device.kill();
        device.start();
        plant.until_converged(&id).await;
        assert!(engine.containers()["collector"].contains("box:2 running"), "{:?}", engine.containers());

        plant.delete(&id).await;
        tokio::time::sleep(moment).await;
        device.kill();
        device.start();
        plant.until_converged(&id).await;
        until("nothing is left", async || engine.containers().is_empty().then_some(())).await;
        let folder = plant.folder().join("line-3/workloads/compose").join(&id);
        let files = Command::new("find").arg(&folder).output().unwrap();
        assert!(!folder.exists(), "{moment:?}: {}", String::from_utf8_lossy(&files.stdout));
    }
}

/// A deployment of a type that nothing on the device runs is refused (R-D-031).
#[tokio::test]
async fn a_type_without_a_runtime_is_refused() {
    let Some(engine) = Engine::find("type") else { return };
    let plant = Plant::start().await;
    let mut device = engine.device(&plant).await;
    device.start();
    let id = plant.deploy_pumps("line-3").await;
    let failed = plant.until(&id, "it has failed", |deployment| deployment.state == "failed").await;
    assert_eq!(code(&failed), "unsupported-deployment-type");
    assert!(
        message(&failed).contains("`helm`") && message(&failed).contains("compose"),
        "{}",
        message(&failed)
    );
}
