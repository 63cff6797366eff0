//! Tokens from a token endpoint: how long each is used, and what happens when it is refused.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use margo_api::{DesiredStateSource, SourceErrorKind};
use margo_client::{OAuthCredentials, RestClient, TransportError, TransportErrorKind};
use margo_core::SpecVersion;
use margo_identity::TokenRequest;

use crate::fake::{Answer, Fake, answer};

const NOTHING: &str = r#"{"bundle":null,"deployments":[],"manifestVersion":1}"#;
const ENDPOINT: &str = "/oauth/token";

type Client = RestClient<Arc<Fake>, OAuthCredentials<Arc<Fake>>>;

/// A manager and its token endpoint. `token` answers for the nth token, `accepts` says which token is taken.
fn client(
    token: impl Fn(usize) -> Answer + Send + Sync + 'static,
    accepts: impl Fn(&str) -> bool + Send + Sync + 'static,
) -> (Client, Arc<Fake>) {
    let given = AtomicUsize::new(0);
    let fake = Fake::new(move |request| {
        if request.uri().path() == ENDPOINT {
            assert_eq!(request.headers()["content-type"], "application/x-www-form-urlencoded");
            let form = "grant_type=client_credentials&client_id=press-7&client_secret=s3cret";
            assert_eq!(request.body(), form);
            return token(given.fetch_add(1, Ordering::Relaxed) + 1);
        }
        let presented = request.headers()["authorization"].to_str().unwrap();
        Ok(if accepts(presented.strip_prefix("Bearer ").unwrap()) {
            answer(200, &[], NOTHING)
        } else {
            answer(401, &[], "")
        })
    });
    let base: url::Url = "https://wfm.example".parse().unwrap();
    let request = TokenRequest::new("press-7", "s3cret");
    let credentials =
        OAuthCredentials::new(Arc::clone(&fake), base.join(ENDPOINT).unwrap(), request).unwrap();
    assert!(!format!("{credentials:?}").contains("s3cret"));
    (RestClient::new(base, SpecVersion::V1_0_0Rc3, Arc::clone(&fake), credentials).unwrap(), fake)
}

fn lasting(number: usize, seconds: u64) -> http::Response<Bytes> {
    let body = format!(r#"{{"access_token":"token-{number}","token_type":"bearer","expires_in":{seconds}}}"#);
    answer(200, &[("content-type", "application/json")], body)
}

fn asked(fake: &Fake) -> (usize, usize) {
    let seen = fake.seen();
    let tokens = seen.iter().filter(|line| line.ends_with(ENDPOINT)).count();
    (tokens, seen.len() - tokens)
}

/// R-A-002, R-A-011, R-A-012.
#[tokio::test]
async fn a_token_is_used_while_it_lasts() {
    let (client, fake) = client(|number| Ok(lasting(number, 3600)), |token| token == "token-1");
    for _ in 0..3 {
        client.poll(None).await.unwrap();
    }
    assert_eq!(asked(&fake), (1, 3));
}

/// A token that is about to end is not presented: there is another one before anybody refuses it.
#[tokio::test]
async fn a_token_is_replaced_before_it_ends() {
    let (client, fake) = client(|number| Ok(lasting(number, 0)), |_| true);
    for _ in 0..3 {
        client.poll(None).await.unwrap();
    }
    assert_eq!(asked(&fake), (3, 3));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let (client, fake) = client(|number| Ok(lasting(number, 3600)), |token| token != "token-1");
    client.poll(None).await.unwrap();
    assert_eq!(asked(&fake), (2, 2));
    client.poll(None).await.unwrap();
    assert_eq!(asked(&fake), (2, 3), "the new one is kept");
}

#[tokio::test]
async fn a_client_that_is_refused_with_every_token_does_not_go_on_asking() {
    let (client, fake) = client(|number| Ok(lasting(number, 3600)), |_| false);
    assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::Unauthorized);
    assert_eq!(asked(&fake), (2, 2));
}

