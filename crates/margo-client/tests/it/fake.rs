//! A manager without a socket, and a desired state for it.

use std::sync::{Arc, Mutex};

use bytes::Bytes;
use margo_client::{RestClient, Transport, TransportError};
use margo_core::{DeploymentId, Digest, ManifestVersion, SpecVersion};
use margo_deployment::{BundleRef, DeploymentRef, DesiredStateManifest, write_bundle};
use margo_identity::BearerCredentials;

pub(crate) type Answer = Result<http::Response<Bytes>, TransportError>;

type Handler = Box<dyn Fn(&http::Request<Bytes>) -> Answer + Send + Sync>;

/// Answers each request with a function, and remembers it.
pub(crate) struct Fake {
    handler: Handler,
    seen: Mutex<Vec<http::Request<Bytes>>>,
}

impl Fake {
    pub(crate) fn new(
        handler: impl Fn(&http::Request<Bytes>) -> Answer + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { handler: Box::new(handler), seen: Mutex::default() })
    }

    /// The methods and paths asked for, in order.
    pub(crate) fn seen(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter().map(|request| format!("{} {}", request.method(), request.uri().path())).collect()
    }

    pub(crate) fn last(&self) -> http::Request<Bytes> {
        self.seen.lock().unwrap().last().cloned().unwrap()
    }
}

impl Transport for Fake {
    async fn send(&self, request: http::Request<Bytes>, _: usize) -> Answer {
        let answer = (self.handler)(&request);
        self.seen.lock().unwrap().push(request);
        answer
    }
}

pub(crate) type Client = RestClient<Arc<Fake>, BearerCredentials>;

pub(crate) fn client(
    version: SpecVersion,
    handler: impl Fn(&http::Request<Bytes>) -> Answer + Send + Sync + 'static,
) -> (Client, Arc<Fake>) {
    let fake = Fake::new(handler);
    let credentials = BearerCredentials::new("secret").unwrap();
    let base = "http://127.0.0.1:8080/margo".parse().unwrap();
    (RestClient::new(base, version, Arc::clone(&fake), credentials).unwrap(), fake)
}

pub(crate) fn answer(
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl Into<Bytes>,
) -> http::Response<Bytes> {
    let mut builder = http::Response::builder().status(status);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(body.into()).unwrap()
}

/// Some deployments, their bundle and their manifest.
pub(crate) struct State {
    pub(crate) deployments: Vec<(DeploymentRef, Bytes)>,
    pub(crate) bundle: Bytes,
    pub(crate) manifest: DesiredStateManifest,
}

impl State {
    pub(crate) fn with(count: usize) -> Self {
        let deployments: Vec<_> = (0..count)
            .map(|number| {
                let id: DeploymentId = format!("d-{number}").parse().unwrap();
                let bytes = yaml(&id);
                (DeploymentRef::new(id, Digest::of(&bytes)), bytes)
            })
            .collect();
        let bundle =
            write_bundle(deployments.iter().map(|(reference, bytes)| (&reference.deployment_id, bytes)));
        let reference = BundleRef::new(Digest::of(&bundle), bundle.len() as u64);
        let references: Vec<_> = deployments.iter().map(|(reference, _)| reference.clone()).collect();
        let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, Some(reference), references);
        Self { deployments, bundle, manifest }
    }

    pub(crate) fn references(&self) -> Vec<DeploymentRef> {
        self.deployments.iter().map(|(reference, _)| reference.clone()).collect()
    }

    /// The deployment a path ends in, by digest.
    pub(crate) fn single(&self, path: &str) -> Option<Bytes> {
        let named = |reference: &DeploymentRef| path.ends_with(&reference.digest.to_string());
        self.deployments.iter().find(|(reference, _)| named(reference)).map(|(_, bytes)| bytes.clone())
    }
}

pub(crate) fn yaml(id: &DeploymentId) -> Bytes {
    format!(
        "id: {id}\n\
         metadata: {{ name: pump-monitor, namespace: plant, deviceId: plc-7 }}\n\
         spec:\n  applicationId: pump-monitor\n  deploymentProfile:\n    type: helm\n    components:\n      \
         - name: collector\n        properties: {{ repository: 'oci://registry.example/collector', revision: 1.0.9 }}\n"
    )
    .into()
}
