//! A manager that is killed at any moment, and what it had answered with success. Only a process can be killed.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use margo_api::{
    CapabilitySink as _, Checkpoint, DesiredStateSource as _, SinkError, SinkErrorKind, SourceErrorKind,
    StatusSink as _, Update,
};
use margo_capability::AnyDeviceCapabilities;
use margo_cli::{Application, Onboarded, OperatorClient, OperatorError, Selection};
use margo_core::{Digest, Document, ManifestVersion, SpecVersion};
use margo_deployment::DesiredStateManifest;
use margo_status::{ComponentStatus, DeploymentStatusManifest};
use serde_json::{Value, json};
use url::Url;

use crate::plant::{Client, Plant, object};
use crate::program::{Program, WFM, git, git_text, try_git, until};

/// How often the manager is killed.
const ROUNDS: usize = 8;

/// So many deployments are enough: beyond, some are deleted first.
const MANY: usize = 8;

/// The reports of a deployment that a manager keeps at least.
const KEPT: usize = 100;

/// Devices: name and revision.
const DEVICES: [(&str, SpecVersion); 2] =
    [("line-3", SpecVersion::V1_0_0Rc3), ("press-7", SpecVersion::PreDraft)];

/// What was answered with success survives SIGKILL at any moment; database and Git agree after every restart; a
/// version never goes back or repeats with other content (R-B-020, R-A-004).
#[tokio::test]
async fn what_was_answered_survives_sigkill() {
    let seed = std::env::var("MARGO_TEST_SEED").map_or_else(
        |_| RandomState::new().build_hasher().finish(),
        |seed| seed.parse().expect("MARGO_TEST_SEED is a number"),
    );
    eprintln!("MARGO_TEST_SEED={seed}");
    let mut random = Random(seed);

    let mut plant = Plant::start().await;
    let pumps = plant.upload("pump-monitor-1.0.0").await;
    let mut operator = Operator::new(pumps);
    let mut devices = Vec::new();
    for (name, revision) in DEVICES {
        let onboarded = plant.onboard(name, revision).await;
        devices.push((Reporter::new(&plant, &onboarded), Poller::new(&plant, &onboarded)));
        operator.onboarded.push(onboarded);
    }
    // Something to begin with, so that every round has something to lose.
    for _ in 0..3 {
        let operation = deploy(&mut random);
        operator.carry_out(plant.operator(), operation).await;
    }
    for (reporter, _) in &mut devices {
        reporter.check(&plant).await;
    }

    for round in 0..ROUNDS {
        let client = plant.operator().clone();
        let [(first, first_poller), (second, second_poller)] = &mut devices[..] else { unreachable!() };
        // A round ends after some changes, and after everybody has had an answer.
        let (changes, moment) = (1 + random.below(6), Duration::from_micros(random.below(80_000)));
        let answers: [Answers; 5] = Default::default();
        tokio::join!(
            operator.work(&client, &mut random, &answers[0]),
            first.work(&answers[1]),
            second.work(&answers[2]),
            first_poller.work(&answers[3]),
            second_poller.work(&answers[4]),
            async {
                until("everybody is answered", async || {
                    let least = [changes, 1, 1, 1, 1].into_iter();
                    least.zip(&answers).all(|(least, answers)| answers.get() >= least).then_some(())
                })
                .await;
                tokio::time::sleep(moment).await;
                plant.kill();
            },
        );
        plant.up().await;
        let answered = answers.each_ref().map(Cell::get);
        eprintln!("round {round}: {answered:?} answers, and {moment:?} after {changes} changes the end");
        operator.check(&plant).await;
        for (reporter, poller) in &mut devices {
            reporter.check(&plant).await;
            poller.check().await;
        }
        for onboarded in &operator.onboarded {
            database_and_git_agree(&plant, onboarded).await;
        }
    }

    // SIGTERM is answered with a good end, and nothing is different after it.
    plant.terminate().await;
    plant.up().await;
    operator.check(&plant).await;
}

