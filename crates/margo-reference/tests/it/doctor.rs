//! `margo-device doctor`, as a process: what it finds, and how it ends.

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use margo_core::SpecVersion;
use tokio::process::Command;

use crate::plant::{Device, Plant, Source};
use crate::program::DEVICE;

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
    assert!(!is_well && said.contains("onboard the device again") && !said.contains("guess"), "{said}");
    std::fs::write(folder.join("token"), token).unwrap();

    // No engine, and nobody behind the registry.
    let engine = device.read_configuration().replace("kind = \"folder\"", "kind = \"engine\"")
        + "[runtime.packages.registries.'127.0.0.1:1']\nplain-http = true\n\
           [runtime.helm]\nprogram = \"/nonexistent/helm\"\n\
           [runtime.compose]\nhost = \"unix:///nonexistent/docker.sock\"\n";
    device.configure(&engine);
    plant.kill();
    let (is_well, said) = doctor(&folder).await;
    assert!(!is_well, "{said}");
    for part in [
        "FAIL  manager",
        "FAIL  registry",
        "`/nonexistent/helm` cannot be started",
        "docker.sock` does not answer",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
}
