use std::time::Duration;

use futures_util::{Stream, StreamExt};
use reqwest::header::{ACCEPT, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder, StatusCode};
use rustls::crypto::{CryptoProvider, ring};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use url::{Host, Url};

use crate::{Application, Changed, Deployment, Device, Onboarded, Placements, Report};

/// The most bytes of one answer or event that are read.
const MAX_BODY: usize = 64 << 20;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// A manager, as its operator sees it.
#[derive(Clone)]
pub struct OperatorClient {
    base: Url,
    token: String,
    http: reqwest::Client,
}

impl std::fmt::Debug for OperatorClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OperatorClient").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

impl OperatorClient {
    /// The manager at `base`, for the operator with this token.
    ///
    /// A loopback address is asked directly, whatever proxy the environment names; a redirect is never followed. Both
    /// would hand the token to somebody else.
    ///
    /// # Errors
    ///
    /// [`OperatorError::NoBase`] for another scheme than `http` and `https`; [`OperatorError::Unreachable`] when no
    /// connection could ever be made, such as to `https` on a machine without root certificates.
    pub fn new(mut base: Url, token: impl Into<String>) -> Result<Self, OperatorError> {
        if !matches!(base.scheme(), "http" | "https") {
            return Err(OperatorError::NoBase);
        }
        // The URL is part of messages. Neither call can fail: there is a host.
        let _ = base.set_username("");
        let _ = base.set_password(None);
        if CryptoProvider::get_default().is_none() {
            // Somebody else may have been faster, which is as good.
            let _ = ring::default_provider().install_default();
        }
        let mut http = reqwest::Client::builder()
            .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .tcp_keepalive(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none());
        if base.scheme() == "http" {
            // Nothing to verify, so a machine without root certificates will do.
            http = http.tls_certs_only([]);
        }
        if is_loopback(&base) {
            http = http.no_proxy();
        }
        let http = http.build().map_err(|cause| unreachable(&base, cause))?;
        Ok(Self { base, token: token.into().trim().to_owned(), http })
    }

    /// Onboards a device and returns its secrets.
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn onboard(
        &self,
        device: &str,
        client_id: Option<&str>,
        revision: &str,
    ) -> Result<Onboarded, OperatorError> {
        self.onboard_with(device, client_id, revision, None).await
    }

    /// The same, with what the device signs with, in PEM: the pre-draft has its user upload it (R-A-014).
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn onboard_with(
        &self,
        device: &str,
        client_id: Option<&str>,
        revision: &str,
        certificate: Option<&str>,
    ) -> Result<Onboarded, OperatorError> {
        let mut body = json!({ "deviceId": device, "revision": revision });
        if let Some(client_id) = client_id {
            body["clientId"] = client_id.into();
        }
        if let Some(certificate) = certificate {
            body["certificate"] = certificate.into();
        }
        let mut onboarded: Onboarded = self.post("devices", &body).await?;
        self.complete(&mut onboarded);
        Ok(onboarded)
    }

    /// Gives a device new secrets; the old ones stop working at once.
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn rotate(&self, device: &str) -> Result<Onboarded, OperatorError> {
        let request = self.request(Method::POST, &["devices", device, "rotate"])?;
        let mut onboarded: Onboarded = self.answer(request).await?;
        self.complete(&mut onboarded);
        Ok(onboarded)
    }

    /// Says what a device is now that it was upgraded: the id its client is known by, the revision it speaks, the
    /// certificate it signs with. It keeps its deployments and its history.
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn link(
        &self,
        device: &str,
        client_id: Option<&str>,
        revision: Option<&str>,
        certificate: Option<&str>,
    ) -> Result<Changed, OperatorError> {
        let mut body = json!({});
        for (member, value) in [("clientId", client_id), ("revision", revision), ("certificate", certificate)]
        {
            if let Some(value) = value {
                body[member] = value.into();
            }
        }
        self.answer(self.request(Method::POST, &["devices", device, "link"])?.json(&body)).await
    }

