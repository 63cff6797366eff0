//! `docs/own-authority.md`, as it stands there: an operator's own authority, and files as an identity service writes
//! them.

use std::path::Path;
use std::process::Command;

use crate::interoperability::tool;
use crate::plant::{Device, Plant, Source};
use crate::program::{free_address, until};

/// The first block of this language behind `after` in the page.
fn block<'a>(page: &'a str, after: &str, language: &str) -> &'a str {
    let (_, rest) = page.split_once(after).unwrap_or_else(|| panic!("the page says nothing of `{after}`"));
    let (_, block) = rest.split_once(&format!("```{language}\n")).unwrap();
    block.split_once("```").unwrap().0
}

/// R-D-004, R-D-009, R-D-012, R-D-014: whoever issues the identities, both sides take them from files in the layout of an
/// identity service, and take renewed ones as they come.
#[tokio::test]
async fn identities_may_come_from_an_authority_of_ones_own() {
    // The recipe calls it by its name.
    if tool("MARGO_INTEROP_OPENSSL", "openssl").is_none() || tool("", "openssl").is_none() {
        return;
    }
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/own-authority.md");
    let page = std::fs::read_to_string(page).unwrap();
    let recipe = block(&page, "## With nothing but OpenSSL", "sh");
    let mut plant = Plant::idle();
    let folder = plant.folder().to_owned();
    let run = |script: &str| {
        let output = Command::new("sh").args(["-ec", script]).current_dir(&folder).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    run(recipe);

    let address = free_address();
    let config = block(&page, "The manager, in `margo-wfm.toml`", "toml");
    let config = config.replace("[mutual-tls]", &format!("[mutual-tls]\nlisten = \"{address}\"\n#"));
    std::fs::write(plant.folder().join("margo-wfm.toml"), config).unwrap();
    plant.up().await;
    let onboarded = plant.operator().onboard("line-3", Some("line-3"), "1.0.0-rc.3").await.unwrap();
    let config = block(&page, "The device, in `line-3/margo-device.toml`", "toml");
    let config = config.replace("https://wfm.example", &format!("https://{address}"));
    let often = "[schedule]\nrate = \"200ms\"\n";
    let mut device = Device::with_configuration(&plant, onboarded, Source::Rest, &format!("{config}{often}"));
    device.start();
    let id = plant.deploy_pumps("line-3").await;
    plant.until_converged(&id).await;

    // The service issues the next one in place, with another key.
    let functions = recipe.split_once("svid() {").unwrap().1.split_once("\n}\n").unwrap().0;
    run(&format!(
        "svid() {{{functions}\n}}\nsvid line-3 spiffe://factory.example/margo/wfm/plant/client/line-3"
    ));
    until("a renewed SVID", async || device.log().contains("presenting a renewed SVID").then_some(())).await;
    plant.reconfigure(&id, serde_json::json!({ "pollInterval": 20 })).await;
    plant.until_converged(&id).await;
    device.terminate().await;
}
