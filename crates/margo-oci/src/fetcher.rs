use std::io::{self, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH};
use http::{HeaderName, StatusCode};
use margo_application::package::{COMPOSE_FILE, Descriptor};
use margo_core::Digest;
use margo_deployment::Package;
use reqwest::Response;
use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncSeekExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use url::Url;

use crate::cache::{Cache, Lease, Record};
use crate::image;
use crate::reference::{DOCKER_HUB, Version};
use crate::signature::Gpgv;
use crate::unpack::unpack;
use crate::web::{Get, Web, lost, read, shown};
use crate::{
    Artifact, FetchError, FetchErrorKind, Limits, Options, Reference, SetupError, Signatures, Unpacked,
};

/// With those that are refused, or registries would turn them into something older still.
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// What Compose looks for, in its order; the first is what the pre-draft asks for (R-A-032), the second what a sentence
/// of 1.0.0-rc.2 names twice (X-C-19).
const COMPOSE_FILES: &[&str] = &["docker-compose.yml", "compose.yaml", "compose.yml", "docker-compose.yaml"];

/// As many bytes before a download breaks off are worth another attempt.
const PROGRESS: u64 = 64 << 10;

/// Gets packages, and keeps them. Clones share everything.
///
/// Dropping a future gives up; what has arrived by then is not fetched again.
#[derive(Clone, Debug)]
pub struct Fetcher {
    web: Web,
    cache: Cache,
    limits: Limits,
    signatures: Signatures,
    gpgv: Gpgv,
    turns: Arc<Semaphore>,
}

/// A package on this device. It stays in the cache while this value lives, and maybe longer.
#[derive(Clone, Debug)]
pub struct Fetched {
    digest: Digest,
    file: PathBuf,
    limits: Limits,
    compose_files: &'static [&'static str],
    _lease: Lease,
}

impl Fetcher {
    /// A fetcher with its cache in the folder `cache`, which no other process uses.
    ///
    /// # Errors
    ///
    /// A folder that cannot be made; a system without a way to make connections.
    pub fn new(cache: impl Into<PathBuf>, options: Options) -> Result<Self, SetupError> {
        let cache = cache.into();
        let web = Web::new(&options)?;
        let Options { limits, signatures, gpgv, .. } = options;
        // The files are handed to programs that run elsewhere.
        let cache = std::path::absolute(&cache)
            .and_then(|folder| Cache::open(&folder, limits.max_cache))
            .map_err(|cause| SetupError::Cache { folder: cache.display().to_string(), cause })?;
        let turns = Arc::new(Semaphore::new(limits.max_parallel.clamp(1, Semaphore::MAX_PERMITS)));
        Ok(Self { web, cache, limits, signatures, gpgv: Gpgv::new(gpgv), turns })
    }

    /// Gets the package of a component.
    ///
    /// What a tag means is asked of the registry each time. Where the registry cannot be reached, and the package is
    /// here, it is what the tag meant last: a device that lost its network can still repair what it runs (R-A-006).
    ///
    /// # Errors
    ///
    /// See [`FetchErrorKind`]. What has failed is not in the cache, and does not stand in the way of the next attempt.
    pub async fn fetch(&self, package: &Package, artifact: &Artifact) -> Result<Fetched, FetchError> {
        // Fails only for a semaphore that was closed, and this one never is.
        let _turn = self.turns.acquire().await;
        match package {
            Package::Oci { repository, revision } => {
                let reference = Reference::new(repository, revision.as_str())?;
                self.registry_package(&reference, artifact).await
            }
            Package::Archive { package_location, key_location } if *artifact == Artifact::Compose => {
                self.archive_package(package_location, key_location.as_deref()).await
            }
            _ => Err(FetchError::new(
                FetchErrorKind::InvalidReference,
                "only Compose archives come from elsewhere than a registry",
            )),
        }
    }