/// Operators and devices at the same time lose none of each other's writes.
#[tokio::test]
async fn nobody_loses_a_write() {
    const OPERATORS: u64 = 4;
    const CHANGES: u64 = 5;
    let plant = Plant::start().await;
    let onboarded = plant.onboard("line-3", SpecVersion::V1_0_0Rc3).await;
    let pumps = plant.upload("pump-monitor-1.0.0").await;
    let first = plant.deploy_pumps("line-3").await;

    let mut writers = tokio::task::JoinSet::new();
    for _ in 0..OPERATORS {
        let (operator, pumps) = (plant.operator().clone(), pumps.clone());
        writers.spawn(async move {
            let mut answered = Vec::new();
            for _ in 0..CHANGES {
                let values = object(json!({ "siteId": "DE-0042" }));
                let to = ["line-3".to_owned()];
                let changed = operator.deploy(&pumps, Some("pump-monitor-cluster"), None, &values, &to).await;
                answered.push(changed.unwrap().deployments.remove(0).deployment_id);
            }
            answered
        });
    }
    let mut devices = tokio::task::JoinSet::new();
    for writer in 0..4 {
        let (client, id) = (plant.client(&onboarded), first.clone());
        devices.spawn(async move {
            for number in 0..CHANGES {
                client.report_status(&report(&id, writer * 100 + number)).await.unwrap();
            }
        });
    }
    let mut answered: BTreeSet<String> = writers.join_all().await.into_iter().flatten().collect();
    devices.join_all().await;
    answered.insert(first.clone());

    let found = plant.operator().deployments(&Selection::all()).await.unwrap();
    assert_eq!(found.iter().map(|found| found.deployment_id.clone()).collect::<BTreeSet<_>>(), answered);
    // One version for each change, none for two.
    let since: BTreeSet<u64> = found.iter().map(|found| found.since).collect();
    assert_eq!(since, (2..=2 + OPERATORS * CHANGES).collect());
    let mut numbers = numbers(&plant, &first).await;
    for writer in 0..4 {
        let own: Vec<u64> = numbers.extract_if(.., |number| *number / 100 == writer).collect();
        assert_eq!(own, (0..CHANGES).map(|number| writer * 100 + number).collect::<Vec<_>>());
    }
    assert!(numbers.is_empty(), "{numbers:?}");
    database_and_git_agree(&plant, &onboarded).await;
}

/// Power fails between the commit of the database and that of Git: the database decides, Git follows at the next
/// start, before the first request is answered (R-A-018).
#[tokio::test]
async fn what_git_lacks_is_published_again() {
    let mut plant = Plant::start().await;
    let onboarded = plant.onboard("press-7", SpecVersion::PreDraft).await;
    let repository = plant.repository(&onboarded.client_id);
    let earlier = plant.folder().join("earlier.git");
    plant.deploy_pumps("press-7").await;
    git(
        plant.folder(),
        &["clone", "--quiet", "--mirror", repository.to_str().unwrap(), earlier.to_str().unwrap()],
    );
    let id = plant.deploy_pumps("press-7").await;
    plant.delete(&id).await;
    plant.kill();

    // As it was two versions ago.
    std::fs::remove_dir_all(&repository).unwrap();
    std::fs::rename(&earlier, &repository).unwrap();
    assert_eq!(version_in_git(&plant, &onboarded), 2);
    plant.up().await;
    assert_eq!(version_in_git(&plant, &onboarded), 4);
    database_and_git_agree(&plant, &onboarded).await;
    plant.kill();

    // As if it had never been.
    std::fs::remove_dir_all(&repository).unwrap();
    plant.up().await;
    database_and_git_agree(&plant, &onboarded).await;
}

/// A database that was restored from an older copy would give versions away a second time, with other content
/// (R-B-020): the manager does not start, and says why.
#[tokio::test]
async fn an_older_copy_of_the_database_is_refused() {
    let mut plant = Plant::start().await;
    plant.onboard("line-3", SpecVersion::V1_0_0Rc3).await;
    plant.terminate().await;
    let copy = plant.folder().join("copy.db");
    std::fs::copy(plant.data().join("margo.db"), &copy).unwrap();
    plant.up().await;
    plant.deploy_pumps("line-3").await;
    plant.terminate().await;
    // A manager that has ended well leaves one file, which is all there is to copy.
    let files = std::fs::read_dir(plant.data()).unwrap().map(|entry| entry.unwrap().file_name());
    let files: BTreeSet<_> = files.map(|name| name.into_string().unwrap()).collect();
    assert_eq!(files, ["git", "lock", "margo.db", "operator-token"].map(str::to_owned).into());
    std::fs::rename(&copy, plant.data().join("margo.db")).unwrap();

    let (data, address) = (plant.data(), plant.address().to_string());
    let arguments = ["--data", data.to_str().unwrap(), "--listen", &address];
    let mut program = Program::start(WFM, "restored", plant.folder(), &arguments);
    assert_eq!(program.ended().await.code(), Some(1));
    let log = program.log();
    assert!(log.contains("published at version 2, and the store knows 1"), "{log}");
}

