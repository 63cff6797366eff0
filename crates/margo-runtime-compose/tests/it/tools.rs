//! Every tool there is, through the same life of a component. Needs `cargo xtask engine up`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use margo_api::WorkloadRuntime as _;
use margo_runtime_compose::{ComposeRuntime, EngineAccess, Tool, ToolKind};

use crate::world::{World, apply, deployment, install};

const TWO: &str = "services:
  web:
    image: REGISTRY/box:1
    network_mode: host
    stop_signal: SIGKILL
    environment: { MODE: '${MODE}' }
  db:
    image: REGISTRY/box:1
    network_mode: host
    stop_signal: SIGKILL
    volumes: ['data:/data']
volumes:
  data:
";

/// A tool, and the engine's command line that goes with it.
struct Subject {
    world: World,
    kind: ToolKind,
    access: EngineAccess,
    program: PathBuf,
}

/// Service, and what is known of its container.
type Containers = BTreeMap<String, [String; 4]>;

impl Subject {
    async fn runtime(&self) -> ComposeRuntime {
        let tool = Tool::probe(&[self.kind], self.access.clone(), self.world.folder.path()).await.unwrap();
        assert_eq!(tool.kind(), self.kind);
        tool.engine_info().await.unwrap();
        let mut options = World::options();
        options.remove_volumes = true;
        self.world.runtime_of("compose", tool, options)
    }

    fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(&self.program);
        if let Some(host) = &self.access.host {
            command.env("DOCKER_HOST", host);
        }
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Id, image, whether it runs and the parameter it was given.
    fn containers(&self) -> Containers {
        let filter = format!("label=org.margo.owner={}", self.world.owner);
        let ids = self.run(&["ps", "--all", "--quiet", "--filter", &filter]);
        let of = |id: &str| {
            let format = "{{index .Config.Labels \"com.docker.compose.service\"}}|{{.Id}}|{{.Config.Image}}|\
                          {{.State.Status}}|{{.Config.Env}}";
            let text = self.run(&["inspect", "--format", format, id]);
            let fields: Vec<_> = text.split('|').map(str::to_owned).collect();
            let [service, id, image, status, environment] = fields.try_into().unwrap();
            let mode = environment.split("MODE=").nth(1).unwrap_or_default();
            let mode = mode.split([' ', ']']).next().unwrap_or_default().to_owned();
            (service, [id, image, status, mode])
        };
        ids.split_whitespace().map(of).collect()
    }

    /// Installed, left alone, reconfigured, updated, put back, healed and removed.
    async fn live(&self) {
        let world = &self.world;
        world.package("1.0.0", TWO);
        world.package("2.0.0", &TWO.replacen("box:1", "box:2", 1));
        let broken = "    command: [sh, -c, 'echo no license; exit 3']\n  db:";
        world.package("3.0.0", &TWO.replacen("  db:", broken, 1));
        let first = deployment("1.0.0", &[("MODE", "eco")]);
        let runtime = self.runtime().await;
        install(&runtime, &first).await.unwrap();
        let before = self.containers();
        assert_eq!(before.keys().collect::<Vec<_>>(), ["db", "web"]);
        assert!(before.values().all(|[_, _, status, _]| status == "running"), "{before:?}");
        assert_eq!(before["web"][3], "eco");
        assert!(runtime.outages().await.unwrap().is_empty());

        let runtime = self.runtime().await;
        let (id, name) = (&first.id, &first.spec.deployment_profile.components[0].name);
        assert!(runtime.present().await.unwrap()[id].contains(name));
        install(&runtime, &first).await.unwrap();
        assert_eq!(self.containers(), before, "what is right is left alone");

        install(&runtime, &deployment("1.0.0", &[("MODE", "full")])).await.unwrap();
        let reconfigured = self.containers();
        assert_eq!(reconfigured["web"][3], "full");
        // `podman-compose` knows one answer to every change: everything anew.
        let is_kept = reconfigured["db"] == before["db"];
        assert_eq!(is_kept, self.kind != ToolKind::PodmanCompose, "{reconfigured:?}");

        install(&runtime, &deployment("2.0.0", &[("MODE", "full")])).await.unwrap();
        let updated = self.containers();
        assert!(updated["web"][1].ends_with("box:2") && updated["web"][2] == "running", "{updated:?}");

        let error = install(&runtime, &deployment("3.0.0", &[("MODE", "full")])).await.unwrap_err();
        assert_eq!(error.code(), "container-exited", "{error}");
        assert!(error.message().contains("no license"), "{error}");
        assert!(error.message().ends_with("the previous version runs again"), "{error}");
        let restored = self.containers();
        assert!(restored["web"][1].ends_with("box:2") && restored["web"][2] == "running", "{restored:?}");

        self.run(&["rm", "--force", &restored["web"][0]]);
        let outages = runtime.outages().await.unwrap();
        assert_eq!(outages[id][name].code(), "container-missing");
        apply(&runtime, &deployment("2.0.0", &[("MODE", "full")])).await.unwrap();
        assert!(runtime.outages().await.unwrap().is_empty());
        assert_eq!(self.containers().len(), 2);

        let volume = format!("{}_data", runtime.project(id, name));
        assert!(self.run(&["volume", "ls", "--quiet"]).contains(&volume));
        for _ in 0..2 {
            runtime.remove(id, name).await.unwrap();
            assert!(self.containers().is_empty());
            assert!(!self.run(&["volume", "ls", "--quiet"]).contains(&volume));
        }
        assert!(runtime.present().await.unwrap().is_empty());
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let filter = format!("label=org.margo.owner={}", self.world.owner);
        let list = Command::new(&self.program).args(["ps", "--all", "--quiet", "--filter", &filter]).output();
        let ids = list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        for id in ids.split_whitespace() {
            let _ = Command::new(&self.program).args(["rm", "--force", "--volumes", id]).output();
        }
    }
}