    /// Takes back what a device was linked with: whoever calls by that id is not served any more, and everything else stays
    /// with the device.
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn unlink(
        &self,
        device: &str,
        client_id: &str,
        revision: Option<&str>,
    ) -> Result<Changed, OperatorError> {
        let mut body = json!({ "clientId": client_id });
        if let Some(revision) = revision {
            body["revision"] = revision.into();
        }
        self.answer(self.request(Method::POST, &["devices", device, "unlink"])?.json(&body)).await
    }

    /// Makes the URL of the Git repository absolute.
    fn complete(&self, onboarded: &mut Onboarded) {
        if let Some(url) = onboarded.git_url.as_mut()
            && let Ok(absolute) = self.base.join(url)
        {
            *url = absolute.into();
        }
    }

    /// Stops serving a device's client.
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn retire(&self, device: &str) -> Result<Device, OperatorError> {
        self.answer(self.request(Method::POST, &["devices", device, "retire"])?).await
    }

    /// Every device.
    ///
    /// # Errors
    ///
    /// That the manager refuses or cannot be reached.
    pub async fn devices(&self) -> Result<Vec<Device>, OperatorError> {
        #[derive(Deserialize)]
        struct Devices {
            devices: Vec<Device>,
        }
        Ok(self.answer::<Devices>(self.request(Method::GET, &["devices"])?).await?.devices)
    }

    /// Uploads an application package's description (`margo.yaml`).
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn upload(&self, description: Vec<u8>) -> Result<Application, OperatorError> {
        let request = self.request(Method::POST, &["applications"])?;
        self.answer(request.header(CONTENT_TYPE, "application/yaml").body(description)).await
    }

    /// Every version of every application.
    ///
    /// # Errors
    ///
    /// That the manager refuses or cannot be reached.
    pub async fn applications(&self) -> Result<Vec<Application>, OperatorError> {
        #[derive(Deserialize)]
        struct Applications {
            applications: Vec<Application>,
        }
        let request = self.request(Method::GET, &["applications"])?;
        Ok(self.answer::<Applications>(request).await?.applications)
    }

    /// Deploys a version of an application to `targets`: to all of them, or to none.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the values and targets at once, or that the manager cannot be reached.
    pub async fn deploy(
        &self,
        application: &Application,
        profile: Option<&str>,
        namespace: Option<&str>,
        values: &Map<String, Value>,
        targets: &[String],
    ) -> Result<Changed, OperatorError> {
        let mut body = order(application, profile, namespace, values);
        body["targets"] = targets.into();
        self.post("deployments", &body).await
    }

    /// Deploys a version of an application to devices that fit: to one, or to every one there is now.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with the values at once, that no device fits, with the reasons for each of them
    /// (R-D-028), or that the manager cannot be reached.
    pub async fn spread(
        &self,
        application: &Application,
        profile: Option<&str>,
        namespace: Option<&str>,
        values: &Map<String, Value>,
        spread: Spread,
    ) -> Result<Changed, OperatorError> {
        let mut body = order(application, profile, namespace, values);
        body["spread"] = match spread {
            Spread::Anywhere => "anywhere".into(),
            Spread::Everywhere => "everywhere".into(),
        };
        self.post("deployments", &body).await
    }

    /// Which devices can host a stored application in one of its profiles, or in each of them, and why the others
    /// cannot.
    ///
    /// # Errors
    ///
    /// That there is no such application, version or profile, or that the manager cannot be reached.
    pub async fn placements(
        &self,
        application: &Application,
        profile: Option<&str>,
    ) -> Result<Placements, OperatorError> {
        let body = json!({ "applicationId": application.application_id, "version": application.version });
        self.ask_placements(body, profile).await
    }

