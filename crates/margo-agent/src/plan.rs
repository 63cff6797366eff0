use std::collections::{BTreeMap, BTreeSet};

use margo_api::Present;
use margo_core::{ComponentName, DeploymentId, Digest};
use margo_deployment::{DeploymentRef, DesiredStateManifest};

use crate::{Progress, Record};

/// What a device runs: for each deployment, the digest that is in force, or nothing when the deployment is there
/// only in part.
///
/// A deployment is in force when the journal knows that it was carried out completely **and** the runtime has all
/// of its components. Neither alone is believed: a journal does not see a workload disappear, and a runtime does
/// not know which revision a component belongs to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied(BTreeMap<DeploymentId, Option<Digest>>);

impl Applied {
    /// A device that runs nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins what the journal knows with what the runtime has.
    #[must_use]
    pub fn join(records: &BTreeMap<DeploymentId, Record>, present: &Present) -> Self {
        let nothing = BTreeSet::new();
        // A deployment nobody remembers, without a single component, is nothing that could be removed.
        let ids = records.keys().chain(present.iter().filter(|(_, has)| !has.is_empty()).map(|(id, _)| id));
        ids.map(|id| {
            let has = present.get(id).unwrap_or(&nothing);
            (
                id.clone(),
                records.get(id).filter(|record| is_in_force(record, has)).map(|record| record.digest),
            )
        })
        .collect()
    }

    /// The digest of a deployment that is in force.
    #[must_use]
    pub fn digest(&self, id: &DeploymentId) -> Option<Digest> {
        self.0.get(id).copied().flatten()
    }

    /// Every deployment of which there is something, in force or not.
    pub fn ids(&self) -> impl Iterator<Item = &DeploymentId> {
        self.0.keys()
    }
}

impl FromIterator<(DeploymentId, Option<Digest>)> for Applied {
    fn from_iter<I: IntoIterator<Item = (DeploymentId, Option<Digest>)>>(deployments: I) -> Self {
        Self(deployments.into_iter().collect())
    }
}

/// One step from what a device runs to what it should run.
#[derive(Clone, Debug, PartialEq)]
#[expect(clippy::exhaustive_enums, reason = "a deployment is wanted or it is not (R-B-032)")]
pub enum Step {
    /// Take the deployment away, however much of it is there.
    Remove(DeploymentId),
    /// Put the deployment in force: install it, change it, or complete it.
    Apply(DeploymentRef),
}

/// Works out how to get from `applied` to `desired` (R-A-020, R-B-032). Removals come first, so that what is new
/// finds the room; everything else follows in the order of the manifest (MI-017).
///
/// Only absence from the manifest removes a deployment (R-B-031).
///
/// ```
/// use margo_agent::{Applied, Step, plan};
/// use margo_core::{Digest, ManifestVersion};
/// use margo_deployment::{DeploymentRef, DesiredStateManifest};
///
/// let applied: Applied = [("old".parse()?, Some(Digest::of(b"1")))].into_iter().collect();
/// let wanted = DeploymentRef::new("new".parse()?, Digest::of(b"2"));
/// let desired = DesiredStateManifest::new(ManifestVersion::FIRST, None, vec![wanted.clone()]);
/// assert_eq!(plan(&applied, &desired), [Step::Remove("old".parse()?), Step::Apply(wanted)]);
/// # Ok::<(), margo_core::ParseIdError>(())
/// ```
#[must_use]
pub fn plan(applied: &Applied, desired: &DesiredStateManifest) -> Vec<Step> {
    let wanted: BTreeSet<&DeploymentId> =
        desired.deployments.iter().map(|wanted| &wanted.deployment_id).collect();
    let is_current = |wanted: &&DeploymentRef| applied.digest(&wanted.deployment_id) == Some(wanted.digest);

    let removals = applied.ids().filter(|id| !wanted.contains(id)).cloned().map(Step::Remove);
    let changes = desired.deployments.iter().filter(|wanted| !is_current(wanted)).cloned().map(Step::Apply);
    removals.chain(changes).collect()
}

fn is_in_force(record: &Record, present: &BTreeSet<ComponentName>) -> bool {
    record.progress == Progress::Applied && record.components.iter().all(|name| present.contains(name))
}

#[cfg(test)]
mod tests {
    use margo_core::ManifestVersion;
    use proptest::collection::{btree_map, btree_set};
    use proptest::prelude::*;

    use super::*;

    /// What a device remembers and has.
    #[derive(Clone, Debug, Default)]
    struct Device {
        records: BTreeMap<DeploymentId, Record>,
        present: Present,
    }

    impl Device {
        fn applied(&self) -> Applied {
            Applied::join(&self.records, &self.present)
        }

