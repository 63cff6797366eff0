use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use margo_api::{Checkpoint, DesiredStatePublisher as _, DesiredStateSource as _, Publication, SourceError};
use margo_api::{SourceErrorKind, Update};
use margo_core::{Digest, Document};
use margo_deployment::{DeploymentRef, DesiredStateManifest};
use margo_git::{GitPublisher, GitSource, GitSourceConfig, Token, layout};
use tempfile::TempDir;
use url::Url;

use crate::server::{Authority, Mood, Server};
use crate::stock_git::{assert_sound, commit, git};
use crate::{client, deployment, state, version};

/// A manager with a publisher and a host, and a device with a source.
struct Loop {
    folder: TempDir,
    publisher: GitPublisher,
    server: Server,
    source: GitSource,
}

impl Loop {
    async fn new() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(configure: impl FnOnce(&mut GitSourceConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("manager");
        let publisher = GitPublisher::open(&root).unwrap();
        let server = Server::start(&root).await;
        let mut config = config(server.url(&client()), folder.path());
        configure(&mut config);
        let source = GitSource::new(config).unwrap();
        Self { folder, publisher, server, source }
    }

    /// The source after a restart of the device.
    fn restart(&mut self) {
        self.source = GitSource::new(config(self.server.url(&client()), self.folder.path())).unwrap();
    }

    async fn publish(&self, number: u64, deployments: &[(&str, u64)]) {
        self.publisher.publish(&state(number, deployments)).await.unwrap();
    }

    fn repository(&self) -> PathBuf {
        self.publisher.repository(&client())
    }

    fn clone_path(&self) -> PathBuf {
        self.folder.path().join("device/clone.git")
    }

    /// Replaces the manager's repository by one that somebody else makes in a working folder.
    fn foreign(&self, make: impl FnOnce(&Path)) {
        let work = tempfile::tempdir().unwrap();
        git(work.path(), &["init", "--quiet"]);
        make(work.path());
        let _ = fs::remove_dir_all(self.repository());
        git(work.path(), &["clone", "--quiet", "--bare", ".", self.repository().to_str().unwrap()]);
    }
}

type Files<'a> = &'a [(&'a str, &'a str)];

fn config(url: Url, folder: &Path) -> GitSourceConfig {
    GitSourceConfig::new(url, folder.join("device"), "plc-7".parse().unwrap())
}

fn changed(update: Result<Update, SourceError>) -> Document<DesiredStateManifest> {
    match update {
        Ok(Update::Changed(manifest)) => manifest,
        other => panic!("expected a change, found {other:?}"),
    }
}

fn kind<T: std::fmt::Debug>(result: Result<T, SourceError>) -> SourceErrorKind {
    result.unwrap_err().kind()
}

fn said(error: &SourceError) -> String {
    std::error::Error::source(error).unwrap().to_string()
}

/// R-A-005, R-A-019, R-A-020.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_learns_what_to_run_and_then_only_what_changes() {
    let it = Loop::new().await;
    // Nothing was ever published.
    assert_eq!(it.source.poll(None).await.unwrap(), Update::Unchanged);

    it.publish(1, &[("pump", 1), ("fan", 1)]).await;
    let first = changed(it.source.poll(None).await);
    assert_eq!(first.manifest_version, version(1));
    let ids: Vec<_> = first.deployments.iter().map(|reference| reference.deployment_id.as_str()).collect();
    assert_eq!(ids, ["fan", "pump"]);
    assert_eq!(first.bundle, None);
    assert_eq!(
        first.deployment(&"pump".parse().unwrap()).unwrap().digest,
        Digest::of(deployment("pump", 1).as_bytes())
    );
    // The bytes are the value, as for a manifest that came over REST.
    let again: DesiredStateManifest = serde_json::from_slice(first.bytes()).unwrap();
    assert_eq!(&again, first.value());

    let fetched = it.source.fetch_all(&first, &first.deployments).await.unwrap();
    assert_eq!(fetched[1].bytes(), deployment("pump", 1).as_bytes());
    assert_eq!(fetched[1].id.as_str(), "pump");
    // The pre-draft does not say which device; the configuration does.
    assert_eq!(fetched[1].metadata.device_id.as_str(), "plc-7");

