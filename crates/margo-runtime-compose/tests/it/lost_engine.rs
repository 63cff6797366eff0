//! The engine goes away in the middle, and comes back.

use margo_api::WorkloadRuntime as _;

use crate::cable::{Cable, Fuse};
use crate::world::{STEADY, World, apply, deployment, install};

const fn before(method: &'static str, path: &'static str) -> Fuse {
    Fuse { method, path, arrives: false }
}

const fn after(method: &'static str, path: &'static str) -> Fuse {
    Fuse { method, path, arrives: true }
}

/// R-A-023: whichever step of a first installation it is lost at, that is told, and the next attempt succeeds.
#[tokio::test]
async fn an_installation_is_begun_again() {
    let Some(world) = World::new("lost-install") else { return };
    world.package("1.0.0", STEADY);
    let cable = Cable::new(&world.folder.path().join("engine.sock"), &world.host);
    let document = deployment("1.0.0", &[]);
    for fuse in [
        before("GET", "/images/"),
        before("GET", "/containers/json"),
        before("POST", "/containers/create"),
        after("POST", "/containers/create"),
        before("POST", "/start"),
        after("POST", "/start"),
    ] {
        let runtime = world.runtime_behind(&cable).await;
        cable.arm(fuse);
        let error = install(&runtime, &document).await.expect_err("the engine is lost");
        assert!(cable.is_cut(), "{fuse:?}: {error}");
        assert_eq!(error.code(), "engine-unavailable", "{fuse:?}: {error}");
        assert!(error.message().contains("the container engine does not answer"), "{fuse:?}: {error}");
        assert!(!error.message().contains("previous version"), "{fuse:?}: {error}");

        cable.mend();
        // By the same agent, or by one that was started again.
        let runtime = if fuse.arrives { world.runtime_behind(&cable).await } else { runtime };
        install(&runtime, &document).await.unwrap();
        let containers = world.containers();
        assert_eq!(containers.len(), 1, "{fuse:?}: {containers:?}");
        assert!(containers["web"].contains(" running "), "{fuse:?}: {containers:?}");
        assert!(runtime.outages().await.unwrap().is_empty(), "{fuse:?}");
        runtime.remove(&document.id, &"web".parse().unwrap()).await.unwrap();
        assert!(world.containers().is_empty() && runtime.present().await.unwrap().is_empty(), "{fuse:?}");
    }
}

/// An image that was on its way comes with the next attempt, and what runs is not touched.
#[tokio::test]
async fn a_pull_is_begun_again() {
    let Some(world) = World::new("lost-pull") else { return };
    let image = world.own_image("lost-pull");
    world.package("1.0.0", STEADY);
    world.package("2.0.0", &STEADY.replace("REGISTRY/box:1", &image));
    let cable = Cable::new(&world.folder.path().join("engine.sock"), &world.host);
    let runtime = world.runtime_behind(&cable).await;
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    let running = world.containers();
    let second = deployment("2.0.0", &[]);
    for fuse in [before("POST", "/images/create"), after("POST", "/images/create")] {
        world.docker(&["image", "rm", &image]);
        cable.arm(fuse);
        let error = runtime.prepare(&second).await.expect_err("the engine is lost");
        assert!(cable.is_cut(), "{fuse:?}: {error}");
        assert_eq!(error.code(), "engine-unavailable", "{fuse:?}: {error}");
        assert_eq!(world.containers(), running, "{fuse:?}");
        cable.mend();
        runtime.prepare(&second).await.unwrap();
        assert_eq!(world.containers(), running, "{fuse:?}");
    }
    apply(&runtime, &second).await.unwrap();
    assert_ne!(world.containers(), running);
    runtime.remove(&second.id, &"web".parse().unwrap()).await.unwrap();
    world.docker(&["image", "rm", &image]);
}

