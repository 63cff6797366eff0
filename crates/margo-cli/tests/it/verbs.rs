//! One verb after the other: what is asked of the manager, what is said to the operator, and the exit code.

use std::fs;
use std::path::Path;
use std::process::Stdio;

use margo_cli::command::{EXIT_DONE, EXIT_NOT_ASKED, EXIT_REFUSED};
use serde_json::{Value, json};

use crate::fake::{DESCRIPTION, Fake, TOKEN, deployment, margo, package, pending, said};

const DONE: Option<i32> = Some(EXIT_DONE as i32);
const REFUSED: Option<i32> = Some(EXIT_REFUSED as i32);
const NOT_ASKED: Option<i32> = Some(EXIT_NOT_ASKED as i32);

fn application() -> Value {
    json!({
        "applicationId": "pump-monitor", "version": "1.1.0", "name": "Pump monitor", "digest": "sha256:00",
        "storedAt": "2026-03-02T08:00:00Z", "parameters": [],
        "profiles": [{"id": "cluster", "type": "helm", "components": ["pump-analyzer"]}],
    })
}

#[test]
fn a_package_is_uploaded_and_deployed() {
    let fake = Fake::start();
    let package = package();
    fake.answer("POST /operator/v1/applications", 201, &application());
    let changed = json!({
        "deployments": [pending("0b0e2c9a-3a51-4c5e-9d53-0d3f6f6a7a11"), pending("5f1c7d3e-8a4b-4f0e-b0a6-2f7f1a1c9b22")],
        "warnings": [{
            "deploymentId": "5f1c7d3e-8a4b-4f0e-b0a6-2f7f1a1c9b22", "device": "press-7",
            "pointer": "/spec/deploymentProfile/deviceConstraints", "reason": "there are no device constraints",
        }],
    });
    fake.answer("POST /operator/v1/deployments", 201, &changed);

    let folder = package.path().to_str().unwrap();
    let said = fake.run(&[
        "deploy",
        folder,
        "--to",
        "line-3",
        "gateway-1/press-7",
        "--profile",
        "cluster",
        "--set",
        "interval=30",
        "--set-json",
        "channels=[\"mail\"]",
    ]);
    assert_eq!(said.code, DONE, "{said:?}");
    insta::assert_snapshot!("deployed_out", said.out);
    insta::assert_snapshot!("deployed_err", said.err);

    let asked = fake.asked();
    assert_eq!(asked.len(), 2);
    assert!(asked.iter().all(|asked| asked.authorization == format!("Bearer {TOKEN}")));
    assert_eq!((asked[0].content_type.as_str(), asked[0].body.as_str()), ("application/yaml", DESCRIPTION));
    assert_eq!(
        asked[1].json(),
        json!({
            "applicationId": "pump-monitor", "version": "1.1.0", "profile": "cluster",
            "values": {"interval": "30", "channels": ["mail"]}, "targets": ["line-3", "gateway-1/press-7"],
        })
    );
}

/// R-D-028: the report names each device, and the program ends with a refusal.
#[test]
fn what_cannot_be_placed_is_told_with_the_reasons_of_each_device() {
    let fake = Fake::start();
    fake.answer("GET /operator/v1/applications", 200, &json!({"applications": [application()]}));
    let problem = json!({
        "title": "Semantic Error", "status": 422,
        "detail": "`pump-monitor` 1.1.0 cannot be placed: none of 2 devices fits",
        "errors": [
            {"field": "line-3", "message": "4Gi of memory are needed, and the device has 1Gi"},
            {"field": "press-7", "message": "it has not reported its capabilities"},
        ],
    });
    fake.answer("POST /operator/v1/deployments", 422, &problem);
    for (flag, spread) in [("--anywhere", "anywhere"), ("--everywhere", "everywhere")] {
        let said = fake.run(&["deploy", "pump-monitor", flag]);
        assert_eq!((said.code, said.out.as_str()), (REFUSED, ""));
        assert_eq!(
            said.err,
            "error: `pump-monitor` 1.1.0 cannot be placed: none of 2 devices fits\n  \
             line-3: 4Gi of memory are needed, and the device has 1Gi\n  \
             press-7: it has not reported its capabilities\n"
        );
        let asked = fake.asked().pop().unwrap().json();
        assert_eq!((&asked["spread"], &asked["targets"]), (&json!(spread), &Value::Null));
    }
}

