use std::io::Write as _;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use http::{HeaderMap, HeaderValue, StatusCode, header};

/// Below this many bytes the headers outweigh what compression saves.
const MIN_BYTES: usize = 1024;

/// Compresses a complete response if the client takes gzip, and says that it depends on that (R-B-037).
///
/// The `ETag` stays what it is: the digest of the content without its coding (R-B-034).
pub(super) fn negotiate(mut response: http::Response<Bytes>, request: &HeaderMap) -> http::Response<Bytes> {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("accept-encoding"));
    let worthwhile = response.status() == StatusCode::OK && response.body().len() >= MIN_BYTES;
    if !worthwhile || !accepts_gzip(request) {
        return response;
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    // Writing to a vector cannot fail; if it did, the content would go out as it is.
    let Ok(compressed) = encoder.write_all(response.body()).and_then(|()| encoder.finish()) else {
        return response;
    };
    response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    response.map(|_| Bytes::from(compressed))
}

/// RFC 9110, 12.5.3: `gzip` itself decides, else `*`; a quality of 0 refuses.
fn accepts_gzip(headers: &HeaderMap) -> bool {
    let mut any = false;
    let values = headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    for coding in values.flat_map(|value| value.split(',')) {
        let mut parts = coding.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        let accepted = quality.is_none_or(|quality| quality.trim().parse::<f32>().is_ok_and(|q| q > 0.0));
        if name.eq_ignore_ascii_case("gzip") || name.eq_ignore_ascii_case("x-gzip") {
            return accepted;
        }
        if name == "*" {
            any = accepted;
        }
    }
    any
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    fn accepting(value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(header::ACCEPT_ENCODING, HeaderValue::from_static(value))])
    }

    #[test]
    fn only_a_client_that_takes_gzip_gets_it() {
        for (value, expected) in [
            ("gzip", true),
            ("deflate, GZIP;q=0.5", true),
            ("*", true),
            ("gzip;q=0, *", false),
            ("*;q=0", false),
            ("identity", false),
            ("", false),
        ] {
            assert_eq!(accepts_gzip(&accepting(value)), expected, "{value}");
        }
        assert!(!accepts_gzip(&HeaderMap::new()));
    }

    #[test]
    fn what_is_compressed_is_the_content() {
        let content = Bytes::from(vec![b'a'; MIN_BYTES]);
        let response = negotiate(http::Response::new(content.clone()), &accepting("gzip"));
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.headers()["vary"], "accept-encoding");
        let mut decoded = Vec::new();
        flate2::read::GzDecoder::new(&response.body()[..]).read_to_end(&mut decoded).unwrap();
        assert_eq!(decoded, content);

        let short = negotiate(http::Response::new(Bytes::from("a")), &accepting("gzip"));
        assert_eq!((short.headers().get("content-encoding"), &short.body()[..]), (None, &b"a"[..]));
    }
}