/// How often somebody was answered with success.
type Answers = Cell<u64>;

/// Who changes desired state, and what must have become of it.
struct Operator {
    pumps: Application,
    onboarded: Vec<Onboarded>,
    wanted: BTreeMap<String, Wanted>,
    spares: usize,
    /// Was asked for and not answered: it has happened, completely, or it has not.
    unanswered: Option<Operation>,
}

/// What a deployment must be.
#[derive(Clone, Debug, PartialEq)]
struct Wanted {
    device: String,
    interval: u64,
    desired: &'static str,
}

#[derive(Clone, Debug)]
enum Operation {
    Deploy { interval: u64 },
    Reconfigure { id: String, interval: u64 },
    Delete { id: String },
    Onboard { device: String },
}

fn deploy(random: &mut Random) -> Operation {
    Operation::Deploy { interval: random.interval() }
}

impl Operator {
    fn new(pumps: Application) -> Self {
        Self { pumps, onboarded: Vec::new(), wanted: BTreeMap::new(), spares: 0, unanswered: None }
    }

    /// Changes something, again and again, until there is no answer.
    async fn work(&mut self, operator: &OperatorClient, random: &mut Random, answers: &Answers) {
        loop {
            let operation = self.decide(random);
            self.carry_out(operator, operation).await;
            if self.unanswered.is_some() {
                return;
            }
            answers.update(|count| count + 1);
        }
    }

    fn decide(&mut self, random: &mut Random) -> Operation {
        self.spares += 1;
        let present: Vec<&String> =
            self.wanted.iter().filter(|(_, wanted)| wanted.desired == "present").map(|(id, _)| id).collect();
        let any = |random: &mut Random| present[random.index(present.len())].clone();
        match random.below(12) {
            0 => Operation::Onboard { device: format!("spare-{}", self.spares) },
            1..=3 if present.len() < MANY => deploy(random),
            1..=6 if present.len() > 2 => Operation::Delete { id: any(random) },
            _ if present.is_empty() => deploy(random),
            _ => Operation::Reconfigure { id: any(random), interval: random.interval() },
        }
    }

    async fn carry_out(&mut self, operator: &OperatorClient, operation: Operation) {
        match self.ask(operator, &operation).await {
            Ok(()) => {}
            Err(OperatorError::Unreachable { .. } | OperatorError::Unanswered { .. }) => {
                self.unanswered = Some(operation);
            }
            Err(error) => panic!("{operation:?}: {error}"),
        }
    }

    async fn ask(&mut self, operator: &OperatorClient, operation: &Operation) -> Result<(), OperatorError> {
        match operation {
            Operation::Deploy { interval } => {
                let values = object(json!({ "siteId": "DE-0042", "pollInterval": interval }));
                let to = DEVICES.map(|(name, _)| name.to_owned());
                let changed =
                    operator.deploy(&self.pumps, Some("pump-monitor-cluster"), None, &values, &to).await?;
                for deployment in changed.deployments {
                    let (device, interval) = (deployment.device, *interval);
                    let wanted = Wanted { device, interval, desired: "present" };
                    self.wanted.insert(deployment.deployment_id, wanted);
                }
            }
            Operation::Reconfigure { id, interval } => {
                let values = object(json!({ "pollInterval": interval }));
                operator.reconfigure(&Selection::ids(vec![id.clone()]), &values).await?;
                self.wanted.get_mut(id).unwrap().interval = *interval;
            }
            Operation::Delete { id } => {
                operator.delete(&Selection::ids(vec![id.clone()])).await?;
                self.wanted.get_mut(id).unwrap().desired = "absent";
            }
            Operation::Onboard { device } => {
                self.onboarded.push(operator.onboard(device, None, SpecVersion::LATEST.as_str()).await?);
            }
        }
        Ok(())
    }

