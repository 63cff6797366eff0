use std::fmt::Write as _;
use std::time::Duration;

use margo_api::WorkloadRuntime as _;
use margo_runtime_compose::{ComposeOptions, ComposeRuntime, EngineAccess, Tool, ToolKind};

use crate::cable::Cable;
use crate::small_disk::SmallDisk;
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
    let mut options = World::options();
    options.min_free_bytes = u64::MAX;
    // Read here, and by Compose.
    for (version, more) in [("1.0.0", ""), ("2.0.0", "    labels: [for=compose]\n")] {
        world.package(version, &(STEADY.replace("box:1", "box:none") + more));
        let error = install(&world.runtime_with(options.clone()).await, &deployment(version, &[])).await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), "disk-full");
        assert!(error.message().contains("MiB are free"), "{error}");
    }
}

/// What the registry says of an image counts three times, and with that of the others.
#[tokio::test]
async fn a_disk_too_small_for_an_image_is_seen_before_it_is_pulled() {
    let Some(world) = World::new("large") else { return };
    let image = world.own_image("large");
    let two = "  db:\n    image: REGISTRY/box:none\n    network_mode: host\n";
    world.package("1.0.0", &STEADY.replace("REGISTRY/box:1", &image));
    world.package("2.0.0", &(STEADY.replace("REGISTRY/box:1", &image) + two));
    let mut options = World::options();
    options.min_free_bytes = 0;
    let runtime = world.runtime_with(options).await;
    let say = |image: &str, size: u64| world.packages.sizes.lock().unwrap().insert(image.to_owned(), size);
    let full = async |version: &str| {
        let error = runtime.prepare(&deployment(version, &[])).await.unwrap_err();
        assert_eq!(error.code(), "disk-full", "{error}");
        error.message().to_owned()
    };
    say(&image, 1 << 50);
    let message = full("1.0.0").await;
    assert!(message.contains("3221225472 MiB should be; 1073741824 MiB would be pulled"), "{message}");
    say(&image, 1 << 10);
    say(&format!("{}/box:none", world.registry), 1 << 50);
    full("2.0.0").await;
    assert!(!world.docker(&["image", "inspect", &image]).1, "nothing was pulled");
    // One that fits is.
    runtime.prepare(&deployment("1.0.0", &[])).await.unwrap();
    assert!(world.docker(&["image", "inspect", &image]).1);
    world.docker(&["image", "rm", &image]);
}

/// The disk of the runtime is full: that is told, what runs is not touched, and with room the next attempt succeeds.
#[tokio::test]
async fn a_disk_that_is_really_full_is_told() {
    let Some(world) = World::new("full") else { return };
    let Some(disk) = SmallDisk::mount(&world.folder.path().join("compose"), 256) else { return };
    world.package("1.0.0", &(STEADY.to_owned() + "    environment: { MODE: '${MODE}' }\n"));
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[("MODE", "eco")])).await.unwrap();
    let before = world.containers();
    let long = "x".repeat(100 << 10);
    for _ in 0..3 {
        // Kept as environment, and in the Compose file.
        let error = install(&runtime, &deployment("1.0.0", &[("MODE", &long), ("MORE", &long)])).await;
        let error = error.unwrap_err();
        assert_eq!(error.code(), "disk-full", "{error}");
        assert!(error.message().contains("No space left"), "{error}");
        assert_eq!(world.containers(), before);
        assert!(runtime.outages().await.unwrap().is_empty());
    }
    install(&runtime, &deployment("1.0.0", &[("MODE", "full")])).await.unwrap();
    disk.grow(4096);
    install(&runtime, &deployment("1.0.0", &[("MODE", &long), ("MORE", &long)])).await.unwrap();
    runtime.remove(&"pump-1".parse().unwrap(), &"web".parse().unwrap()).await.unwrap();
}

/// As many images come at once as the device allows, of all components together.
#[tokio::test]
async fn images_are_pulled_together_within_bounds() {
    let Some(world) = World::new("together") else { return };
    let images: Vec<_> = (0..3).map(|number| world.own_image(&format!("together-{number}"))).collect();
    let mut compose = "services:\n".to_owned();
    for (number, image) in images.iter().enumerate() {
        writeln!(compose, "  s{number}: {{ image: '{image}', network_mode: host }}").unwrap();
    }
    world.package("1.0.0", &compose);
    let cable = Cable::new(&world.folder.path().join("engine.sock"), &world.host);
    let mut options = World::options();
    options.parallel_pulls = 2;
    let runtime = world.runtime_behind_with(&cable, options).await;
    cable.close_gate("POST", "/images/create");
    let work = tokio::spawn(async move { runtime.prepare(&deployment("1.0.0", &[])).await });
    while cable.waiting() < 2 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    // Long enough for a third one that would come.
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(cable.waiting(), 2);
    cable.open_gate();
    work.await.unwrap().unwrap();
    for image in &images {
        assert!(world.docker(&["image", "rm", image]).1, "{image}");
    }
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

#[tokio::test]
async fn what_was_cut_off_is_gone_at_the_next_start() {
    let Some(world) = World::new("cut-off") else { return };
    let root = world.folder.path().join("cut-off");
    let left = root.join("pump-1/web");
    std::fs::create_dir_all(&left).unwrap();
    std::fs::write(left.join("environment-0123456789abcdef"), "SECRET=1").unwrap();
    let (packages, tool) = (world.packages.clone(), world.tool().await);
    let _runtime = ComposeRuntime::open(&root, "cut-off", packages, tool, World::options()).unwrap();
    assert!(!root.join("pump-1").exists(), "a preparation that nobody will finish");
}
