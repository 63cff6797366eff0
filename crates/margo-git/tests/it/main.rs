//! The whole way of desired state through Git: published, served over real HTTP, fetched by stock Git and by the
//! source.
//!
//! Everything here needs the program `git`, as the host itself does.

#![expect(clippy::unwrap_used, reason = "what a test cannot do without, fails it")]

mod publish;
mod serve;
mod server;
mod source;
mod stock_git;

use bytes::Bytes;
use margo_api::Publication;
use margo_core::{ClientId, ManifestVersion};

/// A deployment as the pre-draft writes it, told from others by `revision`.
fn deployment(id: &str, revision: u64) -> String {
    format!(
        "apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
metadata:
  annotations: {{ id: {id}, applicationId: pump-monitor }}
  name: pump-monitor
  namespace: plant
spec:
  deploymentProfile:
    type: helm.v3
    components:
      - name: collector
        properties: {{ repository: 'oci://registry.example/collector', revision: 1.0.{revision} }}
"
    )
}

fn version(number: u64) -> ManifestVersion {
    ManifestVersion::new(number).unwrap()
}

fn client() -> ClientId {
    "plc-7".parse().unwrap()
}

/// The desired state of [`client`] at a version: these deployments, at this revision.
fn state(number: u64, deployments: &[(&str, u64)]) -> Publication {
    let deployments = deployments.iter().map(|(id, revision)| {
        let bytes: Bytes = deployment(id, *revision).into();
        (id.parse().unwrap(), bytes)
    });
    Publication::new(client(), version(number), deployments.collect())
}
