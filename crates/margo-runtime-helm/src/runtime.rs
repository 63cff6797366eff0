use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use margo_api::{Outage, Outages, Present, RuntimeError, WorkloadRuntime};
use margo_core::{ComponentName, DeploymentId, Digest, Document};
use margo_deployment::workload::{helm_values, workload_name};
use margo_deployment::{ApplicationDeployment, Component, Package};
use margo_oci::{Artifact, Fetched, Fetcher};
use tempfile::NamedTempFile;
use tokio::sync::OnceCell;

use crate::helm::{Facts, Helm, Listed, lock, seconds};
use crate::{Chart, ChartError, ChartRules, labels};

/// How a [`HelmRuntime`] works.
#[derive(Clone, Debug)]
pub struct HelmOptions {
    folder: PathBuf,
    program: PathBuf,
    kubeconfig: Option<PathBuf>,
    context: Option<String>,
    kube_version: Option<String>,
    limit: Duration,
    poll: Duration,
    rules: ChartRules,
}

impl HelmOptions {
    /// Uses `helm` as it is found in `PATH`, in whatever cluster it finds by itself: the one the device is in. It keeps
    /// what Helm needs in `folder`, which no other process uses.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            program: "helm".into(),
            kubeconfig: None,
            context: None,
            kube_version: None,
            limit: Duration::from_mins(5),
            poll: Duration::from_mins(1),
            rules: ChartRules::default(),
        }
    }

    /// Sets where the program is.
    #[must_use]
    pub fn with_program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// Sets the file that tells where the cluster is, and who one is there.
    #[must_use]
    pub fn with_kubeconfig(mut self, file: impl Into<PathBuf>) -> Self {
        self.kubeconfig = Some(file.into());
        self
    }

    /// Sets which context of that file is used.
    #[must_use]
    pub fn with_context(mut self, context: impl Into<String>) -> Self {
        self.context = Some(context.into());
        self
    }

    /// Sets the version of Kubernetes that charts are tried with before anything is changed. Otherwise it is the one
    /// that Helm was made for.
    #[must_use]
    pub fn with_kube_version(mut self, version: impl Into<String>) -> Self {
        self.kube_version = Some(version.into());
        self
    }

    /// Sets how long Helm may take for a component that has no timeout of its own. 5 minutes by default.
    #[must_use]
    pub fn with_limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets how often releases are looked at between polls of the manager: Helm tells no events. Every minute by
    /// default.
    #[must_use]
    pub fn with_poll(mut self, poll: Duration) -> Self {
        self.poll = poll;
        self
    }

    /// Sets what charts may rely on.
    #[must_use]
    pub fn with_rules(mut self, rules: ChartRules) -> Self {
        self.rules = rules;
        self
    }
}

/// A [`HelmRuntime`] cannot be set up.
#[derive(Debug, thiserror::Error)]
#[error("`{folder}` cannot be used by Helm")]
#[non_exhaustive]
pub struct SetupError {
    /// The folder that was meant for it.
    pub folder: String,
    /// Why.
    #[source]
    pub cause: io::Error,
}

/// A runtime that makes one Helm release of each component. Clones share everything.
///
/// A release is named after the deployment's id and the component, and lies in the namespace of the deployment.
#[derive(Clone, Debug)]
pub struct HelmRuntime {
    fetcher: Fetcher,
    options: Arc<HelmOptions>,
    helm: Arc<OnceCell<Helm>>,
}

