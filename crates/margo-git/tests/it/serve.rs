use std::io::Write as _;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use margo_api::DesiredStatePublisher as _;
use margo_git::{GitHost, GitPublisher, GitReply, HostLimits};

use crate::server::{AUTHORIZATION, Mood, Server};
use crate::stock_git::{commit, git, try_git};
use crate::{client, deployment, state, version};

const FETCH: &str = "application/x-git-upload-pack-request";

/// R-A-018, R-A-019: any `git clone` and `git fetch` works, in each version of the protocol.
#[tokio::test(flavor = "multi_thread")]
async fn stock_git_clones_and_fetches() {
    for protocol in ["protocol.version=0", "protocol.version=1", "protocol.version=2"] {
        let folder = tempfile::tempdir().unwrap();
        let publisher = GitPublisher::open(folder.path().join("git")).unwrap();
        let server = Server::start(&folder.path().join("git")).await;
        let url = server.url(&client());

        // Nothing is published yet: an empty repository with a name for its branch.
        git(folder.path(), &["-c", protocol, "clone", "--quiet", url.as_str(), "early"]);
        let early = folder.path().join("early");

        publisher.publish(&state(1, &[("pump", 1), ("fan", 1)])).await.unwrap();
        git(folder.path(), &["-c", protocol, "clone", "--quiet", url.as_str(), "clone"]);
        let clone = folder.path().join("clone");
        let pump = clone.join("deployments/pump.yaml");
        assert_eq!(std::fs::read_to_string(&pump).unwrap(), deployment("pump", 1), "{protocol}");
        assert_eq!(server.seen().last().unwrap().transferred, Some(version(1)), "{protocol}");

        publisher.publish(&state(2, &[("pump", 2)])).await.unwrap();
        git(&clone, &["-c", protocol, "pull", "--quiet"]);
        assert_eq!(std::fs::read_to_string(&pump).unwrap(), deployment("pump", 2));
        assert!(!clone.join("deployments/fan.yaml").exists());
        assert_eq!(server.seen().last().unwrap().transferred, Some(version(2)), "{protocol}");
        git(&early, &["-c", protocol, "pull", "--quiet"]);
        assert_eq!(git(&early, &["rev-parse", "HEAD"]), git(&clone, &["rev-parse", "HEAD"]));
        server.seen();

        // R-A-020: an unmoved branch costs no child and no transfer.
        let children = server.host.children_started();
        git(&clone, &["-c", protocol, "fetch", "--quiet"]);
        git(&clone, &["-c", protocol, "ls-remote", "--quiet"]);
        assert_eq!(server.host.children_started(), children, "{protocol}");
        assert!(
            server.seen().iter().all(|seen| seen.status == 200 && seen.transferred.is_none()),
            "{protocol}"
        );

        git(folder.path(), &["-c", protocol, "clone", "--quiet", "--depth", "1", url.as_str(), "shallow"]);
        let shallow = folder.path().join("shallow");
        assert_eq!(git(&shallow, &["rev-list", "--count", "HEAD"]), "1", "{protocol}");
        assert_eq!(server.seen().last().unwrap().transferred, Some(version(2)), "{protocol}");
        publisher.publish(&state(3, &[("pump", 3)])).await.unwrap();
        git(&shallow, &["-c", protocol, "fetch", "--quiet", "--depth", "1"]);
        git(&shallow, &["reset", "--quiet", "--hard", "FETCH_HEAD"]);
        assert_eq!(git(&shallow, &["rev-list", "--count", "HEAD"]), "1", "{protocol}");
        assert_eq!(
            std::fs::read_to_string(shallow.join("deployments/pump.yaml")).unwrap(),
            deployment("pump", 3)
        );
    }
}

/// What stock Git's own server lists, ours lists.
#[tokio::test(flavor = "multi_thread")]
async fn references_are_listed_as_stock_git_lists_them() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    let server = Server::start(folder.path()).await;
    let repository = publisher.repository(&client());
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    git(&repository, &["tag", "light"]);
    git(&repository, &["tag", "--annotate", "--message", "Heavy", "heavy"]);
    git(&repository, &["branch", "other"]);
    git(&repository, &["pack-refs", "--all"]);
    git(&repository, &["branch", "another"]);
    // A killed publisher's lock is no reference.
    std::fs::write(repository.join("refs/heads/main.lock"), "").unwrap();

    let expected = git(folder.path(), &["ls-remote", "--symref", repository.to_str().unwrap()]);
    assert!(expected.contains("refs/tags/heavy^{}"), "{expected}");
    for protocol in ["protocol.version=0", "protocol.version=1", "protocol.version=2"] {
        let url = server.url(&client());
        let listed = git(folder.path(), &["-c", protocol, "ls-remote", "--symref", url.as_str()]);
        assert_eq!(listed, expected, "{protocol}");
    }
    assert_eq!(server.host.children_started(), 0);
}

