use std::fmt;

use margo_core::Digest;
use url::Url;

use crate::{FetchError, FetchErrorKind};

/// The longest name of a repository, with its registry, that registries take.
const LONGEST: usize = 255;

/// Where images are that name no registry.
pub(crate) const DOCKER_HUB: &str = "docker.io";

/// Where a package is in a registry: `oci://registry.example:5000/pumps/collector` and a tag or a digest.
///
/// ```
/// use margo_oci::Reference;
///
/// let reference = Reference::new("oci://registry.example:5000/pumps/collector", "1.0.9")?;
/// assert_eq!(reference.host(), "registry.example:5000");
/// assert_eq!(reference.to_string(), "registry.example:5000/pumps/collector:1.0.9");
/// assert!(Reference::new("oci://registry.example/pumps/../admin", "1.0.9").is_err());
/// # Ok::<(), margo_oci::FetchError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reference {
    host: String,
    name: String,
    version: Version,
}

/// Which one of a repository.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Version {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// Reads a component's `repository` and `revision`. The revision is a tag or, for whoever wants to be sure of the
    /// bytes, `sha256:` and the digest of the manifest.
    ///
    /// # Errors
    ///
    /// [`FetchErrorKind::InvalidReference`] for anything that is not `oci://`, a host, and the name of a repository, or
    /// for a revision that is no tag.
    pub fn new(repository: &str, revision: &str) -> Result<Self, FetchError> {
        let wrong = |problem: &str| {
            let shown: String = repository.chars().take(LONGEST).collect();
            FetchError::new(FetchErrorKind::InvalidReference, format!("`{shown}`: {problem}"))
        };
        let rest = repository.strip_prefix("oci://").ok_or_else(|| wrong("expected `oci://`"))?;
        let (host, name) = rest.split_once('/').ok_or_else(|| wrong("expected a host and a repository"))?;
        if rest.len() > LONGEST {
            return Err(wrong("longer than 255 characters"));
        }
        if !is_host(host) {
            return Err(wrong("the host is not one"));
        }
        if !name.split('/').all(is_path_component) {
            return Err(wrong("a repository is lower-case letters, digits and separators between `/`"));
        }
        let version = match revision.parse::<Digest>() {
            Ok(digest) => Version::Digest(digest),
            Err(_) if is_tag(revision) => Version::Tag(revision.to_owned()),
            Err(_) => {
                let shown: String = revision.chars().take(LONGEST).collect();
                return Err(wrong(&format!("the revision `{shown}` is no tag of a registry")));
            }
        };
        Ok(Self { host: host.to_ascii_lowercase(), name: name.to_owned(), version })
    }

    /// Reads the name of an image as engines do: without a host it is Docker Hub's, without a tag `latest`.
    ///
    /// ```
    /// # use margo_oci::Reference;
    /// let image = |name: &str| Reference::of_image(name).map(|reference| reference.to_string());
    /// assert_eq!(image("nginx")?, "docker.io/library/nginx:latest");
    /// assert_eq!(image("r.example:5000/pumps/web:1")?, "r.example:5000/pumps/web:1");
    /// # Ok::<(), margo_oci::FetchError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`FetchErrorKind::InvalidReference`] for what is no name of an image.
    pub fn of_image(image: &str) -> Result<Self, FetchError> {
        let (rest, digest) =
            image.split_once('@').map_or((image, None), |(name, digest)| (name, Some(digest)));
        // A colon before a slash belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (rest, "latest"),
        };
        let is_host = |first: &str| first.contains(['.', ':']) || first == "localhost";
        let repository = match name.split_once('/') {
            Some((first, _)) if is_host(first) => format!("oci://{name}"),
            Some(_) => format!("oci://{DOCKER_HUB}/{name}"),
            None => format!("oci://{DOCKER_HUB}/library/{name}"),
        };
        Self::new(&repository, digest.unwrap_or(tag))
    }

    /// The registry, with its port unless it is the usual one.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The repository.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn version(&self) -> &Version {
        &self.version
    }

    /// Tag or digest, as a registry is asked for it.
    pub(crate) fn wanted(&self) -> String {
        match &self.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => digest.to_string(),
        }
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.host, self.name)?;
        match &self.version {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// `name`, `name:port` or `[address]:port`, and nothing that a URL would read as something else.
fn is_host(host: &str) -> bool {
    let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    !host.is_empty()
        && host.bytes().all(is_allowed)
        && Url::parse(&format!("https://{host}/")).is_ok_and(|url| url.path() == "/")
}

fn is_path_component(text: &str) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = text.as_bytes();
    bytes.first().is_some_and(is_plain)
        && bytes.last().is_some_and(is_plain)
        && bytes.iter().all(|byte| is_plain(byte) || b"._-".contains(byte))
        && !text.contains("..")
}