/// Docker's own engine, and a tool of which `access` says where it is.
fn on_docker(name: &str, kind: ToolKind, access: impl Fn(&Path, &mut EngineAccess)) -> Option<Subject> {
    let world = World::new(name)?;
    let folder = Path::new(world.host.strip_prefix("unix://").unwrap()).parent().unwrap().join("compose");
    if !is_there(&folder.join("cli-plugins/docker-compose"), "docker compose") {
        return None;
    }
    let mut engine = EngineAccess::default();
    engine.host = Some(world.host.clone());
    access(&folder, &mut engine);
    Some(Subject { world, kind, access: engine, program: "docker".into() })
}

/// A loud word, or a failure, where it is not.
fn is_there(program: &Path, name: &str) -> bool {
    let is_there = program.exists();
    assert!(
        is_there || std::env::var_os("MARGO_REQUIRE_ENGINE").is_none(),
        "no `{name}` at `{}`; `cargo xtask engine up` puts it there",
        program.display()
    );
    if !is_there {
        crate::services::say(&format!("SKIPPED: no `{name}` at `{}`", program.display()));
    }
    is_there
}

#[tokio::test]
async fn docker_compose_as_a_plugin() {
    let plugin = |folder: &Path, access: &mut EngineAccess| access.config = Some(folder.to_owned());
    let Some(subject) = on_docker("plugin", ToolKind::DockerCompose, plugin) else { return };
    subject.live().await;
}

#[tokio::test]
async fn docker_compose_2_that_stands_alone() {
    let alone = |folder: &Path, access: &mut EngineAccess| {
        let docker = std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()).collect::<Vec<_>>();
        let paths = std::iter::once(folder.join("cli-plugins")).chain(docker);
        access.path = Some(std::env::join_paths(paths).unwrap());
    };
    let Some(subject) = on_docker("alone", ToolKind::DockerComposeStandalone, alone) else { return };
    subject.live().await;
}

#[tokio::test]
async fn podman_compose_on_podman() {
    if std::env::var_os("MARGO_SKIP_PODMAN").is_some_and(|value| value == "1") {
        return crate::services::say("SKIPPED: `MARGO_SKIP_PODMAN=1`");
    }
    let Some(world) = World::new("podman") else { return };
    let folder = Path::new(world.host.strip_prefix("unix://").unwrap()).parent().unwrap().join("podman/bin");
    let program = folder.join("podman");
    if !is_there(&program, "podman") {
        return;
    }
    let mut access = EngineAccess::default();
    access.path = Some(std::env::join_paths([&folder, Path::new("/usr/bin"), Path::new("/bin")]).unwrap());
    let subject = Subject { world, kind: ToolKind::PodmanCompose, access, program };
    subject.live().await;
}