    let last = Some(Checkpoint::of(&first));
    assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged);
    // An agent that did not get to the end is told again.
    assert_eq!(changed(it.source.poll(None).await), first);

    it.publish(2, &[("pump", 2)]).await;
    let second = changed(it.source.poll(last).await);
    assert_eq!(second.manifest_version, version(2));
    assert_eq!(second.deployments.len(), 1);

    // R-B-032: no desired state is a desired state.
    it.publish(3, &[]).await;
    let third = changed(it.source.poll(Some(Checkpoint::of(&second))).await);
    assert_eq!((third.manifest_version, third.deployments.len()), (version(3), 0));
    assert_eq!(&third.bytes()[..], br#"{"bundle":null,"deployments":[],"manifestVersion":3}"#);
}

/// An unmoved branch: two small requests, no child, no transfer. Also right after a restart.
#[tokio::test(flavor = "multi_thread")]
async fn polling_an_unmoved_branch_transfers_nothing() {
    let mut it = Loop::new().await;
    it.publish(1, &[("pump", 1)]).await;
    let last = Some(Checkpoint::of(&changed(it.source.poll(None).await)));
    assert_eq!(it.server.seen().last().unwrap().transferred, Some(version(1)));
    let children = it.server.host.children_started();
    for _ in 0..2 {
        assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged);
        let seen = it.server.seen();
        let asked: Vec<_> = seen.iter().map(|seen| (seen.method.as_str(), seen.path.as_str())).collect();
        assert_eq!(asked, [("GET", "info/refs"), ("POST", "git-upload-pack")]);
        assert!(seen.iter().all(|seen| seen.transferred.is_none() && seen.response_bytes < 200), "{seen:?}");
        assert_eq!(it.server.host.children_started(), children);
        it.restart();
    }
}

/// After a restart content is found again without asking anybody. (And all of it on one thread.)
#[tokio::test]
async fn content_survives_a_restart() {
    let mut it = Loop::new().await;
    it.publish(1, &[("pump", 1)]).await;
    let manifest = changed(it.source.poll(None).await);
    it.restart();
    it.server.seen();
    let fetched = it.source.fetch(&manifest.deployments[0]).await.unwrap();
    assert_eq!(fetched.bytes(), deployment("pump", 1).as_bytes());
    assert!(it.server.seen().is_empty());
}

/// R-B-026, R-B-031: only what a digest names is returned, and its absence says nothing about deletion.
#[tokio::test(flavor = "multi_thread")]
async fn what_no_commit_holds_is_not_found() {
    let it = Loop::new().await;
    let nothing = DeploymentRef::new("pump".parse().unwrap(), Digest::of(b"nothing"));
    assert_eq!(kind(it.source.fetch(&nothing).await), SourceErrorKind::NotFound);
    it.publish(1, &[("pump", 1)]).await;
    let manifest = changed(it.source.poll(None).await);
    assert_eq!(kind(it.source.fetch(&nothing).await), SourceErrorKind::NotFound);
    // The right bytes under another name.
    let other = DeploymentRef::new("fan".parse().unwrap(), manifest.deployments[0].digest);
    let error = it.source.fetch(&other).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Corrupt);
    assert_eq!(said(&error), "the content is deployment `pump`, not `fan`");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_versions_later_only_the_difference_is_fetched() {
    let it = Loop::new().await;
    for number in 1..=100 {
        it.publish(number, &[("pump", number), ("fan", number / 10)]).await;
    }
    let hundredth = changed(it.source.poll(None).await);
    assert_eq!(hundredth.manifest_version, version(100));
    let whole = it.server.seen().last().unwrap().response_bytes;

    it.publish(101, &[("pump", 101), ("fan", 10)]).await;
    let next = changed(it.source.poll(Some(Checkpoint::of(&hundredth))).await);
    assert_eq!(next.manifest_version, version(101));
    let seen = it.server.seen();
    let difference = seen.last().unwrap().response_bytes;
    assert!(difference * 10 < whole, "{difference} of {whole}");
    assert_eq!(seen.iter().filter(|seen| seen.transferred == Some(version(101))).count(), 1);
    assert_sound(&it.clone_path());
}

