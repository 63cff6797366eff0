use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use margo_api::{DesiredStatePublisher as _, Publication};
use margo_core::ManifestVersion;
use margo_git::{GitPublisher, layout};

use crate::stock_git::{assert_sound, commit, git};
use crate::{client, deployment, state, version};

/// Every file of a commit and its text.
fn files(repository: &Path, commit: &str) -> BTreeMap<String, String> {
    let names = git(repository, &["ls-tree", "-r", "--name-only", commit]);
    let text = |name: &str| git(repository, &["cat-file", "blob", &format!("{commit}:{name}")]) + "\n";
    names.lines().map(|name| (name.to_owned(), text(name))).collect()
}

/// The versions of a branch, oldest first, as stock Git reads the trailers.
fn history(repository: &Path) -> Vec<u64> {
    let format = format!("--format=%(trailers:key={},valueonly,separator=)", layout::VERSION_TRAILER);
    let log = git(repository, &["log", "--reverse", &format, "main"]);
    log.lines().map(|line| line.parse().unwrap()).collect()
}

/// R-A-004, R-A-018, MI-001, MI-002: one repository for each device, holding its desired state.
#[tokio::test]
async fn a_version_is_a_commit_and_its_tree_is_the_desired_state() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path().join("git")).unwrap();
    let repository = publisher.repository(&client());
    assert_eq!(publisher.tip(&client()).await.unwrap(), None);

    publisher.publish(&state(1, &[("pump", 1), ("fan", 1)])).await.unwrap();
    publisher.publish(&state(2, &[("pump", 2)])).await.unwrap();
    publisher.publish(&state(5, &[])).await.unwrap();

    let first =
        BTreeMap::from(["fan", "pump"].map(|id| (format!("deployments/{id}.yaml"), deployment(id, 1))));
    assert_eq!(files(&repository, "main~2"), first);
    let second = BTreeMap::from([("deployments/pump.yaml".to_owned(), deployment("pump", 2))]);
    assert_eq!(files(&repository, "main~1"), second);
    assert_eq!(files(&repository, "main"), BTreeMap::new());
    assert_eq!(history(&repository), [1, 2, 5]);
    assert_eq!(
        git(&repository, &["log", "-1", "--format=%an <%ae> %s"]),
        "margo <margo@localhost> Desired state 5"
    );
    assert_eq!(git(&repository, &["symbolic-ref", "HEAD"]), "refs/heads/main");
    assert_sound(&repository);

    let (tip, at) = publisher.tip(&client()).await.unwrap().unwrap();
    assert_eq!((tip.to_string(), at), (git(&repository, &["rev-parse", "main"]), version(5)));
    // Another device's repository is another repository.
    assert_eq!(publisher.published(&"plc-8".parse().unwrap()).await.unwrap(), None);
}

#[tokio::test]
async fn a_published_version_never_changes_and_never_goes_back() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    publisher.publish(&state(3, &[("pump", 3)])).await.unwrap();
    let tip = publisher.tip(&client()).await.unwrap();
    // Again, older, and the same version with other content.
    for again in [state(3, &[("pump", 3)]), state(2, &[("pump", 2)]), state(3, &[("fan", 1)])] {
        publisher.publish(&again).await.unwrap();
        assert_eq!(publisher.tip(&client()).await.unwrap(), tip);
    }
    // The same content with a newer version is a version of its own.
    publisher.publish(&state(4, &[("pump", 3)])).await.unwrap();
    assert_eq!(publisher.published(&client()).await.unwrap(), Some(version(4)));
    assert_eq!(history(&publisher.repository(&client())), [3, 4]);
    assert_sound(&publisher.repository(&client()));
}

#[tokio::test]
async fn a_deployment_listed_twice_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    let error = publisher.publish(&state(1, &[("pump", 1), ("pump", 2)])).await.unwrap_err();
    assert_eq!(std::error::Error::source(&error).unwrap().to_string(), "deployment `pump` is listed twice");
    assert_eq!(publisher.published(&client()).await.unwrap(), None);
}

