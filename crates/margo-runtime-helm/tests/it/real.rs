//! What Helm does for the runtime. Needs `cargo xtask helm`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use margo_api::{RuntimeError, WorkloadRuntime as _};
use margo_core::Document;
use margo_deployment::ApplicationDeployment;
use margo_oci::{Fetcher, Options};
use margo_runtime_helm::{ChartRules, HelmOptions, HelmRuntime};
use margo_syntax::Limits;
use serde_json::json;
use tempfile::TempDir;

use crate::cluster::Cluster;
use crate::registry::{Registry, chart};
use crate::services::say;

/// Helm, a cluster and a registry. `None`, and said aloud, where there is no Helm; with `MARGO_REQUIRE_HELM` or
/// `MARGO_REQUIRE_ENGINE` that fails.
struct Plant {
    folder: TempDir,
    cluster: Cluster,
    registry: Registry,
    program: PathBuf,
}

fn helm() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"), PathBuf::from);
    let program =
        std::env::var_os("MARGO_HELM").map_or_else(|| target.join("tools/helm/helm"), PathBuf::from);
    if program.exists() {
        return Some(program);
    }
    let is_required =
        ["MARGO_REQUIRE_HELM", "MARGO_REQUIRE_ENGINE"].map(std::env::var_os).iter().any(Option::is_some);
    assert!(!is_required, "no Helm at `{}`; `cargo xtask helm` fetches one", program.display());
    say(&format!("SKIPPED: no Helm at `{}`; `cargo xtask helm` fetches one", program.display()));
    None
}

impl Plant {
    async fn start() -> Option<Self> {
        let program = helm()?;
        let folder = tempfile::tempdir().unwrap();
        let cluster = Cluster::start(&folder.path().join("kubeconfig")).await;
        Some(Self { cluster, registry: Registry::start().await, folder, program })
    }

    fn options(&self) -> HelmOptions {
        HelmOptions::new(self.folder.path().join("helm"))
            .with_program(&self.program)
            .with_kubeconfig(self.folder.path().join("kubeconfig"))
            .with_limit(Duration::from_secs(20))
    }

    fn runtime_with(&self, options: HelmOptions) -> HelmRuntime {
        let plain = margo_oci::Registry::new().with_plain_http();
        let registries = Options::new().with_registry(self.registry.host(), plain).with_attempts(1);
        let fetcher = Fetcher::new(self.folder.path().join("packages"), registries).unwrap();
        HelmRuntime::new(fetcher, options).unwrap()
    }

    fn runtime(&self) -> HelmRuntime {
        self.runtime_with(self.options())
    }

    /// One component, `collector`, of deployment `pump-1`.
    fn deployment(&self, version: &str, mode: &str, fail: &str) -> Document<ApplicationDeployment> {
        self.deployment_in("plant", version, mode, fail, "wait: true")
    }

    fn deployment_in(
        &self,
        namespace: &str,
        version: &str,
        mode: &str,
        fail: &str,
        more: &str,
    ) -> Document<ApplicationDeployment> {
        let text = format!(
            "
id: pump-1
metadata: {{ name: pump, namespace: {namespace}, deviceId: plc-7 }}
spec:
  applicationId: pump
  deploymentProfile:
    type: helm
    components:
      - name: collector
        properties: {{ repository: 'oci://{host}/charts/pump', revision: {version}, {more} }}
  parameters:
    mode: {{ value: '{mode}', targets: [{{ pointer: mode, components: [collector] }}] }}
    fail: {{ value: '{fail}', targets: [{{ pointer: fail, components: [collector] }}] }}
    port: {{ value: 8080, targets: [{{ pointer: 'servers[1].port', components: [collector] }}] }}
    role: {{ value: main, targets: [{{ pointer: 'labels.plant\\.example/role', components: [collector] }}] }}
",
            host = self.registry.host()
        );
        ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap()
    }

    async fn apply(
        &self,
        runtime: &HelmRuntime,
        deployment: &Document<ApplicationDeployment>,
    ) -> Result<(), RuntimeError> {
        runtime.apply(deployment, &deployment.spec.deployment_profile.components[0]).await
    }

