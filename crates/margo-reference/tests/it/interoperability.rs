//! Software that nobody here wrote, against ours: OpenSSL, curl, Git, and from Python's index `http-message-signatures` and
//! `schemathesis`. `cargo xtask interop` installs what is missing and demands that nothing is left out; elsewhere a test
//! whose tool is absent says so and does nothing.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;

use margo_api::{CapabilitySink, DesiredStateSource, Update};
use margo_capability::AnyDeviceCapabilities;
use margo_client::{DeviceCredentials, HttpOptions, HttpTransport, RestClient};
use margo_core::SpecVersion;
use margo_identity::{MessageSigner, SigningKey};
use margo_syntax::Limits;
use serde_json::Value;

use crate::plant::fixtures;
use crate::program::try_git;
use crate::secure::{LIFETIME, Secure, now};

/// The program at the path in this variable, or of this name; `None`, loudly, when there is none.
pub(crate) fn tool(variable: &str, name: &str) -> Option<PathBuf> {
    let path = std::env::var_os(variable).map_or_else(|| PathBuf::from(name), PathBuf::from);
    let is_there = Command::new(&path)
        .arg(if name == "openssl" { "version" } else { "--version" })
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if is_there {
        return Some(path);
    }
    absent(&format!("`{}`", path.display()));
    None
}

pub(crate) fn absent(what: &str) {
    assert!(std::env::var_os("MARGO_INTEROP_REQUIRED").is_none(), "{what} is demanded and absent");
    eprintln!("SKIPPED: {what} is absent; `cargo xtask interop` installs what these tests need");
}