#[tokio::test]
async fn the_same_publications_are_the_same_commits_unless_there_is_a_clock() {
    let folder = tempfile::tempdir().unwrap();
    let mut tips = Vec::new();
    for name in ["a", "b"] {
        let publisher = GitPublisher::open(folder.path().join(name)).unwrap();
        publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
        publisher.publish(&state(2, &[("pump", 2)])).await.unwrap();
        tips.push(publisher.tip(&client()).await.unwrap());
    }
    assert_eq!(tips[0], tips[1]);

    let publisher = GitPublisher::open(folder.path().join("c")).unwrap().with_clock(|| 1_729_684_800);
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    let date = git(&publisher.repository(&client()), &["log", "-1", "--format=%cI %aI"]);
    assert_eq!(date, "2024-10-23T12:00:00Z 2024-10-23T12:00:00Z");
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publishers_lose_nothing_and_never_go_back() {
    let folder = tempfile::tempdir().unwrap();
    let mut tasks = tokio::task::JoinSet::new();
    for number in 1..=24 {
        // Each with a publisher of its own, as separate processes have.
        let publisher = GitPublisher::open(folder.path()).unwrap();
        tasks.spawn(async move { publisher.publish(&state(number, &[("pump", number)])).await });
    }
    for done in tasks.join_all().await {
        done.unwrap();
    }
    let publisher = GitPublisher::open(folder.path()).unwrap();
    let repository = publisher.repository(&client());
    let history = history(&repository);
    assert!(history.is_sorted_by(|a, b| a < b), "{history:?}");
    assert_eq!(history.last(), Some(&24));
    assert_eq!(files(&repository, "main")["deployments/pump.yaml"], deployment("pump", 24));
    assert_sound(&repository);
}

/// An operator packs the repository; publishing goes on.
#[tokio::test]
async fn packed_repositories_are_published_into() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    let repository = publisher.repository(&client());
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    git(&repository, &["gc", "--quiet", "--prune=now"]);
    assert!(!repository.join("refs/heads/main").exists());
    assert_eq!(publisher.published(&client()).await.unwrap(), Some(version(1)));
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    publisher.publish(&state(2, &[("pump", 1), ("fan", 1)])).await.unwrap();
    assert_eq!(history(&repository), [1, 2]);
    assert_sound(&repository);
}

/// MI-002. A repository that somebody else began: its versions are the number of its commits.
#[tokio::test]
async fn a_repository_without_trailers_is_continued() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path().join("root")).unwrap();
    let work = folder.path().join("work");
    fs::create_dir(&work).unwrap();
    git(&work, &["init", "--quiet"]);
    commit(&work, &[("a.yaml", &deployment("pump", 1))], "One");
    commit(&work, &[("a.yaml", &deployment("pump", 2))], "Two");
    let repository = publisher.repository(&client());
    git(&work, &["clone", "--quiet", "--bare", ".", repository.to_str().unwrap()]);

    assert_eq!(publisher.published(&client()).await.unwrap(), Some(version(2)));
    publisher.publish(&state(2, &[])).await.unwrap();
    assert_eq!(git(&repository, &["log", "-1", "--format=%s"]), "Two");
    publisher.publish(&state(3, &[("pump", 3)])).await.unwrap();
    assert_eq!(publisher.published(&client()).await.unwrap(), Some(version(3)));
    assert_sound(&repository);
}

