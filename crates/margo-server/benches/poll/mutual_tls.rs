//! Polls over mutual TLS, kept alive and with new handshakes, next to nginx on the same terms.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, LazyLock};

use divan::Bencher;
use divan::counter::ItemsCount;
use jiff::Timestamp;
use margo_api::NoPublisher;
use margo_core::SpecVersion;
use margo_identity::{
    CurrentTrustBundle, IdentityFiles, ReloadingIdentity, SvidAuthenticator, SvidVerifier, TlsVersions,
    TrustBundle, server_config,
};
use margo_server::listen::{ListenConfig, Transport, serve};
use margo_server::{
    ClientAcceptance, Manager, Memory, OnboardRequest, Schemes, Store as _, authenticated, router,
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose, SanType,
};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::time_provider::DefaultTimeProvider;
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

use super::PATH;
use super::connection::{CONNECTIONS, Connection, connect};
use super::nginx::Nginx;

const WFM: &str = "spiffe://factory.example/margo/wfm/plant";

static SITE: LazyLock<Site> = LazyLock::new(Site::new);

pub(crate) fn stop() {
    if let Some(site) = LazyLock::get(&SITE)
        && let Some((nginx, _)) = &site.nginx
    {
        nginx.stop();
    }
}

/// A manager with one client, and nginx with the same certificates.
struct Site {
    address: SocketAddr,
    etag: String,
    nginx: Option<(Nginx, SocketAddr)>,
    client: Arc<ClientConfig>,
    _runtime: Runtime,
    _folder: TempDir,
}

impl Site {
    fn new() -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let mut params = named("authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let issue = |id: &str| {
            let (mut params, key) = (named("leaf"), KeyPair::generate().unwrap());
            params.subject_alt_names = vec![SanType::URI(id.try_into().unwrap())];
            (params.signed_by(&key, &authority).unwrap(), key)
        };
        let path = |name: &str| folder.path().join(name);
        let (manager, key) = issue(WFM);
        std::fs::write(path("manager.pem"), manager.pem()).unwrap();
        std::fs::write(path("manager.key"), key.serialize_pem()).unwrap();
        std::fs::write(path("authority.pem"), authority.pem()).unwrap();
        let bundle = TrustBundle::new("factory.example".parse().unwrap(), [authority.der().clone()]).unwrap();
        let verifier = SvidVerifier::new(Arc::new(CurrentTrustBundle::new(bundle)));
        let files = IdentityFiles::new(path("manager.pem"), path("manager.key"));
        let identity = Arc::new(ReloadingIdentity::load(files, Arc::clone(&provider)).unwrap());
        let clock = Arc::new(DefaultTimeProvider);
        let tls = server_config(Arc::clone(&provider), clock, TlsVersions::Tls13, identity, verifier.clone())
            .unwrap();

        let manager = Arc::new(Manager::new(Memory::new(), NoPublisher::new(), Timestamp::now));
        let onboarding = OnboardRequest::new("line-3".parse().unwrap(), SpecVersion::LATEST)
            .with_client("line-3".parse().unwrap());
        let client = runtime.block_on(manager.onboard(onboarding)).unwrap().client_id;
        let manifest = runtime.block_on(manager.store().manifest(&client)).unwrap().unwrap();
        let acceptance = ClientAcceptance::new(Arc::clone(&manager), WFM.parse().unwrap());
        let schemes = Schemes::new().with(SpecVersion::LATEST, SvidAuthenticator::new(acceptance));
        let app = authenticated(router(manager), Arc::new(schemes));
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let transport = Transport::mutual_tls(tls, verifier);
            serve(listener, transport, app, &ListenConfig::new(), std::future::pending()).await;
        });

        let tls_address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let nginx = Nginx::start_with_tls(PATH, &manifest.document, tls_address, folder.path());
        let (certificate, key) = issue(&format!("{WFM}/client/line-3"));
        let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let mut client = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Whoever(provider)))
            .with_client_auth_cert(vec![certificate.der().clone()], key)
            .unwrap();
        client.resumption = Resumption::disabled();
        Self {
            address,
            etag: format!("\"{}\"", manifest.digest),
            nginx: nginx.map(|nginx| (nginx, tls_address)),
            client: Arc::new(client),
            _runtime: runtime,
            _folder: folder,
        }
    }

    fn connection(&self) -> ClientConnection {
        let name = ServerName::try_from("manager.example").unwrap();
        ClientConnection::new(Arc::clone(&self.client), name).unwrap()
    }
}

/// Of its own name: OpenSSL takes a certificate that is named like its issuer for its own.
fn named(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params
}

fn request(etag: &str) -> String {
    format!("GET {PATH} HTTP/1.1\r\nhost: localhost\r\nif-none-match: {etag}\r\n\r\n")
}

#[divan::bench(name = "kept_alive::margo")]
fn kept_alive(bencher: Bencher<'_, '_>) {
    keep(bencher, SITE.address, &SITE.etag);
}

#[divan::bench(name = "kept_alive::nginx")]
fn kept_alive_nginx(bencher: Bencher<'_, '_>) {
    let Some((nginx, address)) = &SITE.nginx else { return };
    keep(bencher, *address, &nginx.etag);
}

fn keep(bencher: Bencher<'_, '_>, address: SocketAddr, etag: &str) {
    let open = || StreamOwned::new(SITE.connection(), connect(address));
    Connection::bench_over(bencher, open, request(etag).as_bytes(), (304, 0));
}

#[divan::bench(name = "new_handshake::margo")]
fn new_handshake(bencher: Bencher<'_, '_>) {
    shake(bencher, SITE.address, &SITE.etag);
}

#[divan::bench(name = "new_handshake::nginx")]
fn new_handshake_nginx(bencher: Bencher<'_, '_>) {
    let Some((nginx, address)) = &SITE.nginx else { return };
    shake(bencher, *address, &nginx.etag);
}

/// As many at once as of those that are kept, each step for all of them before the next.
fn shake(bencher: Bencher<'_, '_>, address: SocketAddr, etag: &str) {
    let request = request(etag);
    bencher.counter(ItemsCount::new(CONNECTIONS)).bench_local(|| {
        let mut connections: Vec<_> = (0..CONNECTIONS)
            .map(|_| {
                let (mut tls, mut stream) = (SITE.connection(), connect(address));
                tls.write_tls(&mut stream).unwrap();
                (tls, stream)
            })
            .collect();
        for (tls, stream) in &mut connections {
            while tls.is_handshaking() {
                assert!(tls.read_tls(stream).unwrap() > 0, "the connection was closed");
                tls.process_new_packets().unwrap();
            }
            tls.writer().write_all(request.as_bytes()).unwrap();
            while tls.wants_write() {
                tls.write_tls(stream).unwrap();
            }
        }
        for (tls, stream) in connections {
            let mut answer = [0; 4096];
            let mut stream = StreamOwned::new(tls, stream);
            let read = stream.read(&mut answer).unwrap();
            assert!(answer[..read].starts_with(b"HTTP/1.1 304"));
        }
    });
}

/// What is measured is the server.
#[derive(Debug)]
struct Whoever(Arc<CryptoProvider>);

impl ServerCertVerifier for Whoever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("TLS 1.3 alone".to_owned()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
