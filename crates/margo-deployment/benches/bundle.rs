//! What it costs to pack, to unpack and to verify the bundle of 100 deployments, next to gzip alone on the same bytes.

#![expect(clippy::unwrap_used, reason = "a bundle that cannot be read has no speed")]

use std::io::{Read as _, Write as _};

use bytes::Bytes;
use divan::counter::BytesCount;
use divan::{Bencher, Divan};
use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use margo_core::{DeploymentId, Digest, ManifestVersion};
use margo_deployment::{
    BundleLimits, BundleRef, DeploymentRef, DesiredStateManifest, read_bundle, verify_bundle, write_bundle,
};

const DEPLOYMENTS: u32 = 100;

fn main() {
    Divan::default().sample_count(1_000).config_with_args().main();
}

#[divan::bench]
fn write(bencher: Bencher<'_, '_>) {
    let documents = documents();
    bencher.counter(BytesCount::new(size(&documents))).bench(|| pack(&documents));
}

#[divan::bench]
fn write_gzip_alone(bencher: Bencher<'_, '_>) {
    let tar = unpacked(&pack(&documents()));
    bencher.counter(BytesCount::new(size(&documents()))).bench(|| {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
        encoder.write_all(divan::black_box(&tar)).unwrap();
        encoder.finish().unwrap()
    });
}

#[divan::bench]
fn read(bencher: Bencher<'_, '_>) {
    let documents = documents();
    let bundle = pack(&documents);
    bencher
        .counter(BytesCount::new(size(&documents)))
        .bench(|| read_bundle(divan::black_box(&bundle), &BundleLimits::default()).unwrap());
}

#[divan::bench]
fn read_gzip_alone(bencher: Bencher<'_, '_>) {
    let documents = documents();
    let bundle = pack(&documents);
    bencher.counter(BytesCount::new(size(&documents))).bench(|| unpacked(divan::black_box(&bundle)));
}

/// Every entry is hashed and found in the manifest.
#[divan::bench]
fn verify(bencher: Bencher<'_, '_>) {
    let documents = documents();
    let bundle = pack(&documents);
    let references =
        documents.iter().map(|(id, bytes)| DeploymentRef::new(id.clone(), Digest::of(bytes))).collect();
    let reference = BundleRef::new(Digest::of(&bundle), bundle.len() as u64);
    let manifest = DesiredStateManifest::new(ManifestVersion::FIRST, Some(reference), references);
    let entries = read_bundle(&bundle, &BundleLimits::default()).unwrap();
    bencher
        .counter(BytesCount::new(size(&documents)))
        .with_inputs(|| entries.clone())
        .bench_values(|entries| verify_bundle(entries, &manifest).unwrap());
}

/// Deployments of the same application, each with its own id, device and values, as a fleet has them.
fn documents() -> Vec<(DeploymentId, Bytes)> {
    let text = include_str!("documents/deployment.rc3.yaml");
    let document = |number: u32| {
        let id = format!("a3e2f5dc-912e-494f-8395-{number:012}");
        let text = text
            .replace("a3e2f5dc-912e-494f-8395-52cf3769bc06", &id)
            .replace("line-3", &format!("gateway/plc-{number}"))
            .replace("DE-0042", &format!("DE-{number:04}"));
        (id.parse().unwrap(), text.into())
    };
    (0..DEPLOYMENTS).map(document).collect()
}

fn pack(documents: &[(DeploymentId, Bytes)]) -> Bytes {
    write_bundle(documents.iter().map(|(id, bytes)| (id, bytes)))
}

fn unpacked(bundle: &[u8]) -> Vec<u8> {
    let mut tar = Vec::new();
    GzDecoder::new(bundle).read_to_end(&mut tar).unwrap();
    tar
}

fn size(documents: &[(DeploymentId, Bytes)]) -> usize {
    documents.iter().map(|(_, bytes)| bytes.len()).sum()
}
