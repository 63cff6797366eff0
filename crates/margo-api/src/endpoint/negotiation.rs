use http::{HeaderMap, header};
use margo_core::Digest;

/// The content a client holds already: `If-None-Match` ([RFC 9110, 13.1.2]).
///
/// Every `ETag` of the management interface is a quoted digest (R-B-034, R-B-037); other tags match nothing.
///
/// [RFC 9110, 13.1.2]: https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IfNoneMatch {
    /// `*`: whatever the current content is.
    pub any: bool,
    /// The digests of the content held.
    pub digests: Vec<Digest>,
}

impl IfNoneMatch {
    /// Content with this digest is held.
    #[must_use]
    pub fn one(digest: Option<Digest>) -> Self {
        Self { any: false, digests: digest.into_iter().collect() }
    }

    pub(crate) fn from_headers(headers: &HeaderMap) -> Self {
        let mut held = Self::default();
        for value in headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok()) {
            for tag in value.split(',').map(str::trim) {
                held.any |= tag == "*";
                let opaque = tag.strip_prefix("W/").unwrap_or(tag);
                let text = opaque.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
                held.digests.extend(text.and_then(|text| text.parse::<Digest>().ok()));
            }
        }
        held
    }

    /// Whether content with this digest is held.
    #[must_use]
    pub fn matches(&self, digest: Digest) -> bool {
        self.any || self.digests.contains(&digest)
    }
}

/// Whether a client takes `media_type`: it does unless its `Accept` names only others (R-B-018).
pub(crate) fn accepts(headers: &HeaderMap, media_type: &str) -> bool {
    let mut ranges = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|range| !range.is_empty())
        .peekable();
    if ranges.peek().is_none() {
        return true;
    }
    // The most specific range decides, so that `type;q=0, */*` excludes the type.
    let best = ranges
        .filter_map(|range| {
            let mut parts = range.split(';').map(str::trim);
            let name = parts.next()?.to_ascii_lowercase();
            let specificity = match name.as_str() {
                "*/*" => 0,
                "application/*" => 1,
                name if name == media_type => 2,
                _ => return None,
            };
            let quality = parts
                .filter_map(|parameter| parameter.split_once('='))
                .find(|(name, _)| name.trim().eq_ignore_ascii_case("q"))
                .map_or(1.0, |(_, value)| value.trim().parse().unwrap_or(1.0_f32));
            Some((specificity, quality))
        })
        .max_by_key(|(specificity, _)| *specificity);
    best.is_some_and(|(_, quality)| quality > 0.0)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use margo_deployment::MANIFEST_MEDIA_TYPE;

    use super::*;

    fn headers(name: &http::HeaderName, values: &[&'static str]) -> HeaderMap {
        values.iter().map(|value| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    /// R-B-018.
    #[test]
    fn only_an_accept_that_excludes_the_type_is_refused() {
        for (accept, expected) in [
            (vec![], true),
            (vec!["*/*"], true),
            (vec!["application/*;q=0.1"], true),
            (vec!["text/html, application/vnd.margo.manifest.v1+json"], true),
            (vec!["text/html", "Application/vnd.margo.manifest.v1+JSON; q=0.2"], true),
            (vec!["text/html"], false),
            (vec!["application/json"], false),
            (vec!["*/*;q=0"], false),
            (vec!["*/*, application/vnd.margo.manifest.v1+json;q=0"], false),
        ] {
            assert_eq!(
                accepts(&headers(&header::ACCEPT, &accept), MANIFEST_MEDIA_TYPE),
                expected,
                "{accept:?}"
            );
        }
    }

    /// R-B-035.
    #[test]
    fn tags_are_read_in_every_form() {
        let digest = Digest::of(b"");
        let tag = "\"x\", W/\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"";
        assert!(IfNoneMatch::from_headers(&headers(&header::IF_NONE_MATCH, &[tag])).matches(digest));
        assert!(IfNoneMatch::from_headers(&headers(&header::IF_NONE_MATCH, &["*"])).matches(digest));
        assert!(
            !IfNoneMatch::from_headers(&headers(&header::IF_NONE_MATCH, &["\"\"", "sha256:e3"]))
                .matches(digest)
        );
    }
}
