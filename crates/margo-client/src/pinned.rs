use std::sync::Arc;

use margo_identity::SpkiPin;
use rustls::client::WantsClientCert;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, ConfigBuilder, DigitallySignedStruct, SignatureScheme, WantsVerifier,
};

/// Knows a server by its key alone; or not at all.
#[derive(Debug)]
pub(crate) struct PinnedServer {
    pins: Option<Vec<SpkiPin>>,
    provider: Arc<CryptoProvider>,
}

impl PinnedServer {
    pub(crate) fn of(pins: Vec<SpkiPin>, provider: Arc<CryptoProvider>) -> Self {
        Self { pins: Some(pins), provider }
    }

    pub(crate) fn anybody(provider: Arc<CryptoProvider>) -> Self {
        Self { pins: None, provider }
    }

    pub(crate) fn config(self, builder: ConfigBuilder<ClientConfig, WantsVerifier>) -> ClientConfig {
        let builder: ConfigBuilder<ClientConfig, WantsClientCert> =
            builder.dangerous().with_custom_certificate_verifier(Arc::new(self));
        builder.with_no_client_auth()
    }
}

impl ServerCertVerifier for PinnedServer {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match &self.pins {
            Some(pins) if !pins.iter().any(|pin| pin.matches(end_entity)) => {
                Err(rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
            }
            _ => Ok(ServerCertVerified::assertion()),
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.provider.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}