/// Git compresses a request that names much of what it has.
#[tokio::test(flavor = "multi_thread")]
async fn compressed_requests_are_read() {
    for protocol in ["protocol.version=0", "protocol.version=2"] {
        let folder = tempfile::tempdir().unwrap();
        let publisher = GitPublisher::open(folder.path().join("git")).unwrap();
        let server = Server::start(&folder.path().join("git")).await;
        publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
        git(folder.path(), &["clone", "--quiet", server.url(&client()).as_str(), "clone"]);
        let clone = folder.path().join("clone");
        for number in 0..100 {
            commit(&clone, &[], &format!("Something of its own {number}"));
        }
        publisher.publish(&state(2, &[("pump", 2)])).await.unwrap();
        server.seen();
        git(&clone, &["-c", protocol, "fetch", "--quiet"]);
        assert_eq!(
            git(&clone, &["log", "-1", "--format=%s", "origin/main"]),
            "Desired state 2",
            "{protocol}"
        );
        let seen = server.seen();
        assert!(seen.iter().any(|seen| seen.is_compressed && seen.status == 200), "{protocol}: {seen:?}");
        // The rounds that only negotiate transfer nothing.
        assert_eq!(seen.iter().filter(|seen| seen.transferred == Some(version(2))).count(), 1, "{protocol}");
    }
}

/// A Git push by a device: refused, nothing is stored, and the reason is plain.
#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path().join("git")).unwrap();
    let server = Server::start(&folder.path().join("git")).await;
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    git(folder.path(), &["clone", "--quiet", server.url(&client()).as_str(), "clone"]);
    let clone = folder.path().join("clone");
    commit(&clone, &[("deployments/pump.yaml", "mine")], "Mine");
    let before = publisher.tip(&client()).await.unwrap();

    let push = try_git(&clone, &["push", "--quiet", "origin", "main"]);
    let complaint = String::from_utf8_lossy(&push.stderr);
    assert!(!push.status.success() && complaint.contains("403"), "{complaint}");
    assert_eq!(publisher.tip(&client()).await.unwrap(), before);

    let refused = ask(&server.host, "POST", "git-receive-pack", None, "0000", &[]).await;
    assert_eq!(refused.response.status(), StatusCode::FORBIDDEN);
    assert_eq!(refused.response.body(), "desired state is read here; only the manager writes it\n");
}

/// The device's own token, in the URL as Git takes it.
#[tokio::test(flavor = "multi_thread")]
async fn stock_git_brings_its_token() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path().join("git")).unwrap();
    let server = Server::start(&folder.path().join("git")).await;
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    server.be(Mood::Guarded);

    let mut url = server.url(&client());
    assert!(!try_git(folder.path(), &["clone", "--quiet", url.as_str(), "without"]).status.success());
    let header = format!("http.extraHeader=Authorization: {AUTHORIZATION}");
    git(folder.path(), &["-c", &header, "clone", "--quiet", url.as_str(), "with-header"]);
    url.set_username("margo").unwrap();
    url.set_password(Some("secret")).unwrap();
    git(folder.path(), &["clone", "--quiet", url.as_str(), "with-password"]);
}

async fn ask(
    host: &GitHost,
    method: &str,
    path: &str,
    query: Option<&str>,
    body: impl Into<Bytes>,
    headers: &[(&str, &str)],
) -> GitReply {
    let mut request = Request::new(body.into());
    *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
    }
    host.serve(&client(), path, query, request).await
}

/// Method, path, query, body, headers; status, and what the answer says.
type Case<'a> = (&'a str, &'a str, Option<&'a str>, &'a str, &'a [(&'a str, &'a str)], u16, &'a str);

/// What Git never asks is told why, and starts nothing.
#[tokio::test]
async fn bad_requests_are_refused_plainly() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    let host = GitHost::new(folder.path());
    let upload = Some("service=git-upload-pack");
    let post = [("content-type", FETCH), ("git-protocol", "version=2")];
    let gzip = [post[0], post[1], ("content-encoding", "gzip")];
    let (v2, br) = (&post[..], &[post[0], ("content-encoding", "br")][..]);
    let long = "0".repeat(1024 * 1024 + 1);

    let cases: &[Case<'_>] = &[
        ("GET", "HEAD", None, "", &[], 404, "a Git repository has nothing there"),
        ("GET", "objects/info/packs", None, "", &[], 404, "nothing there"),
        ("GET", "../plc-8.git/info/refs", upload, "", &[], 404, "nothing there"),
        ("GET", "info/refs", None, "", &[], 400, "only Git's smart protocol"),
        ("GET", "info/refs", Some("service=git-upload-archive"), "", &[], 400, "only Git's smart protocol"),
        ("GET", "info/refs", Some("service=git-receive-pack"), "", &[], 403, "only the manager writes it"),
        ("PUT", "git-receive-pack", None, "", &[], 403, "only the manager writes it"),
        ("POST", "info/refs", upload, "", &[], 405, "expected the method GET"),
        ("GET", "git-upload-pack", None, "", &[], 405, "expected the method POST"),
        ("POST", "git-upload-pack", None, "0000", &[], 415, "expected the content type"),
        ("POST", "git-upload-pack", None, "0000", br, 415, "or gzip"),
        ("POST", "git-upload-pack", None, "hello", v2, 400, "not in Git's packet format at byte 0"),
        ("POST", "git-upload-pack", None, "0014command=ls-refs\n", v2, 200, ""),
        (
            "POST",
            "git-upload-pack",
            None,
            "0014command=ls-refs\n0001000aevery\n0000",
            v2,
            400,
            "no argument `every`",
        ),
        ("POST", "git-upload-pack", None, "0018command=object-info\n0000", v2, 400, "expected the command"),
        ("POST", "git-upload-pack", None, "000dpeculiar\n0000", v2, 400, "expected the command"),
        ("POST", "git-upload-pack", None, "0000", &gzip, 400, "not gzip"),
        ("POST", "git-upload-pack", None, &long, v2, 413, "more than 1048576 bytes"),
    ];
    for (method, path, query, body, headers, status, says) in cases {
        let reply = ask(&host, method, path, *query, (*body).to_owned(), headers).await;
        let body = String::from_utf8_lossy(reply.response.body());
        assert_eq!(reply.response.status(), *status, "{method} {path}: {body}");
        assert!(body.contains(says), "{method} {path}: {body}");
        assert_eq!(reply.transferred, None);
        if *status != 200 {
            assert_eq!(reply.response.headers()["content-type"], "text/plain; charset=utf-8");
        }
        if *status == 405 {
            assert!(body.contains(reply.response.headers()["allow"].to_str().unwrap()));
        }
    }
    assert_eq!(host.children_started(), 0);
}

