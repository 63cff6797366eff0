use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use margo_identity::authority::{Authority, AuthorityRotation, DevelopmentDomain, DomainError, IssueError};
use margo_identity::{
    CertificateSummary, CurrentTrustBundle, IdentityFolder, IdentityFolderError, ReloadingIdentity,
    SigningKey, SvidError, SvidVerifier, TrustBundle, VerifyingKey, WfmSpiffeId,
};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use crate::pki::{self, later, now, trust_domain};

const DAY: Duration = Duration::from_hours(24);

fn manager() -> WfmSpiffeId {
    pki::WFM.parse().unwrap()
}

fn init(folder: &Path) -> DevelopmentDomain {
    DevelopmentDomain::init(folder, manager(), now(), 365 * DAY, 30 * DAY).unwrap()
}

fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(&fs::read(path).unwrap()).unwrap()
}

fn verifier(bundle: TrustBundle) -> SvidVerifier {
    SvidVerifier::new(Arc::new(CurrentTrustBundle::new(bundle)))
}

/// Every file below a folder, with what is in it.
fn content(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                all.push((
                    path.strip_prefix(folder).unwrap().display().to_string(),
                    fs::read(&path).unwrap(),
                ));
            }
        }
    }
    all.sort();
    all
}

/// R-D-009, R-D-011, R-D-012: what is made is what is taken.
#[test]
fn a_domain_issues_what_its_bundle_validates() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("identity");
    let domain = init(&folder);
    domain.issue_client(&"press-7".parse().unwrap(), now(), DAY).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    for (place, id) in [("manager", pki::WFM), ("clients/press-7", pki::CLIENT)] {
        let found = IdentityFolder::find(&folder.join(place)).unwrap();
        assert_eq!(found.svid().unwrap().id().to_string(), id);
        let svid = verifier(found.bundle().unwrap());
        let leaf = certificate(&folder.join(place).join("svid.pem"));
        assert_eq!(svid.verify(&leaf, &[], now()).unwrap().id().to_string(), id);
        assert_eq!(svid.verify(&leaf, &[], later(31 * DAY)), Err(SvidError::Expired));
        ReloadingIdentity::load(found.identity(), Arc::clone(&provider)).unwrap();
    }
    let again = DevelopmentDomain::open(&folder).unwrap();
    assert_eq!((again.manager(), again.bundle().unwrap().sequence()), (&manager(), Some(1)));
    assert_eq!(again.authority().trust_domain(), &trust_domain());
}

/// R-A-013, R-B-007, R-B-009: devices of older revisions sign, and know the manager by its authority.
#[test]
fn older_revisions_get_what_they_sign_with() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("identity");
    let domain = init(&folder);
    let written = domain.issue_device(&"plc-7".parse().unwrap(), now(), DAY).unwrap();
    assert_eq!(written.folder, folder.join("devices/plc-7"));
    let der = certificate(&written.folder.join("certificate.pem"));
    let registered = VerifyingKey::from_certificate(&der).unwrap();
    let key = SigningKey::from_pem(&fs::read(written.folder.join("key.pem")).unwrap()).unwrap();
    assert!(key.verifying_key().spki() == registered.spki() && registered.is_valid_at(now()));
    assert_eq!(CertificateSummary::read(&der).unwrap().subject, "CN=plc-7");

    let names = ["wfm.plant.example".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let written = domain.issue_server(&names, now(), DAY).unwrap();
    let server = CertificateSummary::read(&certificate(&written.folder.join("certificate.pem"))).unwrap();
    assert_eq!(server.names, names);
    assert!(!server.is_authority);
    let root = CertificateSummary::read(&certificate(&written.folder.join("authority.pem"))).unwrap();
    assert_eq!(root.subject, server.issuer);
    for (wrong, names) in [("", vec![]), ("neither", vec!["a b".to_owned()])] {
        let error = domain.authority().issue_server(&names, now(), DAY).unwrap_err();
        assert!(matches!(error, IssueError::NoName | IssueError::Name { .. }), "{wrong}");
    }
}

