//! `margo identity`: what is made, what is said, and what is left alone. No manager is asked.

use std::fs;
use std::path::Path;

use margo_cli::command::{EXIT_DONE, EXIT_NOT_ASKED, EXIT_REFUSED};

use crate::fake::{Said, said};

fn margo(folder: &Path, args: &[&str]) -> Said {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_margo"));
    command.arg("identity").args(args).current_dir(folder).env_clear();
    said(command.output().unwrap())
}

fn init(home: &Path) -> Said {
    margo(home, &["init", "identity", "--trust-domain", "factory.example", "--wfm", "plant"])
}

fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(content(&path));
        } else {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    all.sort();
    all
}

#[test]
fn a_trust_domain_is_made_in_one_command() {
    let home = tempfile::tempdir().unwrap();
    let made = init(home.path());
    assert_eq!(made.code, Some(EXIT_DONE.into()), "{made:?}");
    insta::assert_snapshot!("identity_init_out", made.out);
    insta::assert_snapshot!("identity_init_err", made.err);

    let issued = margo(home.path(), &["issue", "identity", "--client", "press-7"]);
    insta::assert_snapshot!("identity_client", format!("{}{}", issued.out, issued.err));
    let issued = margo(home.path(), &["issue", "identity", "--device", "plc-7"]);
    let text = format!("{}{}", issued.out, issued.err);
    let digest = text.split_once("sha256:").unwrap().1[..64].to_owned();
    assert!(digest.bytes().all(|b| b.is_ascii_hexdigit()), "{digest}");
    insta::assert_snapshot!("identity_device", text.replace(&digest, "…"));
    let issued =
        margo(home.path(), &["issue", "identity", "--server", "wfm.example", "--server", "10.0.0.5"]);
    insta::assert_snapshot!("identity_server", format!("{}{}", issued.out, issued.err));
    // Nothing that is said is a secret.
    for (path, bytes) in content(&home.path().join("identity")) {
        if !path.ends_with("key.pem") {
            assert!(!String::from_utf8_lossy(&bytes).contains("PRIVATE"), "{path}");
        }
    }
}

#[test]
fn nothing_is_overwritten() {
    let home = tempfile::tempdir().unwrap();
    init(home.path());
    margo(home.path(), &["issue", "identity", "--client", "press-7"]);
    let before = content(home.path());
    let again = init(home.path());
    assert_eq!(again.code, Some(EXIT_REFUSED.into()));
    insta::assert_snapshot!("identity_again", again.err);
    let again = margo(home.path(), &["issue", "identity", "--client", "press-7"]);
    assert_eq!((again.code, again.out.as_str()), (Some(EXIT_REFUSED.into()), ""));
    assert!(again.err.contains("identity/clients/press-7` is there already"), "{}", again.err);
    assert_eq!(content(home.path()), before);
}

#[test]
fn what_is_wrong_is_said() {
    let home = tempfile::tempdir().unwrap();
    for (args, expected) in [
        (
            &["issue", "identity", "--client", "press-7"][..],
            "help: `margo identity init` makes such a folder",
        ),
        (&["inspect", "identity"], "cannot read `identity`"),
        (&["issue", "identity"], "--client <ID>|--device <NAME>|--server <NAME>"),
        (&["init", "identity", "--trust-domain", "Factory"], "invalid value 'Factory' for '--trust-domain"),
        (
            &["init", "identity", "--trust-domain", "a.example", "--wfm", "a/b"],
            "`a/b` is no name for a manager",
        ),
        (&["rotate", "identity", "--wfm", "--authority"], "cannot be used with"),
    ] {
        let refused = margo(home.path(), args);
        assert_ne!(refused.code, Some(EXIT_DONE.into()), "{args:?}");
        assert!(refused.err.contains(expected), "{args:?}: {}", refused.err);
    }
    assert!(!home.path().join("identity").exists());
    init(home.path());
    let wrong = margo(home.path(), &["issue", "identity", "--server", "a b"]);
    assert!(wrong.err.contains("`a b` is neither a DNS name nor an address"), "{}", wrong.err);
    let wrong = margo(home.path(), &["rotate", "identity", "--finish"]);
    assert!(wrong.err.contains("there is none to drop"), "{}", wrong.err);
    fs::write(home.path().join("text.pem"), "hello").unwrap();
    let wrong = margo(home.path(), &["inspect", "text.pem"]);
    assert_eq!(wrong.code, Some(EXIT_REFUSED.into()));
    assert!(wrong.err.contains("holds no certificate"), "{}", wrong.err);
    assert_eq!(margo(home.path(), &["inspect", "nowhere"]).code, Some(EXIT_NOT_ASKED.into()));
}

