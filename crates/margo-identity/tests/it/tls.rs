use std::path::Path;
use std::sync::Arc;

use margo_identity::{
    ClientSpiffeId, CurrentTrustBundle, IdentityFiles, LoadIdentityError, ReloadingIdentity, Svid,
    SvidVerifier, TlsVersions, client_config, server_config,
};
use rustls::crypto::CryptoProvider;
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, ClientConnection, ProtocolVersion, ServerConfig, ServerConnection};
use rustls_pki_types::UnixTime;
use tempfile::TempDir;

use crate::pki::{Authority, CLIENT, Issued, WFM, authority, bundle, later, leaf, now, year};

#[derive(Debug)]
struct At(UnixTime);

impl TimeProvider for At {
    fn current_time(&self) -> Option<UnixTime> {
        Some(self.0)
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

fn write(dir: &Path, issued: &Issued) -> IdentityFiles {
    let (certificates, key) = (dir.join("svid.pem"), dir.join("key.pem"));
    std::fs::write(&certificates, &issued.pem).unwrap();
    std::fs::write(&key, issued.key.serialize_pem()).unwrap();
    IdentityFiles::new(certificates, key)
}

fn identity(issued: &Issued) -> Arc<ReloadingIdentity> {
    let dir = TempDir::new().unwrap();
    Arc::new(ReloadingIdentity::load(write(dir.path(), issued), provider()).unwrap())
}

fn verifier(root: &Authority) -> SvidVerifier {
    SvidVerifier::new(Arc::new(CurrentTrustBundle::new(bundle(root))))
}

fn server(root: &Authority, identity: Arc<ReloadingIdentity>, time: UnixTime) -> ServerConfig {
    server_config(provider(), Arc::new(At(time)), TlsVersions::default(), identity, verifier(root)).unwrap()
}

fn client(root: &Authority, identity: Arc<ReloadingIdentity>, versions: TlsVersions) -> ClientConfig {
    let manager = CLIENT.parse::<ClientSpiffeId>().unwrap().manager().clone();
    client_config(provider(), Arc::new(At(now())), versions, identity, verifier(root), manager).unwrap()
}

struct Handshake {
    version: ProtocolVersion,
    peer: Svid,
}

/// Both ends in memory, until both are done or one refuses.
fn handshake(client: ClientConfig, server: ServerConfig) -> Result<Handshake, rustls::Error> {
    let name = "192.0.2.7".try_into().unwrap();
    let mut client = ClientConnection::new(Arc::new(client), name).unwrap();
    let mut server = ServerConnection::new(Arc::new(server)).unwrap();
    while client.is_handshaking() || server.is_handshaking() || client.wants_write() || server.wants_write() {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            server.read_tls(&mut wire).unwrap();
            server.process_new_packets()?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).unwrap();
        }
        let mut wire = &wire[..];
        while !wire.is_empty() {
            client.read_tls(&mut wire).unwrap();
            client.process_new_packets()?;
        }
    }
    let peer = Svid::read(&server.peer_certificates().unwrap()[0]).unwrap();
    Ok(Handshake { version: server.protocol_version().unwrap(), peer })
}

/// R-D-001 to R-D-005: no name of a host is looked at (R-D-010).
#[test]
fn a_device_and_its_manager_know_each_other() {
    let root = authority("root");
    let manager = identity(&leaf(WFM).issued_by(&root));
    let device = identity(&leaf(CLIENT).issued_by(&root));
    let done =
        handshake(client(&root, device, TlsVersions::default()), server(&root, manager, now())).unwrap();
    assert_eq!(done.peer.id().as_str(), CLIENT);
    assert_eq!(done.version, ProtocolVersion::TLSv1_3);
}

/// R-D-003.
#[test]
fn tls_1_2_is_spoken_only_when_configured() {
    let root = authority("root");
    let manager = identity(&leaf(WFM).issued_by(&root));
    let device = identity(&leaf(CLIENT).issued_by(&root));
    let old = || {
        let mut config = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS12])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(margo_identity::SvidServerVerifier::new(
                verifier(&root),
                WFM.parse().unwrap(),
                provider(),
            )))
            .with_client_cert_resolver(device.clone());
        config.time_provider = Arc::new(At(now()));
        config
    };
    assert!(handshake(old(), server(&root, manager.clone(), now())).is_err());
    let versions = TlsVersions::Tls13OrTls12;
    let server = || {
        server_config(provider(), Arc::new(At(now())), versions, manager.clone(), verifier(&root)).unwrap()
    };
    assert_eq!(handshake(old(), server()).unwrap().version, ProtocolVersion::TLSv1_2);
    let new = client(&root, device.clone(), versions);
    assert_eq!(handshake(new, server()).unwrap().version, ProtocolVersion::TLSv1_3);
}

