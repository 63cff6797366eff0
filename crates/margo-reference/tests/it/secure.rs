//! A manager and its devices with identities of a trust domain of their own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use margo_core::SpecVersion;
use margo_identity::authority::{Authority, DevelopmentDomain, Issued};
use margo_identity::{TrustDomain, WfmSpiffeId};
use rustls::pki_types::UnixTime;

use crate::plant::{Device, Plant, Source};
use crate::program::free_address;

pub(crate) const WFM: &str = "spiffe://factory.example/margo/wfm/plant";

/// Much longer than any test.
pub(crate) const LIFETIME: Duration = Duration::from_hours(24);

pub(crate) fn now() -> UnixTime {
    UnixTime::now()
}

pub(crate) fn ago(duration: Duration) -> UnixTime {
    let now = Duration::from_secs(now().as_secs());
    UnixTime::since_unix_epoch(now.checked_sub(duration).unwrap())
}

/// A plant whose manager listens with TLS and mutual TLS as well.
pub(crate) struct Secure {
    pub(crate) plant: Plant,
    pub(crate) domain: DevelopmentDomain,
    pub(crate) tls: SocketAddr,
    pub(crate) mutual: SocketAddr,
}

impl Secure {
    /// Starts a manager; `more` is what else stands in its configuration.
    pub(crate) async fn start(more: &str) -> Self {
        let mut secure = Self::idle(more);
        secure.plant.up().await;
        secure
    }

    pub(crate) fn idle(more: &str) -> Self {
        let plant = Plant::idle();
        let folder = plant.folder().join("identities");
        let domain =
            DevelopmentDomain::init(&folder, WFM.parse().unwrap(), now(), LIFETIME, LIFETIME).unwrap();
        let names = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        domain.issue_server(&names, now(), LIFETIME).unwrap();
        let (tls, mutual) = (free_address(), free_address());
        let config = format!(
            "[tls]\nlisten = \"{tls}\"\norigins = [\"https://{tls}\"]\ncertificate = \"identities/server/certificate.pem\"\n\
             key = \"identities/server/key.pem\"\nauthority = \"identities/server/authority.pem\"\n\n\
             [mutual-tls]\nlisten = \"{mutual}\"\ncertificate = \"identities/manager/svid.pem\"\n\
             key = \"identities/manager/svid_key.pem\"\nbundle = \"identities/manager/bundle.json\"\n\
             bundle-uri = \"https://{tls}/.well-known/spiffe/bundle.json\"\nmax-connection-age = \"2s\"\n\n{more}\n"
        );
        std::fs::write(plant.folder().join("margo-wfm.toml"), config).unwrap();
        Self { plant, domain, tls, mutual }
    }

    pub(crate) fn identities(&self) -> PathBuf {
        self.plant.folder().join("identities")
    }

    /// A device of 1.0.0-rc.3, with an SVID and the bundle beside it.
    pub(crate) async fn rc3(&self, id: &str) -> Device {
        self.domain.issue_client(&id.parse().unwrap(), now(), LIFETIME).unwrap();
        let onboarded = self.plant.operator().onboard(id, Some(id), "1.0.0-rc.3").await.unwrap();
        Device::with_configuration(&self.plant, onboarded, Source::Rest, &self.rc3_configuration(id))
    }

    pub(crate) fn rc3_configuration(&self, id: &str) -> String {
        let at = format!("../identities/clients/{id}");
        let manager = format!(
            "url = \"https://{}\"\n[manager.svid]\ncertificate = \"{at}/svid.pem\"\nkey = \"{at}/svid_key.pem\"\n\
             bundle = \"{at}/bundle.json\"\n[manager.tls]\nmax-connection-age = \"1s\"\n",
            self.mutual
        );
        configuration(id, &manager, "source = \"rest\"\n")
    }

    /// A device of 1.0.0-rc.2 that signs what it says.
    pub(crate) async fn rc2(&self, id: &str) -> Device {
        self.signing(id, SpecVersion::V1_0_0Rc2).await
    }