    /// The same for an application that is not stored, from the text of its `margo.yaml`.
    ///
    /// # Errors
    ///
    /// Every fault of the description, or that the manager cannot be reached.
    pub async fn placements_of(
        &self,
        description: &str,
        profile: Option<&str>,
    ) -> Result<Placements, OperatorError> {
        self.ask_placements(json!({ "description": description }), profile).await
    }

    async fn ask_placements(
        &self,
        mut body: Value,
        profile: Option<&str>,
    ) -> Result<Placements, OperatorError> {
        if let Some(profile) = profile {
            body["profile"] = profile.into();
        }
        self.post("placements", &body).await
    }

    /// Moves the selected deployments to another version of their application.
    ///
    /// # Errors
    ///
    /// Everything that is wrong at once, or that the manager cannot be reached.
    pub async fn update(
        &self,
        selection: &Selection,
        version: &str,
        values: &Map<String, Value>,
    ) -> Result<Changed, OperatorError> {
        let body = json!({ "select": selection.body(), "version": version, "values": values });
        self.post("deployments/update", &body).await
    }

    /// Changes parameter values of the selected deployments. `null` goes back to the default.
    ///
    /// # Errors
    ///
    /// Everything that is wrong at once, or that the manager cannot be reached.
    pub async fn reconfigure(
        &self,
        selection: &Selection,
        values: &Map<String, Value>,
    ) -> Result<Changed, OperatorError> {
        let body = json!({ "select": selection.body(), "values": values });
        self.post("deployments/reconfigure", &body).await
    }

    /// Deletes the selected deployments.
    ///
    /// # Errors
    ///
    /// What the manager refuses, or that it cannot be reached.
    pub async fn delete(&self, selection: &Selection) -> Result<Changed, OperatorError> {
        self.post("deployments/delete", &json!({ "select": selection.body() })).await
    }

    /// The selected deployments, wanted or no longer.
    ///
    /// # Errors
    ///
    /// That the manager refuses or cannot be reached.
    pub async fn deployments(&self, selection: &Selection) -> Result<Vec<Deployment>, OperatorError> {
        #[derive(Deserialize)]
        struct Deployments {
            deployments: Vec<Deployment>,
        }
        let mut url = self.url(&["deployments"])?;
        for (name, value) in [("device", &selection.device), ("application", &selection.application)] {
            if let Some(value) = value {
                url.query_pairs_mut().append_pair(name, value);
            }
        }
        let request = self.http.get(url).bearer_auth(&self.token);
        let mut deployments = self.answer::<Deployments>(request).await?.deployments;
        if !selection.ids.is_empty() {
            deployments.retain(|deployment| selection.ids.contains(&deployment.deployment_id));
        }
        Ok(deployments)
    }

    /// Everything the manager knows about one deployment, its document and its history of reports.
    ///
    /// # Errors
    ///
    /// That there is no such deployment, or that the manager cannot be reached.
    pub async fn deployment(&self, id: &str) -> Result<Deployment, OperatorError> {
        #[derive(Deserialize)]
        struct Detail {
            deployment: Deployment,
            document: Option<String>,
            history: Option<Vec<Report>>,
        }
        let Detail { deployment, document, history } =
            self.answer(self.request(Method::GET, &["deployments", id])?).await?;
        Ok(Deployment { document, history, ..deployment })
    }

