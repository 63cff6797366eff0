use bytes::Bytes;
use http::Uri;
use margo_api::endpoint::{Endpoint, Reply as _, get_root_certificate, onboard};
use margo_api::{AuthError, BoxError, Credentials};
use margo_core::{ClientId, SpecVersion};
use rustls::pki_types::CertificateDer;
use url::Url;

use crate::base::Base;
use crate::{SetupError, Transport};

/// The most bytes of an answer.
const MAX_ANSWER: usize = 256 << 10;

/// Gets what is needed before a manager of an older revision can be spoken to: whom to trust, and what one is called.
///
/// Each call is made once in the life of a device; what it answers is for the program to keep.
#[derive(Clone, Debug)]
pub struct Onboarding<T> {
    base: Base,
    version: SpecVersion,
    transport: T,
}

impl<T> Onboarding<T> {
    /// With the manager at `base`, which speaks `version`.
    ///
    /// # Errors
    ///
    /// [`SetupError::BaseUrl`] as for [`RestClient::new`](crate::RestClient::new).
    pub fn new(base: Url, version: SpecVersion, transport: T) -> Result<Self, SetupError> {
        Ok(Self { base: Base::new(base)?, version, transport })
    }
}

impl<T: Transport> Onboarding<T> {
    /// Downloads the authority that vouches for the manager (rc.1, rc.2: E1; pre-draft: A5).
    ///
    /// It is worth as much as the channel it comes by: rc.1 and rc.2 demand one that is trusted already (R-B-005), so
    /// their transport has [a pin](crate::HttpOptions::with_pin) or another authority. Only in the pre-draft, which
    /// says nothing, may [anybody be trusted](crate::HttpOptions::trusting_anybody) this once.
    ///
    /// # Errors
    ///
    /// [`OnboardingError`]; what is no certificate too.
    pub async fn root_certificate(&self) -> Result<CertificateDer<'static>, OnboardingError> {
        let request = get_root_certificate::Request::new();
        let response = self.call(&request, &Anonymous).await?;
        let der = response.message.certificate_der().map_err(|fault| unusable(fault.to_string()))?;
        let der = CertificateDer::from(der);
        let mut roots = rustls::RootCertStore::empty();
        roots.add(der.clone()).map_err(|error| unusable(error.to_string()))?;
        Ok(der)
    }

    /// Asks to be taken on with this certificate, and returns what the manager calls the client from then on (E2,
    /// R-B-006). The same certificate gets the same answer, so the call may be made again if it got none.
    ///
    /// The certificate is in the body, so a signature proves that the caller has its key; managers differ in whether
    /// they want one (X-B-22). `credentials` are those of the calls to come.
    ///
    /// # Errors
    ///
    /// [`OnboardingError`], with what the manager says.
    pub async fn onboard(
        &self,
        certificate: &CertificateDer<'_>,
        credentials: &impl Credentials,
    ) -> Result<ClientId, OnboardingError> {
        let response = self.call(&onboard::Request::new(certificate), credentials).await?;
        Ok(response.message.client_id)
    }

    async fn call<E: Endpoint>(
        &self,
        endpoint: &E,
        credentials: &impl Credentials,
    ) -> Result<E::Response, OnboardingError> {
        let mut request =
            endpoint.to_http(self.version).map_err(|error| OnboardingError::because(error.into()))?;
        let route: Uri =
            self.base.route(request.uri()).map_err(|error| OnboardingError::because(error.into()))?;
        *request.uri_mut() = route;
        credentials.authorize(&mut request).await.map_err(|error| OnboardingError::because(error.into()))?;
        let response = self.transport.send(request, MAX_ANSWER).await;
        let response = response.map_err(|error| OnboardingError::because(error.into()))?;
        E::Response::from_http(response).map_err(|error| OnboardingError::because(error.into()))
    }
}

/// Proves nothing.
struct Anonymous;

impl Credentials for Anonymous {
    async fn authorize(&self, _: &mut http::Request<Bytes>) -> Result<(), AuthError> {
        Ok(())
    }
}

/// The device could not be onboarded.
#[derive(Debug, thiserror::Error)]
#[error("the manager did not onboard this device")]
pub struct OnboardingError {
    #[source]
    cause: BoxError,
}

impl OnboardingError {
    fn because(cause: BoxError) -> Self {
        Self { cause }
    }
}

fn unusable(reason: String) -> OnboardingError {
    OnboardingError::because(SetupError::Certificate { reason }.into())
}
