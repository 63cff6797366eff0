//! Software that nobody here wrote: `curl` and `openssl` over mutual TLS, and the `http-message-signatures` of Python for
//! rc.2. Where one is not installed, its test says so and shows nothing; `MARGO_INTEROPERABILITY=1` makes that a failure.
//! `MARGO_PYTHON` is the Python to ask, `python3` unless set.

#![expect(clippy::print_stderr, reason = "whoever reads the log should know what was not shown")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use margo_core::SpecVersion;
use margo_identity::{
    MessageSigner, MessageVerifier, SignatureAuthenticator, SigningKey, SvidAuthenticator, TlsVersions,
};
use margo_server::listen::{ListenConfig, Transport};
use margo_server::{ClientAcceptance, ClientKeys, OnboardRequest, Schemes, authenticated, router};
use rustls_pki_types::UnixTime;

use crate::pki::{ManagerFiles, WFM, authority, client_id, device_certificate, issue, now};
use crate::plant::{Plant, START, capabilities};
use crate::wire::Server;

/// What a program printed, if it is there; whether it succeeded is for the test.
async fn run(program: &str, arguments: &[&str]) -> Option<(bool, String)> {
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap();
    match output {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            Some((output.status.success(), String::from_utf8_lossy(&text).into_owned()))
        }
        Err(error) => absent(program, &error.to_string()),
    }
}

fn absent<T>(what: &str, why: &str) -> Option<T> {
    assert!(std::env::var_os("MARGO_INTEROPERABILITY").is_none(), "{what} is asked for: {why}");
    eprintln!("SKIPPED: {what} is not here ({why}), so nothing is shown about it");
    None
}

fn text(path: &Path) -> String {
    path.to_str().unwrap().to_owned()
}

/// R-D-001 to R-D-003, R-D-011: what any TLS library and any HTTP client can do, they can do with us.
#[tokio::test]
async fn curl_and_openssl_speak_mutual_tls() {
    let (plant, authority) = (Plant::new(), authority("factory"));
    let files = ManagerFiles::new(&authority);
    let onboarding = OnboardRequest::new("press-7".parse().unwrap(), SpecVersion::LATEST)
        .with_client("press-7".parse().unwrap());
    plant.manager.onboard(onboarding).await.unwrap();
    let acceptance = ClientAcceptance::new(Arc::clone(&plant.manager), WFM.parse().unwrap());
    let schemes = Schemes::new().with(SpecVersion::V1_0_0Rc3, SvidAuthenticator::new(acceptance));
    let app = authenticated(router(Arc::clone(&plant.manager)), Arc::new(schemes));
    let transport = files.transport(TlsVersions::default());
    let server = Server::start(transport, app, ListenConfig::new()).await;
    let client = issue(&authority, &[&client_id("press-7")], |_| {});
    std::fs::write(files.path("client.pem"), &client.pem).unwrap();
    std::fs::write(files.path("client.key"), client.key.serialize_pem()).unwrap();
    let [certificate, key, body] =
        ["client.pem", "client.key", "body.json"].map(|name| text(&files.path(name)));
    std::fs::write(&body, capabilities("press-7").to_string()).unwrap();

    let url = format!("https://{}/api/v1/capabilities/press-7", server.address);
    let data = format!("@{body}");
    // Names and dates are for SVID validation, which curl does not have: the certificates are of 2023.
    let common =
        ["--silent", "--show-error", "--insecure", "--max-time", "30", "--write-out", "\n%{http_code}"];
    let put = [&common[..], &["--cert", &certificate, "--key", &key, "-X", "PUT"]].concat();
    let put = [&put[..], &["-H", "content-type: application/json", "--data-binary", &data, &url]].concat();
    if let Some((_, answer)) = run("curl", &put).await {
        assert!(answer.ends_with("\n201"), "{answer}");
        let anonymous = [&common[..], &[&*url]].concat();
        let (succeeded, answer) = run("curl", &anonymous).await.unwrap();
        assert!(!succeeded && answer.contains("\n000"), "{answer}");
    }

    let address = server.address.to_string();
    let connect = ["s_client", "-connect", &address, "-cert", &certificate, "-key", &key];
    if let Some((_, answer)) = run(
        "openssl",
        &[&connect[..], &["-tls1_3", "-no_check_time", "-CAfile", &text(&files.path("bundle.pem"))]].concat(),
    )
    .await
    {
        assert!(answer.contains("Verify return code: 0 (ok)"), "{answer}");
        assert!(answer.contains("TLSv1.3"), "{answer}");
        let (_, answer) = run("openssl", &[&connect[..], &["-tls1_2"]].concat()).await.unwrap();
        assert!(answer.contains("alert protocol version"), "{answer}");
    }
}

const SIGN_AND_CALL: &str = r#"
import datetime, http.client, sys
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