/// Two devices of one name are told apart; the code says whether there is one that fits.
#[test]
fn placements_read_aloud() {
    let fake = Fake::start();
    fake.answer("GET /operator/v1/applications", 200, &json!({"applications": [application()]}));
    let placement = |client: &str, device: &str, fits: bool, refusals: Value, warnings: Value| {
        json!({
            "clientId": client, "device": device, "profile": "cluster", "fits": fits, "refusals": refusals,
            "warnings": warnings,
        })
    };
    let memory = json!([{
        "message": "4Gi of memory are needed, and the device has 1Gi",
        "asked": "/deviceConstraints/capacityRequirements/memory", "offered": "/properties/memory",
    }, {
        "message": "the eligibility rule does not match", "asked": "/deviceConstraints/eligibilityRules",
        "because": [{"message": "`/vendor` must be \"Acme\", and is \"Other\"\u{1b}[2J"}],
    }]);
    let unknown =
        json!([{"message": "the device does not tell its storage", "offered": "/properties/storage"}]);
    let mut answer = json!({
        "applicationId": "pump-monitor", "version": "1.1.0",
        "placements": [
            placement("c-1", "line-3", false, memory, json!([])),
            placement("c-1", "line-4", true, json!([]), json!([])),
            placement("c-2", "line-3", true, json!([]), unknown),
        ],
    });
    fake.answer("POST /operator/v1/placements", 200, &answer);
    let said = fake.run(&["placement", "pump-monitor"]);
    assert_eq!((said.code, said.err.as_str()), (DONE, ""));
    insta::assert_snapshot!("placement_out", said.out);
    assert_eq!(fake.asked()[1].json(), json!({"applicationId": "pump-monitor", "version": "1.1.0"}));

    answer["placements"].as_array_mut().unwrap().truncate(1);
    fake.answer("POST /operator/v1/placements", 200, &answer);
    let said = fake.run(&["placement", "pump-monitor"]);
    assert_eq!(said.code, REFUSED);
    assert_eq!(said.err, "error: `pump-monitor` 1.1.0 cannot be placed: no device is known to fit\n");
    answer["placements"] = json!([]);
    fake.answer("POST /operator/v1/placements", 200, &answer);
    let said = fake.run(&["placement", "pump-monitor", "--json"]);
    assert_eq!(said.code, REFUSED);
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap()["placements"], json!([]));
}

#[test]
fn every_fault_the_manager_finds_is_told() {
    let fake = Fake::start();
    fake.answer("GET /operator/v1/applications", 200, &json!({"applications": [application()]}));
    let problem = json!({
        "type": "https://margo.org/problems/semantic-error", "title": "Semantic Error", "status": 422,
        "detail": "2 things are wrong with the deployment",
        "errors": [
            {"field": "values.interval", "message": "expected at most 3600"},
            {"field": "targets[1]", "message": "no device is called `line-9`\u{1b}[2J"},
        ],
    });
    fake.answer("POST /operator/v1/deployments", 422, &problem);
    let said =
        fake.run(&["deploy", "pump-monitor@1.1.0", "--to", "line-3", "line-9", "--set", "interval=9999"]);
    assert_eq!((said.code, said.out.as_str()), (REFUSED, ""));
    assert_eq!(
        said.err,
        "error: 2 things are wrong with the deployment\n  values.interval: expected at most 3600\n  \
         targets[1]: no device is called `line-9` [2J\n"
    );
}

