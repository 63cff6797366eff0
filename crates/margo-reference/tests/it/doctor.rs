//! `margo-device doctor`, as a process: what it finds, and how it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use margo_core::SpecVersion;
use margo_reference::config::DeviceConfig;
use margo_reference::doctor::{self, Health};
use tokio::process::Command;

use crate::plant::{Device, Plant, Source};
use crate::program::DEVICE;
use crate::secure::{LIFETIME, Secure, ago, now, stranger};
use crate::services::services;

async fn doctor(folder: &Path) -> (bool, String) {
    let config = folder.join("margo-device.toml");
    let output = Command::new(DEVICE).arg("--config").arg(config).arg("doctor").output().await.unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    (output.status.success(), String::from_utf8_lossy(&output.stdout).into_owned() + &errors)
}

#[tokio::test]
async fn a_device_that_works_is_told_from_one_that_does_not() {
    let mut plant = Plant::start().await;
    let device = Device::onboard(&plant, "line-3", SpecVersion::V1_0_0Rc3, Source::Rest, "").await;
    let folder = plant.folder().join("line-3");
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well && said.contains("`chmod 600 "), "{said}");
    for secret in ["token", "git-token"] {
        std::fs::set_permissions(folder.join(secret), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    let (is_well, said) = doctor(&folder).await;
    assert!(is_well && !said.contains("FAIL"), "{said}");
    for part in ["good  time", "good  disk", "good  identity", "knows `line-3`"] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert!(!said.contains(&device.onboarded.token), "{said}");

    let token = std::fs::read_to_string(folder.join("token")).unwrap();
    std::fs::write(folder.join("token"), "guess").unwrap();
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well && said.contains("`margo device rotate line-3`") && !said.contains("guess"), "{said}");
    std::fs::write(folder.join("token"), token).unwrap();

    std::fs::write(folder.join("capabilities.yaml"), "properties: [").unwrap();
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well, "{said}");
    tells(&said, "device", "capabilities.yaml", "`margo check ");
    plant.kill();
    let well = device.read_configuration();
    device.configure(
        &well
            .replace("kind = \"folder\"", "kind = \"engine\"")
            .replace("[schedule]", "[schedule]\ntime-zone = \"Mars/Olympus\""),
    );
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well, "{said}");
    tells(&said, "device", "`Mars/Olympus`", "correct `[schedule]`");
    tells(&said, "engine", "nothing is said of one", "add `[runtime.compose]`");
    tells(&said, "manager", "cannot be reached", "see that the manager runs");
    device.configure("[device]");
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well && said.contains("missing field") && said.contains("margo-device.toml"), "{said}");
}

/// What a device of mutual TLS shows, and whom it takes for its manager.
#[tokio::test]
async fn who_is_not_trusted_is_said_by_both_sides() {
    let secure = Secure::start("").await;
    let device = secure.rc3("line-3").await;
    let folder = secure.plant.folder().join("line-3");
    let (is_well, said) = doctor(&folder).await;
    assert!(is_well && said.contains("svid.pem` is valid until"), "{said}");

    let mine = secure.identities().join("clients/line-3");
    let bundle = std::fs::read(mine.join("bundle.json")).unwrap();
    let stranger_authority = stranger("factory.example");
    std::fs::write(mine.join("bundle.json"), stranger_authority.bundle(9).unwrap().to_json()).unwrap();
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well, "{said}");
    tells(&said, "manager", "chain does not hold", "the trust bundle");
    std::fs::write(mine.join("bundle.json"), bundle).unwrap();

    // An SVID that is good, and of nobody the manager knows.
    let other = "line-4".parse().unwrap();
    secure.domain.issue_client(&other, now(), LIFETIME).unwrap();
    device.configure(&device.read_configuration().replace("clients/line-3", "clients/line-4"));
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well, "{said}");
    tells(&said, "manager", "does not take this client for one of `line-3`", "belong together");
    device.configure(&device.read_configuration().replace("clients/line-4", "clients/line-3"));

    let client = "line-3".parse().unwrap();
    secure.domain.rotate_client(&client, ago(LIFETIME), Duration::from_hours(1)).unwrap();
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well, "{said}");
    tells(&said, "identity", "is not valid any more since", "have it renewed");
    std::fs::remove_file(mine.join("svid_key.pem")).unwrap();
    let (_, said) = doctor(&folder).await;
    tells(&said, "identity", "svid_key.pem` cannot be read", "put it there");

    // An older device, which trusts an authority by its file.
    let older = secure.rc2("press-7").await;
    let folder = secure.plant.folder().join("press-7");
    std::fs::create_dir(folder.join("data")).unwrap();
    std::fs::write(folder.join("data/client-id"), &older.onboarded.client_id).unwrap();
    let authority = secure.identities().join("devices/press-7/authority.pem");
    std::fs::write(authority, stranger_authority.certificate_pem()).unwrap();
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well, "{said}");
    tells(&said, "manager", "who answers is not trusted to be the manager", "`manager.tls.authority`");
}