    /// A device of 1.0.0-rc.1 that signs what it says.
    pub(crate) async fn rc1(&self, id: &str) -> Device {
        self.signing(id, SpecVersion::V1_0_0Rc1).await
    }

    async fn signing(&self, id: &str, revision: SpecVersion) -> Device {
        let certificate = self.device_certificate(id);
        let operator = self.plant.operator();
        let onboarded = operator.onboard_with(id, None, revision.as_str(), Some(&certificate)).await.unwrap();
        let configuration = self.signing_configuration(id, revision);
        Device::with_configuration(&self.plant, onboarded, Source::Rest, &configuration)
    }

    pub(crate) fn signing_configuration(&self, id: &str, revision: SpecVersion) -> String {
        let at = format!("../identities/devices/{id}");
        let manager = format!(
            "url = \"https://{}\"\nrevision = \"{revision}\"\n[manager.signature]\ncertificate = \"{at}/certificate.pem\"\n\
             key = \"{at}/key.pem\"\n[manager.tls]\nauthority = \"{at}/authority.pem\"\n",
            self.tls
        );
        configuration(id, &manager, "source = \"rest\"\n")
    }

    /// A device of the pre-draft, with tokens and payload signatures.
    pub(crate) async fn pre_draft(&self, id: &str) -> Device {
        let certificate = self.device_certificate(id);
        let operator = self.plant.operator();
        let onboarded = operator.onboard_with(id, None, "pre-draft", Some(&certificate)).await.unwrap();
        let (at, tls, client) = (format!("../identities/devices/{id}"), self.tls, &onboarded.client_id);
        let manager = format!(
            "url = \"https://{tls}\"\nrevision = \"pre-draft\"\npayload-key = \"{at}/key.pem\"\n\
             [manager.oauth]\nclient-id = \"{client}\"\nsecret-file = \"secret\"\n\
             [manager.tls]\nauthority = \"{at}/authority.pem\"\n"
        );
        let git = format!(
            "source = \"git\"\nurl = \"https://{tls}/git/{client}.git\"\ntoken-endpoint = \"/git-token\"\n"
        );
        let configuration = configuration(id, &manager, &git);
        Device::with_configuration(&self.plant, onboarded, Source::Git, &configuration)
    }

    fn device_certificate(&self, id: &str) -> String {
        let written = self.domain.issue_device(&id.parse().unwrap(), now(), LIFETIME).unwrap();
        std::fs::read_to_string(written.folder.join("certificate.pem")).unwrap()
    }

    /// Makes this the manager's identity, in place of the one it has.
    pub(crate) fn impersonate(&self, issued: &Issued) {
        let folder = self.identities().join("manager");
        std::fs::write(folder.join("svid_key.pem"), issued.reveal_key_pem()).unwrap();
        std::fs::write(folder.join("svid.pem"), issued.certificate_pem()).unwrap();
    }

    /// The manager's own SVID, of another time.
    pub(crate) fn manager_svid(&self, from: UnixTime, lifetime: Duration) -> Issued {
        self.domain.authority().issue_manager(self.domain.manager(), from, lifetime).unwrap()
    }
}

/// Somebody else's SVID: of another manager, or of another trust domain with an authority of its own.
pub(crate) fn manager_of(authority: &Authority, id: &str) -> Issued {
    let id: WfmSpiffeId = id.parse().unwrap();
    authority.issue_manager(&id, now(), LIFETIME).unwrap()
}

pub(crate) fn stranger(trust_domain: &str) -> Authority {
    let trust_domain: TrustDomain = trust_domain.parse().unwrap();
    Authority::generate(&trust_domain, now(), LIFETIME).unwrap()
}

fn configuration(id: &str, manager: &str, desired_state: &str) -> String {
    format!(
        "[device]\nid = \"{id}\"\ncapabilities = \"capabilities.yaml\"\ncapabilities-check = \"100ms\"\n\
         [manager]\n{manager}[desired-state]\n{desired_state}\
         [schedule]\nrate = \"200ms\"\njitter = 0.1\n\
         [runtime]\nkind = \"folder\"\nfolder = \"workloads\"\n"
    )
}