    /// Asks the registry at `host` whether it is there, and whether it takes the credentials it was given.
    ///
    /// # Errors
    ///
    /// [`FetchErrorKind::Unreachable`] and [`FetchErrorKind::Unauthorized`] say which of the two is not so.
    pub async fn check_registry(&self, host: &str) -> Result<(), FetchError> {
        let url = parse_url(&format!("{}://{host}/v2/", self.web.scheme(host)))?;
        let get = Get { host, url, accept: "*/*", repository: None, from: 0, condition: None };
        let mut patience = self.web.patience();
        loop {
            match self.web.get(&get).await {
                Err(error) => patience.again(error).await?,
                Ok(_) => return Ok(()),
            }
        }
    }

    /// The bytes of an image as it travels, for a platform such as `linux/arm64`, of which nothing is pulled. `None`
    /// where its registry has it for other platforms only, or tells it in a way that is not understood.
    ///
    /// # Errors
    ///
    /// Those of asking a registry, which is asked once.
    pub async fn image_size(&self, image: &str, platform: &str) -> Result<Option<u64>, FetchError> {
        let reference = Reference::of_image(image)?;
        let (media_type, body) = self.image_manifest(&reference, &reference.wanted()).await?;
        if !image::is_index(&media_type) {
            return Ok(image::size(&body));
        }
        let Some(digest) = image::of_platform(&body, platform) else { return Ok(None) };
        let (media_type, body) = self.image_manifest(&reference, &digest.to_string()).await?;
        Ok(image::size(&body).filter(|_| !image::is_index(&media_type)))
    }

    async fn image_manifest(
        &self,
        reference: &Reference,
        wanted: &str,
    ) -> Result<(String, Vec<u8>), FetchError> {
        let mut get = self.get_of(reference, &format!("manifests/{wanted}"))?;
        if reference.host() == DOCKER_HUB {
            // Where it really is; its settings are those of either name.
            let host =
                ["registry-1.docker.io", "index.docker.io"].into_iter().find(|host| self.web.knows(host));
            get.host = host.unwrap_or(DOCKER_HUB);
            get.url = parse_url(&format!(
                "https://registry-1.docker.io/v2/{}/manifests/{wanted}",
                reference.name()
            ))?;
        }
        let get = Get { accept: MANIFESTS, ..get };
        let response = self.web.get(&get).await?;
        let media_type = media_type(&response);
        let body = read(response, self.limits.max_manifest, &get.url).await?;
        Ok((media_type, body))
    }

    async fn registry_package(
        &self,
        reference: &Reference,
        artifact: &Artifact,
    ) -> Result<Fetched, FetchError> {
        let key = format!("{reference} {}", artifact.layer_media_type());
        let layer = match self.layer(reference, artifact).await {
            Ok(layer) => layer,
            Err(error) if error.is_transient() => {
                let Some(record) = self.cache.recall(&key) else { return Err(error) };
                let Some(lease) = self.find(record.digest, record.size).await? else { return Err(error) };
                tracing::warn!(%reference, error = &error as &dyn std::error::Error, "taken from the cache");
                return Ok(self.fetched(record.digest, lease, &[COMPOSE_FILE]));
            }
            Err(error) => return Err(error),
        };
        if layer.size > self.limits.max_package {
            let message = format!(
                "`{reference}` has {} bytes, and {} are taken at most",
                layer.size, self.limits.max_package
            );
            return Err(FetchError::new(FetchErrorKind::TooLarge, message));
        }
        let lock = self.cache.lock(&layer.digest.hex());
        let _alone = lock.lock().await;
        let lease = match self.find(layer.digest, layer.size).await? {
            Some(lease) => lease,
            None => self.blob(reference, &layer).await?,
        };
        self.remember(key, Record { digest: layer.digest, size: layer.size, etag: None }).await?;
        Ok(self.fetched(layer.digest, lease, &[COMPOSE_FILE]))
    }

    /// Asks the registry what a reference means.
    async fn layer(&self, reference: &Reference, artifact: &Artifact) -> Result<Descriptor, FetchError> {
        let mut patience = self.web.patience();
        loop {
            match self.layer_once(reference, artifact).await {
                Err(error) => patience.again(error).await?,
                layer => return layer,
            }
        }
    }