/// Killed after the objects and before the branch: the old state is visible, and the next publication succeeds
/// whatever became of the objects.
#[tokio::test]
async fn what_a_killed_publisher_left_is_cleared_away() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    let repository = publisher.repository(&client());
    // Killed while the repository was made.
    fs::create_dir_all(folder.path().join("plc-7.git+new/objects/info")).unwrap();
    fs::write(folder.path().join("plc-7.git+new/HEAD"), "ref").unwrap();
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    let before = publisher.tip(&client()).await.unwrap();

    // The same next publication, made elsewhere from the same history, lends its objects.
    let elsewhere = GitPublisher::open(folder.path().join("elsewhere")).unwrap();
    for state in [state(1, &[("pump", 1)]), state(2, &[("pump", 2)])] {
        elsewhere.publish(&state).await.unwrap();
    }
    let other = elsewhere.repository(&client());
    let objects = git(&other, &["rev-list", "--objects", "main", "^main~1"]);
    let mut orphans = Vec::new();
    for (index, line) in objects.lines().enumerate() {
        let name = line.split_whitespace().next().unwrap();
        let path = format!("objects/{}/{}", &name[..2], &name[2..]);
        fs::create_dir_all(repository.join(&path).parent().unwrap()).unwrap();
        // Every second one lost its power before its content was on the disk.
        let content = if index % 2 == 0 { fs::read(other.join(&path)).unwrap() } else { Vec::new() };
        fs::write(repository.join(&path), content).unwrap();
        orphans.push(path);
    }
    assert!(orphans.len() >= 4, "{orphans:?}");
    fs::write(repository.join("objects/tmp_obj_margo"), "half an obj").unwrap();
    fs::write(repository.join("refs/heads/main.lock"), "").unwrap();

    assert_eq!(publisher.tip(&client()).await.unwrap(), before);
    publisher.publish(&state(2, &[("pump", 2)])).await.unwrap();
    assert_eq!(history(&repository), [1, 2]);
    assert_eq!(publisher.tip(&client()).await.unwrap(), elsewhere.tip(&client()).await.unwrap());
    assert!(!repository.join("refs/heads/main.lock").exists());
    assert!(!repository.join("objects/tmp_obj_margo").exists());
    assert_sound(&repository);
}

const ROOT: &str = "MARGO_GIT_TEST_PUBLISH_INTO";

/// What was answered with success survives SIGKILL at any moment, and nothing half-made is ever visible.
#[tokio::test]
async fn a_publisher_may_be_killed_at_any_moment() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    let repository = publisher.repository(&client());
    let mut answered = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "publish::publish_until_killed", "--nocapture"])
            .env(ROOT, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok);
        // It has begun: wait for a first answer, then a moment that is another one in each round.
        let number = |line: String| line.rsplit_once("published ")?.1.parse::<u64>().ok();
        answered = lines.by_ref().find_map(number).unwrap();
        std::thread::sleep(Duration::from_micros(round * 1700));
        child.kill().unwrap();
        child.wait().unwrap();
        answered = lines.filter_map(number).last().unwrap_or(answered);

        let at = publisher.published(&client()).await.unwrap().unwrap().get();
        assert!(at >= answered, "version {answered} was answered, {at} is visible");
        let expected = state(at, &[("pump", at), ("fan", at / 2)]);
        let expected = expected
            .deployments
            .iter()
            .map(|(id, bytes)| (layout::deployment_path(id), String::from_utf8(bytes.to_vec()).unwrap()));
        assert_eq!(files(&repository, "main"), expected.collect());
        let log = history(&repository);
        assert!(log.iter().copied().eq(1..=at), "{log:?}");
        assert_sound(&repository);
    }
    assert!(answered >= 12);
}

/// Not a test by itself: the process that the test above starts and kills. Alone it publishes nothing.
#[tokio::test]
async fn publish_until_killed() {
    let Some(root) = std::env::var_os(ROOT) else { return };
    let publisher = GitPublisher::open(root).unwrap();
    let from = publisher.published(&client()).await.unwrap().map_or(0, ManifestVersion::get);
    // Whoever kills this process waits for one answer at least; the bound ends it if nobody does.
    for number in (from + 1)..(from + 10_000) {
        let state: Publication = state(number, &[("pump", number), ("fan", number / 2)]);
        publisher.publish(&state).await.unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "published {number}").and_then(|()| out.flush()).unwrap();
    }
}
