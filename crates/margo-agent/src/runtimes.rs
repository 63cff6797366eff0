use std::fmt;
use std::sync::Arc;

use margo_api::{BoxFuture, DynWorkloadRuntime, Outages, Present, RuntimeError, WorkloadRuntime};
use margo_core::{ComponentName, DeploymentId, Document};
use margo_deployment::{ApplicationDeployment, Component, DeploymentProfile, ProfileType};

/// Several runtimes as one: each deployment goes to the one for its type.
///
/// A vendor's own runtime for `custom` deployments is chosen by what the profile says: one of its labels or
/// extensions (R-D-031, R-D-032). Of several that would do, the first that was added is taken. A deployment for which
/// there is none is refused before anything is touched, and reported as failed.
///
/// ```
/// use std::sync::Arc;
/// use margo_agent::Runtimes;
/// use margo_deployment::ProfileType;
/// # use margo_api::{DynWorkloadRuntime, Present, RuntimeError, WorkloadRuntime};
/// # struct Acme;
/// # impl WorkloadRuntime for Acme {
/// #     async fn present(&self) -> Result<Present, RuntimeError> { Ok(Present::new()) }
/// #     async fn apply(&self, _: &margo_core::Document<margo_deployment::ApplicationDeployment>, _: &margo_deployment::Component) -> Result<(), RuntimeError> { Ok(()) }
/// #     async fn remove(&self, _: &margo_core::DeploymentId, _: &margo_core::ComponentName) -> Result<(), RuntimeError> { Ok(()) }
/// # }
/// # let (compose, acme): (Arc<dyn DynWorkloadRuntime>, Arc<dyn DynWorkloadRuntime>) = (Arc::new(Acme), Arc::new(Acme));
/// let runtimes = Runtimes::new()
///     .with(ProfileType::Compose, compose)
///     .with_custom("acme-plc", |profile| profile.extensions.get("x-acme-extensions").is_some(), acme);
/// ```
#[derive(Clone, Default)]
pub struct Runtimes(Vec<Entry>);

#[derive(Clone)]
struct Entry {
    name: String,
    takes: Arc<dyn Fn(&DeploymentProfile) -> bool + Send + Sync>,
    runtime: Arc<dyn DynWorkloadRuntime>,
}

impl Entry {
    fn runtime(&self) -> &dyn DynWorkloadRuntime {
        &*self.runtime
    }
}

impl Runtimes {
    /// None yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The same, with `runtime` for deployments of this type.
    #[must_use]
    pub fn with(self, profile_type: ProfileType, runtime: Arc<dyn DynWorkloadRuntime>) -> Self {
        let name = profile_type.to_string();
        self.add(name, move |profile| profile.profile_type == profile_type, runtime)
    }

    /// The same, with `runtime` for those `custom` deployments that `takes` chooses. `name` is for logs.
    #[must_use]
    pub fn with_custom(
        self,
        name: impl Into<String>,
        takes: impl Fn(&DeploymentProfile) -> bool + Send + Sync + 'static,
        runtime: Arc<dyn DynWorkloadRuntime>,
    ) -> Self {
        let takes =
            move |profile: &DeploymentProfile| profile.profile_type == ProfileType::Custom && takes(profile);
        self.add(name.into(), takes, runtime)
    }

    /// The same, with `runtime` for whatever the others do not take.
    #[must_use]
    pub fn with_any(self, runtime: Arc<dyn DynWorkloadRuntime>) -> Self {
        self.add("any".to_owned(), |_| true, runtime)
    }

    fn add(
        mut self,
        name: String,
        takes: impl Fn(&DeploymentProfile) -> bool + Send + Sync + 'static,
        runtime: Arc<dyn DynWorkloadRuntime>,
    ) -> Self {
        self.0.push(Entry { name, takes: Arc::new(takes), runtime });
        self
    }

    fn choose(&self, deployment: &ApplicationDeployment) -> Result<usize, RuntimeError> {
        let profile = &deployment.spec.deployment_profile;
        self.0.iter().position(|entry| (entry.takes)(profile)).ok_or_else(|| {
            let message = format!(
                "this device has no runtime for this deployment of type `{}`; it has: {}",
                profile.profile_type,
                self.names()
            );
            RuntimeError::new("unsupported-deployment-type", message)
        })
    }

    fn names(&self) -> String {
        let names: Vec<_> = self.0.iter().map(|entry| entry.name.as_str()).collect();
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    }

    /// Every runtime that has something of this component.
    async fn holders(&self, id: &DeploymentId, name: &ComponentName) -> Result<Vec<usize>, RuntimeError> {
        let mut holders = Vec::new();
        for (index, entry) in self.0.iter().enumerate() {
            if entry.runtime().present().await?.get(id).is_some_and(|components| components.contains(name)) {
                holders.push(index);
            }
        }
        Ok(holders)
    }
}

impl WorkloadRuntime for Runtimes {
    async fn present(&self) -> Result<Present, RuntimeError> {
        let mut present = Present::new();
        for entry in &self.0 {
            for (id, components) in entry.runtime().present().await? {
                present.entry(id).or_default().extend(components);
            }
        }
        Ok(present)
    }

    async fn prepare(&self, deployment: &Document<ApplicationDeployment>) -> Result<(), RuntimeError> {
        self.0[self.choose(deployment)?].runtime().prepare(deployment).await
    }

    /// A component that another runtime has, because the deployment was of another type, is taken away there first.
    async fn apply(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> Result<(), RuntimeError> {
        let chosen = self.choose(deployment)?;
        if self.0.len() > 1 {
            for holder in self.holders(&deployment.id, &component.name).await? {
                if holder != chosen {
                    self.0[holder].runtime().remove(&deployment.id, &component.name).await?;
                }
            }
        }
        self.0[chosen].runtime().apply(deployment, component).await
    }

    async fn remove(&self, deployment: &DeploymentId, component: &ComponentName) -> Result<(), RuntimeError> {
        for holder in self.holders(deployment, component).await? {
            self.0[holder].runtime().remove(deployment, component).await?;
        }
        Ok(())
    }

    async fn restore(
        &self,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> Result<bool, RuntimeError> {
        let mut runs = false;
        for holder in self.holders(deployment, component).await? {
            runs |= self.0[holder].runtime().restore(deployment, component).await?;
        }
        Ok(runs)
    }

    async fn outages(&self) -> Result<Outages, RuntimeError> {
        let mut outages = Outages::new();
        for entry in &self.0 {
            for (id, components) in entry.runtime().outages().await? {
                outages.entry(id).or_default().extend(components);
            }
        }
        Ok(outages)
    }

    async fn changed(&self) {
        if self.0.is_empty() {
            return std::future::pending().await;
        }
        let changes: Vec<BoxFuture<'_, ()>> = self.0.iter().map(|entry| entry.runtime().changed()).collect();
        futures_util::future::select_all(changes).await;
    }
}

impl fmt::Debug for Runtimes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|entry| &entry.name)).finish()
    }
}