/// What `margo identity issue` made goes to the manager, as far as it is for the manager, and to the device as a whole.
#[test]
fn a_device_is_onboarded_with_its_identity() {
    let home = tempfile::tempdir().unwrap();
    for args in [
        &["init", "plant", "--trust-domain", "factory.example", "--wfm", "plant"][..],
        &["issue", "plant", "--client", "c-1"],
        &["issue", "plant", "--device", "press-7"],
    ] {
        let made = margo(&[&["identity"], args].concat()).current_dir(home.path()).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    }
    let fake = Fake::start();
    let onboarded = json!({"clientId": "c-1", "deviceId": "line-3", "revision": "1.0.0-rc.3", "token": "t", "gitToken": "g"});
    fake.answer("POST /operator/v1/devices", 201, &onboarded);
    let run = |args: &[&str]| {
        let args = [&["device", "onboard", "line-3"], args, &["--address", "https://wfm.example"]].concat();
        said(fake.margo(&args).current_dir(home.path()).output().unwrap())
    };
    let with_svid = run(&["--identity", "plant/clients/c-1", "--write", "new"]);
    assert_eq!(with_svid.code, DONE, "{with_svid:?}");
    assert_eq!(
        fake.asked().pop().unwrap().json(),
        json!({"deviceId": "line-3", "revision": "1.0.0-rc.3", "clientId": "c-1"})
    );
    let at = |path: &str| fs::read_to_string(home.path().join(path)).unwrap();
    assert_eq!(at("new/svid_key.pem"), at("plant/clients/c-1/svid_key.pem"));
    assert!(at("new/margo-device.toml").contains("url = \"https://wfm.example/\""));
    assert!(!home.path().join("new/token").exists(), "there is no other proof");

    let identity = ["--identity", "plant/devices/press-7", "--write", "old", "--revision", "rc.2"];
    assert_eq!(run(&identity).code, DONE);
    assert_eq!(
        fake.asked().pop().unwrap().json(),
        json!({
            "deviceId": "line-3", "revision": "1.0.0-rc.2",
            "certificate": at("plant/devices/press-7/certificate.pem"),
        })
    );

    // What cannot be is found before anything is asked or written.
    let asked = fake.asked().len();
    for (args, expected) in [
        (
            &["--identity", "plant/clients/c-1", "--write", "x", "--client-id", "c-2"][..],
            "`--client-id` says `c-2`",
        ),
        (&["--identity", "plant/devices/press-7", "--write", "x"], "no identity of a client of 1.0.0-rc.3"),
        (&["--identity", "plant/manager", "--write", "x"], "no identity of a client of 1.0.0-rc.3"),
        (
            &["--identity", "plant/clients/c-1", "--write", "x", "--revision", "rc.2"],
            "certificate.pem` cannot be read",
        ),
        (&["--identity", "plant/clients/c-1", "--write", "new"], "exists; it is not overwritten"),
        (&["--identity", "plant/clients/c-1"], "--write"),
        (&["--write", "x"], "--identity"),
    ] {
        let refused = run(args);
        assert_eq!(refused.code, NOT_ASKED, "{refused:?}");
        assert!(refused.err.contains(expected), "{args:?}: {}", refused.err);
    }
    assert_eq!(fake.asked().len(), asked);
    let in_the_clear =
        ["device", "onboard", "l", "--identity", ".", "--write", "x", "--address", "http://wfm.example"];
    assert!(fake.run(&in_the_clear).err.contains("begins with `https://`"));
}

/// A certificate, as far as the program looks at one.
const PEM: &str = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n";