impl HelmRuntime {
    /// A runtime with charts from `fetcher`. The program is started when it is first needed.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made.
    pub fn new(fetcher: Fetcher, options: HelmOptions) -> Result<Self, SetupError> {
        // Helm runs in a folder of its own.
        let absolute = |path: &PathBuf| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        let is_path = options.program.components().count() > 1;
        let options = HelmOptions {
            folder: absolute(&options.folder),
            program: if is_path { absolute(&options.program) } else { options.program.clone() },
            kubeconfig: options.kubeconfig.as_ref().map(absolute),
            ..options
        };
        let values = options.values();
        // Values of a process that was killed.
        let cleared = match fs::remove_dir_all(&values) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => fs::create_dir_all(&values).and_then(|()| fs::create_dir_all(options.home())),
        };
        cleared.map_err(|cause| SetupError { folder: options.folder.display().to_string(), cause })?;
        Ok(Self { fetcher, options: Arc::new(options), helm: Arc::default() })
    }

    async fn helm(&self) -> Result<&Helm, RuntimeError> {
        let start = async || {
            let helm = Helm {
                program: self.options.program.clone(),
                home: self.options.home(),
                kubeconfig: self.options.kubeconfig.clone(),
                context: self.options.context.clone(),
                lock: Arc::new(lock(self.options.folder.join("lock")).await?),
                major: 0,
            };
            let major = helm.version().await?;
            tracing::info!(major, program = %helm.program.display(), "Helm");
            Ok(Helm { major, ..helm })
        };
        self.helm.get_or_try_init(start).await
    }

    /// Everything a component needs, without the cluster.
    async fn release(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> Result<Release, RuntimeError> {
        let namespace = namespace(&deployment.metadata.namespace)?;
        let values = helm_values(deployment.values_for(&component.name))
            .map_err(|error| RuntimeError::new("invalid-parameter", error.to_string()))?;
        let package = &component.properties.package;
        let Package::Oci { repository, revision } = package else {
            return Err(RuntimeError::new("invalid-package-reference", "a chart comes from a registry"));
        };
        if !repository.starts_with("oci://") {
            let message = format!("`{repository}` is not a registry: only `oci://` is supported for charts");
            return Err(RuntimeError::new("invalid-package-reference", message));
        }
        let fetched = self.fetcher.fetch(package, &Artifact::Chart).await?;
        let (file, wanted, rules) = (fetched.file().to_owned(), revision.clone(), self.options.rules);
        let read = move || {
            let chart = Chart::read(&file, rules);
            Ok(chart.and_then(|chart| chart.check_revision(&wanted).map(|()| chart)))
        };
        let chart = blocking(read).await?.map_err(refused)?;
        let values = values.to_string();
        let name = workload_name(deployment.id.as_str(), &component.name);
        let content = format!("{}\n{namespace}\n{name}\n{values}", fetched.digest());
        let content = Digest::of(content.as_bytes()).hex()[..40].to_owned();
        Ok(Release { name, namespace, values, chart, file: fetched, content })
    }

    /// Writes the values down for one call of Helm; the file goes away with the returned value.
    async fn values_file(&self, values: String) -> Result<NamedTempFile, RuntimeError> {
        let folder = self.options.values();
        blocking(move || {
            // Only the owner can read it: its mode is 0600.
            let mut file = tempfile::Builder::new().prefix("values-").suffix(".yaml").tempfile_in(folder)?;
            // JSON is YAML in which nothing can be misread.
            file.write_all(values.as_bytes())?;
            file.flush()?;
            Ok(file)
        })
        .await
    }

    /// Undoes what was interrupted, so that the next operation is not refused; says what there is then.
    async fn recover(
        &self,
        namespace: &str,
        name: &str,
        facts: Facts,
    ) -> Result<Option<Facts>, RuntimeError> {
        if facts.status.starts_with("pending") || facts.status == "uninstalling" {
            return self.undo(namespace, name, facts).await;
        }
        Ok(Some(facts))
    }

    /// Brings back what worked last, or takes away what never did; says what there is then.
    async fn undo(&self, namespace: &str, name: &str, facts: Facts) -> Result<Option<Facts>, RuntimeError> {
        if facts.status == "deployed" {
            return Ok(Some(facts));
        }
        tracing::warn!(release = name, namespace, status = facts.status, "is undone");
        let helm = self.helm().await?;
        let good = match facts.status.as_str() {
            "uninstalling" | "pending-install" => None,
            _ => helm.last_good(namespace, name).await?,
        };
        match good {
            Some(revision) => helm.rollback(namespace, name, revision, self.options.limit).await?,
            None => helm.uninstall(namespace, name, self.options.limit).await?,
        }
        helm.facts(namespace, name).await
    }

    async fn upgrade(
        &self,
        component: &Component,
        release: &Release,
        labels: BTreeMap<String, String>,
    ) -> Result<(), RuntimeError> {
        let helm = self.helm().await?;
        let values = self.values_file(release.values.clone()).await?;
        let timeout = component.properties.timeout.as_ref().map(margo_core::Timeout::duration);
        // The rest of the time is for undoing it.
        let limit = timeout.map_or(self.options.limit, |timeout| timeout * 4 / 5);
        let waits = component.properties.waits();
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let mut arguments: Vec<String> = ["upgrade", &release.name].map(str::to_owned).into();
        arguments.push(release.file.file().display().to_string());
        arguments.extend(
            ["--install", "--create-namespace", "--namespace", &release.namespace].map(str::to_owned),
        );
        arguments.extend(["--values".to_owned(), values.path().display().to_string()]);
        arguments.extend(["--labels".to_owned(), labels.join(",")]);
        arguments.extend(["--timeout".to_owned(), seconds(limit), "--reset-values".to_owned()]);
        arguments.extend(["--history-max", "5"].map(str::to_owned));
        if self.options.rules == ChartRules::Portable {
            // R-C-014: a chart works without.
            arguments.extend(["--no-hooks", "--skip-crds"].map(str::to_owned));
        }
        if waits {
            let atomic = if helm.major == 3 { "--atomic" } else { "--rollback-on-failure" };
            arguments.extend(["--wait", atomic].map(str::to_owned));
        }
        // Undoing takes as long again.
        helm.run(arguments, limit * 2 + self.options.limit).await.map(drop)
    }

    /// Every release of this runtime, and what component it is.
    async fn releases(&self) -> Result<Vec<(Listed, Facts, DeploymentId, ComponentName)>, RuntimeError> {
        let helm = self.helm().await?;
        let mut releases = Vec::new();
        for listed in helm.list(&format!("{}=true", labels::MANAGED)).await? {
            let Some(facts) = helm.facts(&listed.namespace, &listed.name).await? else { continue };
            if let Some((deployment, component)) = labels::component(&facts.labels) {
                releases.push((listed, facts, deployment, component));
            } else {
                tracing::warn!(release = listed.name, "has labels of ours that say nothing");
            }
        }
        Ok(releases)
    }
}

