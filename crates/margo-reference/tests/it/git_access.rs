//! Desired state through the program everybody has. `git` speaks to a socket, and is a process itself.

use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use margo_cli::Onboarded;
use margo_core::SpecVersion;
use serde_json::json;
use url::Url;

use crate::plant::Plant;
use crate::program::{git, git_text, try_git};
use crate::raw;

/// R-A-018, R-A-019, R-A-020: `git clone` with the token of the device, a poll of an unmoved branch, `git fetch` after
/// a change; the operator sees what was fetched.
#[tokio::test]
async fn stock_git_follows_the_desired_state() {
    let plant = Plant::start().await;
    let press = plant.onboard("press-7", SpecVersion::PreDraft).await;
    let (url, folder) = (with_password(&press, &press.git_token), plant.folder());
    git(folder, &["clone", "--quiet", url.as_str(), "early"]);
    let early = folder.join("early");
    assert_eq!(git_text(&early, &["ls-files"]), "");
    assert_eq!(fetched(&plant, &press).await, Some(1));

    let id = plant.deploy_pumps("press-7").await;
    let document = plant.look_at(&id).await.document.unwrap();
    // The token in a header, as a program that keeps it out of addresses does.
    let header = format!("http.extraHeader={}", basic("margo", &press.git_token));
    let address = press.git_url.clone().unwrap();
    git(folder, &["-c", &header, "clone", "--quiet", &address, "clone"]);
    let clone = folder.join("clone");
    let file = clone.join(format!("deployments/{id}.yaml"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), document);
    assert_eq!(fetched(&plant, &press).await, Some(2));

    // Unmoved: only references are asked for, and nothing is fetched.
    let before = git_text(&clone, &["rev-parse", "origin/main"]);
    git(&clone, &["-c", &header, "fetch", "--quiet"]);
    assert_eq!(git_text(&clone, &["rev-parse", "origin/main"]), before);

    plant.reconfigure(&id, json!({ "pollInterval": 10 })).await;
    git(&clone, &["-c", &header, "fetch", "--quiet"]);
    assert_ne!(git_text(&clone, &["rev-parse", "origin/main"]), before);
    git(&clone, &["merge", "--quiet", "--ff-only", "origin/main"]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), plant.look_at(&id).await.document.unwrap());
    assert_eq!(fetched(&plant, &press).await, Some(3));

    plant.delete(&id).await;
    git(&early, &["pull", "--quiet"]);
    git(&clone, &["-c", &header, "pull", "--quiet"]);
    assert!(!file.exists());
    assert_eq!(git_text(&early, &["rev-parse", "HEAD"]), git_text(&clone, &["rev-parse", "HEAD"]));
    assert_eq!(git_text(&clone, &["rev-list", "--count", "HEAD"]), "4");
    assert_eq!(fetched(&plant, &press).await, Some(4));
}

/// Desired state has one author.
#[tokio::test]
async fn a_push_is_refused_with_a_reason() {
    let plant = Plant::start().await;
    let press = plant.onboard("press-7", SpecVersion::PreDraft).await;
    let id = plant.deploy_pumps("press-7").await;
    let url = with_password(&press, &press.git_token);
    git(plant.folder(), &["clone", "--quiet", url.as_str(), "clone"]);
    let clone = plant.folder().join("clone");
    std::fs::write(clone.join(format!("deployments/{id}.yaml")), "mine").unwrap();
    git(&clone, &["commit", "--quiet", "--all", "--message", "Mine"]);

    let head = || git_text(&plant.repository(&press.client_id), &["rev-parse", "main"]);
    let before = head();
    for push in
        [&["push", "origin", "main"][..], &["push", "--force", "origin", "main:other"], &["push", "--mirror"]]
    {
        let push = try_git(&clone, push);
        let complaint = String::from_utf8_lossy(&push.stderr);
        assert!(!push.status.success(), "{complaint}");
        assert!(complaint.contains("only the manager writes it"), "{complaint}");
    }
    assert_eq!(head(), before);
    let references = git_text(&plant.repository(&press.client_id), &["for-each-ref", "--format=%(refname)"]);
    assert_eq!(references, "refs/heads/main");
    assert_eq!(plant.look_at(&id).await.since, 2);
}