#[test]
fn nothing_is_overwritten_and_nothing_is_left_half() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("identity");
    let domain = init(&folder);
    let (client, device) = ("press-7".parse().unwrap(), "plc-7".parse().unwrap());
    domain.issue_client(&client, now(), DAY).unwrap();
    domain.issue_device(&device, now(), DAY).unwrap();
    domain.issue_server(&["wfm.example".to_owned()], now(), DAY).unwrap();
    let before = content(home.path());
    let again = [
        DevelopmentDomain::init(&folder, manager(), now(), DAY, DAY).map(|_| ()),
        domain.issue_client(&client, now(), DAY).map(|_| ()),
        domain.issue_device(&device, now(), DAY).map(|_| ()),
        domain.issue_server(&["wfm.example".to_owned()], now(), DAY).map(|_| ()),
    ];
    for refused in again {
        let error = refused.unwrap_err();
        assert!(matches!(error, DomainError::Exists { .. }), "{error}");
        assert!(error.to_string().contains("not overwritten"), "{error}");
    }
    assert_eq!(content(home.path()), before);

    // A file in the way of a folder, and a folder nobody may write into, leave nothing behind.
    fs::write(home.path().join("file"), "").unwrap();
    let error = DevelopmentDomain::init(&home.path().join("file/identity"), manager(), now(), DAY, DAY);
    assert!(matches!(error, Err(DomainError::Write { .. })));
    let error = domain.issue_server(&["a b".to_owned()], now(), DAY).unwrap_err();
    assert!(error.to_string().contains("neither a DNS name nor an address"));
    assert_eq!(content(home.path()).len(), before.len() + 1);
}

#[cfg(unix)]
#[test]
fn keys_are_their_owners_alone() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("identity");
    let domain = init(&folder);
    domain.issue_client(&"press-7".parse().unwrap(), now(), DAY).unwrap();
    domain.issue_device(&"plc-7".parse().unwrap(), now(), DAY).unwrap();
    domain.issue_server(&["wfm.example".to_owned()], now(), DAY).unwrap();
    domain.rotate_manager(now(), DAY).unwrap();
    // One that was opened again has no other idea of what is a secret.
    let domain = DevelopmentDomain::open(&folder).unwrap();
    domain.issue_device(&"plc-8".parse().unwrap(), now(), DAY).unwrap();
    let mut secrets = 0;
    for (name, bytes) in content(&folder) {
        let is_secret = String::from_utf8_lossy(&bytes).contains("PRIVATE KEY");
        assert_eq!(is_secret, name.ends_with("key.pem"), "{name}");
        if is_secret {
            let mode = fs::metadata(folder.join(&name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
            secrets += 1;
        }
    }
    assert_eq!(secrets, 6);
    assert_eq!(fs::metadata(folder.join("authority")).unwrap().permissions().mode() & 0o777, 0o700);
}

/// R-D-013: a running manager takes the new identity, and connections are not refused meanwhile.
#[test]
fn an_identity_is_replaced_while_it_is_used() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("identity");
    let domain = init(&folder);
    let files = IdentityFolder::find(&folder.join("manager")).unwrap().identity();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let running = ReloadingIdentity::load(files, provider).unwrap();
    let before = running.svid();
    assert!(!running.reload().unwrap());
    domain.rotate_manager(later(20 * DAY), 30 * DAY).unwrap();
    assert!(running.reload().unwrap());
    assert_eq!(running.svid().id(), before.id());
    assert!(running.svid().not_after().as_secs() > before.not_after().as_secs());

    let client = "press-7".parse().unwrap();
    assert!(
        matches!(domain.rotate_client(&client, now(), DAY), Err(DomainError::Read { .. })),
        "there is none"
    );
    domain.issue_client(&client, now(), DAY).unwrap();
    domain.rotate_client(&client, now(), 2 * DAY).unwrap();
    // Somebody else's certificate in its place is not replaced.
    fs::copy(folder.join("manager/svid.pem"), folder.join("clients/press-7/svid.pem")).unwrap();
    let before = content(&folder);
    assert!(matches!(domain.rotate_client(&client, now(), DAY), Err(DomainError::NotADomain { .. })));
    assert_eq!(content(&folder), before);
}