    /// What happens from now on. The first item says that everything after it is reported.
    ///
    /// # Errors
    ///
    /// That the manager refuses or cannot be reached; the stream ends with an error when the connection does.
    pub async fn events(
        &self,
    ) -> Result<impl Stream<Item = Result<Event, OperatorError>> + use<>, OperatorError> {
        let request = self.request(Method::GET, &["events"])?.header(ACCEPT, "text/event-stream");
        let response = self.send(request).await?;
        let base = self.base.clone();
        let mut buffer = Vec::new();
        let lines = response.bytes_stream().flat_map(move |chunk| {
            let mut events = Vec::new();
            match chunk {
                Err(cause) => events.push(Err(unanswered(&base, cause))),
                Ok(chunk) => {
                    buffer.extend_from_slice(&chunk);
                    while let Some(end) = buffer.iter().position(|byte| *byte == b'\n') {
                        let line: Vec<u8> = buffer.drain(..=end).collect();
                        events.extend(event(&line).map(Ok));
                    }
                    if buffer.len() > MAX_BODY {
                        events.push(Err(OperatorError::TooLarge));
                        buffer.clear();
                    }
                }
            }
            futures_util::stream::iter(events)
        });
        Ok(lines)
    }

    fn url(&self, segments: &[&str]) -> Result<Url, OperatorError> {
        let mut url = self.base.clone();
        let mut path = url.path_segments_mut().map_err(|()| OperatorError::NoBase)?;
        path.pop_if_empty().extend(["operator", "v1"]).extend(segments);
        drop(path);
        Ok(url)
    }

    fn request(&self, method: Method, segments: &[&str]) -> Result<RequestBuilder, OperatorError> {
        Ok(self.http.request(method, self.url(segments)?).bearer_auth(&self.token))
    }

    async fn post<T: DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T, OperatorError> {
        let segments: Vec<&str> = path.split('/').collect();
        self.answer(self.request(Method::POST, &segments)?.json(body)).await
    }

    async fn answer<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, OperatorError> {
        let response = self.send(request.timeout(ANSWER_TIMEOUT)).await?;
        serde_json::from_slice(&self.body(response).await?).map_err(OperatorError::Unreadable)
    }

    /// Sends, and reads the answer as far as to know that it is a good one.
    async fn send(&self, request: RequestBuilder) -> Result<reqwest::Response, OperatorError> {
        let response = request.send().await.map_err(|cause| {
            if cause.is_connect() || cause.is_builder() {
                unreachable(&self.base, cause)
            } else {
                unanswered(&self.base, cause)
            }
        })?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = self.body(response).await?;
        Err(OperatorError::Refused(RemoteProblem::read(status, &body)))
    }

    async fn body(&self, response: reqwest::Response) -> Result<Vec<u8>, OperatorError> {
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|cause| unanswered(&self.base, cause))?);
            if body.len() > MAX_BODY {
                return Err(OperatorError::TooLarge);
            }
        }
        Ok(body)
    }
}

/// What is to be deployed, without where.
fn order(
    application: &Application,
    profile: Option<&str>,
    namespace: Option<&str>,
    values: &Map<String, Value>,
) -> Value {
    let mut body = json!({
        "applicationId": application.application_id,
        "version": application.version,
        "values": values,
    });
    for (member, value) in [("profile", profile), ("namespace", namespace)] {
        if let Some(value) = value {
            body[member] = value.into();
        }
    }
    body
}

/// Whether what is sent there stays on this machine.
pub(crate) fn is_loopback(base: &Url) -> bool {
    match base.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name == "localhost",
        None => false,
    }
}

fn unreachable(base: &Url, cause: reqwest::Error) -> OperatorError {
    OperatorError::Unreachable { manager: shown(base), cause: cause.without_url() }
}

fn unanswered(base: &Url, cause: reqwest::Error) -> OperatorError {
    OperatorError::Unanswered { manager: shown(base), cause: cause.without_url() }
}

fn shown(base: &Url) -> Box<str> {
    base.as_str().trim_end_matches('/').into()
}

/// One line of an event stream: the comment that opens it, or the data of an event.
fn event(line: &[u8]) -> Option<Event> {
    let line = std::str::from_utf8(line).ok()?.trim_end();
    if line.starts_with(": ready") {
        return Some(Event::Ready);
    }
    serde_json::from_str(line.strip_prefix("data:")?).ok().map(Event::Happened)
}