/// Every fetch adds a pack; a clone does not collect them for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_stays_small() {
    let it = Loop::new().await;
    let mut last = None;
    for number in 1..=60 {
        it.publish(number, &[("pump", number)]).await;
        let manifest = changed(it.source.poll(last).await);
        assert_eq!(manifest.manifest_version, version(number));
        last = Some(Checkpoint::of(&manifest));
    }
    let packs = fs::read_dir(it.clone_path().join("objects/pack")).unwrap().flatten();
    let packs =
        packs.filter(|file| file.path().extension().is_some_and(|extension| extension == "pack")).count();
    assert!(packs < 15, "{packs}");
    assert_sound(&it.clone_path());
    // What was adopted is known still.
    git(&it.repository(), &["update-ref", "refs/heads/main", "main~3"]);
    assert_eq!(kind(it.source.poll(last).await), SourceErrorKind::RolledBack);
}

/// R-B-030, MI-003: history that does not follow what was adopted is refused, also after a restart, and
/// however often.
#[tokio::test(flavor = "multi_thread")]
async fn rewritten_history_is_refused() {
    let mut it = Loop::new().await;
    it.publish(1, &[("pump", 1)]).await;
    it.publish(2, &[("pump", 2)]).await;
    let adopted = changed(it.source.poll(None).await);
    let last = Some(Checkpoint::of(&adopted));
    assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged);
    let tip = git(&it.repository(), &["rev-parse", "main"]);

    // Taken back to an older commit.
    git(&it.repository(), &["update-ref", "refs/heads/main", "main~1"]);
    assert_eq!(kind(it.source.poll(last).await), SourceErrorKind::RolledBack);
    it.restart();
    assert_eq!(kind(it.source.poll(last).await), SourceErrorKind::RolledBack);

    // A newer version on another history.
    it.publish(3, &[("pump", 3)]).await;
    let error = it.source.poll(last).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::RolledBack);
    assert!(said(&error).contains(&format!("does not follow {tip}")), "{}", said(&error));

    // The branch is gone.
    git(&it.repository(), &["update-ref", "-d", "refs/heads/main"]);
    assert_eq!(kind(it.source.poll(last).await), SourceErrorKind::RolledBack);

    // The history that was adopted, continued.
    git(&it.repository(), &["update-ref", "refs/heads/main", &tip]);
    assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged);
    it.publish(4, &[("pump", 4)]).await;
    assert_eq!(changed(it.source.poll(last).await).manifest_version, version(4));
}

/// To an agent that has adopted nothing from this repository, an older state is simply a state: whether its
/// version may be acted on is the agent's to say.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_said_about_what_was_not_adopted_here() {
    let it = Loop::new().await;
    let elsewhere = Some(Checkpoint::new(version(9), Digest::of(b"over REST")));
    assert_eq!(kind(it.source.poll(elsewhere).await), SourceErrorKind::Unavailable);
    it.publish(1, &[("pump", 1)]).await;
    it.publish(2, &[("pump", 2)]).await;
    assert_eq!(changed(it.source.poll(elsewhere).await).manifest_version, version(2));
    git(&it.repository(), &["update-ref", "refs/heads/main", "main~1"]);
    assert_eq!(changed(it.source.poll(elsewhere).await).manifest_version, version(1));
}

/// The pre-draft leaves the layout open (X-A-36, MI-001): whatever its folders, a deployment is one.
#[tokio::test(flavor = "multi_thread")]
async fn other_layouts_are_read() {
    let it = Loop::new().await;
    it.foreign(|work| {
        let (pump, fan) = (deployment("pump", 1), deployment("fan", 1));
        commit(work, &[("README.md", "# Plant"), ("kustomization.yaml", "resources: [line-3]\n")], "Begin");
        commit(work, &[("line-3/pump/deployment.yml", &pump), ("fan.yaml", &fan)], "Two");
        commit(work, &[("line-3/chart/templates/x.yaml", "{{ if .Values.x }}\n"), ("big.bin", "x")], "Noise");
    });
    let manifest = changed(it.source.poll(None).await);
    // Without a trailer, the number of commits.
    assert_eq!(manifest.manifest_version, version(3));
    let ids: Vec<_> = manifest.deployments.iter().map(|reference| reference.deployment_id.as_str()).collect();
    assert_eq!(ids, ["fan", "pump"]);
    assert_eq!(
        it.source.fetch(&manifest.deployments[1]).await.unwrap().bytes(),
        deployment("pump", 1).as_bytes()
    );
}