/// What devices of older revisions and their manager show is replaced too, by the authority in force.
#[test]
fn certificates_of_older_revisions_are_replaced() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("identity");
    let domain = init(&folder);
    let (device, names) = ("plc-7".parse().unwrap(), ["wfm.example".to_owned()]);
    assert!(matches!(domain.rotate_device(&device, now(), DAY), Err(DomainError::Read { .. })));
    assert!(matches!(domain.rotate_server(&names, now(), DAY), Err(DomainError::Read { .. })));
    assert!(!folder.join("server").exists() && !folder.join("devices").exists());
    domain.issue_device(&device, now(), DAY).unwrap();
    domain.issue_server(&names, now(), DAY).unwrap();
    let before = content(&folder);
    let mut domain = DevelopmentDomain::open(&folder).unwrap();
    domain.rotate_authority(AuthorityRotation::Begin, now(), 365 * DAY).unwrap();
    domain.rotate_device(&device, now(), DAY).unwrap();
    domain.rotate_server(&names, now(), DAY).unwrap();
    assert_eq!(content(&folder).len(), before.len(), "nothing is left over");
    for place in ["devices/plc-7", "server"] {
        let text = |file: &str| fs::read_to_string(folder.join(place).join(file)).unwrap();
        assert_eq!(text("authority.pem"), domain.authority().certificate_pem());
        for file in ["certificate.pem", "key.pem"] {
            let path = folder.join(place).join(file);
            assert!(!before.iter().any(|(_, bytes)| *bytes == fs::read(&path).unwrap()), "{file}");
        }
    }
}

/// R-D-016: with both authorities in the bundle nobody is refused; with the new one alone the old one's are.
#[test]
fn an_authority_is_replaced_in_two_steps() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("identity");
    let mut domain = init(&folder);
    let client = "press-7".parse().unwrap();
    domain.issue_client(&client, now(), DAY).unwrap();
    let svid = folder.join("clients/press-7/svid.pem");
    let old = certificate(&svid);
    let (begin, finish) = (AuthorityRotation::Begin, AuthorityRotation::Finish);

    let in_force = CurrentTrustBundle::new(domain.bundle().unwrap());
    assert!(matches!(domain.rotate_authority(finish, now(), DAY), Err(DomainError::Rotation { .. })));
    domain.rotate_authority(begin, now(), 365 * DAY).unwrap();
    assert!(matches!(domain.rotate_authority(begin, now(), DAY), Err(DomainError::Rotation { .. })));
    let mut domain = DevelopmentDomain::open(&folder).unwrap();
    domain.rotate_client(&client, now(), DAY).unwrap();
    let new = certificate(&svid);
    in_force.replace(domain.bundle().unwrap()).unwrap();
    let everywhere_the_same = || {
        for file in ["bundle.json", "bundle.pem"] {
            let expected = fs::read(folder.join(file)).unwrap();
            for place in ["manager", "clients/press-7"] {
                assert_eq!(fs::read(folder.join(place).join(file)).unwrap(), expected, "{place}/{file}");
            }
        }
    };
    everywhere_the_same();
    for leaf in [&old, &new] {
        assert!(verifier(domain.bundle().unwrap()).verify(leaf, &[], now()).is_ok());
    }

    let written = domain.rotate_authority(finish, now(), DAY).unwrap();
    let folders: Vec<_> = written.iter().map(|written| written.folder.clone()).collect();
    assert_eq!(folders, [folder.clone(), folder.join("clients/press-7"), folder.join("manager")]);
    everywhere_the_same();
    in_force.replace(domain.bundle().unwrap()).unwrap();
    assert_eq!(in_force.get().sequence(), Some(3));
    let last = verifier(domain.bundle().unwrap());
    assert!(last.verify(&new, &[], now()).is_ok());
    assert!(matches!(last.verify(&old, &[], now()), Err(SvidError::Chain { .. })));
}