    /// Everything is as it was answered; what was not answered has happened completely or not at all.
    async fn check(&mut self, plant: &Plant) {
        let unanswered = self.unanswered.take();
        let found = plant.operator().deployments(&Selection::all()).await.unwrap();
        let found: BTreeMap<String, Wanted> = found
            .into_iter()
            .map(|found| {
                let desired = if found.desired == "present" { "present" } else { "absent" };
                let interval = found.values["pollInterval"].as_u64().unwrap();
                (found.deployment_id, Wanted { device: found.device, interval, desired })
            })
            .collect();

        let mut done = self.wanted.clone();
        match &unanswered {
            Some(Operation::Deploy { interval }) => {
                let new: BTreeMap<_, _> =
                    found.iter().filter(|(id, _)| !self.wanted.contains_key(*id)).collect();
                let devices: Vec<&str> = new.values().map(|new| new.device.as_str()).collect();
                assert!(new.is_empty() || devices.len() == DEVICES.len(), "deployed to some: {devices:?}");
                for (device, _) in DEVICES.iter().filter(|_| !new.is_empty()) {
                    let (id, _) = new.iter().find(|(_, new)| new.device == *device).unwrap();
                    let wanted =
                        Wanted { device: (*device).to_owned(), interval: *interval, desired: "present" };
                    done.insert((*id).clone(), wanted);
                }
            }
            Some(Operation::Reconfigure { id, interval }) => done.get_mut(id).unwrap().interval = *interval,
            Some(Operation::Delete { id }) => done.get_mut(id).unwrap().desired = "absent",
            Some(Operation::Onboard { .. }) | None => {}
        }
        assert!(found == self.wanted || found == done, "{unanswered:?}\n{found:#?}\n{:#?}", self.wanted);
        self.wanted = found;

        let devices = plant.operator().devices().await.unwrap();
        for onboarded in &self.onboarded {
            let client = &onboarded.client_id;
            assert!(devices.iter().any(|device| device.client_id == *client), "{client} was forgotten");
            over_rest(plant, onboarded).poll(None).await.unwrap();
        }
        let others: Vec<_> = devices
            .iter()
            .filter(|device| !self.onboarded.iter().any(|known| known.client_id == device.client_id))
            .filter(|device| !device.device_id.starts_with("spare-"))
            .collect();
        assert!(others.is_empty(), "{others:?}");
    }
}

/// A device that reports statuses and capabilities, each with a number.
struct Reporter {
    client: Client,
    revision: SpecVersion,
    device: String,
    number: u64,
    reports: BTreeMap<String, Vec<u64>>,
    capabilities: Option<u64>,
    /// The capabilities that were not answered.
    unanswered: Option<u64>,
}

impl Reporter {
    fn new(plant: &Plant, onboarded: &Onboarded) -> Self {
        let revision: SpecVersion = onboarded.revision.parse().unwrap();
        let (client, device) = (plant.client(onboarded), onboarded.device_id.clone());
        Self {
            client,
            revision,
            device,
            number: 0,
            reports: BTreeMap::new(),
            capabilities: None,
            unanswered: None,
        }
    }