impl WorkloadRuntime for HelmRuntime {
    async fn present(&self) -> Result<Present, RuntimeError> {
        let mut present = Present::new();
        for (_, _, deployment, component) in self.releases().await? {
            present.entry(deployment).or_default().insert(component);
        }
        Ok(present)
    }

    /// Fetches and reads every chart, and has Helm fill in its templates (R-C-014).
    async fn prepare(&self, deployment: &Document<ApplicationDeployment>) -> Result<(), RuntimeError> {
        let helm = self.helm().await?;
        for component in &deployment.spec.deployment_profile.components {
            let release = self.release(deployment, component).await?;
            let values = self.values_file(release.values).await?;
            let mut arguments = vec!["template".into(), release.name.into()];
            arguments.push(release.file.file().as_os_str().to_owned());
            arguments.extend(["--namespace".into(), release.namespace.into()]);
            arguments.extend(["--values".into(), values.path().as_os_str().to_owned()]);
            if let Some(version) = &self.options.kube_version {
                arguments.extend(["--kube-version".into(), version.into()]);
            }
            let manifests = helm.run(arguments, self.options.limit).await?;
            if self.options.rules == ChartRules::Portable {
                release.chart.check_rendered(&manifests).map_err(refused)?;
            }
        }
        Ok(())
    }