/// Python with the packages the tests need.
fn python() -> Option<PathBuf> {
    let Some(path) = std::env::var_os("MARGO_INTEROP_PYTHON") else {
        absent("Python with `http-message-signatures` (`MARGO_INTEROP_PYTHON`)");
        return None;
    };
    Some(path.into())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Runs a program that must not need longer than it takes, with this on its standard input.
fn run(command: &mut Command, input: &[u8]) -> Output {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // Whoever does not listen has said enough.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

/// A plant with a client of 1.0.0-rc.3 that has a deployment, and where its SVID is.
async fn rc3() -> (Secure, PathBuf) {
    let secure = Secure::start("").await;
    let mut device = secure.rc3("line-3").await;
    device.start();
    let id = secure.plant.deploy_pumps("line-3").await;
    secure.plant.until_converged(&id).await;
    device.terminate().await;
    let identity = secure.identities().join("clients/line-3");
    (secure, identity)
}

/// R-D-001, R-D-002, R-D-003: OpenSSL finds the chain, speaks TLS 1.3 and nothing older, and gets nowhere without a
/// certificate.
#[tokio::test]
async fn openssl_speaks_mutual_tls() {
    let Some(openssl) = tool("MARGO_INTEROP_OPENSSL", "openssl") else { return };
    let (secure, identity) = rc3().await;
    let authority = secure.identities().join("server/authority.pem");
    let address = secure.mutual.to_string();
    let connect = |arguments: &[&str]| {
        let mut command = Command::new(&openssl);
        command.args([
            "s_client",
            "-quiet",
            "-ign_eof",
            "-verify_return_error",
            "-connect",
            &address,
            "-CAfile",
        ]);
        command.arg(&authority).args(arguments).current_dir(&identity);
        let request = b"GET /api/v1/deployments HTTP/1.1\r\nHost: wfm.example\r\nConnection: close\r\n\r\n";
        let output = run(&mut command, request);
        (text(&output.stdout), text(&output.stderr))
    };
    let own = ["-cert", "svid.pem", "-key", "svid_key.pem"];
    let (answer, said) = connect(&[&own[..], &["-tls1_3"]].concat());
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}\n{said}");
    assert!(answer.contains("\"manifestVersion\""), "{answer}");

    let (answer, said) = connect(&[&own[..], &["-tls1_2"]].concat());
    assert!(answer.is_empty() && said.contains("alert protocol version"), "{answer}\n{said}");
    let (answer, said) = connect(&["-tls1_3"]);
    assert!(answer.is_empty() && said.contains("certificate required"), "{answer}\n{said}");
}

/// R-D-004, R-D-006, R-D-007, R-D-020, R-B-035: curl reports, polls, and is refused as somebody nobody onboarded. It
/// cannot check a SPIFFE id, so it is told not to check at all (R-D-010).
#[tokio::test]
async fn curl_is_a_device() {
    let Some(curl) = tool("MARGO_INTEROP_CURL", "curl") else { return };
    let (secure, identity) = rc3().await;
    secure.domain.issue_client(&"stranger".parse().unwrap(), now(), LIFETIME).unwrap();
    let call = |folder: &Path, arguments: &[&str], path: &str| {
        let mut command = Command::new(&curl);
        command.args(["--silent", "--show-error", "--include", "--insecure", "--cert", "svid.pem"]);
        command.args(["--key", "svid_key.pem"]).args(arguments).current_dir(folder);
        command.arg(format!("https://{}{path}", secure.mutual));
        let output = run(&mut command, b"");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let answer = call(&identity, &[], "/api/v1/deployments");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    let etag = answer.lines().find_map(|line| line.strip_prefix("etag: ")).unwrap().trim().to_owned();
    let known = format!("If-None-Match: {etag}");
    let answer = call(&identity, &["--header", &known], "/api/v1/deployments");
    assert!(answer.starts_with("HTTP/1.1 304"), "{answer}");

    let relay = r#"{"properties":{"id":"line-3/plc","vendor":"V","modelNumber":"M","serialNumber":"S"}}"#;
    let put = ["--request", "PUT", "--header", "Content-Type: application/json", "--data", relay];
    let answer = call(&identity, &put, "/api/v1/capabilities/line-3/plc");
    assert!(answer.starts_with("HTTP/1.1 201"), "{answer}");

    let answer = call(&secure.identities().join("clients/stranger"), &[], "/api/v1/deployments");
    assert!(
        answer.starts_with("HTTP/1.1 403") && answer.contains("problem-types#not-authorized"),
        "{answer}"
    );
}

/// R-A-016, R-A-018, R-A-019: stock Git over HTTPS, with a token that was issued to the device.
#[tokio::test]
async fn git_clones_with_the_token_of_the_device() {
    let Some(curl) = tool("MARGO_INTEROP_CURL", "curl") else { return };
    let secure = Secure::start("").await;
    let device = secure.pre_draft("press-7").await;
    secure.plant.deploy_pumps("press-7").await;
    let authority = secure.identities().join("server/authority.pem");
    let client = device.onboarded.client_id.clone();
    let form = [
        "grant_type=client_credentials".to_owned(),
        format!("client_id={client}"),
        format!("client_secret={}", device.onboarded.token),
    ];
    let mut command = Command::new(curl);
    command.args(["--silent", "--show-error", "--fail", "--cacert"]).arg(&authority);
    for field in &form {
        command.args(["--data-urlencode", field]);
    }
    let output = run(command.arg(format!("https://{}/git-token", secure.tls)), b"");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    let (token, lasts) = (answer["access_token"].as_str().unwrap(), answer["expires_in"].as_u64());
    assert_eq!(lasts, Some(3600));

    let trust = format!("http.sslCAInfo={}", authority.display());
    let clone = |token: &str, into: &str| {
        let url = format!("https://device:{token}@{}/git/{client}.git", secure.tls);
        try_git(secure.plant.folder(), &["-c", &trust, "clone", "--quiet", &url, into])
    };
    let cloned = clone(token, "cloned");
    assert!(cloned.status.success(), "{}", text(&cloned.stderr));
    assert!(secure.plant.folder().join("cloned/deployments").is_dir());
    assert!(!clone(&token.replace("margo_", "margo_0"), "refused").status.success());
}

/// R-B-010 to R-B-013, X-B-21, X-B-23: another implementation of RFC 9421 and RFC 9530 signs, and our manager takes
/// it, with each kind of key; what was changed or never signed is refused in the words of the revision.
#[tokio::test]
async fn calls_that_python_signs_are_taken() {
    let Some(python) = python() else { return };
    let mut secure = Secure::idle("[onboarding]\nadmit = \"anyone\"");
    secure.plant.up().await;
    let authority = secure.identities().join("server/authority.pem");
    for (name, algorithm) in [("pack-5", "ecdsa-p256-sha256"), ("pack-6", "rsa-v1_5-sha256")] {
        let (certificate, key) = if algorithm.starts_with("rsa") {
            rsa_certificate(secure.plant.folder())
        } else {
            let written = secure.domain.issue_device(&name.parse().unwrap(), now(), LIFETIME).unwrap();
            (written.folder.join("certificate.pem"), written.folder.join("key.pem"))
        };
        let certificate = std::fs::read_to_string(certificate).unwrap();
        let operator = secure.plant.operator();
        let onboarded = operator.onboard_with(name, None, "1.0.0-rc.2", Some(&certificate)).await.unwrap();
        let client = &onboarded.client_id;
        let call = |method: &str, path: &str, body: &str| {
            let mut command = Command::new(&python);
            command.arg(script()).args(["call", method, &format!("https://{}{path}", secure.tls)]);
            command.arg(&key).args([client, algorithm]).arg(&authority).arg(body);
            let output = run(&mut command, b"");
            assert!(output.status.success(), "{}", text(&output.stderr));
            let said = text(&output.stdout);
            let (status, body) = said.split_once('\n').unwrap();
            (status.parse::<u16>().unwrap(), body.to_owned())
        };
        let (status, body) = call("GET", &format!("/api/v1/clients/{client}/deployments"), "");
        assert_eq!(status, 200, "{algorithm}: {body}");
        assert!(body.contains("manifestVersion"), "{body}");
        let capabilities = capabilities(name);
        let path = format!("/api/v1/clients/{client}/capabilities/{name}");
        let (status, body) = call("POST", &path, &capabilities);
        assert_eq!(status, 201, "{algorithm}: {body}");
        // Somebody else's name does not go with this key.
        let (status, body) = call("GET", "/api/v1/clients/somebody/deployments", "");
        assert_eq!(status, 401, "{algorithm}: {body}");
        assert!(body.contains("\"error\":\"Invalid signature\""), "{body}");
    }
}

/// R-B-010, R-B-011: what our client signs, another implementation verifies, with each kind of key.
#[tokio::test]
async fn calls_that_we_sign_are_taken_by_python() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let ecdsa = Secure::idle("");
    let written = ecdsa.domain.issue_device(&"pack-5".parse().unwrap(), now(), LIFETIME).unwrap();
    let (_, rsa) = rsa_certificate(folder.path());
    for (key, algorithm) in [(written.folder.join("key.pem"), "ecdsa-p256-sha256"), (rsa, "rsa-v1_5-sha256")]
    {
        let pem = std::fs::read(&key).unwrap();
        let key = Arc::new(SigningKey::from_pem(&pem).unwrap());
        let public = folder.path().join("public.pem");
        std::fs::write(&public, public_pem(&key)).unwrap();
        let verifier = Verifier::start(&python, &public, algorithm);
        let base = format!("http://127.0.0.1:{}", verifier.port);
        let client = |origin: &str| {
            let signer = MessageSigner::new(Arc::clone(&key), "pack-5", origin.parse().unwrap()).unwrap();
            let transport = HttpTransport::new(&HttpOptions::default()).unwrap();
            let credentials = DeviceCredentials::message_signature(signer, now);
            RestClient::new(base.parse().unwrap(), SpecVersion::V1_0_0Rc2, transport, credentials)
                .unwrap()
                .with_client("pack-5".parse().unwrap())
        };
        let honest = client(&base);
        assert!(matches!(honest.poll(None).await.unwrap(), Update::Changed(_)), "{algorithm}");
        let capabilities =
            AnyDeviceCapabilities::decode(capabilities("pack-5").into(), &Limits::default()).unwrap();
        honest.report_capabilities(capabilities.value()).await.unwrap();
        // Signed for another address: whoever forwards it elsewhere gains nothing.
        assert!(client("http://127.0.0.2:1").poll(None).await.is_err(), "{algorithm}");
    }
}

/// What `schemathesis` finds when it drives the routes of 1.0.0-rc.3 as its OpenAPI file describes them, and why each
/// is as it should be. Anything else is a failure.
const EXPLAINED: [(&str, &str, &str, &str); 9] = [
    (
        "GET /api/v1/deployments/{deploymentId}/{digest}",
        "ST103",
        "Received: 304",
        "X-D-45: the file declares `If-None-Match` and no 304; the page allows it",
    ),
    (
        "GET /api/v1/deployments/{deploymentId}/{digest}",
        "ST108",
        "is not of type \"string\"",
        "the file describes the YAML as a text, and the tool looks at what the text says",
    ),
    (
        "GET /api/v1/deployments",
        "ST108",
        "\"bundle.mediaType\" is a required property",
        "X-D-05: the file requires members whose names have dots, where it means members of `bundle`",
    ),
    (
        "GET /api/v1/deployments",
        "ST202",
        "[406]",
        "R-B-018: any text is valid as `Accept` in the file, and one that names other media types alone is refused",
    ),
    (
        "POST /api/v1/deployments/{deploymentId}/status",
        "ST202",
        "\"field\":\"",
        "3.6, X-D-31: the file takes any number for a manifest version and any text for a component's name",
    ),
    (
        "POST /api/v1/deployments/{deploymentId}/status",
        "ST103",
        "problem-types#deployment-not-found",
        "X-D-44: the file lists no 404, the registry and the conformance cases have one",
    ),
    (
        "PUT /api/v1/capabilities/{deviceId}",
        "ST201",
        "Incorrect type",
        "read openly: `null` stands for a member that is absent; we never write it",
    ),
    (
        "PUT /api/v1/capabilities/{deviceId}",
        "ST202",
        "properties.",
        "R-D-021, R-D-023: the file does not say that a device with deployment types has all hosting members and a \
         collector",
    ),
    (
        "PUT /api/v1/capabilities/{deviceId}",
        "ST202",
        "problem-types#gateway-not-found",
        "R-C-004, X-D-27: a child whose gateway is not known is a 404, which the tool may take for a refusal",
    ),
];

/// R-D-037, X-D-36: hundreds of requests that somebody else thought of, valid and not.
#[tokio::test]
async fn schemathesis_finds_nothing_that_is_not_explained() {
    let Some(schemathesis) = tool("MARGO_INTEROP_SCHEMATHESIS", "schemathesis") else { return };
    let Some(description) = std::env::var_os("MARGO_INTEROP_OPENAPI") else {
        return absent("the OpenAPI file of 1.0.0-rc.3 (`MARGO_INTEROP_OPENAPI`)");
    };
    let (secure, identity) = rc3().await;
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(schemathesis);
    command
        .arg("--no-color")
        .arg("run")
        .arg(description)
        .args(["--url", &format!("https://{}", secure.mutual)]);
    command.args(["--tls-verify", "false", "--request-cert"]).arg(identity.join("svid.pem"));
    command.arg("--request-cert-key").arg(identity.join("svid_key.pem"));
    command.args(["--checks", "all", "--phases", "examples,coverage,fuzzing", "--continue-on-failure"]);
    command.args(["--max-examples", "30", "--seed", "1", "--generation-database", "none"]);
    let output = run(command.current_dir(folder.path()), b"");
    let said = text(&output.stdout);
    assert!(said.contains("Tested: 6"), "{said}\n{}", text(&output.stderr));
    assert!(!said.contains("Server error"), "{said}");
    let found = findings(&said);
    let is_explained = |(operation, code, detail): &(String, String, String)| {
        EXPLAINED.iter().any(|(at, what, how, _)| at == operation && what == code && detail.contains(how))
    };
    let unexplained: Vec<_> = found.iter().filter(|finding| !is_explained(finding)).collect();
    assert!(unexplained.is_empty(), "{unexplained:#?}");
    assert!(output.status.success() || !found.is_empty(), "{said}");
}

/// What the tool found: the operation, the code, and everything said about it.
fn findings(said: &str) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let (mut operation, mut code, mut detail) = (String::new(), String::new(), String::new());
    let failures = said.split_once("= FAILURES =").map_or("", |(_, rest)| rest);
    let failures = failures.split_once("= WARNINGS =").map_or(failures, |(failures, _)| failures);
    let failures = failures.split_once("= SUMMARY =").map_or(failures, |(failures, _)| failures);
    for line in failures.lines() {
        let title = line.trim_matches('_').trim();
        if line.starts_with("__") && !title.is_empty() {
            if !code.is_empty() {
                found.push((operation.clone(), std::mem::take(&mut code), std::mem::take(&mut detail)));
            }
            title.clone_into(&mut operation);
        } else if let Some(next) = line.strip_prefix("- ST") {
            if !code.is_empty() {
                found.push((operation.clone(), std::mem::take(&mut code), std::mem::take(&mut detail)));
            }
            code = format!("ST{}", next.split(' ').next().unwrap());
        } else {
            detail.push_str(line);
            detail.push('\n');
        }
    }
    if !code.is_empty() {
        found.push((operation, code, detail));
    }
    found
}

