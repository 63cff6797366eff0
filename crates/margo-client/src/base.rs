use std::path::PathBuf;

use http::Uri;
use margo_api::{BoxError, OtherPort};
use url::{Host, Url};

/// A client cannot be set up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SetupError {
    /// The address is not one of a manager.
    #[error("not the address of a manager: {reason}")]
    BaseUrl {
        /// Why not.
        reason: &'static str,
    },
    /// A certificate cannot be used.
    #[error("certificate cannot be used: {reason}")]
    Certificate {
        /// Why not.
        reason: String,
    },
    /// The device's own identity does not fit.
    #[error("the identity cannot be used: {reason}")]
    Identity {
        /// Why not.
        reason: String,
    },
    /// A file with a trust bundle cannot be used.
    #[error("the trust bundle in `{path}` cannot be used", path = .path.display())]
    Bundle {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: BoxError,
    },
    /// The system offers no way to make connections.
    #[error("connections cannot be made")]
    Http(#[source] BoxError),
}

/// Where a manager is: everything before the routes of the specification. Its path ends in a slash.
#[derive(Clone, Debug)]
pub(crate) struct Base(Url);

impl Base {
    pub(crate) fn new(url: Url) -> Result<Self, SetupError> {
        let mut url = Self::check(url)?;
        if !url.path().ends_with('/') {
            let path = format!("{}/", url.path());
            url.set_path(&path);
        }
        Ok(Self(url))
    }

    /// An address and nothing else.
    pub(crate) fn check(url: Url) -> Result<Url, SetupError> {
        let refused = |reason| Err(SetupError::BaseUrl { reason });
        if !matches!(url.scheme(), "http" | "https") {
            return refused("its scheme is neither `http` nor `https`");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return refused("credentials do not belong into an address");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return refused("it has a query or a fragment");
        }
        Ok(url)
    }

    /// Whether what is sent there can be read on the way.
    pub(crate) fn is_exposed(&self) -> bool {
        is_exposed(&self.0)
    }

    pub(crate) fn is_tls(&self) -> bool {
        self.0.scheme() == "https"
    }

    /// A route of the specification, below the base.
    pub(crate) fn route(&self, path: &Uri) -> Result<Uri, ForeignUrl> {
        let url = format!("{}{path}", self.0.as_str().trim_end_matches('/'));
        url.parse().map_err(|_| ForeignUrl::new(&url))
    }

    /// What a manifest refers to, as RFC 3986 resolves it. Never leads to another origin.
    pub(crate) fn resolve(&self, reference: &str) -> Result<Uri, ForeignUrl> {
        let foreign = || ForeignUrl::new(reference);
        let mut url = self.0.join(reference).map_err(|_| foreign())?;
        url.set_fragment(None);
        let is_ours =
            url.origin() == self.0.origin() && url.username().is_empty() && url.password().is_none();
        if is_ours { url.as_str().parse().map_err(|_| foreign()) } else { Err(foreign()) }
    }
}

/// Whether what is sent to `url` can be read on the way: it is an `http` address of another host.
#[must_use]
pub fn is_exposed(url: &Url) -> bool {
    let stays_here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.to_canonical().is_loopback(),
        None => false,
    };
    url.scheme() == "http" && !stays_here
}

/// Whether `url` leads to the port that the specification has (R-B-004, R-D-001): the one of `https`, unless it says
/// otherwise.
///
/// # Errors
///
/// [`OtherPort`] when it leads to another one. Calls are made all the same: address translation or a test may need it,
/// and a program says so when it starts.
pub fn check_port(url: &Url) -> Result<(), OtherPort> {
    // Whatever has no port is no address of a manager, which is said elsewhere.
    url.port_or_known_default().map_or(Ok(()), margo_api::check_port)
}

/// A manifest refers to somewhere that is not its manager.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{url:?} is not a place of this manager")]
pub(crate) struct ForeignUrl {
    url: String,
}