key_file, address, key_id, created, method, path, body = sys.argv[1:]

class Keys(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id):
        return open(key_file, "rb").read()

class Message:
    pass

message = Message()
message.method, message.url, message.headers = method, "https://manager.example" + path, {}
signer = HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=Keys())
signer.sign(
    message, key_id=key_id, label="sig1", covered_component_ids=("@method", "@target-uri"),
    created=datetime.datetime.fromtimestamp(int(created)), body=body.encode() if body else None,
)
connection = http.client.HTTPConnection(address, timeout=30)
headers = {"content-type": "application/json", **message.headers}
connection.request(method, path, body=body or None, headers=headers)
print(connection.getresponse().status)
"#;

const VERIFY: &str = r#"
import datetime, json, sys
from http_message_signatures import HTTPMessageVerifier, HTTPSignatureKeyResolver, algorithms

class Keys(HTTPSignatureKeyResolver):
    def resolve_public_key(self, key_id):
        assert key_id == "press-7"
        return sys.argv[2].encode()

class Message:
    pass

message = Message()
message.__dict__.update(json.loads(sys.argv[1]))
verifier = HTTPMessageVerifier(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=Keys())
results = verifier.verify(message, max_age=datetime.timedelta(days=1))
print("covered", *results[0].covered_components)
"#;

/// R-B-010 to R-B-012: signatures of theirs are taken by us, and ours by them.
#[tokio::test]
async fn python_signs_and_verifies() {
    let python = std::env::var("MARGO_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    match run(&python, &["-c", "import http_message_signatures"]).await {
        Some((true, _)) => {}
        Some((false, _)) => {
            return absent("http-message-signatures (PyPI)", "Python cannot import it").unwrap_or(());
        }
        None => return,
    }
    let (plant, certificate) = (Plant::new(), device_certificate());
    let onboarding = OnboardRequest::new("press-7".parse().unwrap(), SpecVersion::V1_0_0Rc2)
        .with_client("press-7".parse().unwrap())
        .with_certificate(certificate.pem.clone());
    plant.manager.onboard(onboarding).await.unwrap();
    let verifier = MessageVerifier::new(["https://manager.example".parse().unwrap()]);
    let keys = ClientKeys::new(Arc::clone(&plant.manager));
    let schemes =
        Schemes::new().with(SpecVersion::V1_0_0Rc2, SignatureAuthenticator::new(verifier, keys, now));
    let app = authenticated(router(Arc::clone(&plant.manager)), Arc::new(schemes));
    let server = Server::start(Transport::plain(), app, ListenConfig::new()).await;
    let folder = tempfile::tempdir().unwrap();
    let key = text(&folder.path().join("key.pem"));
    std::fs::write(&key, certificate.key.serialize_pem()).unwrap();
    let (address, created) = (server.address.to_string(), START.to_string());
    let sign = ["-c", SIGN_AND_CALL, &key, &address];
    let poll = [&sign[..], &["press-7", &created, "GET", "/api/v1/clients/press-7/deployments", ""]].concat();
    assert_eq!(run(&python, &poll).await.unwrap().1.trim(), "200");
    let body = serde_json::json!({
        "apiVersion": "device.margo.org/v1alpha1", "kind": "DeviceCapabilitiesManifest",
        "properties": {
            "id": "press-7", "vendor": "Acme", "modelNumber": "P", "serialNumber": "1",
            "roles": ["Standalone Device"],
            "resources": { "cpu": { "cores": 4 }, "memory": "8Gi", "storage": "64Gi", "peripherals": [], "interfaces": [] },
        },
    })
    .to_string();
    let path = "/api/v1/clients/press-7/capabilities/press-7";
    let report = [&sign[..], &["press-7", &created, "POST", path, &body]].concat();
    assert_eq!(run(&python, &report).await.unwrap().1.trim(), "201");
    let unknown = [&sign[..], &["nobody", &created, "POST", path, &body]].concat();
    assert_eq!(run(&python, &unknown).await.unwrap().1.trim(), "401");

    let signing = Arc::new(SigningKey::from_pem(certificate.key.serialize_pem().as_bytes()).unwrap());
    let signer = MessageSigner::new(signing, "press-7", "https://manager.example".parse().unwrap()).unwrap();
    let mut request = http::Request::post(path).body(bytes::Bytes::from(body)).unwrap();
    signer.sign(&mut request, UnixTime::now()).unwrap();
    let headers: std::collections::BTreeMap<_, _> =
        request.headers().iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    let message = serde_json::json!({
        "method": "POST", "url": format!("https://manager.example{path}"), "headers": headers,
    });
    let (message, public) = (message.to_string(), certificate.key.public_key_pem());
    let (succeeded, told) = run(&python, &["-c", VERIFY, &message, &public]).await.unwrap();
    assert!(succeeded && told.contains("content-digest"), "{told}");
}