/// Something that happened at the manager.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Event {
    /// Whatever happens after this is reported.
    Ready,
    /// It happened; `type` says what.
    Happened(Value),
}

/// On which of the devices that fit an application is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(clippy::exhaustive_enums, reason = "it is one device or all of them")]
pub enum Spread {
    /// On one: that with the fewest deployments.
    Anywhere,
    /// On every one there is now.
    Everywhere,
}

/// Which deployments an operation is about.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Selection {
    /// These, by id. When there are some, nothing else selects.
    pub ids: Vec<String>,
    /// Those of this application.
    pub application: Option<String>,
    /// Those on this device.
    pub device: Option<String>,
    /// All there are.
    pub all: bool,
}

impl Selection {
    /// Every deployment.
    #[must_use]
    pub fn all() -> Self {
        Self { all: true, ..Self::default() }
    }

    /// The deployments with these ids.
    #[must_use]
    pub fn ids(ids: Vec<String>) -> Self {
        Self { ids, ..Self::default() }
    }

    /// The deployments of an application, on a device, or both.
    #[must_use]
    pub fn of(application: Option<String>, device: Option<String>) -> Self {
        Self { application, device, ..Self::default() }
    }

    fn body(&self) -> Value {
        let mut body = Map::new();
        if !self.ids.is_empty() {
            body.insert("ids".to_owned(), self.ids.clone().into());
        } else if self.application.is_some() || self.device.is_some() {
            for (member, value) in [("application", &self.application), ("device", &self.device)] {
                if let Some(value) = value {
                    body.insert(member.to_owned(), value.clone().into());
                }
            }
        } else if self.all {
            body.insert("all".to_owned(), true.into());
        }
        Value::Object(body)
    }
}

/// A manager did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OperatorError {
    /// It said why.
    #[error("{0}")]
    Refused(RemoteProblem),
    /// It cannot be reached: nothing was asked.
    #[error("the manager at {manager} cannot be reached")]
    Unreachable {
        /// Where it should be.
        manager: Box<str>,
        /// Why not.
        #[source]
        cause: reqwest::Error,
    },
    /// It was asked, and no answer came in time or at all: it may have done what it was asked.
    #[error("the manager at {manager} did not answer, and may have done what it was asked")]
    Unanswered {
        /// Where it is.
        manager: Box<str>,
        /// Why not.
        #[source]
        cause: reqwest::Error,
    },
    /// It answered with something else than its interface promises.
    #[error("the manager's answer cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// It answered with more than 64 MiB.
    #[error("the manager's answer is larger than 64 MiB")]
    TooLarge,
    /// The manager's URL is no base for paths.
    #[error("the manager's URL must begin with `http://` or `https://`")]
    NoBase,
}

impl OperatorError {
    /// Whether asking again later may help: nobody answered, or the manager was too busy to.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::Unanswered { .. } => true,
            Self::Refused(problem) => problem.status == 429 || problem.status >= 500,
            Self::Unreadable(_) | Self::TooLarge | Self::NoBase => false,
        }
    }
}

/// What a manager says is wrong.
#[derive(Clone, Debug, Default, Deserialize)]
#[non_exhaustive]
pub struct RemoteProblem {
    /// The HTTP status code.
    #[serde(default)]
    pub status: u16,
    /// The kind of problem in words.
    #[serde(default)]
    pub title: String,
    /// What happened this time.
    #[serde(default)]
    pub detail: Option<String>,
    /// Everything that is wrong with what was sent.
    #[serde(default)]
    pub errors: Vec<FieldError>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, Deserialize)]
#[non_exhaustive]
pub struct FieldError {
    /// Where.
    #[serde(default)]
    pub field: String,
    /// What.
    #[serde(default)]
    pub message: String,
}

impl RemoteProblem {
    /// An answer that is no problem document still has a status.
    fn read(status: StatusCode, body: &[u8]) -> Self {
        let mut problem: Self = serde_json::from_slice(body).unwrap_or_default();
        problem.status = status.as_u16();
        if problem.title.is_empty() {
            status.canonical_reason().unwrap_or("refused").clone_into(&mut problem.title);
        }
        problem
    }
}

