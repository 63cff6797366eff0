//! What an operator sets up before anything runs: identities, and a configuration for every process.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result};
use margo_cli::OperatorClient;
use margo_core::SpecVersion;
use margo_identity::authority::DevelopmentDomain;
use rustls::pki_types::UnixTime;
use url::Url;

use super::Actor;
use crate::config::{read_file, write_atomically};

/// The configuration of the manager, in the folder of the demonstration.
pub(super) const MANAGER_CONFIG: &str = "margo-wfm.toml";

/// Much longer than the demonstration.
const LIFETIME: Duration = Duration::from_hours(24);

const MANAGER: &str = "spiffe://demo.example/margo/wfm/plant";

/// Identities of a trust domain of its own, and the addresses of its manager.
pub(super) struct Plant {
    domain: DevelopmentDomain,
    identities: PathBuf,
    plain: SocketAddr,
    tls: SocketAddr,
    mutual: SocketAddr,
}

impl Plant {
    /// Makes the identities and the manager's configuration in `folder`.
    pub(super) fn lay_out(folder: &Path) -> Result<Self> {
        let identities = folder.join("identities");
        if identities.exists() {
            // Of an earlier demonstration in a folder that was kept.
            std::fs::remove_dir_all(&identities)?;
        }
        let domain =
            DevelopmentDomain::init(&identities, MANAGER.parse()?, UnixTime::now(), LIFETIME, LIFETIME)?;
        domain.issue_server(&["127.0.0.1".to_owned(), "localhost".to_owned()], UnixTime::now(), LIFETIME)?;
        // The manager is restarted later and must be found where it was, so its ports are chosen here. Port 443, the only one
        // the specification has (R-B-004, R-D-001), may be taken, and needs a privilege.
        let free =
            || TcpListener::bind("127.0.0.1:0").and_then(|listener| Ok((listener.local_addr()?, listener)));
        let held = [free()?, free()?, free()?];
        let [plain, tls, mutual] = held.each_ref().map(|(address, _)| *address);
        drop(held);
        let config = format!(
            "[plain]\nlisten = \"{plain}\"\n\n\
             [tls]\nlisten = \"{tls}\"\norigins = [\"https://{tls}\"]\ncertificate = \"identities/server/certificate.pem\"\n\
             key = \"identities/server/key.pem\"\nauthority = \"identities/server/authority.pem\"\n\n\
             [mutual-tls]\nlisten = \"{mutual}\"\ncertificate = \"identities/manager/svid.pem\"\n\
             key = \"identities/manager/svid_key.pem\"\nbundle = \"identities/manager/bundle.json\"\n\
             bundle-uri = \"https://{tls}/.well-known/spiffe/bundle.json\"\n"
        );
        std::fs::write(folder.join(MANAGER_CONFIG), config)?;
        Ok(Self { domain, identities, plain, tls, mutual })
    }

    pub(super) fn operator_url(&self) -> Result<Url> {
        Ok(format!("http://{}", self.plain).parse()?)
    }

    /// Where the manager listens.
    pub(super) fn describe(&self) -> [String; 4] {
        [
            format!("margo-wfm listens on http://{} for its operator", self.plain),
            format!("on https://{} for devices of the pre-draft, rc.1 and rc.2", self.tls),
            format!("on https://{} for devices of rc.3, as {MANAGER}", self.mutual),
            "in a plant, devices are listened to on port 443, which needs a privilege".to_owned(),
        ]
    }

    /// Gives a device its identity, makes it known, and writes its configuration. Returns where that is.
    pub(super) async fn onboard(
        &self,
        operator: &OperatorClient,
        actor: &Actor,
        folder: &Path,
    ) -> Result<PathBuf> {
        let Actor { name, revision, .. } = actor;
        let (manager, desired_state) = match revision {
            SpecVersion::V1_0_0Rc3 => {
                // The SVID says what the client is called.
                self.domain.issue_client(&name.parse()?, UnixTime::now(), LIFETIME)?;
                operator.onboard(name, Some(name), revision.as_str()).await?;
                let at = self.identity("clients", name)?;
                let manager = format!(
                    "url = \"https://{}\"\nrevision = \"{revision}\"\n\n[manager.svid]\n\
                     certificate = \"{at}/svid.pem\"\nkey = \"{at}/svid_key.pem\"\ndiscovery = \"https://{}\"\n\n\
                     [manager.tls]\nauthority = \"{}/authority.pem\"\n",
                    self.mutual,
                    self.tls,
                    self.identity("server", "")?
                );
                (manager, "source = \"rest\"\n".to_owned())
            }
            SpecVersion::PreDraft => {
                let certificate = self.certificate(name)?;
                let onboarded =
                    operator.onboard_with(name, None, revision.as_str(), Some(&certificate)).await?;
                write_atomically(&folder.join("secret"), onboarded.token.as_bytes())?;
                let at = self.identity("devices", name)?;
                let client = &onboarded.client_id;
                let manager = format!(
                    "url = \"https://{tls}\"\nrevision = \"{revision}\"\npayload-key = \"{at}/key.pem\"\n\n\
                     [manager.oauth]\nclient-id = \"{client}\"\nsecret-file = \"secret\"\n\n\
                     [manager.tls]\nauthority = \"{at}/authority.pem\"\n",
                    tls = self.tls
                );
                let git = format!(
                    "source = \"git\"\nurl = \"https://{}/git/{client}.git\"\ntoken-endpoint = \"/git-token\"\n",
                    self.tls
                );
                (manager, git)
            }
            _ => {
                let certificate = self.certificate(name)?;
                operator.onboard_with(name, None, revision.as_str(), Some(&certificate)).await?;
                let at = self.identity("devices", name)?;
                let manager = format!(
                    "url = \"https://{}\"\nrevision = \"{revision}\"\n\n[manager.signature]\n\
                     certificate = \"{at}/certificate.pem\"\nkey = \"{at}/key.pem\"\n\n\
                     [manager.tls]\nauthority = \"{at}/authority.pem\"\n",
                    self.tls
                );
                (manager, "source = \"rest\"\n".to_owned())
            }
        };
        let config = format!(
            "[device]\nid = \"{name}\"\ncapabilities = \"capabilities.yaml\"\ncapabilities-check = \"1s\"\n\n\
             [manager]\n{manager}\n[desired-state]\n{desired_state}\n\
             [schedule]\nrate = \"1s\"\njitter = 0.2\n\n\
             [runtime]\nkind = \"folder\"\nfolder = \"workloads\"\ndelay = \"400ms\"\n"
        );
        let path = folder.join("margo-device.toml");
        std::fs::write(&path, config)?;
        Ok(path)
    }

    /// Makes the certificate that a device signs with.
    fn certificate(&self, name: &str) -> Result<String> {
        let written = self.domain.issue_device(&name.parse()?, UnixTime::now(), LIFETIME)?;
        read_file(&written.folder.join("certificate.pem"))
    }

    /// The folder of an identity.
    fn identity(&self, kind: &str, name: &str) -> Result<String> {
        let path = std::path::absolute(self.identities.join(kind).join(name))?;
        let path = path.to_str().context("the folder's name is not UTF-8")?;
        Ok(path.trim_end_matches('/').to_owned())
    }
}
