use std::time::Duration;

use margo_api::WorkloadRuntime as _;
use margo_core::{ComponentName, DeploymentId};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, UnixStream};

use crate::world::{STEADY, World, apply, deployment, install};

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

fn ids() -> (DeploymentId, ComponentName) {
    ("pump-1".parse().unwrap(), "web".parse().unwrap())
}

/// R-A-037, R-D-036: it runs when `apply` returns. And what is right is not touched, by nobody.
#[tokio::test]
async fn what_is_installed_is_found_again_and_left_alone() {
    let Some(world) = World::new("adopted") else { return };
    world.package("1.0.0", TWO);
    let document = deployment("1.0.0", &[("MODE", "eco")]);
    let runtime = world.runtime().await;
    install(&runtime, &document).await.unwrap();
    let before = world.containers();
    assert!(before.len() == 2 && before.values().all(|it| it.contains(" running ")), "{before:?}");
    assert!(runtime.outages().await.unwrap().is_empty());

    let again = world.runtime().await;
    assert_eq!(again.present().await.unwrap(), runtime.present().await.unwrap());
    install(&again, &document).await.unwrap();
    assert_eq!(world.containers(), before);

    // All that is left is the labels.
    let lost = world.runtime_in("another", World::options()).await;
    let (id, name) = ids();
    assert!(lost.present().await.unwrap()[&id].contains(&name));
    install(&lost, &document).await.unwrap();
    let after = world.containers();
    assert_eq!(after.keys().collect::<Vec<_>>(), ["db", "web"]);
    assert_eq!(after, before);
}

#[tokio::test]
async fn only_what_changed_is_made_anew() {
    let Some(world) = World::new("changed") else { return };
    world.package("1.0.0", TWO);
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[("MODE", "eco")])).await.unwrap();
    let before = world.containers();
    install(&runtime, &deployment("1.0.0", &[("MODE", "full")])).await.unwrap();
    let after = world.containers();
    assert_eq!(after["db"], before["db"]);
    assert_ne!(after["web"], before["web"]);

    // An update that touches one service, and takes another away.
    world.package("2.0.0", &TWO.replacen("box:1", "box:2", 1));
    install(&runtime, &deployment("2.0.0", &[("MODE", "full")])).await.unwrap();
    let updated = world.containers();
    assert_eq!(updated["db"], before["db"]);
    assert_ne!(updated["web"], after["web"]);
    world.package("3.0.0", STEADY);
    install(&runtime, &deployment("3.0.0", &[])).await.unwrap();
    assert_eq!(world.containers().keys().collect::<Vec<_>>(), ["web"]);
}

#[tokio::test]
async fn volumes_stay_unless_they_are_to_go() {
    let Some(world) = World::new("volumes") else { return };
    world.package("1.0.0", TWO);
    let (id, name) = ids();
    let mut options = World::options();
    for removes in [false, true] {
        options.remove_volumes = removes;
        let runtime = world.runtime_with(options.clone()).await;
        install(&runtime, &deployment("1.0.0", &[("MODE", "eco")])).await.unwrap();
        let volume = format!("{}_data", runtime.project(&id, &name));
        for _ in 0..2 {
            runtime.remove(&id, &name).await.unwrap();
            assert!(world.containers().is_empty());
            assert_eq!(world.docker(&["volume", "inspect", &volume]).1, !removes);
        }
        assert!(runtime.present().await.unwrap().is_empty());
        assert!(std::fs::read_dir(world.folder.path().join("compose")).unwrap().next().is_none());
    }
}

/// R-A-022: the version before runs again, and the report says so.
#[tokio::test]
async fn a_failed_update_is_undone() {
    let Some(world) = World::new("undone") else { return };
    world.package("1.0.0", STEADY);
    world.package("2.0.0", &STEADY.replace("[sleep, '100000']", "[sh, -c, 'echo no license; exit 3']"));
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    let error = install(&runtime, &deployment("2.0.0", &[])).await.unwrap_err();
    assert_eq!(error.code(), "container-exited");
    let message = error.message();
    assert!(message.contains("it ended with 3") && message.contains("no license"), "{message}");
    assert!(message.ends_with("the previous version runs again"), "{message}");
    assert!(world.containers()["web"].contains(" running "));
    let command = world.docker(&["inspect", "--format", "{{.Config.Cmd}}", &world.id("web")]).0;
    assert_eq!(command, "[sleep 100000]");
    // And again, as if nothing had been.
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    assert!(runtime.outages().await.unwrap().is_empty());

    // A first installation that fails leaves nothing.
    let (id, name) = ids();
    runtime.remove(&id, &name).await.unwrap();
    let error = install(&runtime, &deployment("2.0.0", &[])).await.unwrap_err();
    assert!(!error.message().contains("previous"), "{error}");
    assert!(world.containers().is_empty() && runtime.present().await.unwrap().is_empty());
}

/// R-A-038: the agent drops what takes too long, and has the version before brought back.
#[tokio::test]
async fn an_update_that_is_given_up_is_undone() {
    let Some(world) = World::new("given-up") else { return };
    let sick = STEADY.to_owned()
        + "    healthcheck: { test: ['CMD', 'sleep', '100'], interval: 1s, timeout: 100s }\n";
    world.package("1.0.0", STEADY);
    world.package("2.0.0", &sick);
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    let second = deployment("2.0.0", &[]);
    runtime.prepare(&second).await.unwrap();
    let (id, name) = ids();
    for patience in [1, 400, 4000] {
        let outcome = tokio::time::timeout(Duration::from_millis(patience), apply(&runtime, &second)).await;
        assert!(outcome.is_err(), "{outcome:?}");
        assert!(runtime.restore(&id, &name).await.unwrap());
        assert!(world.containers()["web"].contains(" running "));
        assert!(runtime.outages().await.unwrap().is_empty());
        assert!(!world.folder.path().join("compose/pump-1/web/process").exists());
    }
}