    fn data(&self) -> serde_json::Value {
        self.cluster.config_map("plant", "pump-1-collector").unwrap_or_default()
    }

    fn state(&self) -> String {
        let output = Command::new(&self.program)
            .args(["list", "--all-namespaces", "--pending", "--failed", "--deployed", "--output", "json"])
            .env("KUBECONFIG", self.folder.path().join("kubeconfig"))
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    }
}

/// R-A-035, R-A-042: pointers, lists and escaped dots reach the chart.
#[tokio::test(flavor = "multi_thread")]
async fn a_component_is_installed_changed_and_removed() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    plant.registry.push("1.1.0", chart("1.1.0", &[]));
    let runtime = plant.runtime();
    let deployment = plant.deployment("1.0.0", "eco", "no");
    runtime.prepare(&deployment).await.unwrap();
    assert!(plant.cluster.config_maps().is_empty());
    plant.apply(&runtime, &deployment).await.unwrap();
    assert_eq!(
        plant.data(),
        json!({"version": "1.0.0", "mode": "eco", "second": "8080", "role": "main", "fail": "no"})
    );
    let (id, component) =
        (deployment.id.clone(), deployment.spec.deployment_profile.components[0].name.clone());
    let present = runtime.present().await.unwrap();
    assert!(present[&id].contains(&component));
    assert!(runtime.outages().await.unwrap().is_empty());

    plant.apply(&runtime, &plant.deployment("1.1.0", "full", "no")).await.unwrap();
    assert_eq!((&plant.data()["version"], &plant.data()["mode"]), (&json!("1.1.0"), &json!("full")));

    runtime.remove(&id, &component).await.unwrap();
    assert!(runtime.present().await.unwrap().is_empty());
    assert!(plant.cluster.config_maps().is_empty());
    // Once more is no failure.
    runtime.remove(&id, &component).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_right_is_left_alone_also_by_the_next_process() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let deployment = plant.deployment("1.0.0", "eco", "no");
    plant.apply(&plant.runtime(), &deployment).await.unwrap();
    plant.cluster.writes();
    let next = plant.runtime();
    assert_eq!(next.present().await.unwrap().len(), 1);
    plant.apply(&next, &deployment).await.unwrap();
    assert_eq!(plant.cluster.writes(), 0);
    // A parameter that changes is a change.
    plant.apply(&next, &plant.deployment("1.0.0", "full", "no")).await.unwrap();
    assert!(plant.cluster.writes() > 0);
}

/// What fails leaves what ran before, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_failed_update_brings_the_previous_version_back() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let runtime = plant.runtime();
    plant.apply(&runtime, &plant.deployment("1.0.0", "eco", "no")).await.unwrap();
    // Helm undoes what it waits for; the rest is left to the runtime.
    for wait in ["wait: true", "wait: false"] {
        let broken = plant.deployment_in("plant", "1.0.0", "full", "yes", wait);
        let error = plant.apply(&runtime, &broken).await.unwrap_err();
        assert!(error.message().contains("not wanted"), "{error}");
        assert_eq!(plant.data()["mode"], "eco");
        assert!(plant.state().contains("\"deployed\""), "{}", plant.state());
    }
    plant.apply(&runtime, &plant.deployment("1.0.0", "eco", "no")).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_installation_leaves_nothing_behind() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let runtime = plant.runtime();
    plant.apply(&runtime, &plant.deployment("1.0.0", "eco", "yes")).await.unwrap_err();
    assert!(runtime.present().await.unwrap().is_empty(), "{}", plant.state());
    plant.apply(&runtime, &plant.deployment("1.0.0", "eco", "no")).await.unwrap();
}

