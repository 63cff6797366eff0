//! Who speaks to whom, from when on, and until when: the device's side, with real processes, files and clocks.

use std::time::Duration;

use base64::Engine as _;
use margo_core::SpecVersion;
use margo_identity::SpkiPin;
use margo_identity::authority::AuthorityRotation;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::json;

use crate::plant::{Plant, states};
use crate::program::{free_address, until};
use crate::secure::{LIFETIME, Secure, ago, manager_of, now, stranger};

/// R-D-005, R-D-009: whoever listens at the manager's address and is not the manager, or cannot prove it now, is told
/// nothing; and the manager is recognized as soon as it is back. R-D-010: its address and name do not matter.
#[tokio::test]
async fn a_device_waits_for_its_own_manager() {
    let mut secure = Secure::start("").await;
    let mut device = secure.rc3("line-3").await;
    let own = std::fs::read_to_string(secure.identities().join("manager/svid.pem")).unwrap();
    let key = std::fs::read_to_string(secure.identities().join("manager/svid_key.pem")).unwrap();
    secure.plant.terminate().await;
    device.start();

    let bundle = std::fs::read_to_string(secure.identities().join("manager/bundle.json")).unwrap();
    let elsewhere = stranger("elsewhere.example");
    let unknown = stranger("factory.example");
    for (issued, bundle, reason) in [
        (
            manager_of(secure.domain.authority(), "spiffe://factory.example/margo/wfm/other"),
            bundle.clone(),
            "the peer is `spiffe://factory.example/margo/wfm/other`",
        ),
        (
            manager_of(&elsewhere, "spiffe://elsewhere.example/margo/wfm/plant"),
            elsewhere.bundle(9).unwrap().to_json(),
            "the certificate is of the trust domain `elsewhere.example`",
        ),
        (
            manager_of(&unknown, "spiffe://factory.example/margo/wfm/plant"),
            unknown.bundle(9).unwrap().to_json(),
            "the certificate's chain does not hold",
        ),
        (secure.manager_svid(ago(LIFETIME), Duration::from_hours(1)), bundle.clone(), "has expired"),
        (secure.manager_svid(later(LIFETIME), LIFETIME), bundle.clone(), "is not valid yet"),
    ] {
        secure.impersonate(&issued);
        std::fs::write(secure.identities().join("manager/bundle.json"), bundle).unwrap();
        secure.plant.up().await;
        until(reason, async || device.log().contains(reason).then_some(())).await;
        assert!(reported(&secure.plant).await.is_none(), "{reason}");
        secure.plant.terminate().await;
    }

    std::fs::write(secure.identities().join("manager/svid.pem"), own).unwrap();
    std::fs::write(secure.identities().join("manager/svid_key.pem"), key).unwrap();
    std::fs::write(secure.identities().join("manager/bundle.json"), bundle).unwrap();
    secure.plant.up().await;
    until("the device reports", async || reported(&secure.plant).await).await;
    let id = secure.plant.deploy_pumps("line-3").await;
    secure.plant.until_converged(&id).await;
}

fn later(duration: Duration) -> rustls::pki_types::UnixTime {
    rustls::pki_types::UnixTime::since_unix_epoch(Duration::from_secs(now().as_secs()) + duration)
}

/// What the manager knows of the capabilities of its one device.
async fn reported(plant: &Plant) -> Option<()> {
    let devices = plant.operator().devices().await.unwrap();
    devices[0].capabilities.as_ref().map(|_| ())
}