/// A gzip bomb is measured while it is inflated.
#[tokio::test]
async fn a_gzip_bomb_is_refused() {
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![b'0'; 64 * 1024 * 1024]).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 128 * 1024);
    let host = GitHost::new("/nonexistent");
    let headers = [("content-type", FETCH), ("content-encoding", "gzip")];
    let reply = ask(&host, "POST", "git-upload-pack", None, bomb, &headers).await;
    assert_eq!(reply.response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_request_for_what_is_not_there_is_answered_as_git_answers() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    let host = GitHost::new(folder.path());
    let want = "0032want 1111111111111111111111111111111111111111\n";
    let (v0, v2) = (format!("{want}00000009done\n"), format!("0012command=fetch\n0001{want}0009done\n0000"));
    let headers = [("content-type", FETCH), ("git-protocol", "version=2")];

    let reply = ask(&host, "POST", "git-upload-pack", None, v2.clone(), &headers).await;
    assert_eq!((reply.response.status(), host.children_started()), (StatusCode::NOT_FOUND, 0));

    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    for (headers, body) in [(&headers[..1], v0), (&headers[..], v2)] {
        let reply = ask(&host, "POST", "git-upload-pack", None, body, headers).await;
        assert_eq!(reply.response.status(), StatusCode::OK);
        assert_eq!(reply.transferred, None);
        let body = String::from_utf8_lossy(reply.response.body());
        assert!(body.contains("ERR upload-pack: not our ref"), "{body}");
    }
    assert_eq!(host.children_started(), 2);
}

#[tokio::test]
async fn answers_have_a_largest_size_and_a_longest_time() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    let (tip, _) = publisher.tip(&client()).await.unwrap().unwrap();
    let body = format!("0012command=fetch\n00010032want {tip}\n0009done\n0000");
    let headers = [("content-type", FETCH), ("git-protocol", "version=2")];

    let reply =
        ask(&GitHost::new(folder.path()), "POST", "git-upload-pack", None, body.clone(), &headers).await;
    assert_eq!((reply.response.status(), reply.transferred), (StatusCode::OK, Some(version(1))));

    let mut limits = HostLimits::default();
    limits.response_bytes = 100;
    let host = GitHost::with_limits(folder.path(), limits);
    let reply = ask(&host, "POST", "git-upload-pack", None, body.clone(), &headers).await;
    assert_eq!((reply.response.status(), reply.transferred), (StatusCode::INTERNAL_SERVER_ERROR, None));
    assert_eq!(reply.response.body(), "the answer has more than 100 bytes\n");

    let mut limits = HostLimits::default();
    limits.timeout = std::time::Duration::ZERO;
    let host = GitHost::with_limits(folder.path(), limits);
    let reply = ask(&host, "POST", "git-upload-pack", None, body, &headers).await;
    assert_eq!((reply.response.status(), reply.transferred), (StatusCode::SERVICE_UNAVAILABLE, None));
    assert_eq!(reply.response.headers()["retry-after"], "30");
}

/// A damaged repository is an error, and not an empty one: a device must not take it for no desired state.
#[tokio::test]
async fn a_damaged_repository_is_not_an_empty_one() {
    let folder = tempfile::tempdir().unwrap();
    let publisher = GitPublisher::open(folder.path()).unwrap();
    publisher.publish(&state(1, &[("pump", 1)])).await.unwrap();
    std::fs::write(publisher.repository(&client()).join("refs/heads/main"), "").unwrap();
    let host = GitHost::new(folder.path());
    let reply = ask(&host, "GET", "info/refs", Some("service=git-upload-pack"), "", &[]).await;
    assert_eq!(reply.response.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(publisher.published(&client()).await.is_err());
    assert!(publisher.publish(&state(2, &[("pump", 2)])).await.is_err());
}
