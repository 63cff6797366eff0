//! A [`WorkloadRuntime`] on Helm: each component is one release of one chart, at exactly the version that the deployment
//! names, with the deployment's parameters as its values.
//!
//! Charts come through `margo-oci`: verified, bounded, cached. Helm itself is a program on the device, version 3.13 or
//! newer, or 4, and never talks to a registry.
//!
//! - Values are written to a file that only its owner can read, and never stand on a command line.
//! - A component that is waited for is installed as a whole or not at all: when it fails, what ran before runs again
//!   (`--rollback-on-failure`, or `--atomic` with Helm 3).
//! - Releases carry labels that say which component they are, so that a runtime that starts anew finds them. A release
//!   that is already as it should be is left alone, and one that was interrupted is undone before anything else.
//! - Helm runs with a clean environment and a time limit, and ends with the future that started it. One that outlives a
//!   killed process is waited for by the next.
//!
//! It refuses charts with hooks, `lookup` or definitions of custom resources, which no deployment may rely on (R-C-014),
//! unless told otherwise; charts that are not of `apiVersion: v2`; and to take over a release it did not make. It does
//! not look into a cluster: what a pod does after its release was installed is for Kubernetes to heal.
//!
//! ```no_run
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use margo_oci::{Fetcher, Options};
//! use margo_runtime_helm::{HelmOptions, HelmRuntime};
//!
//! let fetcher = Fetcher::new("/var/lib/margo/packages", Options::new())?;
//! let options = HelmOptions::new("/var/lib/margo/helm").with_kubeconfig("/etc/margo/kubeconfig");
//! let runtime = HelmRuntime::new(fetcher, options)?;
//! # let _ = runtime;
//! # Ok(())
//! # }
//! ```
//!
//! The agent that drives it is `margo-agent`. A chart can be looked at without a cluster, and without Helm:
//! [`Chart::read`].
//!
//! [`WorkloadRuntime`]: margo_api::WorkloadRuntime

mod chart;
mod helm;
mod labels;
mod runtime;

pub use chart::{Chart, ChartError, ChartRules};
pub use runtime::{HelmOptions, HelmRuntime, SetupError};