/// What each verb asks of the manager.
#[test]
fn each_verb_asks_what_it_is_told_to() {
    let nothing = json!({"deployments": [], "warnings": []});
    let onboarded =
        json!({"clientId": "c", "deviceId": "d", "revision": "pre-draft", "token": "t", "gitToken": "g"});
    let device = json!({"clientId": "c", "deviceId": "d", "revision": "pre-draft"});
    let package = package();
    let folder = package.path().to_str().unwrap();
    let pem = package.path().join("plc-7.pem");
    fs::write(&pem, PEM).unwrap();
    let pem = pem.to_str().unwrap();
    let cases: &[(&[&str], &str, Value, Value)] = &[
        (
            &["device", "onboard", "plc-7", "--revision", "pre-draft", "--client-id", "c-1"],
            "POST /operator/v1/devices",
            onboarded.clone(),
            json!({"deviceId": "plc-7", "revision": "pre-draft", "clientId": "c-1"}),
        ),
        (
            &["device", "onboard", "plc-7"],
            "POST /operator/v1/devices",
            onboarded.clone(),
            json!({"deviceId": "plc-7", "revision": "1.0.0-rc.3"}),
        ),
        (
            &["device", "rotate", "c-1:plc-7"],
            "POST /operator/v1/devices/c-1:plc-7/rotate",
            onboarded.clone(),
            Value::Null,
        ),
        (
            &["device", "onboard", "plc-7", "--revision", "rc.2", "--certificate", pem],
            "POST /operator/v1/devices",
            onboarded,
            json!({"deviceId": "plc-7", "revision": "1.0.0-rc.2", "certificate": PEM}),
        ),
        (
            &["device", "link", "plc-7", "--client", "c-9", "--revision", "rc.3"],
            "POST /operator/v1/devices/plc-7/link",
            nothing.clone(),
            json!({"clientId": "c-9", "revision": "1.0.0-rc.3"}),
        ),
        (
            &["device", "link", "plc-7", "--certificate", pem],
            "POST /operator/v1/devices/plc-7/link",
            nothing.clone(),
            json!({"certificate": PEM}),
        ),
        (
            &["device", "unlink", "plc-7", "--client", "c-9"],
            "POST /operator/v1/devices/plc-7/unlink",
            nothing.clone(),
            json!({"clientId": "c-9"}),
        ),
        (
            &["device", "unlink", "c-1:plc-7", "--client", "c-9", "--revision", "rc.2"],
            "POST /operator/v1/devices/c-1:plc-7/unlink",
            nothing.clone(),
            json!({"clientId": "c-9", "revision": "1.0.0-rc.2"}),
        ),
        (
            &["placement", folder, "--profile", "cluster"],
            "POST /operator/v1/placements",
            json!({
                "applicationId": "pump-monitor", "version": "1.1.0",
                "placements": [{"device": "d", "profile": "cluster", "fits": true, "refusals": [], "warnings": []}],
            }),
            json!({"description": DESCRIPTION, "profile": "cluster"}),
        ),
        (
            &["device", "retire", "gw/plc-7"],
            "POST /operator/v1/devices/gw%2Fplc-7/retire",
            device,
            Value::Null,
        ),
        (&["device", "list"], "GET /operator/v1/devices", json!({"devices": []}), Value::Null),
        (&["app", "upload", folder], "POST /operator/v1/applications", application(), Value::Null),
        (&["app", "list"], "GET /operator/v1/applications", json!({"applications": []}), Value::Null),
        (
            &["update", "a", "b", "--version", "2.0.0", "--unset", "mode"],
            "POST /operator/v1/deployments/update",
            nothing.clone(),
            json!({"select": {"ids": ["a", "b"]}, "version": "2.0.0", "values": {"mode": null}}),
        ),
        (
            &["reconfigure", "--app", "pump-monitor", "--device", "gw/*", "--set", "mode="],
            "POST /operator/v1/deployments/reconfigure",
            nothing.clone(),
            json!({"select": {"application": "pump-monitor", "device": "gw/*"}, "values": {"mode": ""}}),
        ),
        (
            &["delete", "--device", "line-3"],
            "POST /operator/v1/deployments/delete",
            nothing.clone(),
            json!({"select": {"device": "line-3"}}),
        ),
        (
            &["delete", "--all"],
            "POST /operator/v1/deployments/delete",
            nothing.clone(),
            json!({"select": {"all": true}}),
        ),
        (&["status", "--app", "pump-monitor"], "GET /operator/v1/deployments", nothing, Value::Null),
        (
            &["show", "a"],
            "GET /operator/v1/deployments/a",
            json!({"deployment": deployment("a", &json!({})), "document": "id: a\n", "history": []}),
            Value::Null,
        ),
    ];
    for (args, what, answer, body) in cases {
        let fake = Fake::start();
        fake.answer(what, 200, answer);
        let said = fake.run(args);
        assert_eq!(said.code, DONE, "{args:?}: {said:?}");
        let asked = fake.asked();
        assert_eq!(asked.len(), 1, "{args:?}");
        let query = if args[0] == "status" { "?application=pump-monitor" } else { "" };
        assert_eq!(asked[0].what, format!("{what}{query}"));
        assert_eq!(&asked[0].json(), body, "{args:?}");
    }
}