/// R-D-005: the manager's id, and nothing that is merely valid.
#[test]
fn a_device_talks_to_no_other_manager() {
    let root = authority("root");
    for id in [
        "spiffe://factory.example/margo/wfm/plant2",
        "spiffe://factory.example/margo/wfm/plant/client/press-8",
        CLIENT,
        "spiffe://elsewhere.example/margo/wfm/plant",
    ] {
        let manager = identity(&leaf(id).issued_by(&root));
        let device = identity(&leaf(CLIENT).issued_by(&root));
        let done = handshake(client(&root, device, TlsVersions::default()), server(&root, manager, now()));
        assert!(matches!(done, Err(rustls::Error::InvalidCertificate(_))), "{id}");
    }
}

/// R-D-002. What the peer is told is the same whatever is wrong.
#[test]
fn a_manager_refuses_strangers_at_the_handshake() {
    let root = authority("root");
    let manager = || identity(&leaf(WFM).issued_by(&root));
    let refusal = |device: &Issued, time| {
        let client = client(&root, identity(device), TlsVersions::default());
        handshake(client, server(&root, manager(), time)).err().unwrap()
    };
    let good = leaf(CLIENT).issued_by(&root);
    let unknown = leaf(CLIENT).issued_by(&authority("root"));
    let elsewhere = leaf("spiffe://elsewhere.example/a").issued_by(&root);
    for (device, time) in [(&good, later(year(1))), (&unknown, now()), (&elsewhere, now())] {
        let error = refusal(device, time);
        assert!(
            matches!(error, rustls::Error::InvalidCertificate(rustls::CertificateError::Other(_))),
            "{error:?}"
        );
    }

    let anonymous = ClientConfig::builder_with_details(provider(), Arc::new(At(now())))
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(margo_identity::SvidServerVerifier::new(
            verifier(&root),
            WFM.parse().unwrap(),
            provider(),
        )))
        .with_no_client_auth();
    let error = handshake(anonymous, server(&root, manager(), now())).err().unwrap();
    assert_eq!(error, rustls::Error::NoCertificatesPresented);
}

/// An SVID is renewed without a restart; half a renewal and somebody else's SVID leave the old one in use.
#[test]
fn an_identity_is_read_again() {
    let root = authority("root");
    let dir = TempDir::new().unwrap();
    let first = leaf(CLIENT).issued_by(&root);
    let files = write(dir.path(), &first);
    let identity = Arc::new(ReloadingIdentity::load(files, provider()).unwrap());
    assert!(!identity.reload().unwrap());

    let renewed = leaf(CLIENT).with(|p| p.not_after = rcgen::date_time_ymd(2026, 12, 1)).issued_by(&root);
    std::fs::write(dir.path().join("svid.pem"), &renewed.pem).unwrap();
    assert!(matches!(identity.reload(), Err(LoadIdentityError::Key { .. })));
    assert_eq!(identity.svid(), Svid::read(&first.der).unwrap());
    write(dir.path(), &renewed);
    assert!(identity.reload().unwrap());
    assert_eq!(identity.svid(), Svid::read(&renewed.der).unwrap());
    let manager = server(&root, self::identity(&leaf(WFM).issued_by(&root)), now());
    let done = handshake(client(&root, Arc::clone(&identity), TlsVersions::default()), manager).unwrap();
    assert_eq!(done.peer, Svid::read(&renewed.der).unwrap());

    write(dir.path(), &leaf(WFM).issued_by(&root));
    assert!(matches!(identity.reload(), Err(LoadIdentityError::OtherIdentity { .. })));
    std::fs::write(dir.path().join("key.pem"), "not a key: secret").unwrap();
    let error = identity.reload().unwrap_err();
    assert!(matches!(error, LoadIdentityError::Pem { .. }));
    assert!(!format!("{error} {error:?} {identity:?}").contains("secret"));
    std::fs::remove_file(dir.path().join("key.pem")).unwrap();
    assert!(matches!(identity.reload(), Err(LoadIdentityError::Read { .. })));
    assert_eq!(identity.svid(), Svid::read(&renewed.der).unwrap());
}
