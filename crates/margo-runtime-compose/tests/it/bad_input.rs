use margo_api::WorkloadRuntime as _;
use margo_runtime_compose::{ComposeOptions, ComposeRuntime, EngineAccess, Tool, ToolKind};

use crate::world::{STEADY, World, deployment, install};

/// Each of these is refused before the version that runs is touched, with a code and a message that says why.
#[tokio::test]
async fn a_bad_version_does_not_touch_what_runs() {
    let Some(world) = World::new("bad") else { return };
    world.package("1.0.0", STEADY);
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    let before = world.containers();
    let bad = [
        (STEADY.replace("box:1", "box:none"), "image-not-found", "box:none"),
        (STEADY.replace("box:1", "box:foreign"), "wrong-architecture", "linux/s390x"),
        (STEADY.replace("REGISTRY/box:1", "127.0.0.1:1/box:1"), "registry-unreachable", "127.0.0.1:1"),
        (STEADY.replace("REGISTRY", &world.closed_registry), "registry-denied", "cannot be pulled"),
        (STEADY.to_owned() + "    privileged: true\n", "compose-refused", "line 7, column 17"),
        (
            STEADY.to_owned() + "    volumes: ['${ROOT}:/host']\n",
            "compose-refused",
            "`/` is outside the package",
        ),
        (STEADY.to_owned() + "    ports: [80\n", "compose-invalid", "line "),
        (STEADY.to_owned() + "    command: {}\n", "compose-invalid", "command"),
        (STEADY.replace("network_mode: host", "netwrok_mode: host"), "compose-invalid", "netwrok_mode"),
    ];
    for (number, (compose, code, says)) in bad.into_iter().enumerate() {
        let version = format!("2.0.{number}");
        world.package(&version, &compose);
        let document = deployment(&version, &[("ROOT", "/")]);
        for _ in 0..2 {
            let error = runtime.prepare(&document).await.expect_err(&compose);
            assert_eq!(error.code(), code, "{error}\n{compose}");
            assert!(error.message().contains(says), "{error}");
        }
        assert_eq!(world.containers(), before);
    }
    // Nothing is in the way of the next.
    world.package("3.0.0", &STEADY.replace("box:1", "box:2"));
    install(&runtime, &deployment("3.0.0", &[])).await.unwrap();
    assert_ne!(world.containers(), before);
}

/// A parameter can make a file that was fine ask for too much: it is checked with the parameters in it.
#[tokio::test]
async fn a_parameter_opens_no_door() {
    let Some(world) = World::new("door") else { return };
    world.package("1.0.0", &(STEADY.to_owned() + "    volumes: ['${PLACE}:/data']\nvolumes: { data: {} }\n"));
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[("PLACE", "data")])).await.unwrap();
    let before = world.containers();
    let error = install(&runtime, &deployment("1.0.0", &[("PLACE", "/etc")])).await.unwrap_err();
    assert_eq!(error.code(), "compose-refused", "{error}");
    assert_eq!(world.containers(), before);
    install(&runtime, &deployment("1.0.0", &[("PLACE", "data")])).await.unwrap();
    assert_eq!(world.containers(), before);
}

/// R-D-036: what is not healthy is not installed.
#[tokio::test]
async fn a_failing_health_check_is_told() {
    let Some(world) = World::new("health") else { return };
    let check =
        "    healthcheck: { test: ['CMD-SHELL', 'echo no pressure; exit 1'], interval: 200ms, retries: 2 }\n";
    world.package("1.0.0", &(STEADY.to_owned() + check));
    let runtime = world.runtime().await;
    let error = install(&runtime, &deployment("1.0.0", &[])).await.unwrap_err();
    assert_eq!(error.code(), "unhealthy");
    assert!(error.message().contains("no pressure"), "{error}");

    let check = "    healthcheck: { test: ['CMD', 'true'], interval: 200ms }\n";
    world.package("2.0.0", &(STEADY.to_owned() + check));
    install(&runtime, &deployment("2.0.0", &[])).await.unwrap();
    let health = world.docker(&["inspect", "--format", "{{.State.Health.Status}}", &world.id("web")]).0;
    assert_eq!(health, "healthy");
}

#[tokio::test]
async fn a_port_in_use_is_told_by_what_the_program_says() {
    let Some(world) = World::new("port") else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let command = format!("[httpd, -f, -p, '127.0.0.1:{port}']");
    world.package("1.0.0", &STEADY.replace("[sleep, '100000']", &command));
    let error = install(&world.runtime().await, &deployment("1.0.0", &[])).await.unwrap_err();
    assert_eq!(error.code(), "container-exited");
    assert!(error.message().to_lowercase().contains("in use"), "{error}");
}

#[tokio::test]
async fn a_full_disk_is_seen_before_anything_is_pulled() {
    let Some(world) = World::new("disk") else { return };
    world.package("1.0.0", &STEADY.replace("box:1", "box:none"));
    let mut options = World::options();
    options.min_free_bytes = u64::MAX;
    let error = install(&world.runtime_with(options).await, &deployment("1.0.0", &[])).await.unwrap_err();
    assert_eq!(error.code(), "disk-full");
    assert!(error.message().contains("MiB are free"), "{error}");
}

#[tokio::test]
async fn an_engine_that_is_gone_is_no_empty_device() {
    let Some(world) = World::new("gone") else { return };
    world.package("1.0.0", STEADY);
    let mut access = EngineAccess::default();
    access.host = Some(format!("unix://{}", world.folder.path().join("none.sock").display()));
    let tool = Tool::probe(&ToolKind::ALL, access, world.folder.path()).await.unwrap();
    let root = world.folder.path().join("gone");
    let runtime =
        ComposeRuntime::open(root, "gone", world.packages.clone(), tool, ComposeOptions::default()).unwrap();
    for error in [
        runtime.present().await.unwrap_err(),
        runtime.outages().await.unwrap_err(),
        runtime.remove(&"pump-1".parse().unwrap(), &"web".parse().unwrap()).await.unwrap_err(),
    ] {
        assert_eq!(error.code(), "engine-unavailable", "{error}");
    }
}