impl ForeignUrl {
    fn new(url: &str) -> Self {
        Self { url: url.chars().take(200).collect() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn base(url: &str) -> Base {
        Base::new(url.parse().unwrap()).unwrap()
    }

    #[test]
    fn routes_stand_below_the_prefix() {
        let route = Uri::from_static("/api/v1/deployments");
        for (url, expected) in [
            ("http://wfm.example", "http://wfm.example/api/v1/deployments"),
            ("http://wfm.example:8080/", "http://wfm.example:8080/api/v1/deployments"),
            ("https://plant.example/margo", "https://plant.example/margo/api/v1/deployments"),
            ("https://plant.example/margo/", "https://plant.example/margo/api/v1/deployments"),
            ("http://[::1]:8080/a/b", "http://[::1]:8080/a/b/api/v1/deployments"),
        ] {
            assert_eq!(base(url).route(&route).unwrap(), expected);
        }
    }

    #[test]
    fn only_an_address_is_an_address() {
        for url in [
            "ftp://wfm.example",
            "file:///etc",
            "mailto:a@b.example",
            "http://user@wfm.example",
            "http://:secret@wfm.example",
            "http://wfm.example/?a",
            "http://wfm.example/#a",
        ] {
            let error = Base::new(url.parse().unwrap()).unwrap_err();
            assert!(matches!(error, SetupError::BaseUrl { .. }), "{url}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn what_leaves_the_machine_in_the_clear_is_known() {
        for url in ["http://wfm.example", "http://10.0.0.1", "http://[2001:db8::1]"] {
            assert!(base(url).is_exposed(), "{url}");
        }
        for url in ["https://wfm.example", "http://127.0.0.1:80", "http://localhost", "http://[::1]:8080"] {
            assert!(!base(url).is_exposed(), "{url}");
        }
    }

    /// R-B-004, R-D-001.
    #[test]
    fn another_port_is_found() {
        let check = |url: &str| check_port(&url.parse().unwrap()).map_err(|other| other.port);
        for url in ["https://wfm.example", "https://wfm.example:443/margo", "https://[2001:db8::1]/"] {
            assert_eq!(check(url), Ok(()), "{url}");
        }
        for (url, port) in
            [("https://wfm.example:8443", 8443), ("http://127.0.0.1:8080", 8080), ("http://wfm.example", 80)]
        {
            assert_eq!(check(url), Err(port), "{url}");
        }
    }

    #[test]
    fn references_stay_with_their_manager() {
        let base = base("https://wfm.example/margo");
        let resolve = |reference: &str| base.resolve(reference).map(|uri| uri.to_string()).ok();
        let at = |path: &str| Some(format!("https://wfm.example{path}"));
        assert_eq!(resolve("/other/b/sha256:00"), at("/other/b/sha256:00"));
        assert_eq!(resolve("b/sha256:00"), at("/margo/b/sha256:00"));
        assert_eq!(resolve("https://wfm.example:443/b?c#d"), at("/b?c"));
        for foreign in [
            "https://evil.example/b",
            "//evil.example/b",
            "\\\\evil.example/b",
            "http://wfm.example/b",
            "https://wfm.example:444/b",
            "https://user@wfm.example/b",
            "file:///etc/passwd",
            "data:,x",
            "https://",
        ] {
            assert_eq!(resolve(foreign), None, "{foreign}");
        }
    }

    proptest! {
        #[test]
        fn no_reference_leads_away(reference in prop_oneof![
            "\\PC{0,40}",
            "(https?|ftp)?:?[/\\\\@:.a-z0-9%?#\\t-]{0,30}",
        ]) {
            if let Ok(uri) = base("https://wfm.example/margo").resolve(&reference) {
                prop_assert_eq!(uri.scheme_str(), Some("https"));
                prop_assert_eq!(uri.authority().map(http::uri::Authority::as_str), Some("wfm.example"));
            }
        }
    }
}