/// The process ends in the middle of an installation, and of an update.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_interrupted_is_undone_and_done_again() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let (first, second) = (plant.deployment("1.0.0", "eco", "no"), plant.deployment("1.0.0", "full", "no"));
    for (deployment, other) in [(&first, "pending-install"), (&second, "pending-upgrade")] {
        plant.cluster.stall(true);
        let interrupted = async {
            while !plant.state().contains(other) {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let runtime = plant.runtime();
        tokio::select! {
            result = plant.apply(&runtime, deployment) => panic!("{result:?}"),
            () = interrupted => {}
        }
        plant.cluster.stall(false);
        drop(runtime);
        let next = plant.runtime();
        let component = &deployment.spec.deployment_profile.components[0].name;
        if other == "pending-upgrade" {
            assert!(!next.outages().await.unwrap().is_empty());
            assert!(next.restore(&deployment.id, component).await.unwrap());
            assert_eq!(plant.data()["mode"], "eco");
            assert!(next.outages().await.unwrap().is_empty());
        }
        plant.apply(&next, deployment).await.unwrap();
    }
    assert_eq!(plant.data()["mode"], "full");

    plant.cluster.stall(true);
    let component = &second.spec.deployment_profile.components[0].name;
    let runtime = plant.runtime();
    let interrupted = async {
        while plant.state().contains("\"deployed\"") {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        result = runtime.remove(&second.id, component) => panic!("{result:?}"),
        () = interrupted => {}
    }
    plant.cluster.stall(false);
    drop(runtime);
    let next = plant.runtime();
    assert!(next.present().await.unwrap()[&second.id].contains(component));
    next.remove(&second.id, component).await.unwrap();
    assert!(next.present().await.unwrap().is_empty() && plant.cluster.config_maps().is_empty());
}

/// After SIGKILL the Helm that this process had started goes on.
#[tokio::test(flavor = "multi_thread")]
async fn a_helm_of_an_earlier_process_is_waited_for() {
    let Some(plant) = Plant::start().await else { return };
    let runtime = plant.runtime();
    let lock = std::fs::File::create(plant.folder.path().join("helm/lock")).unwrap();
    lock.lock().unwrap();
    let mut left = Command::new("sleep").arg("1").stdin(lock).spawn().unwrap();
    assert!(runtime.present().await.unwrap().is_empty());
    assert!(left.try_wait().unwrap().is_some());
}

/// Somebody uninstalls a release: it is looked at now and then, missed, and can be brought back.
#[tokio::test(flavor = "multi_thread")]
async fn what_disappears_is_missed_and_comes_back() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let runtime = plant.runtime_with(plant.options().with_poll(Duration::from_millis(100)));
    let deployment = plant.deployment("1.0.0", "eco", "no");
    plant.apply(&runtime, &deployment).await.unwrap();
    let output = Command::new(&plant.program)
        .args(["uninstall", "pump-1-collector", "--namespace", "plant"])
        .env("KUBECONFIG", plant.folder.path().join("kubeconfig"))
        .env("HOME", plant.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    runtime.changed().await;
    assert!(runtime.present().await.unwrap().is_empty());
    plant.apply(&runtime, &deployment).await.unwrap();
    assert_eq!(plant.data()["mode"], "eco");
}

/// R-A-037, R-A-038: a component that is waited for, in a cluster that does not come to an end.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_too_long_has_failed_and_leaves_nothing() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let runtime = plant.runtime_with(plant.options().with_limit(Duration::from_secs(2)));
    let deployment = plant.deployment("1.0.0", "eco", "no");
    plant.cluster.stall(true);
    let error = plant.apply(&runtime, &deployment).await.unwrap_err();
    assert_eq!(error.code(), "timed-out", "{error}");
    plant.cluster.stall(false);
    assert!(plant.cluster.config_maps().is_empty());
    plant.apply(&runtime, &deployment).await.unwrap();
    assert_eq!(plant.data()["mode"], "eco");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_that_changes_takes_the_release_along() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let runtime = plant.runtime();
    plant.apply(&runtime, &plant.deployment("1.0.0", "eco", "no")).await.unwrap();
    let moved = plant.deployment_in("hall", "1.0.0", "eco", "no", "wait: false");
    plant.apply(&runtime, &moved).await.unwrap();
    assert_eq!(plant.cluster.config_map("plant", "pump-1-collector"), None);
    assert!(plant.cluster.config_map("hall", "pump-1-collector").is_some());
    let wrong = plant.deployment_in("Hall 3", "1.0.0", "eco", "no", "wait: true");
    assert_eq!(plant.apply(&runtime, &wrong).await.unwrap_err().code(), "invalid-namespace");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_release_of_somebody_else_is_not_taken_over() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let file = plant.folder.path().join("own.tgz");
    std::fs::write(&file, chart("1.0.0", &[])).unwrap();
    let values = plant.folder.path().join("own.yaml");
    std::fs::write(&values, "{mode: own, servers: [{}, {port: 1}], labels: {plant.example/role: x}}")
        .unwrap();
    let output = Command::new(&plant.program)
        .args(["install", "pump-1-collector", "--create-namespace", "--namespace", "plant", "--values"])
        .args([&values, &file])
        .env("KUBECONFIG", plant.folder.path().join("kubeconfig"))
        .env("HOME", plant.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let runtime = plant.runtime();
    let error = plant.apply(&runtime, &plant.deployment("1.0.0", "eco", "no")).await.unwrap_err();
    assert_eq!(error.code(), "resource-taken");
    assert!(runtime.present().await.unwrap().is_empty());
    assert_eq!(plant.data()["mode"], "own");
}

/// R-C-014: refused before anything happens, unless this was allowed.
#[tokio::test(flavor = "multi_thread")]
async fn charts_that_rely_on_more_are_refused() {
    let Some(plant) = Plant::start().await else { return };
    let hook = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: hook\n  annotations: { helm.sh/hook: pre-install }\n";
    plant.registry.push("1.0.0", chart("1.0.0", &[("pump/templates/hook.yaml", hook)]));
    let deployment = plant.deployment("1.0.0", "eco", "no");
    let runtime = plant.runtime();
    let error = runtime.prepare(&deployment).await.unwrap_err();
    assert_eq!(error.code(), "chart-not-portable");
    assert!(error.message().contains("`templates/hook.yaml` of chart `pump` has a hook"), "{error}");
    assert_eq!(plant.cluster.writes(), 0);
    // No template spells it out, and Helm makes it.
    for (version, template, reason) in [
        (
            "1.1.0",
            "apiVersion: v1\nkind: {{ print \"CustomResource\" \"Definition\" }}\n",
            "custom resources",
        ),
        (
            "1.2.0",
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: x\n  annotations: { {{ print \"helm.sh\" \"/hook\" }}: post-install }\n",
            "a hook",
        ),
    ] {
        plant.registry.push(version, chart(version, &[("pump/templates/late.yaml", template)]));
        let error = runtime.prepare(&plant.deployment(version, "eco", "no")).await.unwrap_err();
        assert_eq!(error.code(), "chart-not-portable");
        assert!(
            error.message().contains("`templates/late.yaml`") && error.message().contains(reason),
            "{error}"
        );
    }

    drop(runtime);
    let old = plant.runtime_with(plant.options().with_rules(ChartRules::Any));
    plant.apply(&old, &deployment).await.unwrap();
    assert!(plant.cluster.config_map("plant", "hook").is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_is_found_before_anything_is_touched() {
    let Some(plant) = Plant::start().await else { return };
    let schema = r#"{"properties": {"mode": {"enum": ["eco", "full"]}}}"#;
    plant.registry.push("1.0.0", chart("1.0.0", &[("pump/values.schema.json", schema)]));
    plant.registry.push("1.0.1", chart("1.0.2", &[]));
    plant.registry.push("1.0.3", chart("1.0.3", &[("pump/templates/x.yaml", "{{ .Values.a.b.c }}")]));
    plant.registry.push("1.0.4", b"no chart".to_vec());
    let runtime = plant.runtime();
    let code = async |version: &str, mode: &str| {
        runtime.prepare(&plant.deployment(version, mode, "no")).await.unwrap_err().code().to_owned()
    };
    assert_eq!(code("1.0.0", "fast").await, "invalid-parameter");
    assert_eq!(code("1.0.1", "eco").await, "invalid-chart");
    assert_eq!(code("1.0.3", "eco").await, "helm");
    assert_eq!(code("1.0.4", "eco").await, "bad-archive");
    assert_eq!(code("9.9.9", "eco").await, "package-not-found");
    assert_eq!(plant.cluster.writes(), 0);
}

/// No Helm 3 is to be had for the tests: this one is a Helm 4 that says it is a 3, and has its flags.
#[tokio::test(flavor = "multi_thread")]
async fn helm_3_is_asked_in_its_own_words() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let three = plant.folder.path().join("helm3");
    let script = format!(
        "#!/bin/sh\ncase \"$1\" in version) echo v3.18.4; exit;; esac\n\
         for argument; do shift; case $argument in\n\
         --atomic) set -- \"$@\" --rollback-on-failure;;\n\
         --rollback-on-failure|--wait=*) echo 'Error: unknown flag' >&2; exit 1;;\n\
         *) set -- \"$@\" \"$argument\";;\nesac; done\nexec {} \"$@\"\n",
        plant.program.display()
    );
    std::fs::write(&three, script).unwrap();
    std::fs::set_permissions(&three, std::fs::Permissions::from_mode(0o755)).unwrap();
    let runtime = plant.runtime_with(plant.options().with_program(&three));
    plant.apply(&runtime, &plant.deployment("1.0.0", "eco", "no")).await.unwrap();
    plant.apply(&runtime, &plant.deployment("1.0.0", "full", "yes")).await.unwrap_err();
    assert_eq!(plant.data()["mode"], "eco");
    assert_eq!(runtime.present().await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn values_stand_in_a_file_of_their_owner_and_nowhere_else() {
    use std::os::unix::fs::PermissionsExt as _;
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    // Stands in for Helm, and writes down what it was given.
    let spy = plant.folder.path().join("spy");
    let script = format!(
        "#!/bin/sh\nfor argument; do case $argument in */values-*) stat -c 'mode %a' \"$argument\" >> {log};; esac; done\n\
         echo \"$@\" >> {log}\nenv >> {log}\nreadlink /proc/self/fd/0 >> {log}\nexec {helm} \"$@\"\n",
        log = plant.folder.path().join("log").display(),
        helm = plant.program.display()
    );
    std::fs::write(&spy, script).unwrap();
    std::fs::set_permissions(&spy, std::fs::Permissions::from_mode(0o755)).unwrap();
    let runtime = plant.runtime_with(plant.options().with_program(&spy));
    plant.apply(&runtime, &plant.deployment("1.0.0", "geheim", "no")).await.unwrap();
    let log = std::fs::read_to_string(plant.folder.path().join("log")).unwrap();
    assert!(log.contains("mode 600") && !log.contains("geheim"), "{log}");
    // A Helm that outlives this process keeps the next one waiting.
    assert!(log.lines().any(|line| line.ends_with("/helm/lock")), "{log}");
    // Of this process's environment only the path goes through.
    assert!(!log.contains("CARGO_") && log.contains("PATH="), "{log}");
    let left = std::fs::read_dir(plant.folder.path().join("helm/values")).unwrap().count();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_is_away_and_a_helm_that_is_missing_are_told_apart() {
    let Some(plant) = Plant::start().await else { return };
    plant.registry.push("1.0.0", chart("1.0.0", &[]));
    let away = plant.folder.path().join("away");
    let text = std::fs::read_to_string(plant.folder.path().join("kubeconfig")).unwrap();
    let port = text.split("127.0.0.1:").nth(1).unwrap().split('"').next().unwrap();
    std::fs::write(&away, text.replace(port, "1")).unwrap();
    let deployment = plant.deployment("1.0.0", "eco", "no");
    let runtime = plant.runtime_with(plant.options().with_kubeconfig(&away));
    // Without the cluster a chart can still be looked at.
    runtime.prepare(&deployment).await.unwrap();
    assert_eq!(plant.apply(&runtime, &deployment).await.unwrap_err().code(), "cluster-unreachable");
    drop(runtime);
    let runtime = plant.runtime_with(plant.options().with_program("/nonexistent/helm"));
    assert_eq!(runtime.present().await.unwrap_err().code(), "helm-missing");
    drop(runtime);
    let runtime = plant.runtime_with(plant.options().with_program("/bin/true"));
    assert_eq!(runtime.present().await.unwrap_err().code(), "helm-unsupported");
}

/// What `helm push` puts into Debian's registry is what is fetched. Needs `cargo xtask engine up`.
#[tokio::test(flavor = "multi_thread")]
async fn a_chart_that_helm_pushed_is_fetched() {
    let Some(plant) = Plant::start().await else { return };
    let Some(services) = crate::services::services() else { return };
    let host = services["MARGO_REGISTRY"].as_str();
    let file = plant.folder.path().join("pump-2.0.0+1.tgz");
    std::fs::write(&file, chart("2.0.0+1", &[])).unwrap();
    let output = Command::new(&plant.program)
        .args(["push", "--plain-http"])
        .arg(&file)
        .arg(format!("oci://{host}/charts"))
        .env("HOME", plant.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let deployment = plant.deployment("2.0.0_1", "eco", "no");
    let text = std::str::from_utf8(deployment.bytes()).unwrap().replace(plant.registry.host(), host);
    let deployment = ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap();
    let plain = margo_oci::Registry::new().with_plain_http();
    let options = Options::new().with_registry(host, plain).with_attempts(1);
    let fetcher = Fetcher::new(plant.folder.path().join("other"), options).unwrap();
    let runtime = HelmRuntime::new(fetcher, plant.options()).unwrap();
    plant.apply(&runtime, &deployment).await.unwrap();
    assert_eq!(plant.data()["version"], "2.0.0+1");
}

/// R-A-037, R-A-038. A cluster of the reader's own, and a registry that it need not reach: `docs/shipping/helm-on-your-cluster.sh`. What a
/// pod does is seen only here.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_real_cluster() {
    let (Some(kubeconfig), Some(program)) = (std::env::var_os("MARGO_CLUSTER"), helm()) else {
        return say("SKIPPED: no cluster; `docs/shipping/helm-on-your-cluster.sh` runs this against yours");
    };
    let host = std::env::var("MARGO_REGISTRY").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pod = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: pump }\nspec:\n  \
               selector: { matchLabels: { app: pump } }\n  template:\n    metadata: { labels: { app: pump } }\n    \
               spec: { containers: [{ name: pump, image: 'image.invalid/none:1' }] }\n";
    for (version, more) in [("1.0.0", None), ("2.0.0", Some(("pump/templates/pod.yaml", pod)))] {
        let file = folder.path().join(format!("pump-{version}.tgz"));
        std::fs::write(&file, chart(version, more.as_slice())).unwrap();
        let mut push = Command::new(&program);
        push.args(["push", "--plain-http"]).arg(&file).arg(format!("oci://{host}/charts"));
        assert!(push.env("HOME", folder.path()).status().unwrap().success());
    }
    let plain = margo_oci::Registry::new().with_plain_http();
    let fetcher =
        Fetcher::new(folder.path().join("packages"), Options::new().with_registry(&host, plain)).unwrap();
    let options =
        HelmOptions::new(folder.path().join("helm")).with_program(&program).with_kubeconfig(kubeconfig);
    let runtime = HelmRuntime::new(fetcher, options).unwrap();
    let deployment = |version: &str| {
        let text = format!(
            "
id: margo-cluster-test
metadata: {{ name: pump, namespace: margo-test, deviceId: plc-7 }}
spec:
  applicationId: pump
  deploymentProfile:
    type: helm
    components:
      - name: collector
        properties: {{ repository: 'oci://{host}/charts/pump', revision: {version}, timeout: 0m50s }}
  parameters:
    port: {{ value: 8080, targets: [{{ pointer: 'servers[1].port', components: [collector] }}] }}
    role: {{ value: main, targets: [{{ pointer: 'labels.plant\\.example/role', components: [collector] }}] }}
"
        );
        ApplicationDeployment::decode(text.into(), &Limits::default()).unwrap()
    };
    let (good, bad) = (deployment("1.0.0"), deployment("2.0.0"));
    let component = &good.spec.deployment_profile.components[0];
    runtime.apply(&good, component).await.unwrap();
    let error = runtime.apply(&bad, &bad.spec.deployment_profile.components[0]).await.unwrap_err();
    assert!(error.message().contains("rolled back"), "{error}");
    assert!(runtime.outages().await.unwrap().is_empty());
    // Version 1 is what runs.
    runtime.apply(&good, component).await.unwrap();
    runtime.remove(&good.id, &component.name).await.unwrap();
    assert!(!runtime.present().await.unwrap().contains_key(&good.id));
}