#[test]
fn what_cannot_be_asked_is_told_apart_from_no() {
    let fake = Fake::start();
    let answer = |status: u16, body: &str| {
        fake.answer_text("GET /operator/v1/devices", status, body);
        fake.run(&["device", "list"])
    };
    let problem = |status: u16, detail: &str| json!({"status": status, "detail": detail}).to_string();

    let answered = answer(401, &problem(401, "the token is not known"));
    assert_eq!(answered.code, NOT_ASKED);
    insta::assert_snapshot!("wrong_token", answered.err);
    let answered = answer(503, &problem(503, "too many write at once"));
    assert_eq!(answered.code, NOT_ASKED);
    insta::assert_snapshot!("busy", answered.err);
    let answered = answer(200, "<html>Welcome to our router</html>");
    assert_eq!(answered.code, NOT_ASKED);
    insta::assert_snapshot!("not_a_manager", answered.err);
    // The token would follow a redirect.
    assert_eq!(answer(307, "").code, NOT_ASKED);
    assert_eq!(answer(404, &problem(404, "no such thing")).code, REFUSED);

    // A port that belongs to this test, and at which nobody listens.
    let closed = tokio::net::TcpSocket::new_v4().unwrap();
    closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let free = closed.local_addr().unwrap();
    let mut nobody = margo(&["device", "list", "--manager", &format!("http://{free}")]);
    let said = said(nobody.env("MARGO_OPERATOR_TOKEN", TOKEN).output().unwrap());
    assert_eq!((said.code, said.out.as_str()), (NOT_ASKED, ""));
    insta::assert_snapshot!("unreachable", said.err.replace(&free.to_string(), "127.0.0.1:PORT"));
}

#[test]
fn wrong_usage_asks_nothing() {
    let fake = Fake::start();
    for args in [
        &[] as &[&str],
        &["reboot"],
        &["--token", "margo_secret", "status"],
        &["--manager", "ftp://127.0.0.1", "status"],
        &["device", "onboard", "line 3"],
        &["device", "onboard", "line-3", "--revision", "2.0.0"],
        &["device", "link", "line-3"],
        &["device", "link", "line-3", "--certificate", "/nonexistent"],
        &["device", "onboard", "line-3", "--certificate", "Cargo.toml"],
        &["device", "rotate", ".."],
        &["deploy", "pump-monitor"],
        &["deploy", "pump-monitor", "--to", "line-3", "--anywhere"],
        &["deploy", "pump-monitor", "--anywhere", "--everywhere"],
        &["device", "unlink", "line-3"],
        &["placement"],
        &["placement", "./no/such/package"],
        &["deploy", "pump-monitor", "--to", "line-3", "--set", "interval"],
        &["deploy", "pump-monitor", "--to", "line-3", "--set-json", "interval=x"],
        &["deploy", "pump-monitor", "--to", "line-3", "--set", "a=1", "--set", "a=2"],
        &["deploy", "./no/such/package", "--to", "line-3"],
        &["update", "--version", "1.1.0"],
        &["update", "a"],
        &["update", "a", "--version", "1.1.0", "--to-package", "."],
        &["reconfigure", "--set", "a=1"],
        &["reconfigure", "a"],
        &["reconfigure", "a", "--set", "a=1", "--unset", "a"],
        &["delete"],
        &["delete", "a", "--all"],
        &["delete", "a", "--app", "pump-monitor"],
        &["status", "a/b"],
        &["wait", "--timeout", "5"],
        &["show"],
    ] {
        let said = fake.run(args);
        assert_eq!((said.code, said.out.as_str()), (NOT_ASKED, ""), "{args:?}: {said:?}");
        assert!(!said.err.is_empty(), "{args:?}");
    }
    assert_eq!(fake.asked().len(), 0);
}