/// A server in Python that takes what verifies, and is killed at the end of the test.
struct Verifier {
    child: Child,
    port: u16,
}

impl Verifier {
    fn start(python: &Path, public: &Path, algorithm: &str) -> Self {
        let mut child = Command::new(python)
            .arg(script())
            .arg("serve")
            .arg(public)
            .arg(algorithm)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap().take(100)).read_line(&mut line).unwrap();
        Self { child, port: line.trim().parse().unwrap() }
    }
}

impl Drop for Verifier {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn script() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/interop/rfc9421.py")
}

fn capabilities(id: &str) -> String {
    let text = std::fs::read_to_string(fixtures().join("devices/pack-5/capabilities.yaml")).unwrap();
    let value: Value = margo_syntax::decode_with(
        text.as_bytes(),
        margo_syntax::Format::Yaml,
        &Limits::default(),
        Ok::<_, margo_syntax::Fault>,
    )
    .unwrap();
    value.to_string().replace("pack-5", id)
}

/// A certificate with an RSA key, made by OpenSSL: in PEM, the certificate and the key.
fn rsa_certificate(folder: &Path) -> (PathBuf, PathBuf) {
    let (certificate, key) = (folder.join("rsa.pem"), folder.join("rsa.key"));
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "rsa:3072", "-nodes", "-days", "2", "-subj", "/CN=pack-6", "-out"])
        .arg(&certificate)
        .arg("-keyout")
        .arg(&key)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    (certificate, key)
}

fn public_pem(key: &SigningKey) -> String {
    use base64::Engine as _;
    let der = base64::engine::general_purpose::STANDARD.encode(key.verifying_key().spki());
    let lines = der.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n");
    format!("-----BEGIN PUBLIC KEY-----\n{lines}\n-----END PUBLIC KEY-----\n")
}