fn is_tag(text: &str) -> bool {
    let is_word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|byte| is_word(byte) || b".-".contains(&byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn images_are_named_as_engines_read_them() {
        let digest = Digest::of(b"image");
        for (image, reference) in [
            ("nginx:1.27", "docker.io/library/nginx:1.27".to_owned()),
            ("grafana/loki", "docker.io/grafana/loki:latest".to_owned()),
            ("localhost/a", "localhost/a:latest".to_owned()),
            ("10.0.0.7:5000/a/b:1", "10.0.0.7:5000/a/b:1".to_owned()),
            (&format!("r.example/a:1@{digest}"), format!("r.example/a@{digest}")),
        ] {
            assert_eq!(Reference::of_image(image).unwrap().to_string(), reference);
        }
        for image in ["", ":1", "a b", "r.example/", "r.example/A", "a@sha256:0", "a/../b"] {
            assert!(Reference::of_image(image).is_err(), "{image}");
        }
    }

    #[test]
    fn what_is_no_repository_is_refused() {
        for repository in [
            "",
            "https://r.example/a",
            "oci://",
            "oci://r.example",
            "oci://r.example/",
            "oci:///a",
            "oci://user:pass@r.example/a",
            "oci://r.example/a/",
            "oci://r.example//a",
            "oci://r.example/../a",
            "oci://r.example/a..b",
            "oci://r.example/A",
            "oci://r.example/a:tag",
            "oci://r.example/a?b",
            "oci://r.example/a#b",
            "oci://r.example/a%2e",
            "oci://r.example\\@evil/a",
            "oci://r example/a",
            "oci://r.example:99999/a",
            "oci://[::1/a",
        ] {
            let error = Reference::new(repository, "1").unwrap_err();
            assert_eq!(error.kind(), FetchErrorKind::InvalidReference, "{repository}");
        }
        assert!(Reference::new(&format!("oci://r.example/{}", "a".repeat(300)), "1").is_err());
        for revision in ["", ".1", "-1", "1/2", "1+2", "a b", "ä", "sha256:1", &"1".repeat(129)] {
            assert!(Reference::new("oci://r.example/a", revision).is_err(), "{revision}");
        }
    }

    /// X-D-24: a tag is taken as it is written, `v` and all, and nothing is added to a version.
    #[test]
    fn a_tag_is_taken_as_written() {
        for tag in ["v1.0.0", "1.0.0", "latest", "V1"] {
            let reference = Reference::new("oci://r.example/a", tag).unwrap();
            assert_eq!(reference.version, Version::Tag(tag.to_owned()));
        }
    }

    #[test]
    fn what_is_one_is_read() {
        let read =
            |repository: &str, revision: &str| Reference::new(repository, revision).unwrap().to_string();
        assert_eq!(read("oci://R.Example/a/b-c_d.e", "1.0.0_7"), "r.example/a/b-c_d.e:1.0.0_7");
        assert_eq!(read("oci://[::1]:5000/a", "v1"), "[::1]:5000/a:v1");
        let digest = Digest::of(b"x").to_string();
        assert_eq!(read("oci://localhost:5000/a", &digest), format!("localhost:5000/a@{digest}"));
    }

    proptest! {
        /// Whatever is accepted leads to the registry it names, and below its `/v2/`.
        #[test]
        fn a_reference_stays_where_it_says(text in "[a-zA-Z0-9./:@?#%\\[\\]_ -]{0,24}") {
            if let Ok(reference) = Reference::new(&format!("oci://{text}"), "1") {
                let url = Url::parse(&format!("https://{}/v2/{}/x", reference.host(), reference.name())).unwrap();
                let path = format!("/v2/{}/x", reference.name());
                prop_assert_eq!(url.path(), path.as_str());
                prop_assert_eq!(url.username(), "");
                prop_assert!(url.query().is_none() && url.fragment().is_none());
            }
        }
    }
}