    /// Reports, again and again, until there is no answer.
    async fn work(&mut self, answers: &Answers) {
        loop {
            self.number += 1;
            let is_answered = if self.number % 4 == 1 {
                self.report_capabilities().await
            } else {
                self.report_status().await
            };
            if !is_answered {
                return;
            }
            answers.update(|count| count + 1);
            // Others want to be heard as well.
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    async fn report_capabilities(&mut self) -> bool {
        let capabilities = capabilities(&self.device, self.revision, self.number);
        self.unanswered = Some(self.number);
        if is_answered(self.client.report_capabilities(&capabilities).await) {
            (self.capabilities, self.unanswered) = (self.unanswered, None);
            return true;
        }
        false
    }

    async fn report_status(&mut self) -> bool {
        let turn = usize::try_from(self.number).unwrap() % self.reports.len();
        let id = self.reports.keys().nth(turn).unwrap().clone();
        if is_answered(self.client.report_status(&report(&id, self.number)).await) {
            self.reports.get_mut(&id).unwrap().push(self.number);
            return true;
        }
        false
    }

    /// Every report that was answered is there, in order, and the capabilities are those answered last.
    async fn check(&mut self, plant: &Plant) {
        for (id, answered) in &self.reports {
            let found = numbers(plant, id).await;
            assert!(found.is_sorted_by(|a, b| a < b), "{id}: {found:?}");
            let oldest = if found.len() > KEPT { found[0] } else { 0 };
            let lost: Vec<_> =
                answered.iter().filter(|number| **number >= oldest && !found.contains(number)).collect();
            assert!(lost.is_empty(), "{id}: lost {lost:?}");
        }
        // From now on also about what is new.
        for found in
            plant.operator().deployments(&Selection::of(None, Some(self.device.clone()))).await.unwrap()
        {
            self.reports.entry(found.deployment_id).or_default();
        }

        let devices = plant.operator().devices().await.unwrap();
        let device = devices.into_iter().find(|device| device.device_id == self.device).unwrap();
        let found = device.capabilities.map(|capabilities| {
            let serial = &capabilities.document["properties"]["serialNumber"];
            serial.as_str().unwrap().parse::<u64>().unwrap()
        });
        assert!(
            found == self.capabilities || found == self.unanswered,
            "{found:?}, not {:?} or {:?}",
            self.capabilities,
            self.unanswered
        );
        (self.capabilities, self.unanswered) = (found, None);
    }
}

/// False when there is no answer.
fn is_answered(outcome: Result<(), SinkError>) -> bool {
    match outcome {
        Ok(()) => true,
        Err(error) => {
            assert_eq!(error.kind(), SinkErrorKind::Unavailable, "{error:?}");
            false
        }
    }
}

/// A device that asks what it is to run, and forgets nothing.
struct Poller {
    client: Client,
    http: reqwest::Client,
    manager: Url,
    token: String,
    last: Option<Checkpoint>,
    seen: BTreeMap<ManifestVersion, Digest>,
}

impl Poller {
    fn new(plant: &Plant, onboarded: &Onboarded) -> Self {
        // Whatever the device speaks otherwise.
        Self {
            client: over_rest(plant, onboarded),
            http: plant.http().clone(),
            manager: plant.url(),
            token: onboarded.token.clone(),
            last: None,
            seen: BTreeMap::new(),
        }
    }

    /// Polls, again and again, until there is no answer.
    async fn work(&mut self, answers: &Answers) {
        for turn in 0_u64.. {
            tokio::time::sleep(Duration::from_millis(2)).await;
            // Now and then as one that has forgotten everything.
            let known = self.last.filter(|_| turn % 3 != 0);
            match self.client.poll(known).await {
                Ok(Update::Unchanged) => {}
                Ok(Update::Changed(manifest)) => {
                    self.look_at(&manifest);
                    if !self.can_fetch(&manifest).await {
                        return;
                    }
                }
                Err(error) if error.kind() == SourceErrorKind::Unavailable => return,
                Err(error) => panic!("{error:?}"),
            }
            answers.update(|count| count + 1);
        }
    }

    /// R-B-020, R-B-030.
    fn look_at(&mut self, manifest: &Document<DesiredStateManifest>) {
        let checkpoint = Checkpoint::of(manifest);
        if let Some(last) = self.last {
            assert!(checkpoint.version >= last.version, "{checkpoint:?} after {last:?}");
        }
        let digest = *self.seen.entry(checkpoint.version).or_insert(checkpoint.digest);
        assert_eq!(digest, checkpoint.digest, "version {} has changed", checkpoint.version);
        self.last = Some(checkpoint);
    }

    /// R-B-024: whatever a manifest names is there. False when there is no answer.
    async fn can_fetch(&self, manifest: &DesiredStateManifest) -> bool {
        let bundle = manifest.bundle.iter().map(|bundle| (&bundle.url, bundle.digest));
        let singles = manifest.deployments.iter().map(|reference| (&reference.url, reference.digest));
        for (path, digest) in bundle.chain(singles) {
            let url = self.manager.join(path).unwrap();
            let Ok(answer) = self.http.get(url).bearer_auth(&self.token).send().await else { return false };
            assert_eq!(answer.status(), 200, "{path}");
            let Ok(body) = answer.bytes().await else { return false };
            assert_eq!(Digest::of(&body), digest, "{path}");
        }
        true
    }

    async fn check(&mut self) {
        let Update::Changed(manifest) = self.client.poll(None).await.unwrap() else {
            panic!("nothing is known")
        };
        self.look_at(&manifest);
        assert!(self.can_fetch(&manifest).await);
    }
}

/// Over REST, whatever the device speaks otherwise.
fn over_rest(plant: &Plant, onboarded: &Onboarded) -> Client {
    let mut newest = onboarded.clone();
    newest.revision = SpecVersion::LATEST.to_string();
    plant.client(&newest)
}

/// The version of the manifest is that of the commit, and the files are those of the manifest, to the byte
/// (R-A-004, R-A-018, R-B-024).
async fn database_and_git_agree(plant: &Plant, onboarded: &Onboarded) {
    let Update::Changed(manifest) = over_rest(plant, onboarded).poll(None).await.unwrap() else {
        panic!("nothing is known");
    };
    let repository = plant.repository(&onboarded.client_id);
    assert_eq!(version_in_git(plant, onboarded), manifest.manifest_version.get());
    let files = git_text(&repository, &["ls-tree", "-r", "--name-only", "main"]);
    let files = files.lines().map(|file| {
        let content = git(&repository, &["show", &format!("main:{file}")]);
        (file.to_owned(), Digest::of(&content))
    });
    let wanted = manifest
        .deployments
        .iter()
        .map(|reference| (margo_git::layout::deployment_path(&reference.deployment_id), reference.digest));
    assert_eq!(files.collect::<BTreeMap<_, _>>(), wanted.collect());
    let sound = try_git(&repository, &["fsck", "--strict", "--full", "--no-dangling"]);
    assert!(sound.status.success(), "{}", String::from_utf8_lossy(&sound.stderr));

    let devices = plant.operator().devices().await.unwrap();
    let device = devices.into_iter().find(|device| device.client_id == onboarded.client_id).unwrap();
    assert_eq!(device.manifest_version, manifest.manifest_version.get());
}

fn version_in_git(plant: &Plant, onboarded: &Onboarded) -> u64 {
    let format = format!("--format=%(trailers:key={},valueonly)", margo_git::layout::VERSION_TRAILER);
    let repository = plant.repository(&onboarded.client_id);
    git_text(&repository, &["log", "-1", &format, "main"]).trim().parse().unwrap()
}

/// A report that is told from others by its number. The pre-draft can say it as well.
fn report(id: &str, number: u64) -> DeploymentStatusManifest {
    let component = ComponentStatus::failed("pump-analyzer".parse().unwrap(), "E", number.to_string());
    DeploymentStatusManifest::of(id.parse().unwrap(), ManifestVersion::FIRST, vec![component])
}

/// The numbers of the reports that are kept, oldest first.
async fn numbers(plant: &Plant, id: &str) -> Vec<u64> {
    let history = plant.history(id).await;
    history.iter().map(|report| report.error.as_ref().unwrap().message.parse().unwrap()).collect()
}

/// Capabilities that are told from others by their serial number.
fn capabilities(device: &str, revision: SpecVersion, number: u64) -> AnyDeviceCapabilities {
    let mut properties = json!({
        "id": device, "vendor": "Lindqvist", "modelNumber": "X", "serialNumber": number.to_string(),
        "peripherals": [], "interfaces": [],
    });
    let document: Value = if revision == SpecVersion::PreDraft {
        properties["roles"] = json!(["Standalone Cluster"]);
        let cpu = json!({ "architecture": "x86_64", "cores": 2, "frequency": 3 });
        properties["resources"] = json!({ "cpus": [cpu], "memory": 4, "storage": 64 });
        json!({ "apiVersion": "device.margo/v1", "kind": "DeviceCapabilities", "properties": properties })
    } else {
        let more = json!({
            "cpus": [{ "cores": 4, "architecture": "amd64" }], "memory": "8Gi", "storage": "64Gi", "otelCollector": true,
            "supportedRuntimes": ["oci"], "supportedDeploymentTypes": ["helm"],
        });
        properties.as_object_mut().unwrap().extend(object(more));
        json!({ "properties": properties })
    };
    AnyDeviceCapabilities::from_value(document).unwrap()
}

/// Numbers that a seed decides (`SplitMix64`).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    fn index(&mut self, count: usize) -> usize {
        usize::try_from(self.below(count as u64)).unwrap()
    }

    /// A value that the schema of `pollInterval` allows.
    fn interval(&mut self) -> u64 {
        5 + self.below(3000)
    }
}