/// R-D-013, R-D-016, R-D-019: keys, SVIDs and the authority itself are replaced on disk while both run; nothing is
/// restarted, nothing is lost, and what the old authority issued counts no more.
#[tokio::test]
async fn every_key_is_replaced_without_a_restart() {
    let mut secure = Secure::start("").await;
    let mut device = secure.rc3("line-3").await;
    device.start();
    let id = secure.plant.deploy_pumps("line-3").await;
    secure.plant.until_converged(&id).await;
    let client = "line-3".parse().unwrap();
    let stale = secure.manager_svid(now(), LIFETIME);

    secure.domain.rotate_client(&client, now(), LIFETIME).unwrap();
    until("a renewed SVID", async || device.log().contains("presenting a renewed SVID").then_some(())).await;

    // The bundle with both authorities first, then SVIDs of the new one, then the bundle without the old one.
    secure.domain.rotate_authority(AuthorityRotation::Begin, now(), LIFETIME).unwrap();
    until("both authorities", async || device.log().contains("trust bundle was replaced").then_some(()))
        .await;
    secure.domain.rotate_manager(now(), LIFETIME).unwrap();
    secure.domain.rotate_client(&client, now(), LIFETIME).unwrap();
    secure.plant.reconfigure(&id, json!({ "pollInterval": 20 })).await;
    secure.plant.until_converged(&id).await;
    secure.domain.rotate_authority(AuthorityRotation::Finish, now(), LIFETIME).unwrap();
    let replaced = || device.log().matches("trust bundle was replaced").count();
    until("the new authority alone", async || (replaced() >= 2).then_some(())).await;
    secure.plant.reconfigure(&id, json!({ "pollInterval": 30 })).await;
    secure.plant.until_converged(&id).await;

    // What the old authority issued is a stranger's now.
    secure.impersonate(&stale);
    until("the old SVID is refused", async || device.log().contains("chain does not hold").then_some(()))
        .await;
    secure.domain.rotate_manager(now(), LIFETIME).unwrap();
    secure.plant.reconfigure(&id, json!({ "pollInterval": 40 })).await;
    secure.plant.until_converged(&id).await;
    device.terminate().await;
}

/// R-D-014, R-D-015, R-D-016: a device finds its first bundle by discovery, keeps it, and follows the manager's.
#[tokio::test]
async fn a_trust_bundle_is_discovered_and_followed() {
    let mut secure = Secure::start("").await;
    let mut device = secure.rc3("line-3").await;
    let authority = secure.identities().join("server/authority.pem");
    let configuration = secure.rc3_configuration("line-3");
    let discovery = format!("discovery = \"https://{}\"", secure.tls);
    let configuration = configuration
        .replace("bundle = \"../identities/clients/line-3/bundle.json\"", &discovery)
        .replace("[manager.tls]", &format!("[manager.tls]\nauthority = \"{}\"", authority.display()));
    assert!(configuration.contains("discovery"));
    device.configure(&configuration);
    device.start();
    let id = secure.plant.deploy_pumps("line-3").await;
    secure.plant.until_converged(&id).await;
    let kept = secure.plant.folder().join("line-3/data/trust-bundle.json");
    let sequence =
        |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["spiffe_sequence"].as_u64();
    assert_eq!(sequence(&std::fs::read_to_string(&kept).unwrap()), Some(1));

    // A restart without the server of the bundle, and then with a newer one.
    device.terminate().await;
    secure.domain.rotate_authority(AuthorityRotation::Begin, now(), LIFETIME).unwrap();
    let log = secure.plant.folder().join("manager.log");
    until("the manager has it", async || {
        std::fs::read_to_string(&log).unwrap().contains("the trust bundle has been read again").then_some(())
    })
    .await;
    device.start();
    until("a newer bundle is kept", async || {
        let text = std::fs::read_to_string(&kept).ok()?;
        (sequence(&text) == Some(2)).then_some(())
    })
    .await;

    // R-D-014: a server nobody vouches for is not believed, and without a first bundle there is no device.
    device.terminate().await;
    std::fs::remove_file(&kept).unwrap();
    device.configure(&configuration.replace(
        authority.to_str().unwrap(),
        secure.identities().join("clients/line-3/svid.pem").to_str().unwrap(),
    ));
    let before = device.log().len();
    device.start();
    until("the bundle has to wait", async || {
        device.log()[before..].contains("the trust bundle has to wait").then_some(())
    })
    .await;
    assert!(!device.log()[before..].contains("\"started\""), "{}", &device.log()[before..]);
    device.terminate().await;
}

