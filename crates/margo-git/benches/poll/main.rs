//! What a poll of an unmoved branch costs: our device against our host, next to `git ls-remote` against
//! `git http-backend`, and each against the other's counterpart.
//!
//! Both hosts serve the same repository over loopback, behind the same server on one thread of this process: ours
//! answers in that process, `git http-backend` is started for each request, as a web server starts a CGI program.

#![expect(clippy::unwrap_used, reason = "what cannot be polled has no speed")]

mod host;

use std::path::Path;
use std::process::{Command, Stdio};

use divan::Bencher;
use margo_api::{Checkpoint, DesiredStatePublisher as _, DesiredStateSource as _, Publication, Update};
use margo_core::{ClientId, ManifestVersion};
use margo_git::{GitPublisher, GitSource, GitSourceConfig};
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};
use url::Url;

use self::host::Host;

fn main() {
    rustls::crypto::ring::default_provider().install_default().unwrap();
    divan::main();
}

#[divan::bench(args = [Host::Ours, Host::HttpBackend])]
fn git_source(bencher: Bencher<'_, '_>, host: Host) {
    let world = World::new(host);
    let config =
        GitSourceConfig::new(world.url.clone(), world.folder.path().join("device"), "plc-7".parse().unwrap());
    let source = GitSource::new(config).unwrap();
    let Update::Changed(manifest) = world.runtime.block_on(source.poll(None)).unwrap() else {
        panic!("nothing was published")
    };
    let last = Some(Checkpoint::of(&manifest));
    bencher.bench_local(|| assert_eq!(world.runtime.block_on(source.poll(last)).unwrap(), Update::Unchanged));
}

#[divan::bench(args = [Host::Ours, Host::HttpBackend])]
fn git_ls_remote(bencher: Bencher<'_, '_>, host: Host) {
    let world = World::new(host);
    bencher.bench_local(|| {
        let arguments = ["ls-remote", "--quiet", "--exit-code", world.url.as_str(), "refs/heads/main"];
        let status = git(world.folder.path()).args(arguments).stdout(Stdio::null()).status().unwrap();
        assert!(status.success(), "git ls-remote ended with {status}");
    });
}

/// The part of the above that is not a poll: a `git` that does nothing.
#[divan::bench]
fn git_version(bencher: Bencher<'_, '_>) {
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    bencher.bench_local(|| {
        assert!(git(folder.path()).arg("--version").stdout(Stdio::null()).status().unwrap().success());
    });
}

/// A published repository, and a host that serves it.
struct World {
    folder: TempDir,
    url: Url,
    runtime: Runtime,
}

impl World {
    fn new(host: Host) -> Self {
        // The thread that serves; whoever calls `block_on` brings its own.
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let root = folder.path().join("manager");
        let client: ClientId = "plc-7".parse().unwrap();
        let publisher = GitPublisher::open(&root).unwrap();
        let deployments = (0..10).map(|number| {
            let id = format!("pump-{number}");
            (id.parse().unwrap(), deployment(&id).into())
        });
        let publication = Publication::new(client.clone(), ManifestVersion::FIRST, deployments.collect());
        runtime.block_on(publisher.publish(&publication)).unwrap();
        let address = runtime.block_on(host.serve(&publisher, &root, &client));
        let url = format!("http://{address}/git/{client}").parse().unwrap();
        Self { folder, url, runtime }
    }
}

/// `git`, blind to the machine's configuration.
fn git(folder: &Path) -> Command {
    let mut command = Command::new("git");
    command
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", "/nonexistent")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_TERMINAL_PROMPT", "0")
        .current_dir(folder);
    command
}

fn deployment(id: &str) -> String {
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
        properties: {{ repository: 'oci://registry.example/collector', revision: 1.0.9 }}
"
    )
}