/// R-A-023: an update that loses its engine is finished by the next attempt, or given up for the version before.
#[tokio::test]
async fn an_update_is_finished_or_given_up() {
    let Some(world) = World::new("lost-update") else { return };
    world.package("1.0.0", STEADY);
    world.package("2.0.0", &STEADY.replace("box:1", "box:2"));
    let cable = Cable::new(&world.folder.path().join("engine.sock"), &world.host);
    let (first, second) = (deployment("1.0.0", &[]), deployment("2.0.0", &[]));
    for (number, fuse) in [
        before("POST", "/stop"),
        after("POST", "/stop"),
        before("POST", "/containers/create"),
        before("POST", "/start"),
        after("POST", "/start"),
        before("DELETE", "/containers/"),
    ]
    .into_iter()
    .enumerate()
    {
        let runtime = world.runtime_behind(&cable).await;
        install(&runtime, &first).await.unwrap();
        runtime.prepare(&second).await.unwrap();
        cable.arm(fuse);
        let error = apply(&runtime, &second).await.expect_err("the engine is lost");
        assert!(cable.is_cut(), "{fuse:?}: {error}");
        assert_eq!(error.code(), "engine-unavailable", "{fuse:?}: {error}");
        assert!(error.message().contains("the previous version did not come back"), "{fuse:?}: {error}");
        cable.mend();
        let (wanted, image) = if number % 2 == 0 { (&second, "box:2") } else { (&first, "box:1") };
        install(&runtime, wanted).await.unwrap();
        let containers = world.containers();
        assert_eq!(containers.len(), 1, "{fuse:?}: {containers:?}");
        assert!(containers["web"].contains(" running "), "{fuse:?}: {containers:?}");
        let (found, _) = world.docker(&["inspect", "--format", "{{.Config.Image}}", &world.id("web")]);
        assert!(found.ends_with(image), "{fuse:?}: {found}");
        assert!(runtime.outages().await.unwrap().is_empty(), "{fuse:?}");
    }
}

/// What could not be removed is still there, is told so, and goes with the next attempt.
#[tokio::test]
async fn a_removal_is_finished() {
    let Some(world) = World::new("lost-removal") else { return };
    world.package("1.0.0", STEADY);
    let cable = Cable::new(&world.folder.path().join("engine.sock"), &world.host);
    let document = deployment("1.0.0", &[]);
    let name = "web".parse().unwrap();
    for fuse in [
        before("POST", "/stop"),
        after("POST", "/stop"),
        before("DELETE", "/containers/"),
        after("DELETE", "/containers/"),
    ] {
        let runtime = world.runtime_behind(&cable).await;
        install(&runtime, &document).await.unwrap();
        cable.arm(fuse);
        let error = runtime.remove(&document.id, &name).await.expect_err("the engine is lost");
        assert!(cable.is_cut(), "{fuse:?}: {error}");
        assert_eq!(error.code(), "engine-unavailable", "{fuse:?}: {error}");
        cable.mend();
        assert!(runtime.present().await.unwrap()[&document.id].contains(&name), "{fuse:?}");
        runtime.remove(&document.id, &name).await.unwrap();
        assert!(world.containers().is_empty() && runtime.present().await.unwrap().is_empty(), "{fuse:?}");
    }
}

/// Nothing is concluded from an engine that does not answer; what happened meanwhile is seen when it does.
#[tokio::test]
async fn what_happened_meanwhile_is_seen() {
    let Some(world) = World::new("lost-look") else { return };
    world.package("1.0.0", STEADY);
    let cable = Cable::new(&world.folder.path().join("engine.sock"), &world.host);
    let document = deployment("1.0.0", &[]);
    let runtime = world.runtime_behind(&cable).await;
    install(&runtime, &document).await.unwrap();
    cable.connections();
    let told = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.changed().await }
    });
    // Until it listens.
    while cable.connections() == 0 {
        tokio::task::yield_now().await;
    }
    cable.cut();
    // The end of what the engine tells is worth a look.
    told.await.unwrap();
    for error in [runtime.present().await.unwrap_err(), runtime.outages().await.unwrap_err()] {
        assert_eq!(error.code(), "engine-unavailable", "{error}");
    }
    world.docker(&["rm", "--force", &world.id("web")]);
    cable.mend();
    assert_eq!(runtime.outages().await.unwrap()[&document.id].len(), 1);
    apply(&runtime, &document).await.unwrap();
    assert!(runtime.outages().await.unwrap().is_empty());
}
