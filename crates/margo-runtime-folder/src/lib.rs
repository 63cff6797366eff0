//! A [`WorkloadRuntime`] that needs nothing installed: it writes, for each component, exactly what Helm or Compose
//! would be handed, into a folder that a person can read.
//!
//! | Profile | Files in `<root>/<deployment>/<component>/` |
//! | --- | --- |
//! | `helm` | `values.yaml`: the parameters where their pointers say, as `--set` reads them; `release.yaml`: release, namespace, chart |
//! | `compose` | `.env`: the parameters as variables; `package.yaml`: project, archive or OCI package |
//! | others | `parameters.yaml`: pointer to value; `package.yaml` |
//!
//! It refuses to run anything, to fetch a package, and to write outside its root. A component's folder is there
//! completely or not at all, and the folders are all it remembers.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use margo_api::WorkloadRuntime;
//! use margo_deployment::ApplicationDeployment;
//! use margo_runtime_folder::FolderRuntime;
//! use margo_syntax::Limits;
//!
//! let text = "
//! id: pump-1
//! metadata: { name: pump, namespace: plant, deviceId: plc-7 }
//! spec:
//!   applicationId: pump
//!   deploymentProfile:
//!     type: helm
//!     components:
//!       - { name: collector, properties: { repository: 'oci://r.example/c', revision: 1.0.9 } }
//!   parameters:
//!     interval: { value: 30, targets: [{ pointer: settings.interval, components: [collector] }] }
//! ";
//! let deployment = ApplicationDeployment::decode(text.into(), &Limits::default())?;
//! let root = tempfile::tempdir()?;
//!
//! let runtime = FolderRuntime::new(root.path());
//! runtime.apply(&deployment, &deployment.spec.deployment_profile.components[0]).await?;
//!
//! let values = std::fs::read_to_string(root.path().join("pump-1/collector/values.yaml"))?;
//! assert_eq!(values, "settings:\n  interval: 30\n");
//! assert!(runtime.present().await?.contains_key("pump-1"));
//! # Ok(())
//! # }
//! ```
//!
//! For tests and demonstrations a component can be told to fail or to be slow: [`Behavior`]. The agent that drives
//! a runtime is `margo-agent`.
//!
//! [`WorkloadRuntime`]: margo_api::WorkloadRuntime

mod behavior;
mod files;
mod folder;

pub use behavior::Behavior;
pub use folder::FolderRuntime;