    async fn layer_once(&self, reference: &Reference, artifact: &Artifact) -> Result<Descriptor, FetchError> {
        let get = self.get_of(reference, &format!("manifests/{}", reference.wanted()))?;
        let get = Get { accept: MANIFESTS, ..get };
        let response = self.web.get(&get).await?;
        let media_type = media_type(&response);
        let announced = response.headers().get("docker-content-digest");
        let announced = announced.and_then(|digest| digest.to_str().ok()?.parse::<Digest>().ok());
        let body = read(response, self.limits.max_manifest, &get.url).await?;
        let found = Digest::of(&body);
        let by_digest = match reference.version() {
            Version::Digest(digest) => Some(*digest),
            Version::Tag(_) => None,
        };
        // R-D-035.
        if let Some(other) = by_digest.into_iter().chain(announced).find(|expected| *expected != found) {
            let message = format!("the manifest of `{reference}` is not that of {other}");
            return Err(FetchError::new(FetchErrorKind::Corrupt, message));
        }
        artifact.layer(reference, &media_type, &body)
    }

    /// Gets a layer that is not in the cache, from where the last attempt ended.
    async fn blob(&self, reference: &Reference, layer: &Descriptor) -> Result<Lease, FetchError> {
        let name = layer.digest.hex();
        self.make_room(layer.size, &name).await?;
        let get = self.get_of(reference, &format!("blobs/{}", layer.digest))?;
        let partial = self.cache.partial(&name);
        let mut download = Download::resume(partial, layer.size).await?;
        let was_resumed = download.length > 0;
        let result = self.complete(&get, &mut download, layer).await;
        let result = match result {
            // What was left of an earlier attempt may have been the wrong part.
            Err(error) if error.kind() == FetchErrorKind::Corrupt && was_resumed => {
                self.complete(&get, &mut download, layer).await
            }
            result => result,
        };
        result?;
        self.keep(download, layer.digest).await
    }

    /// All bytes of a layer, and only those (R-D-035).
    async fn complete(
        &self,
        get: &Get<'_>,
        download: &mut Download,
        layer: &Descriptor,
    ) -> Result<(), FetchError> {
        let corrupt = |problem: &str| {
            let message = format!("{} {problem}", shown(&get.url));
            FetchError::new(FetchErrorKind::Corrupt, message)
        };
        let mut patience = self.web.patience();
        while download.length < layer.size {
            let before = download.length;
            match self.part(get, download, layer.size).await {
                Ok(()) if download.length < layer.size => {
                    return Err(corrupt("is shorter than its manifest says"));
                }
                Ok(()) => {}
                Err(error) => {
                    // Whoever gets on is not out of patience.
                    if download.length >= before + PROGRESS {
                        patience = self.web.patience();
                    }
                    patience.again(error).await?;
                }
            }
        }
        if download.digest() != layer.digest {
            download.restart().await?;
            return Err(corrupt("is not of its digest"));
        }
        Ok(())
    }

    /// As much as comes in one answer.
    async fn part(&self, get: &Get<'_>, download: &mut Download, size: u64) -> Result<(), FetchError> {
        let get = Get { from: download.length, ..get.clone() };
        let response = self.web.get(&get).await?;
        download.take(response, size, &get.url).await
    }