/// A device of 1.0.0-rc.2 becomes one of 1.0.0-rc.3: the operator links the two, and it keeps its deployments and its
/// history.
#[tokio::test]
async fn an_upgraded_device_keeps_its_deployments_and_its_history() {
    let secure = Secure::start("").await;
    let mut device = secure.rc2("pack-5").await;
    device.start();
    let id = secure.plant.deploy_pumps("pack-5").await;
    secure.plant.until_converged(&id).await;
    let told = secure.plant.history(&id).await;
    assert_eq!(states(&told).last(), Some(&"installed"));
    device.terminate().await;

    secure.domain.issue_client(&"pack-5".parse().unwrap(), now(), LIFETIME).unwrap();
    let operator = secure.plant.operator();
    operator.link("pack-5", Some("pack-5"), Some("1.0.0-rc.3"), None).await.unwrap();
    let capabilities = std::fs::read_to_string(device.capabilities()).unwrap();
    device.configure(&secure.rc3_configuration("pack-5"));
    std::fs::write(
        device.capabilities(),
        "properties:\n  id: pack-5\n  vendor: Lindqvist Automation\n  modelNumber: PK-110\n  serialNumber: PK110-04471\n  \
         cpus: [{ cores: 4, architecture: amd64 }]\n  memory: 4Gi\n  storage: 64Gi\n  peripherals: []\n  \
         interfaces: [{ type: ethernet }]\n  otelCollector: true\n  supportedRuntimes: [oci]\n  \
         supportedDeploymentTypes: [helm]\n",
    )
    .unwrap();
    assert_ne!(std::fs::read_to_string(device.capabilities()).unwrap(), capabilities);
    device.start();
    secure.plant.reconfigure(&id, json!({ "pollInterval": 20 })).await;
    let now = secure.plant.until_converged(&id).await;
    assert_eq!(now.deployment_id, id);
    let history = secure.plant.history(&id).await;
    assert!(history.len() > told.len());
    assert_eq!(states(&history[..told.len()]), states(&told), "what was told before is still known");
    let devices = operator.devices().await.unwrap();
    assert_eq!(devices.len(), 1, "it is one device: {devices:?}");
    assert_eq!(devices[0].revision, "1.0.0-rc.3");
    device.terminate().await;
}

/// R-A-011, R-A-012, R-A-016, R-A-017: tokens that last for two seconds, and a device that never notices.
#[tokio::test]
async fn tokens_end_and_are_replaced_in_time() {
    let tokens = "[tokens]\nlifetime = \"4s\"\ngit-lifetime = \"4s\"\ngit-overlap = \"2s\"";
    let secure = Secure::start(tokens).await;
    let mut device = secure.pre_draft("press-7").await;
    device.start();
    let id = secure.plant.deploy_pumps("press-7").await;
    secure.plant.until_converged(&id).await;
    for (round, interval) in [(1, 20), (2, 30), (3, 40)] {
        // Until the tokens of the round before have certainly ended.
        let target = 2 * round;
        until("more tokens", async || {
            (secure.plant.requests("POST", "/git-token").await > target).then_some(())
        })
        .await;
        secure.plant.reconfigure(&id, json!({ "pollInterval": interval })).await;
        secure.plant.until_converged(&id).await;
    }
    assert!(secure.plant.requests("POST", "/token").await > 1);
    let refused = device.logged().into_iter().find(|line| line.to_string().contains("401"));
    assert_eq!(refused, None, "nothing was refused on the way");
    device.terminate().await;
}

/// One manager serves devices of every revision at once, each by its own proof, and each gets what it understands
/// (R-A-014, R-B-012, R-D-004).
#[tokio::test]
async fn devices_of_every_revision_are_served_at_once() {
    let secure = Secure::start("").await;
    let mut devices = [
        secure.rc3("line-3").await,
        secure.rc2("pack-5").await,
        secure.rc1("pack-6").await,
        secure.pre_draft("press-7").await,
    ];
    devices.iter_mut().for_each(crate::plant::Device::start);
    let pumps = secure.plant.upload("pump-monitor-1.0.0").await;
    let names = ["line-3", "pack-5", "pack-6", "press-7"];
    let ids = secure.plant.deploy(&pumps, "helm", json!({ "siteId": "DE-0042" }), &names).await;
    for id in &ids {
        secure.plant.until_converged(id).await;
    }
    for device in secure.plant.operator().devices().await.unwrap() {
        assert!(device.capabilities.is_some(), "{}", device.device_id);
    }
    for id in &ids {
        secure.plant.delete(id).await;
        secure.plant.until_converged(id).await;
    }
    for device in &mut devices {
        until("nothing is left", async || device.files().is_empty().then_some(())).await;
        device.terminate().await;
    }
}