impl std::fmt::Display for RemoteProblem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.detail {
            Some(detail) => write!(f, "{detail}")?,
            None => write!(f, "the manager answered {} ({})", self.status, self.title.to_lowercase())?,
        }
        self.errors.iter().try_for_each(|error| {
            if error.field.is_empty() {
                write!(f, "\n  {}", error.message)
            } else {
                write!(f, "\n  {}: {}", error.field, error.message)
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_of_nothing_is_sent_as_nothing() {
        assert_eq!(Selection::default().body(), json!({}));
        assert_eq!(Selection::all().body(), json!({ "all": true }));
        assert_eq!(Selection::ids(vec!["a".into()]).body(), json!({ "ids": ["a"] }));
        assert_eq!(Selection::of(Some("app".into()), None).body(), json!({ "application": "app" }));
    }

    #[test]
    fn only_data_and_the_opening_comment_are_events() {
        assert_eq!(event(b": ready\n"), Some(Event::Ready));
        assert_eq!(event(b"data: {\"type\":\"x\"}\r\n"), Some(Event::Happened(json!({ "type": "x" }))));
        for line in [&b"event: x\n"[..], b"\n", b": keep-alive\n", b"data: {\n", b"data: \xff\n"] {
            assert_eq!(event(line), None);
        }
    }

    #[test]
    fn an_answer_that_is_no_problem_document_has_a_status() {
        for body in [&b"<html>Bad Gateway</html>"[..], b"", b"{}", b"[]"] {
            let problem = RemoteProblem::read(StatusCode::BAD_GATEWAY, body);
            assert_eq!(problem.to_string(), "the manager answered 502 (bad gateway)");
            assert!(OperatorError::Refused(problem).is_transient());
        }
        // What was received counts, not what the body says about it.
        let problem = RemoteProblem::read(StatusCode::CONFLICT, br#"{"status": 503, "detail": "it exists"}"#);
        assert_eq!((problem.status, problem.to_string().as_str()), (409, "it exists"));
        assert!(!OperatorError::Refused(problem).is_transient());
    }

    #[test]
    fn a_device_behind_a_gateway_is_one_segment() {
        let client =
            OperatorClient::new("http://user:secret@localhost:8080/fleet/".parse().unwrap(), "t").unwrap();
        let request = client.request(Method::POST, &["devices", "c-1:gw/plc 1", "retire"]).unwrap();
        let url = request.build().unwrap().url().to_string();
        assert_eq!(url, "http://localhost:8080/fleet/operator/v1/devices/c-1:gw%2Fplc%201/retire");
        assert!(!format!("{client:?}").contains("secret"));
        let error = OperatorClient::new("mailto:a@b.example".parse().unwrap(), "t").unwrap_err();
        assert!(matches!(error, OperatorError::NoBase));
    }

    #[test]
    fn a_loopback_address_needs_no_proxy() {
        for (url, is) in [
            ("http://127.0.0.1:8080", true),
            ("http://[::1]/", true),
            ("https://localhost", true),
            ("http://192.0.2.1", false),
            ("http://localhost.example", false),
        ] {
            assert_eq!(is_loopback(&url.parse().unwrap()), is, "{url}");
        }
    }

    #[test]
    fn a_problem_reads_aloud_with_all_its_errors() {
        let problem: RemoteProblem = serde_json::from_value(json!({
            "status": 422, "title": "Semantic Error", "detail": "2 values are wrong",
            "errors": [{ "field": "values.interval", "message": "must be at least 5" }, { "message": "no" }],
        }))
        .unwrap();
        assert_eq!(problem.to_string(), "2 values are wrong\n  values.interval: must be at least 5\n  no");
    }
}