/// A commit without the trailer follows one with it.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_by_hand_has_the_next_version() {
    let it = Loop::new().await;
    it.publish(7, &[("pump", 7)]).await;
    let last = Some(Checkpoint::of(&changed(it.source.poll(None).await)));
    let work = it.folder.path().join("work");
    git(it.folder.path(), &["clone", "--quiet", it.repository().to_str().unwrap(), "work"]);
    commit(&work, &[("deployments/pump.yaml", &deployment("pump", 8))], "By hand");
    git(&work, &["push", "--quiet", "origin", "main"]);
    assert_eq!(changed(it.source.poll(last).await).manifest_version, version(8));
    // And the publisher goes on from there.
    it.publish(8, &[]).await;
    assert_eq!(it.publisher.published(&client()).await.unwrap(), Some(version(8)));
    it.publish(9, &[]).await;
    assert_eq!(changed(it.source.poll(last).await).manifest_version, version(9));
}

/// Each fault names its place, is no change, and goes away with the fault.
#[tokio::test(flavor = "multi_thread")]
async fn unreadable_content_is_refused_as_a_whole() {
    let it = Loop::new().await;
    it.publish(1, &[("pump", 1)]).await;
    let last = Some(Checkpoint::of(&changed(it.source.poll(None).await)));

    let pump = deployment("pump", 2);
    let cases: [(Files<'_>, &str, &str); 5] = [
        (&[("a.yaml", &pump), ("b/c.yml", &pump)], "Twice", "b/c.yml: `a.yaml` is deployment `pump` as well"),
        (&[("deployments/pump.yaml", "kind: ")], "Cut short", "deployments/pump.yaml: "),
        (&[("x.yaml", "kind: ApplicationDeployment\n")], "No id", "x.yaml: "),
        (&[], "Bad\n\nMargo-Manifest-Version: 2.0", "Margo-Manifest-Version: expected a whole number"),
        (&[], "Last\n\nMargo-Manifest-Version: 18446744073709551616", "expected a whole number"),
    ];
    for (files, message, says) in cases {
        // Continues the adopted history, so that only the content is at fault.
        let work = tempfile::tempdir().unwrap();
        git(work.path(), &["clone", "--quiet", it.repository().to_str().unwrap(), "."]);
        git(work.path(), &["rm", "-r", "--quiet", "."]);
        commit(work.path(), files, message);
        git(work.path(), &["push", "--quiet", "origin", "HEAD:main"]);
        let error = it.source.poll(last).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Corrupt, "{message}");
        assert!(said(&error).contains(says), "{message}: {}", said(&error));
        git(&it.repository(), &["update-ref", "refs/heads/main", "main~1"]);
        assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged, "{message}");
    }
}

/// R-A-016, R-A-017: the device's own token, which is rotated.
#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_told_from_an_absent_server() {
    let it = Loop::with(|config| config.token = Some(Token::from("wrong".to_owned()))).await;
    it.publish(1, &[("pump", 1)]).await;
    it.server.be(Mood::Guarded);
    assert_eq!(kind(it.source.poll(None).await), SourceErrorKind::Unauthorized);
    it.source.set_token(None);
    assert_eq!(kind(it.source.poll(None).await), SourceErrorKind::Unauthorized);
    it.source.set_token(Some(Token::from("secret".to_owned())));
    let last = Some(Checkpoint::of(&changed(it.source.poll(None).await)));

    it.server.be(Mood::Busy);
    let error = it.source.poll(last).await.unwrap_err();
    assert_eq!(
        (error.kind(), error.retry_after()),
        (SourceErrorKind::Unavailable, Some(Duration::from_secs(7)))
    );
    it.server.be(Mood::Guarded);
    assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged);
}