/// Requests made at the same time share a token.
#[tokio::test]
async fn one_call_serves_all() {
    let (client, fake) = client(|number| Ok(lasting(number, 3600)), |token| token == "token-1");
    let polls = tokio::join!(client.poll(None), client.poll(None), client.poll(None));
    assert!(polls.0.is_ok() && polls.1.is_ok() && polls.2.is_ok());
    assert_eq!(asked(&fake), (1, 3));
}

#[tokio::test]
async fn what_the_endpoint_says_decides_who_has_to_act() {
    let refused = |status, body: &'static str| {
        client(move |_| Ok(answer(status, &[("content-type", "application/json")], body)), |_| true)
    };
    for (status, body, expected) in [
        (401, r#"{"error":"invalid_client"}"#, SourceErrorKind::Unauthorized),
        (400, r#"{"error":"invalid_client"}"#, SourceErrorKind::Unauthorized),
        (503, "", SourceErrorKind::Unavailable),
        (302, "", SourceErrorKind::Unavailable),
        (200, "{", SourceErrorKind::Unavailable),
        (200, r#"{"access_token":"a","token_type":"mac"}"#, SourceErrorKind::Unavailable),
        (200, r#"{"access_token":"a b","token_type":"Bearer"}"#, SourceErrorKind::Unavailable),
    ] {
        let (client, fake) = refused(status, body);
        assert_eq!(client.poll(None).await.unwrap_err().kind(), expected, "{status} {body}");
        assert_eq!(asked(&fake), (1, 0), "nothing went to the manager without a token");
    }
    let (client, _) = client(|_| Err(TransportError::new(TransportErrorKind::Unreachable)), |_| true);
    assert_eq!(client.poll(None).await.unwrap_err().kind(), SourceErrorKind::Unavailable);
}

/// R-D-038: an endpoint that wants to be left alone is; a token that lasts is used meanwhile.
#[tokio::test]
async fn an_endpoint_is_left_alone_when_it_says_so() {
    let later = || answer(429, &[("retry-after", "3600")], r#"{"error":"temporarily_unavailable"}"#);
    let (never, fake) = client(move |_| Ok(later()), |_| true);
    for _ in 0..3 {
        assert_eq!(never.poll(None).await.unwrap_err().kind(), SourceErrorKind::Unavailable);
    }
    assert_eq!(asked(&fake), (1, 0));

    let (at_once, fake) = client(
        |number| Ok(if number == 1 { answer(503, &[("retry-after", "0")], "") } else { lasting(1, 3600) }),
        |_| true,
    );
    assert_eq!(at_once.poll(None).await.unwrap_err().kind(), SourceErrorKind::Unavailable);
    at_once.poll(None).await.unwrap();
    assert_eq!(asked(&fake), (2, 1));
}

/// A token that could be renewed and still lasts is good enough while its endpoint is away.
#[tokio::test]
async fn a_token_that_lasts_outlives_its_endpoint() {
    let token = |number| match number {
        1 => Ok(lasting(1, 1)), // to be renewed after 0.9 seconds
        _ => Err(TransportError::new(TransportErrorKind::Unreachable)),
    };
    let (client, fake) = client(token, |_| true);
    client.poll(None).await.unwrap();
    while asked(&fake).0 < 2 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        if client.poll(None).await.is_err() {
            break;
        }
    }
    // Whether within its last tenth of a second or after it, the endpoint was asked.
    while client.poll(None).await.is_ok() {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert!(asked(&fake).0 >= 2);
}

/// R-A-011: the secret goes to nobody who could be anybody.
#[test]
fn a_secret_is_not_sent_in_the_clear() {
    let new = |endpoint: &str| {
        let fake = Fake::new(|_| unreachable!("nothing is asked"));
        OAuthCredentials::new(fake, endpoint.parse().unwrap(), TokenRequest::new("press-7", "s3cret"))
    };
    for endpoint in ["http://wfm.example/token", "http://10.0.0.1/token"] {
        let error = new(endpoint).unwrap_err().to_string();
        assert!(error.contains("not `https`") && !error.contains("s3cret"), "{endpoint}: {error}");
    }
    for endpoint in ["https://wfm.example/token", "http://127.0.0.1:8080/token", "http://localhost/token"] {
        assert!(new(endpoint).is_ok(), "{endpoint}");
    }
}