/// R-C-003, R-C-007, R-D-020: what stands behind a gateway comes after it, and is gone when its maker says so.
#[tokio::test]
async fn a_gateway_tells_of_what_is_behind_it() {
    let secure = Secure::start("").await;
    let mut device = secure.rc3("line-3").await;
    let own = std::fs::read_to_string(device.capabilities()).unwrap();
    let child = |id: &str| {
        format!("---\nproperties: {{ id: line-3/{id}, vendor: A, modelNumber: B, serialNumber: C }}\n")
    };
    std::fs::write(device.capabilities(), format!("{own}{}{}", child("plc-1"), child("plc-2"))).unwrap();
    device.start();
    let known = async || {
        let devices = secure.plant.operator().devices().await.unwrap();
        let known = devices.into_iter().filter(|device| device.capabilities.is_some());
        known.map(|device| device.device_id).collect::<Vec<_>>()
    };
    until("both are known", async || {
        (known().await == ["line-3", "line-3/plc-1", "line-3/plc-2"]).then_some(())
    })
    .await;
    std::fs::write(device.capabilities(), format!("{own}{}", child("plc-2"))).unwrap();
    until("one is gone", async || (known().await == ["line-3", "line-3/plc-2"]).then_some(())).await;
    device.terminate().await;
}

/// R-B-005, A5: a device that knows the manager's key downloads its authority once and keeps it; one that knows another
/// key learns nothing and says nothing. In the pre-draft alone, an operator may let it believe whoever answers first.
#[tokio::test]
async fn a_device_learns_whom_to_trust_as_its_revision_says() {
    let secure = Secure::start("").await;
    let authority = std::fs::read(secure.identities().join("server/authority.pem")).unwrap();
    let authority = CertificateDer::from_pem_slice(&authority).unwrap();
    let server = std::fs::read(secure.identities().join("server/certificate.pem")).unwrap();
    let pin = SpkiPin::of(&CertificateDer::from_pem_slice(&server).unwrap()).unwrap();
    let wrong = SpkiPin::of(&authority).unwrap();

    let mut device = secure.rc2("pack-5").await;
    let configuration = secure.signing_configuration("pack-5", SpecVersion::V1_0_0Rc2);
    let trusting = |pin: SpkiPin| {
        let authority = "authority = \"../identities/devices/pack-5/authority.pem\"";
        assert!(configuration.contains(authority));
        configuration.replace(authority, &format!("pins = [\"{pin}\"]"))
    };
    device.configure(&trusting(wrong));
    device.start();
    let reason = "the manager's authority has to wait";
    until(reason, async || device.log().contains(reason).then_some(())).await;
    device.terminate().await;
    assert_eq!(secure.plant.requests("GET", "/api/v1/onboarding/certificate").await, 0, "nothing was asked");

    device.configure(&trusting(pin));
    device.start();
    let id = secure.plant.deploy_pumps("pack-5").await;
    secure.plant.until_converged(&id).await;
    device.terminate().await;
    let kept = std::fs::read(secure.plant.folder().join("pack-5/data/authority.pem")).unwrap();
    assert_eq!(CertificateDer::from_pem_slice(&kept).unwrap(), authority);

    let mut oldest = secure.pre_draft("press-7").await;
    let configuration =
        std::fs::read_to_string(secure.plant.folder().join("press-7/margo-device.toml")).unwrap();
    let named = "authority = \"../identities/devices/press-7/authority.pem\"";
    assert!(configuration.contains(named));
    oldest.configure(&configuration.replace(named, "trust-on-first-use = true"));
    oldest.start();
    let id = secure.plant.deploy_pumps("press-7").await;
    secure.plant.until_converged(&id).await;
    oldest.terminate().await;
}

/// R-D-017: a proxy that is configured says who calls; whoever else says it is nobody.
#[tokio::test]
async fn only_a_configured_proxy_vouches_for_a_client() {
    for (proxy, status) in [("127.0.0.1", 200), ("192.0.2.1", 401)] {
        let address = free_address();
        let secure =
            Secure::start(&format!("[proxy]\nlisten = \"{address}\"\naddresses = [\"{proxy}\"]")).await;
        let device = secure.rc3("line-3").await;
        let pem = std::fs::read(secure.identities().join("clients/line-3/svid.pem")).unwrap();
        let svid = CertificateDer::from_pem_slice(&pem).unwrap();
        let header = format!(":{}:", base64::engine::general_purpose::STANDARD.encode(&svid));
        let ask = async |header: Option<&str>| {
            let mut request = secure.plant.http().get(format!("http://{address}/api/v1/deployments"));
            if let Some(header) = header {
                request = request.header("client-cert", header);
            }
            request.send().await.unwrap().status().as_u16()
        };
        assert_eq!(ask(Some(&header)).await, status, "{proxy}");
        assert_eq!(ask(None).await, 401, "{proxy}");
        assert_eq!(device.onboarded.client_id, "line-3");
    }
}