/// R-A-007: over TLS, a plant's own authority is trusted where it is configured, and then nobody else is.
#[tokio::test(flavor = "multi_thread")]
async fn a_plant_has_an_authority_of_its_own() {
    let it = Loop::new().await;
    it.publish(1, &[("pump", 1)]).await;
    let (url, pem) = it.server.encrypted(&client()).await;
    let source = |roots: &str| {
        let mut config = config(url.clone(), it.folder.path());
        config.root_certificates = roots.as_bytes().to_vec();
        GitSource::new(config).unwrap()
    };
    let stranger = Authority::new().pem;
    for roots in ["", &stranger] {
        let error = source(roots).poll(None).await.unwrap_err();
        assert_eq!(error.kind(), SourceErrorKind::Unavailable);
        let cause = format!("{error:?}");
        assert!(cause.contains("InvalidCertificate"), "{cause}");
        assert!(it.server.seen().is_empty(), "nothing was asked of a server nobody vouches for");
    }
    let manifest = changed(source(&format!("{stranger}{pem}")).poll(None).await);
    assert_eq!(manifest.deployments.len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_away_is_unavailable() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let folder = tempfile::tempdir().unwrap();
    // A port that was free a moment ago.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let url = format!("http://127.0.0.1:{port}/git/plc-7").parse().unwrap();
    let source = GitSource::new(config(url, folder.path())).unwrap();
    assert_eq!(kind(source.poll(None).await), SourceErrorKind::Unavailable);
}

/// Nothing is waited for longer than configured, and whoever stops waiting frees the source at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_server_holds_nobody() {
    let it = Loop::with(|config| config.timeout = Duration::from_millis(300)).await;
    it.publish(1, &[("pump", 1)]).await;
    it.server.be(Mood::Silent);
    assert_eq!(kind(it.source.poll(None).await), SourceErrorKind::Unavailable);

    let it = Loop::with(|config| config.timeout = Duration::from_hours(1)).await;
    it.publish(1, &[("pump", 1)]).await;
    it.server.be(Mood::Silent);
    assert!(tokio::time::timeout(Duration::from_millis(300), it.source.poll(None)).await.is_err());
    it.server.be(Mood::Serving);
    // Waits for the first poll's worker, which would otherwise take an hour.
    assert_eq!(changed(it.source.poll(None).await).manifest_version, version(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_a_source_takes_is_refused() {
    // Does not compress.
    let noise: String = (0..2000_u32).map(|number| Digest::of(&number.to_le_bytes()).hex()).collect();
    let noise = Bytes::from(format!("{}# {noise}\n", deployment("pump", 1)));
    let large = Publication::new(client(), version(1), vec![("pump".parse().unwrap(), noise)]);

    let it = Loop::with(|config| config.limits.transfer_bytes = 20_000).await;
    it.publisher.publish(&large).await.unwrap();
    let error = it.source.poll(None).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Corrupt);
    assert_eq!(said(&error), "the server sends more bytes than this source takes");

    let it = Loop::with(|config| config.limits.document.max_bytes = 20_000).await;
    it.publisher.publish(&large).await.unwrap();
    let error = it.source.poll(None).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Corrupt);
    assert!(said(&error).ends_with("bytes; 20000 are read"), "{}", said(&error));

    let it = Loop::with(|config| config.limits.files = 2).await;
    it.publish(1, &[("pump", 1)]).await;
    let last = Some(Checkpoint::of(&changed(it.source.poll(None).await)));
    it.publish(2, &[("pump", 1), ("fan", 1)]).await;
    let error = it.source.poll(last).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Corrupt);
    assert!(said(&error).ends_with("more than 2 files and folders"), "{}", said(&error));
}

/// A pack that inflates to more than a source takes is not unpacked.
#[tokio::test(flavor = "multi_thread")]
async fn a_pack_that_inflates_too_far_is_refused() {
    let zeros = Bytes::from(vec![b' '; 8 * 1024 * 1024]);
    let large = Publication::new(client(), version(1), vec![("pump".parse().unwrap(), zeros)]);
    let it = Loop::with(|config| {
        config.limits.transfer_bytes = 1024 * 1024;
        config.limits.document.max_bytes = 64 * 1024 * 1024;
    })
    .await;
    it.publisher.publish(&large).await.unwrap();
    let error = it.source.poll(None).await.unwrap_err();
    assert_eq!(error.kind(), SourceErrorKind::Corrupt);
    assert!(said(&error).ends_with("too large to fit in memory"), "{}", said(&error));
    assert!(it.server.seen().last().unwrap().response_bytes < 1024 * 1024);
}