    fn get_of<'a>(&self, reference: &'a Reference, path: &str) -> Result<Get<'a>, FetchError> {
        let host = reference.host();
        let text = format!("{}://{host}/v2/{}/{path}", self.web.scheme(host), reference.name());
        let url = Url::parse(&text).map_err(|cause| {
            let message = format!("`{reference}` leads to no URL");
            FetchError::new(FetchErrorKind::InvalidReference, message).because(cause)
        })?;
        let repository = Some(reference.name());
        Ok(Get { host, url, accept: "*/*", repository, from: 0, condition: None })
    }

    /// An archive of the older revisions, whose digest nobody announces (R-A-032).
    async fn archive_package(&self, location: &str, key: Option<&str>) -> Result<Fetched, FetchError> {
        let url = parse_url(location)?;
        let host = authority(&url);
        let name = format!("url-{}", Digest::of(location.as_bytes()).hex());
        let lock = self.cache.lock(&name);
        let _alone = lock.lock().await;
        let record = self.cache.recall(location);
        let kept = match &record {
            Some(record) => self.find(record.digest, record.size).await?.map(|lease| (record, lease)),
            None => None,
        };
        let etag = kept.as_ref().and_then(|(record, _)| record.etag.as_deref());
        let condition: Option<(HeaderName, HeaderValue)> =
            etag.and_then(|etag| Some((IF_NONE_MATCH, HeaderValue::from_str(etag).ok()?)));
        let get = Get { host: &host, url, accept: "*/*", repository: None, from: 0, condition };
        let fetched = match (self.archive(&get, &name, location).await, kept) {
            (Ok(Some((digest, lease))), _) => self.fetched(digest, lease, COMPOSE_FILES),
            (Ok(None), Some((record, lease))) => self.fetched(record.digest, lease, COMPOSE_FILES),
            (Err(error), Some((record, lease))) if error.is_transient() => {
                tracing::warn!(location, error = &error as &dyn std::error::Error, "taken from the cache");
                self.fetched(record.digest, lease, COMPOSE_FILES)
            }
            (Err(error), _) => return Err(error),
            (Ok(None), None) => {
                let message = format!("{} answers that nothing has changed, unasked", shown(&get.url));
                return Err(FetchError::new(FetchErrorKind::Corrupt, message));
            }
        };
        match (self.signatures, key) {
            (Signatures::Ignored, _) | (Signatures::WhereGiven, None) => {}
            (Signatures::Required, None) => {
                let message = format!("{} has no key to be checked with", shown(&get.url));
                return Err(FetchError::new(FetchErrorKind::BadSignature, message));
            }
            (_, Some(key)) => self.check_signature(&get, key, &fetched).await?,
        }
        Ok(fetched)
    }

    /// `None` when it has not changed.
    async fn archive(
        &self,
        get: &Get<'_>,
        name: &str,
        location: &str,
    ) -> Result<Option<(Digest, Lease)>, FetchError> {
        let mut patience = self.web.patience();
        let downloaded = loop {
            match self.archive_once(get, name).await {
                Err(error) => patience.again(error).await?,
                Ok(downloaded) => break downloaded,
            }
        };
        let Some((download, etag)) = downloaded else { return Ok(None) };
        let (digest, size) = (download.digest(), download.length);
        let lease = self.keep(download, digest).await?;
        self.remember(location.to_owned(), Record { digest, size, etag }).await?;
        Ok(Some((digest, lease)))
    }

    async fn archive_once(
        &self,
        get: &Get<'_>,
        name: &str,
    ) -> Result<Option<(Download, Option<String>)>, FetchError> {
        let limit = self.limits.max_package;
        let too_large = || {
            let message = format!("{} is larger than {limit} bytes", shown(&get.url));
            FetchError::new(FetchErrorKind::TooLarge, message)
        };
        let response = self.web.get(get).await?;
        if response.status() == StatusCode::NOT_MODIFIED {
            return Ok(None);
        }
        let announced = response.content_length();
        if announced.is_some_and(|length| length > limit) {
            return Err(too_large());
        }
        let etag = response.headers().get(ETAG).and_then(|value| value.to_str().ok()).map(str::to_owned);
        self.make_room(announced.unwrap_or(limit), name).await?;
        let mut download = Download::resume(self.cache.partial(name), 0).await?;
        match download.take(response, limit, &get.url).await {
            Err(error) if error.kind() == FetchErrorKind::Corrupt => {
                download.restart().await?;
                Err(too_large())
            }
            result => result.map(|()| Some((download, etag))),
        }
    }

    /// The key is where the deployment says, and the signature beside the archive: with `.asc`, or else with `.sig`.
    async fn check_signature(&self, get: &Get<'_>, key: &str, fetched: &Fetched) -> Result<(), FetchError> {
        let key = self.small(&parse_url(key)?).await?;
        let beside = |suffix: &str| {
            let mut url = get.url.clone();
            url.set_path(&format!("{}{suffix}", url.path()));
            url
        };
        let signature = match self.small(&beside(".asc")).await {
            Err(error) if error.kind() == FetchErrorKind::NotFound => self.small(&beside(".sig")).await,
            result => result,
        };
        let signature = signature.map_err(|error| match error.kind() {
            FetchErrorKind::NotFound => FetchError::new(
                FetchErrorKind::BadSignature,
                format!("{} has no signature beside it, in `.asc` or `.sig`", shown(&get.url)),
            ),
            _ => error,
        })?;
        self.gpgv.check(&key, &signature, fetched.file()).await
    }

    /// A key or a signature.
    async fn small(&self, url: &Url) -> Result<Vec<u8>, FetchError> {
        let host = authority(url);
        let get =
            Get { host: &host, url: url.clone(), accept: "*/*", repository: None, from: 0, condition: None };
        let mut patience = self.web.patience();
        loop {
            let read = match self.web.get(&get).await {
                Ok(response) => read(response, self.limits.max_manifest, &get.url).await,
                Err(error) => Err(error),
            };
            match read {
                Err(error) => patience.again(error).await?,
                text => return text,
            }
        }
    }

    fn fetched(&self, digest: Digest, lease: Lease, compose_files: &'static [&'static str]) -> Fetched {
        Fetched { digest, file: self.cache.blob(digest), limits: self.limits, compose_files, _lease: lease }
    }

    async fn find(&self, digest: Digest, size: u64) -> Result<Option<Lease>, FetchError> {
        self.cached("read", move |cache| cache.find(digest, size)).await
    }

    async fn make_room(&self, size: u64, partial: &str) -> Result<(), FetchError> {
        let partial = partial.to_owned();
        self.cached("given room", move |cache| cache.make_room(size, &partial)).await
    }

    async fn remember(&self, key: String, record: Record) -> Result<(), FetchError> {
        self.cached("written", move |cache| cache.remember(&key, &record)).await
    }

    async fn keep(&self, download: Download, digest: Digest) -> Result<Lease, FetchError> {
        self.cached("written", move |cache| cache.keep(&download.path, digest)).await
    }

    async fn cached<T: Send + 'static>(
        &self,
        what: &'static str,
        work: impl FnOnce(&Cache) -> io::Result<T> + Send + 'static,
    ) -> Result<T, FetchError> {
        let cache = self.cache.clone();
        blocking(move || work(&cache))
            .await
            .map_err(|cause| FetchError::storage(format_args!("the cache cannot be {what}"), cause))
    }
}

