//! Managers of rc.1 and rc.2: their routes, their documents, and what becomes of them.

use std::sync::{Arc, Mutex};

use margo_api::{CapabilitySink, DesiredStateSource, SinkErrorKind, SourceErrorKind, StatusSink, Update};
use margo_capability::AnyDeviceCapabilities;
use margo_client::{HttpOptions, HttpTransport, Onboarding};
use margo_core::{ClientId, Digest, ManifestVersion, SpecVersion};
use margo_deployment::{BundleRef, DeploymentRef, DesiredStateManifest};
use margo_identity::{MessageSigner, SignatureCredentials, SigningKey, VerifyingKey};
use margo_status::{ComponentStatus, DeploymentState, DeploymentStatusManifest};
use margo_syntax::Limits;
use rustls::pki_types::UnixTime;

use crate::fake::{Client, Fake, answer, client};

const RC1: SpecVersion = SpecVersion::V1_0_0Rc1;
const RC2: SpecVersion = SpecVersion::V1_0_0Rc2;

const RC1_DEPLOYMENT: &str = "
apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
metadata:
  annotations: { id: d-1, applicationId: pump-monitor, line: '3' }
  name: pump-monitor
  namespace: plant
spec:
  deploymentProfile:
    type: compose
    components:
      - name: collector
        properties: { packageLocation: 'https://files.example/collector.tar.gz' }
";

const RC2_DEPLOYMENT: &str = "
apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
id: d-1
metadata: { name: pump-monitor, namespace: plant, deviceId: gw/plc-7 }
spec:
  applicationId: pump-monitor
  deploymentProfile:
    type: helm
    components:
      - name: collector
        properties: { repository: 'oci://registry.example/collector', revision: 1.0.9 }
";

fn plant() -> ClientId {
    "plant-7".parse().unwrap()
}

fn now() -> UnixTime {
    UnixTime::since_unix_epoch(std::time::Duration::from_hours(500_000))
}

/// A manager with one deployment, at the routes of rc.1 and rc.2.
fn manager(version: SpecVersion, deployment: &'static str) -> (Client, Arc<Fake>, DeploymentRef) {
    let reference =
        DeploymentRef::at(version, &plant(), "d-1".parse().unwrap(), Digest::of(deployment.as_bytes()));
    let bundle = BundleRef::at(version, &plant(), Digest::of(b"bundle"), 6);
    let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, Some(bundle), vec![reference.clone()]);
    let manifest = manifest.to_json().unwrap();
    let (client, fake) = client(version, move |request| {
        let path = request.uri().path().strip_prefix("/margo").unwrap().replace("%3A", ":");
        Ok(match path.as_str() {
            "/api/v1/clients/plant-7/deployments" => answer(200, &[], manifest.clone()),
            path if path.starts_with("/api/v1/clients/plant-7/deployments/d-1/sha256:") => {
                answer(200, &[], deployment)
            }
            _ if request.method() == "GET" => answer(404, &[], ""),
            _ => answer(201, &[], ""),
        })
    });
    (client.with_client(plant()), fake, reference)
}

/// R-B-026: the bytes are verified as they came; R-D-024 has nothing to do with them. What the newest revision has no
/// place for is told.
#[tokio::test]
async fn a_deployment_of_rc_1_is_read_as_the_newest() {
    let (client, _, reference) = manager(RC1, RC1_DEPLOYMENT);
    let told = Arc::<Mutex<Vec<String>>>::default();
    let seen = Arc::clone(&told);
    let client = client.with_device("plc-7".parse().unwrap()).with_loss_observer(move |id, losses| {
        seen.lock().unwrap().extend(losses.iter().map(|loss| format!("{id} {}", loss.pointer)));
    });
    assert!(matches!(client.poll(None).await.unwrap(), Update::Changed(_)));
    let deployment = client.fetch(&reference).await.unwrap();
    assert_eq!(deployment.bytes(), RC1_DEPLOYMENT);
    assert_eq!(deployment.id.as_str(), "d-1");
    assert_eq!(deployment.metadata.device_id.as_str(), "plc-7", "rc.1 does not say");
    let told = told.lock().unwrap().clone();
    assert!(told.contains(&"d-1 /metadata/annotations/line".to_owned()), "{told:?}");
}

/// X-B-40: where the device has no name of its own here, the client is the device.
#[tokio::test]
async fn in_rc_1_a_client_is_a_device() {
    let (client, _, reference) = manager(RC1, RC1_DEPLOYMENT);
    assert_eq!(client.fetch(&reference).await.unwrap().metadata.device_id.as_str(), "plant-7");
}

/// rev-C 5: the shape decides, whatever the peer is called.
#[tokio::test]
async fn a_manager_called_rc_2_may_be_another_one() {
    for text in [RC2_DEPLOYMENT, RC1_DEPLOYMENT] {
        let (client, _, reference) = manager(RC2, text);
        let deployment = client.fetch(&reference).await.unwrap();
        assert_eq!(deployment.spec.application_id.as_str(), "pump-monitor");
    }
}

/// R-B-027.
#[tokio::test]
async fn other_bytes_are_refused() {
    let (client, _, reference) = manager(RC1, RC1_DEPLOYMENT);
    let reference = DeploymentRef::at(RC1, &plant(), reference.deployment_id, Digest::of(b"other"));
    assert_eq!(client.fetch(&reference).await.unwrap_err().kind(), SourceErrorKind::Corrupt);
}