/// A device that lost its power while it wrote: the clone is made anew, and what was adopted is still known.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_clone_is_replaced() {
    let mut it = Loop::new().await;
    it.publish(1, &[("pump", 1)]).await;
    it.publish(2, &[("pump", 2)]).await;
    let manifest = changed(it.source.poll(None).await);
    let last = Some(Checkpoint::of(&manifest));
    assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged);

    let pack = |clone: &Path, extension: &str| {
        let files = fs::read_dir(clone.join("objects/pack")).unwrap().flatten().map(|file| file.path());
        files.into_iter().find(|path| path.extension().is_some_and(|found| found == extension)).unwrap()
    };
    let empty = |path: PathBuf| {
        fs::remove_file(&path).unwrap();
        fs::write(path, "").unwrap();
    };
    let damages: [&dyn Fn(&Path); 6] = [
        &|clone| empty(pack(clone, "pack")),
        &|clone| empty(pack(clone, "idx")),
        &|clone| fs::write(clone.join("config"), "[core").unwrap(),
        &|clone| empty(clone.join("refs/heads/main")),
        &|clone| fs::remove_dir_all(clone.join("objects")).unwrap(),
        &|clone| {
            let path = pack(clone, "pack");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 0x55;
            fs::remove_file(&path).unwrap();
            fs::write(path, bytes).unwrap();
        },
    ];
    for (index, damage) in damages.iter().enumerate() {
        damage(&it.clone_path());
        it.restart();
        // Nothing that was asked for is lost, and nothing else is made of it.
        match it.source.poll(last).await {
            Ok(Update::Unchanged) => {}
            other => panic!("damage {index}: {other:?}"),
        }
        let fetched = it.source.fetch(&manifest.deployments[0]).await.unwrap();
        assert_eq!(fetched.bytes(), deployment("pump", 2).as_bytes(), "damage {index}");
        assert_sound(&it.clone_path());
    }

    // Found out while content is fetched: the next poll replaces the clone.
    empty(pack(&it.clone_path(), "pack"));
    assert_eq!(kind(it.source.fetch(&manifest.deployments[0]).await), SourceErrorKind::Unavailable);
    assert_eq!(it.source.poll(last).await.unwrap(), Update::Unchanged);
    assert!(it.source.fetch(&manifest.deployments[0]).await.is_ok());

    // The clone is lost altogether, and history was rewritten meanwhile.
    fs::remove_dir_all(it.clone_path()).unwrap();
    it.restart();
    git(&it.repository(), &["update-ref", "refs/heads/main", "main~1"]);
    assert_eq!(kind(it.source.poll(last).await), SourceErrorKind::RolledBack);
}

/// A server that has a damaged repository itself does not cost the device its clone.
#[tokio::test(flavor = "multi_thread")]
async fn a_clone_is_kept_until_its_successor_is_complete() {
    let it = Loop::new().await;
    it.publish(1, &[("pump", 1)]).await;
    let manifest = changed(it.source.poll(None).await);
    it.publish(2, &[("pump", 2)]).await;
    // The new deployment's content is lost.
    let blob = git(&it.repository(), &["rev-parse", "main:deployments/pump.yaml"]);
    let path = it.repository().join("objects").join(&blob[..2]).join(&blob[2..]);
    fs::remove_file(path).unwrap();
    assert_eq!(kind(it.source.poll(Some(Checkpoint::of(&manifest))).await), SourceErrorKind::Unavailable);
    assert_eq!(
        it.source.fetch(&manifest.deployments[0]).await.unwrap().bytes(),
        deployment("pump", 1).as_bytes()
    );
}

/// A repository on the same machine. (The server's side is stock Git here.)
#[tokio::test(flavor = "multi_thread")]
async fn a_file_url_works() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path().join("manager")).unwrap();
    let url = Url::from_file_path(publisher.repository(&client())).unwrap();
    let source = GitSource::new(config(url, folder.path())).unwrap();
    assert_eq!(kind(source.poll(None).await), SourceErrorKind::Unavailable);
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    let manifest = changed(source.poll(None).await);
    let last = Some(Checkpoint::of(&manifest));
    assert_eq!(source.poll(last).await.unwrap(), Update::Unchanged);
    publisher.publish(&state(2, &[("pump", 2)])).await.unwrap();
    let next = changed(source.poll(last).await);
    assert_eq!(source.fetch(&next.deployments[0]).await.unwrap().bytes(), deployment("pump", 2).as_bytes());
    assert!(
        git(&folder.path().join("device/clone.git"), &["log", "-1", "--format=%s"])
            .contains(layout::commit_message(version(2)).lines().next().unwrap())
    );
}