/// R-D-008: the repository of another client and one that does not exist look the same, byte for byte.
#[tokio::test]
async fn the_repository_of_another_does_not_exist() {
    let plant = Plant::start().await;
    let press = plant.onboard("press-7", SpecVersion::PreDraft).await;
    let other = plant.onboard("press-8", SpecVersion::PreDraft).await;
    plant.deploy_pumps("press-8").await;
    assert!(plant.repository(&other.client_id).is_dir());

    let token = basic("margo", &press.git_token);
    for path in [
        "info/refs?service=git-upload-pack",
        "info/refs?service=git-receive-pack",
        "info/refs",
        "HEAD",
        "git-upload-pack",
        "objects/info/packs",
    ] {
        let ask = |client: &str| {
            let head = format!("GET /git/{client}.git/{path} HTTP/1.1\r\n{token}\r\n");
            raw::ask(plant.address(), &head).without(&["date", "x-request-id"])
        };
        let answer = ask(&other.client_id);
        assert_eq!(answer.status, 404, "{path}");
        for nobody in ["nobody", "0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11", "%2e%2e", "..%2f.."] {
            assert_eq!(ask(nobody), answer, "{path} of {nobody}");
        }
    }
    let complaint = |client: &str| {
        let mut url = with_password(&press, &press.git_token);
        url.set_path(&format!("/git/{client}.git"));
        let clone = try_git(plant.folder(), &["clone", "--quiet", url.as_str(), "stolen"]);
        assert!(!clone.status.success());
        String::from_utf8(clone.stderr).unwrap().replace(client, "client")
    };
    assert_eq!(complaint(&other.client_id), complaint("nobody"));
    assert!(!plant.folder().join("stolen").exists());
    assert_eq!(fetched(&plant, &other).await, None);
}

/// R-A-016, R-D-006, R-D-007: each token opens its own door, until it is rotated or its client retired.
#[tokio::test]
async fn a_token_opens_its_own_door_alone() {
    let plant = Plant::start().await;
    let press = plant.onboard("press-7", SpecVersion::PreDraft).await;
    let can_clone = |onboarded: &Onboarded, token: &str| {
        let url = with_password(onboarded, token);
        let listed = try_git(plant.folder(), &["ls-remote", "--quiet", url.as_str()]);
        let complaint = String::from_utf8_lossy(&listed.stderr).into_owned();
        assert!(listed.status.success() || complaint.contains("Authentication failed"), "{complaint}");
        listed.status.success()
    };
    let status = async |token: &str| {
        let request = plant.http().get(plant.at("/api/v1/deployments")).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert!(can_clone(&press, &press.git_token));
    assert_eq!(status(&press.token).await, 200);

    assert!(!can_clone(&press, &press.token), "the token of the management interface");
    assert!(!can_clone(&press, &plant.operator_token()), "the token of the operator");
    assert!(!can_clone(&press, "margo_nothing"));
    assert_eq!(status(&press.git_token).await, 401, "the token of the repository");
    assert_eq!(status(&plant.operator_token()).await, 401, "the token of the operator");
    for token in [&press.token, &press.git_token] {
        let request = plant.http().get(plant.at("/operator/v1/devices")).bearer_auth(token);
        assert_eq!(request.send().await.unwrap().status(), 401);
    }

    let rotated = plant.operator().rotate("press-7").await.unwrap();
    assert!(!can_clone(&press, &press.git_token) && can_clone(&rotated, &rotated.git_token));
    assert_eq!((status(&press.token).await, status(&rotated.token).await), (401, 200));

    plant.operator().retire("press-7").await.unwrap();
    assert!(!can_clone(&rotated, &rotated.git_token));
    assert_eq!(status(&rotated.token).await, 403);
    assert!(Path::is_dir(&plant.repository(&press.client_id)), "what is stored stays");
}

/// The newest version the manager knows a device to have fetched.
async fn fetched(plant: &Plant, onboarded: &Onboarded) -> Option<u64> {
    let devices = plant.operator().devices().await.unwrap();
    devices.into_iter().find(|device| device.client_id == onboarded.client_id).unwrap().fetched_version
}

/// The address of a repository with a token in it.
fn with_password(onboarded: &Onboarded, token: &str) -> Url {
    let mut url: Url = onboarded.git_url.as_deref().unwrap().parse().unwrap();
    url.set_username("margo").unwrap();
    url.set_password(Some(token)).unwrap();
    url
}

pub(crate) fn basic(user: &str, token: &str) -> String {
    format!("Authorization: Basic {}", STANDARD.encode(format!("{user}:{token}")))
}
