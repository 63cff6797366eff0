//! A complete device agent with a vendor's own runtime: `vendor_agent <manager URL> <token> <folder>`.
//!
//! `<folder>/capabilities.yaml` says what the device is; the agent remembers in `<folder>/journal.redb`. Stop it
//! with ctrl-c.

#![expect(clippy::print_stdout, reason = "a program speaks")]

use std::{env, path::Path, time::Duration};

use margo_agent::{Agent, CapabilityFile, RedbJournal, Schedule};
use margo_api::{Present, RuntimeError, WorkloadRuntime};
use margo_client::RestClient;
use margo_core::{ComponentName, DeploymentId, Document, SpecVersion};
use margo_deployment::{ApplicationDeployment, Component};
use margo_identity::Token;

type Deployment = Document<ApplicationDeployment>;

/// The part a vendor writes: how workloads start and stop on this device. Acme's only say so, and stop with the
/// agent; it starts them again.
#[derive(Default)]
struct Acme(tokio::sync::Mutex<Present>);

impl WorkloadRuntime for Acme {
    async fn present(&self) -> Result<Present, RuntimeError> {
        Ok(self.0.lock().await.clone())
    }

    async fn apply(&self, deployment: &Deployment, component: &Component) -> Result<(), RuntimeError> {
        let values: Vec<_> = deployment.values_for(&component.name).collect();
        println!("start {}/{} with {values:?}", deployment.id, component.name);
        self.0.lock().await.entry(deployment.id.clone()).or_default().insert(component.name.clone());
        Ok(())
    }

    async fn remove(&self, deployment: &DeploymentId, name: &ComponentName) -> Result<(), RuntimeError> {
        println!("stop {deployment}/{name}");
        self.0.lock().await.get_mut(deployment).map(|components| components.remove(name));
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<_> = env::args().skip(1).collect();
    let [url, token, folder] = &arguments[..] else { return Err("expected URL, token and folder".into()) };
    let manager = RestClient::connect(url.parse()?, SpecVersion::V1_0_0Rc3, token.parse::<Token>()?)?;
    let journal = RedbJournal::open(Path::new(folder).join("journal.redb"))?;
    let mut agent = Agent::new(manager.clone(), manager, Acme::default(), journal)
        .with_schedule(Schedule::every(Duration::from_secs(1)), jiff::Timestamp::now)
        .with_capabilities(CapabilityFile::new(Path::new(folder).join("capabilities.yaml")));
    agent.run(async { tokio::signal::ctrl_c().await.unwrap_or_default() }).await;
    Ok(())
}