/// R-B-016: first POST, then PUT; rc.2 names the device in the path (C3, C4). R-C-007.
#[tokio::test]
async fn capabilities_are_posted_and_then_put() {
    let text = r#"{"properties":{"id":"plc-7","vendor":"V","modelNumber":"M","serialNumber":"S","cpus":[{"cores":2,"architecture":"amd64"}],"memory":"4Gi","storage":"8Gi","peripherals":[],"interfaces":[],"otelCollector":true,"supportedRuntimes":["oci"],"supportedDeploymentTypes":["compose"]}}"#;
    let capabilities = AnyDeviceCapabilities::decode(text.into(), &Limits::default()).unwrap().into_value();
    for (version, path) in [
        (RC1, "/margo/api/v1/clients/plant-7/capabilities"),
        (RC2, "/margo/api/v1/clients/plant-7/capabilities/plc-7"),
    ] {
        let (client, fake, _) = manager(version, RC2_DEPLOYMENT);
        client.report_capabilities(&capabilities).await.unwrap();
        client.clone().report_capabilities(&capabilities).await.unwrap();
        assert_eq!(fake.seen(), [format!("POST {path}"), format!("PUT {path}")]);
        let body: serde_json::Value = serde_json::from_slice(fake.last().body()).unwrap();
        assert!(body["properties"]["resources"]["cpu"]["cores"] == 2, "{body}");
        assert_eq!(body["kind"], "DeviceCapabilitiesManifest");

        let gone = client.remove_device(&"plc-7".parse().unwrap()).await;
        if version == RC2 {
            gone.unwrap();
            assert_eq!(fake.seen()[2], format!("DELETE {path}"));
        } else {
            assert_eq!(gone.unwrap_err().kind(), SinkErrorKind::Unsayable, "rc.1 has no word for it");
        }
    }
}

/// R-C-011: a child is named in the report.
#[tokio::test]
async fn status_is_reported_in_the_words_of_the_revision() {
    let components = vec![ComponentStatus::new("collector".parse().unwrap(), DeploymentState::Installed)];
    let mut status = DeploymentStatusManifest::of("d-1".parse().unwrap(), ManifestVersion::FIRST, components);
    status.device_id = Some("gw/plc-7".parse().unwrap());
    let (client, fake, _) = manager(RC2, RC2_DEPLOYMENT);
    client.report_status(&status).await.unwrap();
    assert_eq!(fake.seen(), ["POST /margo/api/v1/clients/plant-7/deployments/d-1/status"]);
    let body: serde_json::Value = serde_json::from_slice(fake.last().body()).unwrap();
    assert_eq!((&body["kind"], &body["deviceId"]), (&"DeploymentStatusManifest".into(), &"gw/plc-7".into()));
    assert!(body.get("adoptedManifestVersion").is_none(), "{body}");
}

/// R-B-006: without a client id there is no path.
#[tokio::test]
async fn a_client_without_a_name_asks_for_nothing() {
    let (client, fake) = client(RC2, |_| Ok(answer(200, &[], "")));
    assert!(client.poll(None).await.is_err());
    assert!(fake.seen().is_empty());
}

/// E1, E2, R-B-002, X-B-22: the certificate goes in the body, signed with its key.
#[tokio::test]
async fn a_device_is_onboarded() {
    let certified = rcgen::generate_simple_self_signed(["press-7".to_owned()]).unwrap();
    let certificate = certified.cert.der().clone();
    let verifying = VerifyingKey::from_certificate(&certificate).unwrap();
    let expected = certificate.clone();
    let fake = Fake::new(move |request| {
        let json = [("content-type", "application/json")];
        Ok(match request.uri().to_string().as_str() {
            "https://wfm.example/api/v1/onboarding/certificate" => {
                let response = margo_api::endpoint::get_root_certificate::Response::new(&expected);
                margo_api::endpoint::Reply::to_http(&response, RC2)
            }
            "https://wfm.example/api/v1/onboarding" => {
                let verifier = margo_identity::MessageVerifier::new(["https://wfm.example".parse().unwrap()]);
                match verifier.verify(request, |_| Some(verifying.clone()), now()) {
                    Ok(()) => answer(201, &json, r#"{"clientId":"plant-7"}"#),
                    Err(_) => answer(403, &json, r#"{"error":"Client rejected"}"#),
                }
            }
            _ => answer(404, &[], ""),
        })
    });
    let onboarding = Onboarding::new("https://wfm.example".parse().unwrap(), RC2, fake).unwrap();
    assert_eq!(onboarding.root_certificate().await.unwrap(), certificate);

    let sign = |key: &str| {
        let key = Arc::new(SigningKey::from_pem(key.as_bytes()).unwrap());
        let signer = MessageSigner::new(key, "device", "https://wfm.example".parse().unwrap()).unwrap();
        SignatureCredentials::new(signer, now)
    };
    let credentials = sign(&certified.signing_key.serialize_pem());
    assert_eq!(onboarding.onboard(&certificate, &credentials).await.unwrap(), plant());

    let other = rcgen::KeyPair::generate().unwrap().serialize_pem();
    let error = onboarding.onboard(&certificate, &sign(&other)).await.unwrap_err();
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(cause.contains("Client rejected"), "{cause}");
}

#[test]
fn an_address_of_a_manager_is_needed() {
    let transport = HttpTransport::new(&HttpOptions::default()).unwrap();
    assert!(Onboarding::new("ftp://wfm.example".parse().unwrap(), RC2, transport).is_err());
}