    async fn apply(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
    ) -> Result<(), RuntimeError> {
        let release = self.release(deployment, component).await?;
        let helm = self.helm().await?;
        let labels = labels::labels(&deployment.id, &component.name, &release.content);
        if let Some(facts) = helm.facts(&release.namespace, &release.name).await? {
            let owner = labels::component(&facts.labels);
            if owner.as_ref() != Some(&(deployment.id.clone(), component.name.clone())) {
                let message = format!(
                    "release `{}` in namespace `{}` is there already, and is not of this component",
                    release.name, release.namespace
                );
                return Err(RuntimeError::new("resource-taken", message));
            }
            let facts = self.recover(&release.namespace, &release.name, facts).await?;
            let is_right = facts.is_some_and(|facts| {
                facts.status == "deployed" && facts.labels.get(labels::CONTENT) == Some(&release.content)
            });
            if is_right {
                return self.remove_others(deployment, component, &release.namespace).await;
            }
        }
        if let Err(error) = self.upgrade(component, &release, labels).await {
            // Helm undoes by itself only what it waits for.
            if !component.properties.waits()
                && let Some(facts) = helm.facts(&release.namespace, &release.name).await?
            {
                self.undo(&release.namespace, &release.name, facts).await?;
            }
            return Err(error);
        }
        let status = helm.facts(&release.namespace, &release.name).await?.map(|facts| facts.status);
        if status.as_deref() != Some("deployed") {
            let status = status.unwrap_or_else(|| "gone".to_owned());
            let message =
                format!("Helm says that it succeeded, and that release `{}` is {status}", release.name);
            return Err(RuntimeError::new("helm", message));
        }
        self.remove_others(deployment, component, &release.namespace).await
    }

    async fn remove(&self, deployment: &DeploymentId, component: &ComponentName) -> Result<(), RuntimeError> {
        let helm = self.helm().await?;
        for listed in helm.list(&labels::selector(deployment, component)).await? {
            helm.uninstall(&listed.namespace, &listed.name, self.options.limit).await?;
        }
        Ok(())
    }

    async fn restore(
        &self,
        deployment: &DeploymentId,
        component: &ComponentName,
    ) -> Result<bool, RuntimeError> {
        let helm = self.helm().await?;
        let mut runs = false;
        for listed in helm.list(&labels::selector(deployment, component)).await? {
            let Some(facts) = helm.facts(&listed.namespace, &listed.name).await? else { continue };
            let facts = self.undo(&listed.namespace, &listed.name, facts).await?;
            runs |= facts.is_some_and(|facts| facts.status == "deployed");
        }
        Ok(runs)
    }

    /// Releases that failed or were interrupted.
    async fn outages(&self) -> Result<Outages, RuntimeError> {
        let mut outages = Outages::new();
        for (listed, facts, deployment, component) in self.releases().await? {
            if facts.status != "deployed" {
                let message =
                    format!("release `{}` is {}: {}", listed.name, listed.status, facts.description);
                outages.entry(deployment).or_default().insert(component, Outage::new("helm", message));
            }
        }
        Ok(outages)
    }

    /// Somebody may have uninstalled a release.
    async fn changed(&self) {
        tokio::time::sleep(self.options.poll).await;
    }
}

impl HelmRuntime {
    /// The release of a deployment whose namespace has changed.
    async fn remove_others(
        &self,
        deployment: &Document<ApplicationDeployment>,
        component: &Component,
        namespace: &str,
    ) -> Result<(), RuntimeError> {
        let helm = self.helm().await?;
        for listed in helm.list(&labels::selector(&deployment.id, &component.name)).await? {
            if listed.namespace != namespace {
                helm.uninstall(&listed.namespace, &listed.name, self.options.limit).await?;
            }
        }
        Ok(())
    }
}

impl HelmOptions {
    fn home(&self) -> PathBuf {
        self.folder.join("home")
    }

    fn values(&self) -> PathBuf {
        self.folder.join("values")
    }
}

struct Release {
    name: String,
    namespace: String,
    /// As JSON. Never shown.
    values: String,
    chart: Chart,
    file: Fetched,
    content: String,
}

fn refused(error: ChartError) -> RuntimeError {
    RuntimeError::new(error.code(), error.to_string()).because(error)
}

/// What Kubernetes takes as the name of a namespace.
fn namespace(text: &str) -> Result<String, RuntimeError> {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_name = (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-');
    if is_name {
        return Ok(text.to_owned());
    }
    let shown: String = text.chars().take(100).collect();
    Err(RuntimeError::new("invalid-namespace", format!("`{shown}` is not the name of a namespace")))
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, RuntimeError> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::from).flatten().map_err(|cause| {
        RuntimeError::new("storage", format!("a file cannot be written: {cause}")).because(cause)
    })
}