#[test]
fn what_is_no_authority_issues_nothing() {
    let authority = Authority::generate(&trust_domain(), now(), DAY).unwrap();
    let other = Authority::generate(&trust_domain(), now(), DAY).unwrap();
    let (certificate, key) = (authority.certificate_pem(), authority.reveal_key_pem());
    assert!(Authority::from_pem(certificate, &key).is_ok());
    let leaf = authority.issue_manager(&manager(), now(), DAY).unwrap();
    let nameless = pki::authority("without a trust domain");
    for (certificate, key) in [
        (certificate, other.reveal_key_pem().as_str()),
        (certificate, ""),
        ("", key.as_str()),
        (leaf.certificate_pem(), leaf.reveal_key_pem()),
        (&nameless.pem(), &nameless.key().serialize_pem()),
    ] {
        let error = Authority::from_pem(certificate, key).unwrap_err();
        assert!(matches!(error, IssueError::Authority { .. }), "{error}");
        assert!(!format!("{error:?}").contains("BEGIN"));
    }
    let elsewhere: WfmSpiffeId = "spiffe://other.example/margo/wfm/plant".parse().unwrap();
    let error = authority.issue_manager(&elsewhere, now(), DAY).unwrap_err();
    assert!(matches!(error, IssueError::OtherTrustDomain { .. }));
    assert!(matches!(
        authority.issue_manager(&manager(), now(), Duration::from_secs(u64::MAX)),
        Err(IssueError::Certificate { .. })
    ));
    let printed = format!("{authority:?} {leaf:?}");
    assert!(!printed.contains("PRIVATE"), "{printed}");
}

/// The files of SPIRE's tools, and what is said when one of them is not there.
#[test]
fn an_identity_service_may_write_the_files_instead() {
    let home = tempfile::tempdir().unwrap();
    let domain = init(&home.path().join("identity"));
    let issued = domain.authority().issue_client(&pki::CLIENT.parse().unwrap(), now(), DAY).unwrap();
    let pem = domain.bundle().unwrap().to_pem();
    let layouts = [
        ["svid.pem", "svid_key.pem", "svid_bundle.pem"], // spiffe-helper
        ["svid.0.pem", "svid.0.key", "bundle.0.pem"],    // spire-agent api fetch x509 -write
        ["svid.pem", "key.pem", "bundle.pem"],
    ];
    for [svid, key, bundle] in layouts {
        let folder = home.path().join(bundle);
        fs::create_dir(&folder).unwrap();
        let missing = |what: &str| {
            let error = IdentityFolder::find(&folder).unwrap_err().to_string();
            assert!(error.contains(&format!("no file for {what}")), "{error}");
        };
        missing("an SVID");
        fs::write(folder.join(svid), issued.certificate_pem()).unwrap();
        missing("a key");
        fs::write(folder.join(key), issued.reveal_key_pem()).unwrap();
        missing("a trust bundle");
        fs::write(folder.join(bundle), &pem).unwrap();
        let found = IdentityFolder::find(&folder).unwrap();
        assert_eq!(found.bundle().unwrap().authorities(), domain.bundle().unwrap().authorities());
        ReloadingIdentity::load(found.identity(), Arc::new(rustls::crypto::ring::default_provider()))
            .unwrap();
        fs::write(folder.join(bundle), "").unwrap();
        assert!(matches!(found.bundle(), Err(IdentityFolderError::Bundle { .. })));
        fs::write(folder.join(svid), "").unwrap();
        assert!(matches!(found.bundle(), Err(IdentityFolderError::Svid { .. })));
    }
}