impl Fetched {
    /// The digest of the package's bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// The package as it travels: a gzipped tar archive.
    #[must_use]
    pub fn file(&self) -> &Path {
        &self.file
    }

    /// Unpacks the package into the folder `into`; see [`unpack`].
    ///
    /// # Errors
    ///
    /// Those of [`unpack`].
    pub async fn unpack_into(&self, into: impl Into<PathBuf>) -> Result<Unpacked, FetchError> {
        let (this, into) = (self.clone(), into.into());
        let unpacked = blocking(move || {
            Ok(unpack(&this.file, &into, &this.limits.unpack).and_then(|()| {
                Unpacked::of(&into, this.compose_files)
                    .map_err(|cause| FetchError::storage(format_args!("`{}`", into.display()), cause))
            }))
        });
        unpacked.await.map_err(|cause| FetchError::storage("an archive cannot be unpacked", cause)).flatten()
    }
}

/// Bytes on their way to a file.
#[derive(Debug)]
struct Download {
    path: PathBuf,
    file: File,
    hasher: Sha256,
    length: u64,
}

impl Download {
    /// Goes on where the last attempt ended, if that is within `size` bytes.
    async fn resume(path: PathBuf, size: u64) -> Result<Self, FetchError> {
        let storage =
            |cause| FetchError::storage(format_args!("`{}` cannot be written", path.display()), cause);
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).await;
        let file = file.map_err(storage)?.into_std().await;
        let read_again = blocking(move || {
            let (mut file, mut hasher) = (file, Sha256::new());
            let mut length = file.metadata()?.len();
            if length > size {
                file.set_len(0)?;
                length = 0;
            }
            io::copy(&mut file, &mut hasher)?;
            Ok((file, hasher, length))
        });
        let (file, hasher, length) = read_again.await.map_err(storage)?;
        Ok(Self { path, file: File::from_std(file), hasher, length })
    }

    async fn restart(&mut self) -> Result<(), FetchError> {
        self.hasher = Sha256::new();
        self.length = 0;
        let done = match self.file.set_len(0).await {
            Ok(()) => self.file.seek(SeekFrom::Start(0)).await.map(drop),
            Err(error) => Err(error),
        };
        done.map_err(|cause| FetchError::storage(format_args!("`{}`", self.path.display()), cause))
    }

    /// Writes an answer down, and stops at `limit` bytes in all.
    async fn take(&mut self, mut response: Response, limit: u64, url: &Url) -> Result<(), FetchError> {
        let corrupt =
            |problem: &str| FetchError::new(FetchErrorKind::Corrupt, format!("{} {problem}", shown(url)));
        let other_part = || {
            let message = format!("{} does not give the part that was asked for", shown(url));
            FetchError::new(FetchErrorKind::Unreachable, message)
        };
        if response.status() == StatusCode::RANGE_NOT_SATISFIABLE {
            self.restart().await?;
            return Err(other_part());
        }
        if response.status() == StatusCode::PARTIAL_CONTENT {
            let range = response.headers().get(CONTENT_RANGE).and_then(|value| value.to_str().ok());
            let start =
                range.and_then(|range| range.strip_prefix("bytes ")?.split('-').next()?.parse::<u64>().ok());
            if start != Some(self.length) {
                self.restart().await?;
                return Err(other_part());
            }
        } else if self.length > 0 {
            // Everything comes again.
            self.restart().await?;
        }
        if response.content_length().is_some_and(|length| length > limit - self.length) {
            return Err(corrupt("is longer than announced"));
        }
        let storage = |path: &Path, cause| {
            FetchError::storage(format_args!("`{}` cannot be written", path.display()), cause)
        };
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) => {
                    if chunk.len() as u64 > limit - self.length {
                        return Err(corrupt("is longer than announced"));
                    }
                    self.file.write_all(&chunk).await.map_err(|cause| storage(&self.path, cause))?;
                    self.hasher.update(&chunk);
                    self.length += chunk.len() as u64;
                }
                Ok(None) => break Ok(()),
                Err(error) => break Err(lost(url, error)),
            }
        };
        self.file.flush().await.map_err(|cause| storage(&self.path, cause))?;
        end
    }

    fn digest(&self) -> Digest {
        Digest::from(<[u8; 32]>::from(self.hasher.clone().finalize()))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::from).flatten()
}

fn parse_url(text: &str) -> Result<Url, FetchError> {
    let wrong = |problem: &str| {
        let shown: String = text.chars().take(200).collect();
        FetchError::new(FetchErrorKind::InvalidReference, format!("`{shown}` {problem}"))
    };
    let url = Url::parse(text).map_err(|cause| wrong("is not a URL").because(cause))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is not a place on the web"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        let message = format!("{} has credentials in it; they belong into the settings", shown(&url));
        return Err(FetchError::new(FetchErrorKind::InvalidReference, message));
    }
    Ok(url)
}

/// What an answer says it is, without parameters and in lower case.
fn media_type(response: &Response) -> String {
    let value = response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value.unwrap_or_default().split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Host and port, as in the settings.
fn authority(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}
