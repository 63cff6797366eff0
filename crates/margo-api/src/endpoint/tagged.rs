/// An operation that answers with JSON and an entity tag of any form: those of the identity service.
macro_rules! tagged_json {
    ($(#[$asks:meta])* request $path:literal; $(#[$answers:meta])* response) => {
        use bytes::Bytes;
        use http::{HeaderValue, Method, StatusCode, header};
        use margo_core::SpecVersion;

        use crate::Problem;
        use crate::endpoint::{
            Dialect, EncodeError, Endpoint, Incoming, Reply, ResponseError, Route, empty, path, success,
        };

        $(#[$asks])*
        ///
        /// Nobody has to say who asks.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        #[non_exhaustive]
        pub struct Request {
            /// The tag of what the client holds, as it came: `If-None-Match`.
            pub known: Option<HeaderValue>,
        }

        impl Request {
            /// Asks for it, unless it is what came with this `ETag`.
            #[must_use]
            pub fn new(known: Option<HeaderValue>) -> Self {
                Self { known }
            }
        }

        $(#[$answers])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[expect(clippy::exhaustive_enums, reason = "the endpoint has exactly these successes")]
        pub enum Response {
            /// 304: the client holds it.
            NotModified,
            /// 200: the exact bytes, and their `ETag` if there is one.
            Content {
                /// The document, JSON.
                bytes: Bytes,
                /// Its tag, quotes included.
                etag: Option<HeaderValue>,
            },
        }

        impl Response {
            /// The document with these bytes, tagged with their digest; or nothing, to who holds that already.
            #[must_use]
            pub fn of(bytes: Bytes, request: &Request) -> Self {
                let tag = format!("\"{}\"", margo_core::Digest::of(&bytes));
                let held = request.known.as_ref().and_then(|known| known.to_str().ok()).is_some_and(|known| {
                    known.split(',').map(str::trim).any(|held| {
                        held == "*" || held.strip_prefix("W/").unwrap_or(held) == tag
                    })
                });
                if held {
                    return Self::NotModified;
                }
                Self::Content { bytes, etag: HeaderValue::from_str(&tag).ok() }
            }
        }

        impl Endpoint for Request {
            const ROUTES: &'static [Route] =
                &[Route::new(SpecVersion::V1_0_0Rc3, Method::GET, $path)];

            type Response = Response;

            fn to_http<'a>(
                &self,
                dialect: impl Into<Dialect<'a>>,
            ) -> Result<http::Request<Bytes>, EncodeError> {
                let (method, path) = path::<Self>(dialect.into(), &[])?;
                let accept = (header::ACCEPT, "application/json".to_owned());
                let mut request = super::request(method, &path, &[accept], Bytes::new())?;
                if let Some(known) = &self.known {
                    request.headers_mut().insert(header::IF_NONE_MATCH, known.clone());
                }
                Ok(request)
            }

            fn from_http(incoming: Incoming<'_>) -> Result<Self, Problem> {
                Ok(Self { known: incoming.headers.get(header::IF_NONE_MATCH).cloned() })
            }
        }

        impl Reply for Response {
            fn to_http(&self, _: SpecVersion) -> http::Response<Bytes> {
                match self {
                    Self::NotModified => empty(StatusCode::NOT_MODIFIED),
                    Self::Content { bytes, etag } => {
                        let mut response = http::Response::new(bytes.clone());
                        let headers = response.headers_mut();
                        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
                        if let Some(etag) = etag {
                            headers.insert(header::ETAG, etag.clone());
                        }
                        response
                    }
                }
            }

            fn from_http(response: http::Response<Bytes>) -> Result<Self, ResponseError> {
                if response.status() == StatusCode::NOT_MODIFIED {
                    return Ok(Self::NotModified);
                }
                let response = success(response)?;
                let etag = response.headers().get(header::ETAG).cloned();
                Ok(Self::Content { bytes: response.into_body(), etag })
            }
        }

        #[cfg(test)]
        mod tests {
            use super::*;
            use crate::endpoint::PathParams;

            #[test]
            fn both_sides_agree_and_what_is_held_is_not_sent() {
                let (version, params) = (SpecVersion::V1_0_0Rc3, PathParams::default());
                let arrive = |request: &Request| {
                    let http = request.to_http(version).unwrap();
                    assert_eq!((http.method(), http.uri().path()), (&Method::GET, $path));
                    Request::from_http(Incoming::new(version, &params, http.headers(), Bytes::new())).unwrap()
                };
                let first = Request::new(None);
                assert_eq!(arrive(&first), first);
                let response = Response::of("{}".into(), &first);
                let http = response.to_http(version);
                let etag = http.headers().get(header::ETAG).cloned();
                assert_eq!(Response::from_http(http), Ok(response));

                let again = Request::new(etag);
                assert_eq!(Response::of("{}".into(), &arrive(&again)), Response::NotModified);
                assert_ne!(Response::of("{ }".into(), &again), Response::NotModified);
                let http = Response::NotModified.to_http(version);
                assert_eq!((http.status().as_u16(), Response::from_http(http)), (304, Ok(Response::NotModified)));
                assert!(first.to_http(SpecVersion::V1_0_0Rc2).is_err());
            }
        }
    };
}

pub(super) use tagged_json;