#[test]
fn the_token_comes_from_a_file_or_the_environment() {
    let fake = Fake::start();
    fake.answer("GET /operator/v1/devices", 200, &json!({"devices": []}));
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let list = |token_file: Option<&Path>| {
        let mut margo = margo(&["device", "list"]);
        margo.env("MARGO_MANAGER", &fake.url);
        if let Some(file) = token_file {
            margo.env("MARGO_OPERATOR_TOKEN_FILE", file);
        }
        said(margo.output().unwrap())
    };
    let none = list(None);
    assert_eq!(none.code, NOT_ASKED);
    insta::assert_snapshot!("no_token", none.err);
    assert_eq!(list(Some(&file)).code, NOT_ASKED);
    // A secret is never repeated, whatever is wrong with it.
    for wrong in ["", "\n", "margo_secret margo_secret", "margo_secret\nmargo_secret"] {
        fs::write(&file, wrong).unwrap();
        let said = list(Some(&file));
        assert_eq!(said.code, NOT_ASKED);
        assert!(!said.err.contains("margo_secret"), "{said:?}");
    }
    assert_eq!(fake.asked().len(), 0);
    fs::write(&file, "margo_file\n").unwrap();
    assert_eq!(list(Some(&file)).code, DONE);
    assert_eq!(fake.asked()[0].authorization, "Bearer margo_file");
}

fn onboarded(revision: &str) -> Value {
    json!({
        "clientId": "c-1", "deviceId": "line-3", "revision": revision, "token": "margo_1", "gitToken": "margo_2",
        "gitUrl": "/git/c-1.git",
    })
}

#[test]
fn the_secrets_of_a_device_are_printed_with_what_goes_where() {
    let fake = Fake::start();
    fake.answer("POST /operator/v1/devices", 201, &onboarded("1.0.0-rc.3"));
    let said = fake.run(&["device", "onboard", "line-3"]);
    assert_eq!(said.code, DONE);
    insta::assert_snapshot!("onboarded_out", said.out.replace(&fake.url, "http://127.0.0.1:8080"));
    insta::assert_snapshot!("onboarded_err", said.err);
    let said = fake.run(&["device", "onboard", "line-3", "--json"]);
    let read: Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!((read["token"].as_str(), said.err.as_str()), (Some("margo_1"), ""));
}