#[tokio::test]
async fn what_stops_or_disappears_is_seen_and_comes_back() {
    let Some(world) = World::new("drift") else { return };
    world.package("1.0.0", STEADY);
    let runtime = world.runtime().await;
    let document = deployment("1.0.0", &[]);
    install(&runtime, &document).await.unwrap();
    let (id, name) = ids();
    for (arguments, code) in [
        (["rm", "--force"], "container-missing"),
        (["stop", "--time=0"], "container-exited"),
        (["pause", "--"], "paused"),
    ] {
        let told = {
            let runtime = runtime.clone();
            tokio::spawn(async move { runtime.changed().await })
        };
        // The engine is listened to from some moment on.
        while !told.is_finished() {
            let (said, _) = world.docker(&[arguments[0], arguments[1], &world.id("web")]);
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert!(!said.contains("unknown"), "{said}");
            if !world.containers().contains_key("web") {
                break;
            }
        }
        told.abort();
        let outages = runtime.outages().await.unwrap();
        assert_eq!(outages[&id][&name].code(), code);
        assert!(!outages[&id][&name].is_hopeless());
        if code == "paused" {
            world.docker(&["unpause", &world.id("web")]);
        }
        apply(&runtime, &document).await.unwrap();
        assert!(runtime.outages().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn events_are_told() {
    let Some(world) = World::new("events") else { return };
    world.package("1.0.0", STEADY);
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    let told = {
        let runtime = runtime.clone();
        tokio::spawn(async move { runtime.changed().await })
    };
    // The engine is listened to from some moment on; whoever comes too early comes again.
    while !told.is_finished() {
        world.docker(&["restart", "--time=0", &world.id("web")]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    told.await.unwrap();
}

/// A container that ends whenever it is started is stopped, and said to be hopeless, with what it wrote.
#[tokio::test]
async fn a_crash_loop_ends() {
    let Some(world) = World::new("loop") else { return };
    let looping = STEADY.replace("[sleep, '100000']", "[sh, -c, 'sleep 1; echo out of paper; exit 1']");
    world.package("1.0.0", &(looping + "    restart: always\n"));
    let runtime = world.runtime().await;
    // It runs for a second: nobody can know yet.
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    let (id, name) = ids();
    let outage = loop {
        let outages = runtime.outages().await.unwrap();
        if let Some(outage) = outages.get(&id).and_then(|all| all.get(&name)).filter(|it| it.is_hopeless()) {
            break outage.clone();
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert_eq!(outage.code(), "crash-loop");
    assert!(outage.message().contains("out of paper"), "{}", outage.message());
    assert!(world.containers()["web"].contains(" exited "), "{:?}", world.containers());
    let again = runtime.outages().await.unwrap();
    assert!(again[&id][&name].is_hopeless());
}

/// A crash of the agent while Compose runs leaves the tool behind; the next start ends it and finishes the work.
#[tokio::test]
async fn what_a_crash_interrupts_is_finished() {
    let Some(world) = World::new("crash") else { return };
    world.package("1.0.0", STEADY);
    world.package("2.0.0", &STEADY.replace("box:1", "box:2"));
    let runtime = world.runtime().await;
    install(&runtime, &deployment("1.0.0", &[])).await.unwrap();
    let second = deployment("2.0.0", &[]);
    for patience in [0, 300, 900] {
        let outcome = tokio::time::timeout(Duration::from_millis(patience), apply(&runtime, &second)).await;
        drop(outcome);
        let next = world.runtime().await;
        install(&next, &second).await.unwrap();
        let image = world.docker(&["inspect", "--format", "{{.Config.Image}}", &world.id("web")]).0;
        assert!(image.ends_with("box:2"), "{image}");
        install(&next, &deployment("1.0.0", &[])).await.unwrap();
        let image = world.docker(&["inspect", "--format", "{{.Config.Image}}", &world.id("web")]).0;
        assert!(image.ends_with("box:1"), "{image}");
    }
}

/// An engine that is not on a socket of this machine is asked by its own command line.
#[tokio::test]
async fn an_engine_at_an_address_does_the_same() {
    let Some(world) = World::new("address") else { return };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let host = format!("tcp://{}", listener.local_addr().unwrap());
    let engine = world.host.strip_prefix("unix://").unwrap().to_owned();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut engine = UnixStream::connect(&engine).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut client, &mut engine).await });
        }
    });
    world.package("1.0.0", STEADY);
    world.package("2.0.0", &STEADY.replace("box:1", "box:none"));
    let runtime = world.runtime_at(host, World::options()).await;
    let document = deployment("1.0.0", &[]);
    install(&runtime, &document).await.unwrap();
    let before = world.containers();
    assert!(before["web"].contains(" running "));
    let error = runtime.prepare(&deployment("2.0.0", &[])).await.unwrap_err();
    assert_eq!(error.code(), "image-not-found", "{error}");
    assert!(runtime.outages().await.unwrap().is_empty());
    let told = tokio::spawn({
        let runtime = runtime.clone();
        async move { runtime.changed().await }
    });
    while !told.is_finished() {
        world.docker(&["restart", "--time=0", &world.id("web")]);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let (id, name) = ids();
    runtime.remove(&id, &name).await.unwrap();
    assert!(world.containers().is_empty() && runtime.present().await.unwrap().is_empty());
}
