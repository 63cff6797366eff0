//! What it costs to work out the steps for a device with 1,000 deployments of two components each, next to reading the
//! manifest that asks for them.
//!
//! `join` puts together what the journal knows and what the runtime has; `plan` compares that with what is desired.

#![expect(clippy::unwrap_used, reason = "a plan that cannot be made has no speed")]

use std::collections::BTreeMap;

use bytes::Bytes;
use divan::{Bencher, Divan, black_box};
use margo_agent::{Applied, Progress, Record, Step, plan};
use margo_api::Present;
use margo_core::{ComponentName, DeploymentId, Digest, ManifestVersion};
use margo_deployment::{BundleRef, DeploymentRef, DesiredStateManifest};
use margo_syntax::Limits;

const DEPLOYMENTS: usize = 1_000;

fn main() {
    Divan::default().sample_count(1_000).config_with_args().main();
}

#[divan::bench]
fn join(bencher: Bencher<'_, '_>) {
    let (records, present) = device();
    bencher.bench(|| Applied::join(black_box(&records), black_box(&present)));
}

/// What happens at every poll in which the manifest moved and nothing is to be done.
#[divan::bench]
fn plan_nothing(bencher: Bencher<'_, '_>) {
    planned(bencher, &applied(), &manifest(|_| true, b"1"), 0);
}

/// One deployment in ten is to be changed, one in ten is to go.
#[divan::bench]
fn plan_a_fifth(bencher: Bencher<'_, '_>) {
    let mut desired = manifest(|number| number % 10 != 9, b"1");
    for reference in desired.deployments.iter_mut().step_by(9) {
        reference.digest = Digest::of(b"2");
    }
    planned(bencher, &applied(), &desired, DEPLOYMENTS / 5);
}

/// A device that runs nothing yet.
#[divan::bench]
fn plan_everything(bencher: Bencher<'_, '_>) {
    planned(bencher, &Applied::new(), &manifest(|_| true, b"1"), DEPLOYMENTS);
}

#[divan::bench]
fn read_the_manifest(bencher: Bencher<'_, '_>) {
    let text: Bytes = manifest(|_| true, b"1").to_json().unwrap();
    bencher.bench(|| DesiredStateManifest::decode(black_box(&text).clone(), &Limits::default()).unwrap());
}

fn planned(bencher: Bencher<'_, '_>, applied: &Applied, desired: &DesiredStateManifest, steps: usize) {
    assert_eq!(plan(applied, desired).len(), steps, "the bench does not measure what it says");
    bencher.bench(|| -> Vec<Step> { plan(black_box(applied), black_box(desired)) });
}

fn id(number: usize) -> DeploymentId {
    format!("a3e2f5dc-912e-494f-8395-{number:012}").parse().unwrap()
}

fn device() -> (BTreeMap<DeploymentId, Record>, Present) {
    let components: [ComponentName; 2] =
        ["measurement-store".parse().unwrap(), "pump-analyzer".parse().unwrap()];
    let record = || Record::new(Digest::of(b"1"), Progress::Applied, components.clone());
    let records = (0..DEPLOYMENTS).map(|number| (id(number), record())).collect();
    let present = (0..DEPLOYMENTS).map(|number| (id(number), components.clone().into())).collect();
    (records, present)
}

fn applied() -> Applied {
    let (records, present) = device();
    Applied::join(&records, &present)
}

fn manifest(is_wanted: impl Fn(&usize) -> bool, content: &[u8]) -> DesiredStateManifest {
    let references =
        (0..DEPLOYMENTS).filter(is_wanted).map(|number| DeploymentRef::new(id(number), Digest::of(content)));
    let bundle = BundleRef::new(Digest::of(b"bundle"), 600_000);
    DesiredStateManifest::new(ManifestVersion::FIRST, Some(bundle), references.collect())
}
