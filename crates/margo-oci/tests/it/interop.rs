//! Debian's `docker-registry`, filled by `skopeo`: `cargo xtask engine up` starts one, and one that asks for a password.

use std::path::Path;
use std::process::Command;

use margo_application::package::MANIFEST_MEDIA_TYPE;
use margo_core::Digest;
use margo_deployment::Package;
use margo_oci::{Artifact, Credentials, FetchErrorKind, Options, Registry};
use serde_json::json;

use crate::fake::{Content, fetcher};
use crate::services::services;

/// An OCI image layout with one component in it, tagged `1.0.9`.
fn layout(folder: &Path, content: &Content) {
    let blobs = folder.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    for bytes in [&content.manifest[..], &content.layer, b"{}"] {
        std::fs::write(blobs.join(Digest::of(bytes).hex()), bytes).unwrap();
    }
    let index = json!({"schemaVersion": 2, "manifests": [{
        "mediaType": MANIFEST_MEDIA_TYPE,
        "digest": Digest::of(&content.manifest),
        "size": content.manifest.len(),
        "annotations": {"org.opencontainers.image.ref.name": "1.0.9"},
    }]});
    std::fs::write(folder.join("index.json"), index.to_string()).unwrap();
    std::fs::write(folder.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

fn push(content: &Content, to: &str, credentials: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    layout(folder.path(), content);
    let mut skopeo = Command::new("skopeo");
    skopeo.args(["copy", "--quiet", "--preserve-digests", "--dest-tls-verify=false"]);
    if let Some(credentials) = credentials {
        skopeo.args(["--dest-creds", credentials]);
    }
    skopeo.arg(format!("oci:{}:1.0.9", folder.path().display())).arg(format!("docker://{to}:1.0.9"));
    let output = skopeo.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// R-D-034, R-D-035: what others pushed is what arrives.
#[tokio::test]
async fn what_skopeo_pushed_is_fetched_from_the_registry_of_debian() {
    let Some(engine) = services() else { return };
    let host = &engine["MARGO_REGISTRY"];
    let content = Content::large();
    push(&content, &format!("{host}/oci-test/collector"), None);
    let (cache, fetcher) =
        fetcher(Options::new().with_registry(host, Registry::new().with_plain_http()).with_attempts(1));
    let package = |name: &str, tag: &str| Package::oci(format!("oci://{host}/{name}"), tag.parse().unwrap());
    let collector = package("oci-test/collector", "1.0.9");
    // Half of it is there already.
    let half = &content.layer[..content.layer.len() / 2];
    std::fs::write(cache.path().join("partial").join(content.digest().hex()), half).unwrap();
    let fetched = fetcher.fetch(&collector, &Artifact::Compose).await.unwrap();
    assert_eq!(std::fs::read(fetched.file()).unwrap(), content.layer);
    let kind = async |package: Package, artifact: &Artifact| {
        fetcher.fetch(&package, artifact).await.unwrap_err().kind()
    };
    assert_eq!(kind(collector, &Artifact::Chart).await, FetchErrorKind::WrongType);
    assert_eq!(
        kind(package("oci-test/collector", "2.0.0"), &Artifact::Compose).await,
        FetchErrorKind::NotFound
    );
    assert_eq!(
        kind(package("oci-test/nothing", "1.0.9"), &Artifact::Compose).await,
        FetchErrorKind::NotFound
    );
    // An image is no component.
    assert_eq!(kind(package("box", "1"), &Artifact::Compose).await, FetchErrorKind::WrongType);
}

#[tokio::test]
async fn a_password_opens_the_registry_of_debian() {
    let Some(engine) = services() else { return };
    let host = &engine["MARGO_REGISTRY_AUTH"];
    push(&Content::compose(), &format!("{host}/oci-test/collector"), Some("margo:secret"));
    let package = Package::oci(format!("oci://{host}/oci-test/collector"), "1.0.9".parse().unwrap());
    let with = |password: &str| {
        let registry =
            Registry::new().with_plain_http().with_credentials(Credentials::basic("margo", password));
        fetcher(Options::new().with_registry(host, registry).with_attempts(1))
    };
    let (_cache, good) = with("secret");
    good.fetch(&package, &Artifact::Compose).await.unwrap();
    good.check_registry(host).await.unwrap();
    let (_cache, bad) = with("guess");
    assert_eq!(bad.check_registry(host).await.unwrap_err().kind(), FetchErrorKind::Unauthorized);
    let error = bad.fetch(&package, &Artifact::Compose).await.unwrap_err();
    assert_eq!(error.kind(), FetchErrorKind::Unauthorized);
}

/// What the engine's own command line pushed.
#[tokio::test]
async fn the_size_of_an_image_of_docker_is_known() {
    let Some(engine) = services() else { return };
    let host = &engine["MARGO_REGISTRY"];
    let (_cache, fetcher) = fetcher(Options::new().with_registry(host, Registry::new().with_plain_http()));
    let size = fetcher.image_size(&format!("{host}/box:1"), "linux/amd64").await.unwrap().unwrap();
    // A static program of one or two megabytes.
    assert!((100 << 10..20 << 20).contains(&size), "{size}");
}