/// A clock that is off spoils certificates, too.
#[tokio::test]
async fn a_clock_that_is_off_is_told_from_certificates_that_ended() {
    margo_reference::install_tls_provider();
    let secure = Secure::start("").await;
    secure.rc3("line-3").await;
    let config = DeviceConfig::read(&secure.plant.folder().join("line-3/margo-device.toml")).unwrap();
    for (off, time) in [(Duration::ZERO, Health::Good), (2 * LIFETIME, Health::Bad)] {
        let findings = doctor::examine(&config, jiff::Timestamp::now() - off).await;
        let of = |subject| findings.iter().find(|finding| finding.subject == subject).unwrap();
        assert_eq!(of("time").health, time, "{findings:?}");
        assert_eq!(of("identity").health, Health::Good);
    }
}

/// No Helm that works, and nobody behind the registries.
#[tokio::test]
async fn what_a_runtime_needs_is_looked_at() {
    let plant = Plant::start().await;
    let device = Device::onboard(&plant, "line-3", SpecVersion::V1_0_0Rc3, Source::Rest, "").await;
    let folder = plant.folder().join("line-3");
    for secret in ["token", "git-token"] {
        std::fs::set_permissions(folder.join(secret), std::fs::Permissions::from_mode(0o600)).unwrap();
    }
    std::fs::write(folder.join("password"), "geheim").unwrap();
    std::fs::set_permissions(folder.join("password"), std::fs::Permissions::from_mode(0o600)).unwrap();
    let closed = closed_registry().await;
    let engine = device.read_configuration().replace("kind = \"folder\"", "kind = \"engine\"");
    let configure = |helm: &str, registries: &str| {
        device.configure(&format!("{engine}\n[runtime.helm]\nprogram = \"{helm}\"\n{registries}"));
    };

    configure(
        "/nonexistent/helm",
        &format!(
            "[runtime.packages.registries.'127.0.0.1:1']\nplain-http = true\n\
             [runtime.packages.registries.'{closed}']\nplain-http = true\nuser = 'plant'\npassword-file = 'password'\n\
             [runtime.packages.registries.'localhost:{}']\n",
            closed.port()
        ),
    );
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well && !said.contains("geheim"), "{said}");
    tells(&said, "engine", "`/nonexistent/helm` cannot be started", "install Helm, 3.13 or newer");
    tells(&said, "registry", "127.0.0.1:1", "see that it runs");
    tells(&said, "registry", &closed.to_string(), "`password-file`");
    tells(&said, "registry", &format!("localhost:{}", closed.port()), "`plain-http`");

    let helm = folder.join("helm");
    for (script, message, remedy) in [
        ("echo v3.9.0", "is Helm `v3.9.0`", "install Helm, 3.13 or newer"),
        (
            "case $1 in version) echo v4.1.4;; *) echo 'Error: Kubernetes cluster unreachable: dial' >&2; exit 1;; esac",
            "Kubernetes cluster unreachable",
            "`runtime.helm.kubeconfig` leads to it",
        ),
    ] {
        std::fs::write(&helm, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&helm, std::fs::Permissions::from_mode(0o755)).unwrap();
        configure(helm.to_str().unwrap(), "");
        let (_, said) = doctor(&folder).await;
        tells(&said, "engine", message, remedy);
    }
}

/// The engine and the registries of the tests, and an engine that is not there.
#[tokio::test]
async fn an_engine_that_runs_is_told_from_one_that_does_not() {
    let Some(services) = services() else { return };
    let plant = Plant::start().await;
    let device = Device::onboard(&plant, "line-3", SpecVersion::V1_0_0Rc3, Source::Rest, "").await;
    let folder = plant.folder().join("line-3");
    let (host, registry) = (&services["DOCKER_HOST"], &services["MARGO_REGISTRY"]);
    let configuration = device.read_configuration().replace("kind = \"folder\"", "kind = \"engine\"")
        + &format!(
            "[runtime.packages.registries.'{registry}']\nplain-http = true\n[runtime.compose]\nhost = '{host}'\n"
        );
    device.configure(&configuration);
    let (_, said) = doctor(&folder).await;
    for part in [" of its engine", &format!("good  registry  `{registry}` answers")] {
        assert!(said.contains(part), "{part} in {said}");
    }
    device.configure(&configuration.replace(host, "unix:///nonexistent/docker.sock"));
    let (_, said) = doctor(&folder).await;
    tells(&said, "engine", "/nonexistent/docker.sock", "`systemctl start docker`");
}

/// Somebody who takes no credentials; without TLS.
async fn closed_registry() -> std::net::SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let refuse = || async { (http::StatusCode::UNAUTHORIZED, [("www-authenticate", "Basic realm=\"x\"")]) };
    tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(refuse)).await });
    address
}

/// That it fails for this reason, and says what to do.
#[track_caller]
fn tells(said: &str, subject: &str, message: &str, remedy: &str) {
    let head = format!("FAIL  {subject:<9} ");
    let is_told = said.lines().zip(said.lines().skip(1)).any(|(first, second)| {
        first.starts_with(&head) && first.contains(message) && second.contains(remedy)
    });
    assert!(is_told, "{head}… {message} … {remedy} in\n{said}");
}