        fn carry_out(&mut self, step: &Step) {
            match step {
                Step::Remove(id) => {
                    self.records.remove(id);
                    self.present.remove(id);
                }
                Step::Apply(wanted) => {
                    let record = Record::new(wanted.digest, Progress::Applied, vec![name(0), name(1)]);
                    self.present.insert(wanted.deployment_id.clone(), [name(0), name(1)].into());
                    self.records.insert(wanted.deployment_id.clone(), record);
                }
            }
        }
    }

    fn name(number: u8) -> ComponentName {
        format!("component-{number}").parse().unwrap()
    }

    fn id() -> impl Strategy<Value = DeploymentId> {
        (0..8_u8).prop_map(|number| format!("deployment-{number}").parse().unwrap())
    }

    fn digest() -> impl Strategy<Value = Digest> {
        (0..3_u8).prop_map(|content| Digest::of(&[content]))
    }

    fn record() -> impl Strategy<Value = Record> {
        let progress = prop::sample::select(vec![Progress::Applying, Progress::Applied, Progress::Removing]);
        // X-A-28: a deployment has components.
        (digest(), progress, btree_set(0..3_u8, 1..3))
            .prop_map(|(digest, progress, names)| Record::new(digest, progress, names.into_iter().map(name)))
    }

    fn device() -> impl Strategy<Value = Device> {
        let present = btree_map(id(), btree_set((0..3_u8).prop_map(name), 0..3), 0..6);
        (btree_map(id(), record(), 0..6), present).prop_map(|(records, present)| Device { records, present })
    }

    fn manifest() -> impl Strategy<Value = DesiredStateManifest> {
        btree_map(id(), digest(), 0..6).prop_map(|wanted| {
            let deployments = wanted.into_iter().map(|(id, digest)| DeploymentRef::new(id, digest)).collect();
            DesiredStateManifest::new(ManifestVersion::FIRST, None, deployments)
        })
    }

    proptest! {
        /// The law of the loop.
        #[test]
        fn a_plan_carried_out_leaves_nothing_to_do(mut device in device(), desired in manifest()) {
            for step in plan(&device.applied(), &desired) {
                device.carry_out(&step);
            }
            prop_assert_eq!(plan(&device.applied(), &desired), []);
            // R-B-032: and what is there is what is listed.
            device.present.retain(|_, has| !has.is_empty());
            let there: BTreeSet<_> = device.present.keys().collect();
            let listed: BTreeSet<_> = desired.deployments.iter().map(|wanted| &wanted.deployment_id).collect();
            prop_assert_eq!(there, listed);
        }

        /// A plan interrupted anywhere, and made again, gets to the same place.
        #[test]
        fn an_interrupted_plan_is_completed_by_the_next(
            mut device in device(),
            desired in manifest(),
            done in 0..12_usize,
        ) {
            let first = plan(&device.applied(), &desired);
            for step in first.iter().take(done) {
                device.carry_out(step);
            }
            let rest = plan(&device.applied(), &desired);
            prop_assert_eq!(&rest[..], first.get(done..).unwrap_or_default());
        }

        /// MI-017.
        #[test]
        fn removals_come_first(device in device(), desired in manifest()) {
            let steps = plan(&device.applied(), &desired);
            prop_assert!(steps.is_sorted_by_key(|step| matches!(step, Step::Apply(_))));
        }

        /// What is in force is never touched.
        #[test]
        fn what_is_current_is_left_alone(device in device(), desired in manifest()) {
            let applied = device.applied();
            for step in plan(&applied, &desired) {
                if let Step::Apply(wanted) = step {
                    prop_assert_ne!(applied.digest(&wanted.deployment_id), Some(wanted.digest));
                }
            }
        }
    }

    #[test]
    fn only_a_complete_deployment_with_all_its_components_is_in_force() {
        let digest = Digest::of(b"1");
        let id: DeploymentId = "d".parse().unwrap();
        let in_force = |progress, has: &[u8]| {
            let record = Record::new(digest, progress, vec![name(0), name(1)]);
            let present = Present::from([(id.clone(), has.iter().copied().map(name).collect())]);
            Applied::join(&BTreeMap::from([(id.clone(), record)]), &present).digest(&id).is_some()
        };
        assert!(in_force(Progress::Applied, &[0, 1]));
        assert!(in_force(Progress::Applied, &[0, 1, 2]));
        assert!(!in_force(Progress::Applied, &[0]));
        assert!(!in_force(Progress::Applying, &[0, 1]));
        assert!(!in_force(Progress::Removing, &[0, 1]));
        // Nobody remembers it, and it is there: there is something to remove.
        let orphan = |has| Applied::join(&BTreeMap::new(), &Present::from([(id.clone(), has)]));
        assert_eq!(orphan([name(0)].into()).ids().collect::<Vec<_>>(), [&id]);
        assert_eq!(orphan([name(0)].into()).digest(&id), None);
        assert_eq!(orphan(BTreeSet::new()), Applied::new());
    }
}