#[test]
fn what_a_device_needs_is_written_once() {
    let fake = Fake::start();
    fake.answer("POST /operator/v1/devices", 201, &onboarded("pre-draft"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("line-3");
    let args = ["device", "onboard", "line-3", "--revision", "pre-draft", "--write", path.to_str().unwrap()];
    let said = fake.run(&args);
    assert_eq!(said.code, DONE, "{said:?}");
    // The secrets are in the files, and nowhere else.
    assert!(!said.out.contains("margo_") && !said.err.contains("margo_"), "{said:?}");
    let files: Vec<&Path> = said.out.lines().map(Path::new).collect();
    assert_eq!(files.len(), 4);
    assert!(files.iter().all(|file| file.is_file()));
    assert_eq!(fs::read_to_string(path.join("token")).unwrap(), "margo_1\n");
    let configuration = fs::read_to_string(path.join("margo-device.toml")).unwrap();
    let configuration: toml::Table = configuration.parse().unwrap();
    assert_eq!(configuration["manager"]["url"].as_str(), Some(fake.url.as_str()));
    assert_eq!(configuration["desired-state"]["source"].as_str(), Some("git"));
    assert_eq!(
        configuration["desired-state"]["url"].as_str(),
        Some(format!("{}/git/c-1.git", fake.url).as_str())
    );
    assert!(fs::read_to_string(path.join("capabilities.yaml")).unwrap().contains("kind: DeviceCapabilities"));

    // A second time nothing is asked: the device would lose its tokens to a file that is not written.
    let said = fake.run(&args);
    assert_eq!((said.code, fake.asked().len()), (NOT_ASKED, 1));
    assert!(said.err.contains("exists; it is not overwritten"), "{said:?}");
}

#[test]
fn a_package_is_for_its_own_application_only() {
    let package = package();
    let folder = package.path().to_str().unwrap();
    let fake = Fake::start();
    fake.answer("POST /operator/v1/applications", 200, &application());
    fake.answer("POST /operator/v1/deployments/update", 200, &json!({"deployments": []}));
    let said = fake.run(&["update", "--device", "line-3", "--to-package", folder]);
    assert_eq!(said.code, DONE, "{said:?}");
    let selected = json!({"application": "pump-monitor", "device": "line-3"});
    assert_eq!(fake.asked()[1].json(), json!({"select": selected, "version": "1.1.0", "values": {}}));

    let said = fake.run(&["update", "--app", "dashboard", "--to-package", folder]);
    assert_eq!(said.code, NOT_ASKED, "{said:?}");
    let other = deployment("a", &json!({"applicationId": "dashboard"}));
    fake.answer("GET /operator/v1/deployments", 200, &json!({"deployments": [other]}));
    let said = fake.run(&["update", "a", "--to-package", folder]);
    assert_eq!(said.code, REFUSED, "{said:?}");
    assert_eq!(said.err, "error: `a` is a deployment of `dashboard`, not of `pump-monitor`\n");
    assert!(fake.asked()[2..].iter().all(|asked| asked.what.starts_with("GET ")), "something was changed");
}

#[test]
fn programs_get_everything_the_manager_says() {
    let fake = Fake::start();
    let everything = json!({"deployments": [
        deployment("a", &json!({"newer": {"than": "this"}, "components": [{"name": "x", "state": "y", "restarts": 3}]})),
        deployment("b", &json!({"desired": "absent", "state": "removed", "deletedAt": "2026-03-02T09:00:00Z"})),
    ]});
    fake.answer("GET /operator/v1/deployments", 200, &everything);
    let said = fake.run(&["status", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), everything);
    assert_eq!((said.code, said.err.as_str()), (DONE, ""));

    let said = fake.run(&["status", "c"]);
    assert_eq!((said.code, said.err.as_str()), (REFUSED, "error: there is no deployment `c`\n"));
}

#[test]
fn a_document_is_printed_to_the_byte() {
    let fake = Fake::start();
    let document = "kind: ApplicationDeployment\nnote: \"\u{202e}\"\n# without a line's end";
    let reported = json!({"receivedAt": "2026-03-02T08:00:04Z", "state": "installing", "components": []});
    let detail =
        json!({"deployment": deployment("a", &json!({})), "document": document, "history": [reported]});
    fake.answer("GET /operator/v1/deployments/a", 200, &detail);
    let said = fake.run(&["show", "a", "--document"]);
    assert_eq!((said.code, said.out.as_str()), (DONE, document));
    let said = fake.run(&["show", "a", "--json"]);
    assert_eq!(serde_json::from_str::<Value>(&said.out).unwrap(), detail);
}

#[test]
fn a_reader_may_go_away() {
    let fake = Fake::start();
    fake.answer("GET /operator/v1/deployments", 200, &json!({"deployments": [deployment("a", &json!({}))]}));
    let mut child = fake.margo(&["status"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let said = said(child.wait_with_output().unwrap());
    assert_eq!((said.code, said.err.as_str()), (DONE, ""));
}
