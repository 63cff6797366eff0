//! A complete manager of one's own (WFM, formerly WOS), in memory: whoever has the token is to run `hello.yaml`.
//!
//! `cargo run -p margo-server --example wos_in_memory` prints where it listens, and the token.

use std::{collections::BTreeMap, error::Error, io::Write, net::SocketAddr, sync::Arc, sync::Mutex};

use bytes::Bytes;
use margo_api::endpoint::{report_capabilities as capabilities, report_deployment_status as status};
use margo_api::{Caller, ManagerError, ManagerErrorKind as Kind, Recorded, Update, WorkloadFleetManager};
use margo_core::{DeviceId, Digest, Document, ManifestVersion};
use margo_deployment::{BundleRef, DeploymentRef, DesiredStateManifest, write_bundle};
use margo_identity::{BearerAuthenticator, LoopbackOnly, Token};

type Answer<T> = Result<T, ManagerError>;

struct Wos {
    manifest: Document<DesiredStateManifest>,
    hello: Bytes,
    bundle: Bytes,
    reports: Mutex<BTreeMap<String, Bytes>>,
}

impl WorkloadFleetManager for Wos {
    async fn desired_state(&self, _: &Caller, known: Option<Digest>) -> Answer<Update> {
        let is_known = known == Some(self.manifest.digest());
        Ok(if is_known { Update::Unchanged } else { Update::Changed(self.manifest.clone()) })
    }

    async fn deployment(&self, _: &Caller, wanted: &DeploymentRef) -> Answer<Bytes> {
        let known = self.manifest.deployments.contains(wanted).then(|| self.hello.clone());
        known.ok_or_else(|| ManagerError::new(Kind::DeploymentNotFound))
    }

    async fn bundle(&self, _: &Caller, digest: Digest) -> Answer<Bytes> {
        let known = (digest == Digest::of(&self.bundle)).then(|| self.bundle.clone());
        known.ok_or_else(|| ManagerError::new(Kind::BundleNotFound))
    }

    async fn report_capabilities(&self, _: &Caller, report: capabilities::Request) -> Answer<Recorded> {
        Ok(record(&self.reports, report.device_id.to_string(), report.capabilities.bytes()))
    }

    async fn remove_device(&self, _: &Caller, device: &DeviceId) -> Answer<()> {
        let removed = self.reports.lock().expect("no panic").remove(device.as_str());
        removed.map(drop).ok_or_else(|| ManagerError::new(Kind::DeviceNotFound))
    }

    async fn report_status(&self, _: &Caller, report: status::Request) -> Answer<Recorded> {
        let id = report.status.deployment_id();
        self.manifest.deployment(id).ok_or_else(|| ManagerError::new(Kind::DeploymentNotFound))?;
        Ok(record(&self.reports, format!("deployment {id}"), report.status.bytes()))
    }
}

fn record(kept: &Mutex<BTreeMap<String, Bytes>>, key: String, body: &Bytes) -> Recorded {
    kept.lock().expect("no panic").insert(key, body.clone()).map_or(Recorded::Created, |_| Recorded::Updated)
}

pub(crate) fn app(token: &Token) -> Result<axum::Router, Box<dyn Error>> {
    let (id, hello) = ("a3e2f5dc".parse()?, Bytes::from(include_str!("hello.yaml")));
    let bundle = write_bundle([(&id, &hello)]);
    let reference = BundleRef::new(Digest::of(&bundle), bundle.len() as u64);
    let deployments = vec![DeploymentRef::new(id, Digest::of(&hello))];
    let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, Some(reference), deployments);
    let manifest = DesiredStateManifest::decode(manifest.to_json()?, &margo_syntax::Limits::default())?;
    let tokens = BearerAuthenticator::new(BTreeMap::from([(token.hash(), "everybody".parse()?)]));
    let wos = Arc::new(Wos { manifest, hello, bundle, reports: Mutex::default() });
    Ok(margo_server::authenticated(margo_server::router(wos), Arc::new(LoopbackOnly::new(tokens))))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let (token, listener) = (Token::generate()?, tokio::net::TcpListener::bind("127.0.0.1:0").await?);
    writeln!(std::io::stdout(), "listening on {}, token {}", listener.local_addr()?, token.reveal())?;
    Ok(axum::serve(listener, app(&token)?.into_make_service_with_connect_info::<SocketAddr>()).await?)
}