#[test]
fn identities_are_replaced_and_inspected() {
    let home = tempfile::tempdir().unwrap();
    init(home.path());
    margo(home.path(), &["issue", "identity", "--client", "press-7", "--days", "5"]);
    let pins = |home: &Path| {
        let inspected = margo(home, &["inspect", "identity", "--json"]);
        let json: serde_json::Value = serde_json::from_str(&inspected.out).unwrap();
        let all = json["certificates"].as_array().unwrap().clone();
        let pin = |file: &str| {
            let found = all.iter().find(|one| one["file"] == file).unwrap();
            (found["names"][0].as_str().unwrap().to_owned(), found["pin"].as_str().unwrap().to_owned())
        };
        (pin("clients/press-7/svid.pem"), pin("manager/svid.pem"), all.len())
    };
    let before = pins(home.path());
    assert_eq!(before.0.0, "spiffe://factory.example/margo/wfm/plant/client/press-7");
    let inspected = margo(home.path(), &["inspect", "identity"]);
    assert!(inspected.err.contains("clients/press-7/svid.pem expires in "), "{}", inspected.err);
    assert!(inspected.out.contains("spiffe://factory.example (authority)"), "{}", inspected.out);

    let rotated = margo(home.path(), &["rotate", "identity", "--client", "press-7"]);
    assert_eq!(rotated.code, Some(EXIT_DONE.into()), "{rotated:?}");
    let after = pins(home.path());
    assert!(after.0.0 == before.0.0 && after.0.1 != before.0.1 && after.1 == before.1);

    let rotated = margo(home.path(), &["rotate", "identity", "--authority"]);
    insta::assert_snapshot!("identity_authority", format!("{}{}", rotated.out, rotated.err));
    assert_eq!(pins(home.path()).2, after.2 + 6, "one more in each form of each bundle");
    margo(home.path(), &["rotate", "identity", "--wfm"]);
    margo(home.path(), &["rotate", "identity", "--client", "press-7"]);
    for [whom, name] in [["--server", "wfm.example"], ["--device", "plc-7"]] {
        let none = margo(home.path(), &["rotate", "identity", whom, name]);
        assert_eq!(none.code, Some(EXIT_REFUSED.into()), "{none:?}");
        margo(home.path(), &["issue", "identity", whom, name]);
        let rotated = margo(home.path(), &["rotate", "identity", whom, name]);
        assert_eq!(rotated.code, Some(EXIT_DONE.into()), "{rotated:?}");
        assert!(rotated.out.contains("certificate.pem"), "{rotated:?}");
    }
    let finished = margo(home.path(), &["rotate", "identity", "--finish"]);
    assert_eq!(finished.code, Some(EXIT_DONE.into()), "{finished:?}");
    for file in ["bundle.json", "manager/bundle.json", "clients/press-7/bundle.json"] {
        assert!(finished.out.contains(&format!("identity/{file} ")), "{finished:?}");
    }
}

#[cfg(unix)]
#[test]
fn a_key_that_others_can_read_is_warned_of() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    init(home.path());
    let key = home.path().join("identity/manager/svid_key.pem");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    let inspected = margo(home.path(), &["inspect", "identity"]);
    assert!(
        inspected.err.contains("manager/svid_key.pem holds a private key, and others"),
        "{}",
        inspected.err
    );
}

/// R-D-016: an old authority does not go while somebody here still has an SVID of it, unless that is meant.
#[test]
fn nobody_is_left_behind_with_the_old_authority() {
    let home = tempfile::tempdir().unwrap();
    init(home.path());
    margo(home.path(), &["issue", "identity", "--client", "press-7"]);
    let rotate = |what: &[&str]| margo(home.path(), &[&["rotate", "identity"], what].concat());
    assert_eq!(rotate(&["--authority"]).code, Some(EXIT_DONE.into()));
    rotate(&["--wfm"]);
    let before = content(home.path());
    let refused = rotate(&["--finish"]);
    assert_eq!((refused.code, refused.out.as_str()), (Some(EXIT_REFUSED.into()), ""));
    assert_eq!(
        refused.err,
        "error: 1 of the SVIDs in `identity` would be refused from now on\n  help: the old authority has issued \
         them; first `margo identity rotate identity --client press-7`, or add `--anyway`\n"
    );
    assert_eq!(content(home.path()), before);
    assert_eq!(rotate(&["--wfm", "--anyway"]).code, Some(EXIT_NOT_ASKED.into()));
    assert!(rotate(&["--client", "press-7"]).err.contains("carry it there"));
    assert_eq!(rotate(&["--finish"]).code, Some(EXIT_DONE.into()));
    // Meant.
    rotate(&["--authority"]);
    assert_eq!(rotate(&["--finish", "--anyway"]).code, Some(EXIT_DONE.into()));
}
