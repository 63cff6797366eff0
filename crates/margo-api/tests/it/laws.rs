use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use margo_api::endpoint::{
    Dialect, Endpoint, Incoming, PathParams, Reply, get_bundle, get_deployment, get_desired_state, onboard,
    remove_device, report_capabilities, report_deployment_status, request_token,
};
use margo_api::{
    BackoffStrategy, Caller, ErrorResponse, FieldError, OnboardingRequest, OnboardingResponse, Problem,
    ProblemType, RootCertificateResponse,
};
use margo_core::{ClientId, Digest, Extensions, SpecVersion, Strictness, Upgraded};
use margo_deployment::AnyApplicationDeployment;
use margo_syntax::Limits;
use proptest::prelude::*;
use serde_json::{Value, json};

const B_AND_C: [SpecVersion; 2] = [SpecVersion::V1_0_0Rc1, SpecVersion::V1_0_0Rc2];

fn client() -> ClientId {
    "plant-7".parse().unwrap()
}

fn arrive<E: Endpoint>(
    version: SpecVersion,
    params: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Result<E, Problem> {
    let (params, headers) = (params.iter().copied().collect::<PathParams>(), HeaderMap::new());
    E::from_http(Incoming::new(version, &params, &headers, body.into()))
}

/// R-B-012, X-B-40: older revisions name the client in the path, and who is not told cannot write it.
#[test]
fn older_paths_name_the_client() {
    let client = client();
    let digest = Digest::of(b"");
    for version in B_AND_C {
        let dialect = Dialect::new(version).with_client(&client);
        let path = |http: http::Request<Bytes>| http.uri().path().to_owned();
        let state = get_desired_state::Request::new(None);
        assert_eq!(path(state.to_http(dialect).unwrap()), "/api/v1/clients/plant-7/deployments");
        let deployment = get_deployment::Request::new("pump".parse().unwrap(), digest);
        let expected = format!("/api/v1/clients/plant-7/deployments/pump/{digest}");
        assert_eq!(path(deployment.to_http(dialect).unwrap()), expected);
        let bundle = get_bundle::Request::new(digest);
        assert_eq!(
            path(bundle.to_http(dialect).unwrap()),
            format!("/api/v1/clients/plant-7/bundles/{digest}")
        );
        let error = state.to_http(version).unwrap_err().to_string();
        assert!(error.contains("names the client"), "{error}");
    }
    let remove = remove_device::Request::new("gw/plc-7".parse().unwrap());
    let rc2 = Dialect::new(SpecVersion::V1_0_0Rc2).with_client(&client);
    assert_eq!(remove.to_http(rc2).unwrap().uri().path(), "/api/v1/clients/plant-7/capabilities/gw/plc-7");
    let rc1 = Dialect::new(SpecVersion::V1_0_0Rc1).with_client(&client);
    assert!(remove.to_http(rc1).is_err(), "rc.1 has no such operation");
}

/// R-D-008: nobody learns which clients there are.
#[test]
fn a_path_of_another_client_leads_nowhere() {
    let headers = HeaderMap::new();
    for (named, is_refused) in [(Some("plant-7"), false), (Some("plant-8"), true), (None, false)] {
        let params: PathParams = named.map(|named| ("client_id", named)).into_iter().collect();
        let incoming = Incoming::new(SpecVersion::V1_0_0Rc2, &params, &headers, Bytes::new());
        let refused = incoming.require_client(&Caller::new(client()));
        assert_eq!(refused.map_err(|problem| problem.status), if is_refused { Err(404) } else { Ok(()) });
    }
}

fn capabilities(version: SpecVersion, id: &str) -> Value {
    let resources = json!({
        "cpu": {"cores": 4, "architecture": "arm64"}, "memory": "8Gi", "storage": "64Gi",
        "peripherals": [], "interfaces": [{"type": "ethernet"}],
    });
    let identity = json!({"id": id, "vendor": "V", "modelNumber": "M", "serialNumber": "S"});
    if version == SpecVersion::V1_0_0Rc3 {
        return json!({ "properties": identity });
    }
    let mut document = json!({
        "apiVersion": "device.margo.org/v1alpha1", "kind": "DeviceCapabilitiesManifest", "properties": identity,
    });
    document["properties"]["roles"] = json!(["Standalone Device"]);
    document["properties"]["resources"] = resources;
    document
}

/// R-B-016: the first report is a POST, the others are PUTs, where there are both.
#[test]
fn capabilities_are_posted_first_and_put_later() {
    let client = client();
    let body = capabilities(SpecVersion::V1_0_0Rc2, "plc-7").to_string();
    let params = [("client_id", "plant-7"), ("device_id", "plc-7")];
    let report: report_capabilities::Request = arrive(SpecVersion::V1_0_0Rc2, &params, body).unwrap();
    assert_eq!(report.capabilities.revision(), SpecVersion::V1_0_0Rc2);
    for (version, first, path) in [
        (SpecVersion::V1_0_0Rc1, "POST", "/api/v1/clients/plant-7/capabilities"),
        (SpecVersion::V1_0_0Rc2, "POST", "/api/v1/clients/plant-7/capabilities/plc-7"),
        (SpecVersion::V1_0_0Rc3, "PUT", "/api/v1/capabilities/plc-7"),
    ] {
        let dialect = Dialect::new(version).with_client(&client);
        let http = report.to_http(dialect).unwrap();
        assert_eq!((http.method().as_str(), http.uri().path()), (first, path), "{version}");
        let http = report.clone().as_update().to_http(dialect).unwrap();
        assert_eq!((http.method().as_str(), http.uri().path()), ("PUT", path), "{version}");
    }
    for version in B_AND_C {
        let updated = report_capabilities::Response::new(margo_api::Recorded::Updated);
        assert_eq!(updated.to_http(version).status(), 201, "X-B-30");
    }
}

/// rev-C 5: what is called rc.2 comes in three shapes, and each is read on its routes. X-C-08.
#[test]
fn a_shape_tells_who_speaks() {
    type Report = report_capabilities::Request;
    let long = [("client_id", "plant-7"), ("device_id", "gw/plc-7")];
    for shape in [SpecVersion::V1_0_0Rc2, SpecVersion::V1_0_0Rc3] {
        let report: Report =
            arrive(SpecVersion::V1_0_0Rc2, &long, capabilities(shape, "gw/plc-7").to_string()).unwrap();
        assert_eq!((report.capabilities.revision(), report.device_id.as_str()), (shape, "gw/plc-7"));
    }
    let short = &long[..1];
    let body = capabilities(SpecVersion::V1_0_0Rc1, "plc-7").to_string();
    let report: Report = arrive(SpecVersion::V1_0_0Rc1, short, body).unwrap();
    assert_eq!(report.device_id.as_str(), "plc-7");
    let child = capabilities(SpecVersion::V1_0_0Rc2, "gw/plc-7").to_string();
    let problem = arrive::<Report>(SpecVersion::V1_0_0Rc1, short, child).unwrap_err();
    assert_eq!((problem.status, problem.errors[0].field.as_str()), (422, "properties.id"));
    for (body, status) in [("{", 400), ("[]", 400), ("{}", 422)] {
        let problem = arrive::<Report>(SpecVersion::V1_0_0Rc1, short, body).unwrap_err();
        assert_eq!(problem.status, status, "{body}");
    }
}

/// R-C-011, X-B-28, X-B-29.
#[test]
fn a_status_of_either_revision_arrives_on_the_route_they_share() {
    type Report = report_deployment_status::Request;
    let params = [("client_id", "plant-7"), ("deployment_id", "pump")];
    let mut body = json!({
        "apiVersion": "deployment.margo.org/v1alpha1", "kind": "DeploymentStatusManifest", "deploymentId": "pump",
        "status": {"state": "installed"}, "components": [{"name": "db", "state": "installed"}],
    });
    let report: Report = arrive(SpecVersion::V1_0_0Rc2, &params, body.to_string()).unwrap();
    assert!(B_AND_C.contains(&report.status.revision()));
    body["deviceId"] = json!("gw/plc-7");
    let report: Report = arrive(SpecVersion::V1_0_0Rc2, &params, body.to_string()).unwrap();
    assert_eq!(report.status.revision(), SpecVersion::V1_0_0Rc2);
    assert_eq!(report.device_id.as_ref().unwrap().as_str(), "gw/plc-7");
    let client = client();
    for version in B_AND_C {
        let http = report.to_http(Dialect::new(version).with_client(&client));
        // rc.1 knows one device, and cannot say which of several.
        if version == SpecVersion::V1_0_0Rc2 {
            assert_eq!(http.unwrap().uri().path(), "/api/v1/clients/plant-7/deployments/pump/status");
        }
        for recorded in [margo_api::Recorded::Created, margo_api::Recorded::Updated] {
            let response = report_deployment_status::Response::new(recorded);
            assert_eq!(response.to_http(version).status(), 200);
        }
    }
}

/// R-B-026: whatever the revision, bytes are what was asked for, and arrive in the newest words beside themselves.
#[test]
fn a_deployment_of_any_revision_arrives_in_the_newest_words() {
    let text = "
apiVersion: application.margo.org/v1alpha1
kind: ApplicationDeployment
metadata:
  annotations: { id: a3e2f5dc-912e-494f-8395-52cf3769bc06, applicationId: pump-monitor }
  name: pump-monitor
  namespace: plant
spec:
  deploymentProfile:
    type: helm
    components:
      - { name: collector, properties: { repository: 'oci://registry.example/c', revision: 1.0.9 } }
  parameters: {}
";
    let (bytes, target, limits) = (Bytes::from(text), "plc-7".parse().unwrap(), Limits::default());
    let id = "a3e2f5dc-912e-494f-8395-52cf3769bc06".parse().unwrap();
    let request = get_deployment::Request::new(id, Digest::of(text.as_bytes()));
    for revision in [None, Some(SpecVersion::V1_0_0Rc1)] {
        let read = request.read(bytes.clone(), revision, &target, &limits).unwrap();
        assert_eq!(read.losses, []);
        assert_eq!(read.value.bytes(), &bytes);
        assert_eq!(read.value.metadata.device_id.as_str(), "plc-7");
        let back = AnyApplicationDeployment::Rc3(read.value.into_value());
        assert!(back.to_revision(SpecVersion::V1_0_0Rc1, &target).is_ok());
    }
    assert!(request.read(bytes.clone(), Some(SpecVersion::V1_0_0Rc2), &target, &limits).is_err());
    let other = get_deployment::Request::new(request.deployment_id, Digest::of(b"other"));
    assert!(other.read(bytes, None, &target, &limits).is_err());
}

/// R-B-037 against R-D-024 and X-D-47: who may keep content.
#[test]
fn content_is_kept_by_whom_its_revision_says() {
    let digest = Digest::of(b"");
    let bundle = get_bundle::Response::Bundle { digest, bytes: Bytes::new() };
    for (version, who) in
        [(B_AND_C[0], "public"), (B_AND_C[1], "public"), (SpecVersion::V1_0_0Rc3, "private")]
    {
        for response in [bundle.to_http(version), get_bundle::Response::NotModified(digest).to_http(version)]
        {
            assert_eq!(response.headers()["cache-control"], format!("{who}, max-age=31536000, immutable"));
        }
    }
}

/// X-A-35, R-D-037: a problem everywhere but in rc.1 and rc.2, which have words of their own (rev-B 1).
#[test]
fn an_error_has_the_shape_of_its_revision() {
    let problem = Problem::new(ProblemType::SemanticError)
        .with_detail("1 member is wrong")
        .with_errors(vec![FieldError::new("properties.id", "must be there")]);
    for version in SpecVersion::ALL {
        let http = report_capabilities::Request::refuse(&problem, version);
        assert_eq!(http.status(), 422);
        let is_older = B_AND_C.contains(&version);
        let media_type = if is_older { "application/json" } else { "application/problem+json" };
        assert_eq!(http.headers()["content-type"], media_type, "{version}");
        let read = Problem::from_http(&http);
        assert_eq!((read.status, read.title.as_str()), (422, "Semantic Error"), "{version}");
        assert!(read.to_string().contains("properties.id: must be there"), "{version}: {read}");
    }
    let slow = Problem::about_blank(StatusCode::TOO_MANY_REQUESTS)
        .with_retry_after(std::time::Duration::from_secs(3));
    assert_eq!(slow.to_http_as(SpecVersion::V1_0_0Rc1).headers()["retry-after"], "3");
}

/// X-B-19, X-B-33, X-C-18.
#[test]
fn what_others_write_is_read_and_told() {
    let read = |body: &Value, revision| {
        OnboardingRequest::read(
            body.to_string().into(),
            Some(revision),
            Strictness::Strict,
            &Limits::default(),
        )
        .map(|reading| reading.deviations.iter().map(|found| found.contradiction).collect::<Vec<_>>())
    };
    let ours: Value = serde_json::from_slice(&OnboardingRequest::new(b"der").to_json()).unwrap();
    let [rc1, rc2] = B_AND_C;
    assert_eq!(read(&ours, rc1).unwrap(), [""; 0]);
    let mut other = ours.clone();
    other["apiVersion"] = json!("v1");
    assert_eq!(read(&other, rc2).unwrap(), ["X-B-19"]);
    other.as_object_mut().unwrap().remove("apiVersion");
    assert_eq!(read(&other, rc2).unwrap(), ["X-C-18"]);
    let first = json!({"apiVersion": "onboarding.margo.org/v1alpha1", "kind": "OnboardingRequest", "public_certificate": "MAA="});
    assert_eq!(read(&first, rc1).unwrap(), ["X-B-33"]);
    for wrong in [
        json!({"kind": "OnboardingRequest"}),
        json!({"kind": "Onboarding", "certificate": "MAA="}),
        json!({"certificate": "MAA="}),
        json!({"kind": "OnboardingRequest", "certificate": 7}),
        json!({"kind": "OnboardingRequest", "certificate": "MAA=", "public_certificate": "MAA="}),
    ] {
        assert!(read(&wrong, rc2).is_err(), "{wrong}");
    }
    assert_eq!(OnboardingRequest::detect(&ours).candidates.len(), 2);
    assert!(OnboardingRequest::detect(&json!({})).is_none());
}

/// X-D-14, X-D-15, X-D-16, X-D-17.
#[test]
fn what_problems_say_otherwise_is_told() {
    let told = |body: Value| {
        let reading =
            Problem::read(body.to_string().into(), None, Strictness::Strict, &Limits::default()).unwrap();
        reading.deviations.iter().map(|found| found.contradiction).collect::<Vec<_>>()
    };
    let of = |kind: &str| json!({"type": format!("https://docs.margo.org/specification/problem-types{kind}"), "title": "Not Authorized", "status": 403});
    assert_eq!(told(of("#not-authorized")), [""; 0]);
    assert_eq!(told(of("/not-authorized")), ["X-D-16"]);
    assert_eq!(told(of("#spiffe-bundle-not-found")), ["X-D-15"]);
    assert_eq!(
        told(json!({"type": "https://acme.example/broken", "title": "Broken", "status": 500})),
        [""; 0]
    );
    let mut retired = of("#not-authorized");
    retired["title"] = json!("Client Relationship Retired");
    assert_eq!(told(retired), ["X-D-14"]);
    assert_eq!(told(json!({"title": "No", "status": 404})), ["X-D-17"]);
}

/// X-B-22, and what the pages leave open: base64 of DER, base64 of PEM, or PEM.
#[test]
fn a_certificate_is_found_in_every_dress() {
    let der: Vec<u8> = (0..=255).collect();
    let written = RootCertificateResponse::new(&der);
    assert_eq!(written.certificate_der().unwrap(), der);
    let mut request = OnboardingRequest::new(&der);
    assert_eq!(request.certificate_der().unwrap(), der);
    request.certificate.insert(40, '\n');
    assert_eq!(request.certificate_der().unwrap(), der, "base64 is often broken into lines");
    request.certificate = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n".to_owned();
    assert_eq!(request.certificate_der().unwrap(), [0x30, 0]);
    for wrong in ["%", "-----BEGIN CERTIFICATE-----\nMAA=", "LS0tLS1CRUdJTiBLRVktLS0tLQo="] {
        wrong.clone_into(&mut request.certificate);
        assert_eq!(request.certificate_der().unwrap_err().pointer().to_string(), "/certificate", "{wrong}");
    }
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,12}".prop_map(Value::from),
    ];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,6}", inner, 0..3)
                .prop_map(|members| members.into_iter().collect::<serde_json::Map<_, _>>().into()),
        ]
    })
}

/// Members that no revision names.
fn others() -> impl Strategy<Value = serde_json::Map<String, Value>> {
    prop::collection::btree_map("x_[a-z]{1,6}", any_json(), 0..3)
        .prop_map(|members| members.into_iter().collect())
}

/// Members of other messages and revisions, as a stranger's software puts them everywhere.
fn strays() -> impl Strategy<Value = Extensions> {
    let names = [
        "type",
        "status",
        "title",
        "detail",
        "errors",
        "retryable",
        "retryAfterSeconds",
        "backoffStrategy",
        "error",
        "message",
        "instance",
        "x-a-extensions",
    ];
    prop::collection::btree_map(prop::sample::select(names.to_vec()), any_json(), 0..3)
        .prop_map(|members| members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

fn without(mut members: Extensions, names: &[&str]) -> Extensions {
    for name in names {
        members.remove(name);
    }
    members
}

prop_compose! {
    fn error()(
        words in "\\PC{1,20}",
        message in prop::option::of("\\PC{1,20}"),
        extensions in prop_oneof![strays(), others().prop_map(|members| members.into_iter().collect())],
    ) -> ErrorResponse {
        let mut error = ErrorResponse::new(words);
        error.message = message;
        error.extensions = without(extensions, &["error", "message"]);
        error
    }
}

prop_compose! {
    fn problem()(
        kind in prop_oneof![prop::sample::select(ProblemType::KNOWN), "[a-z:/]{1,12}".prop_map(|text| text.as_str().into())],
        words in ("\\PC{0,20}", prop::option::of("\\PC{0,20}"), prop::option::of("/[a-z]{0,9}")),
        status in 400..600u16,
        advice in (prop::option::of(any::<bool>()), prop::option::of(any::<u64>())),
        strategy in prop::option::of(prop::sample::select(BackoffStrategy::KNOWN)),
        errors in prop::collection::vec(("[a-z.]{0,9}", "\\PC{0,9}", strays()), 0..3),
        extensions in strays(),
    ) -> Problem {
        let mut problem = Problem::new(kind);
        (problem.title, problem.detail, problem.instance) = words;
        problem.status = status;
        (problem.retryable, problem.retry_after_seconds) = advice;
        problem.backoff_strategy = strategy;
        problem.errors = errors.into_iter().map(|(field, message, extensions)| {
            let mut error = FieldError::new(field, message);
            error.extensions = without(extensions, &["field", "message"]);
            error
        }).collect();
        let own = ["type", "title", "status", "detail", "instance", "retryable", "errors"];
        let own = [&own[..], &["retryAfterSeconds", "backoffStrategy"]].concat();
        problem.extensions = without(extensions, &own);
        problem
    }
}

/// A message is read as its revision as the same, and written again as the same bytes.
macro_rules! same_again {
    ($message:ident, $value:expr, $revision:expr) => {{
        let (message, revision) = ($value, $revision);
        let text = message.to_json();
        let reading = $message::read(text.clone(), Some(revision), Strictness::Lenient, &Limits::default());
        let read = reading.map_err(|error| TestCaseError::fail(error.to_string()))?.value;
        prop_assert_eq!(read.value(), message);
        prop_assert_eq!(read.to_json(), text.clone());
        let tree: Value = serde_json::from_slice(&text).unwrap();
        prop_assert!($message::detect(&tree).allows(revision), "{}", tree);
    }};
}

fn survives<T>(
    members: serde_json::Map<String, Value>,
    parse: fn(&[u8], &Limits) -> Result<T, margo_syntax::DecodeError>,
    write: fn(&T) -> Bytes,
) {
    let document = Value::from(members);
    let read = parse(document.to_string().as_bytes(), &Limits::default()).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&write(&read)).unwrap(), document);
}

proptest! {
    /// What no revision names survives reading and writing, in every message.
    #[test]
    fn messages_survive(
        mut request in others(), mut response in others(), mut root in others(), mut error in others(),
        mut problem in others(),
        certificate in "[A-Za-z0-9+/]{0,40}", client in "[A-Za-z0-9._~-]{3,20}", words in "\\PC{0,20}", status in 100..600u16,
    ) {
        request.extend([("apiVersion".into(), words.clone().into()), ("kind".into(), "OnboardingRequest".into()), ("certificate".into(), certificate.clone().into())]);
        survives(request, OnboardingRequest::parse, OnboardingRequest::to_json);
        prop_assume!(client != "..." && client.parse::<ClientId>().is_ok());
        response.insert("clientId".into(), client.into());
        survives(response, OnboardingResponse::parse, OnboardingResponse::to_json);
        root.insert("certificate".into(), certificate.into());
        survives(root, RootCertificateResponse::parse, RootCertificateResponse::to_json);
        error.extend([("error".into(), words.clone().into()), ("message".into(), words.clone().into())]);
        survives(error, ErrorResponse::parse, ErrorResponse::to_json);
        problem.extend([("type".into(), words.clone().into()), ("title".into(), words.into()), ("status".into(), status.into())]);
        survives(problem, Problem::parse, Problem::to_json);
    }

    /// Type to text to type in every revision that has the message, and text to type to text for what is emitted; the shape
    /// tells the revision again.
    #[test]
    fn messages_survive_their_text(
        certificate in any::<Vec<u8>>(), api_version in ".{0,12}", client in "[A-Za-z0-9_~-]{1,20}", problem in problem(),
        extensions in others(),
    ) {
        let extensions: Extensions = extensions.into_iter().collect();
        let mut request = OnboardingRequest::new(&certificate);
        (request.api_version, request.extensions) = (api_version, extensions.clone());
        prop_assert_eq!(request.certificate_der(), Ok(certificate.clone()));
        let mut response = OnboardingResponse::new(client.parse().unwrap());
        response.extensions = extensions.clone();
        let mut root = RootCertificateResponse::new(&certificate);
        root.extensions = extensions;
        prop_assert_eq!(root.certificate_der(), Ok(certificate));
        for revision in B_AND_C {
            same_again!(OnboardingRequest, &request, revision);
            same_again!(OnboardingResponse, &response, revision);
        }
        for revision in &SpecVersion::ALL[..3] {
            same_again!(RootCertificateResponse, &root, *revision);
        }
        same_again!(Problem, &problem, SpecVersion::V1_0_0Rc3);
    }

    /// Up and down again, nothing of an older error is lost but what is listed.
    #[test]
    fn an_error_survives_the_newest_words(original in error(), status in 400..600u16) {
        let text = original.to_json();
        prop_assert_eq!(&ErrorResponse::parse(&text, &Limits::default()).unwrap(), &original);
        let upgraded = original.clone().upgrade(StatusCode::from_u16(status).unwrap());
        let document: Value = serde_json::from_slice(&text).unwrap();
        for loss in &upgraded.losses {
            prop_assert!(document.pointer(&loss.pointer).is_some(), "{}", loss);
        }
        // What comes out is a problem that can be written and read.
        prop_assert_eq!(&Problem::parse(&upgraded.value.to_json(), &Limits::default()).unwrap(), &upgraded.value);
        prop_assume!(original.error != "Unauthorized");
        let mut kept = original;
        for loss in &upgraded.losses {
            kept.extensions.remove(loss.pointer.trim_start_matches('/'));
        }
        prop_assert_eq!(ErrorResponse::downgrade(&upgraded.value).value, kept);
    }

    /// What an error of rc.1 and rc.2 has no place for is listed; words and other members stay.
    #[test]
    fn a_problem_in_older_words_lists_what_it_leaves_out(problem in problem()) {
        let Upgraded { value: error, losses, .. } = ErrorResponse::downgrade(&problem);
        prop_assert_eq!(&ErrorResponse::parse(&error.to_json(), &Limits::default()).unwrap(), &error);
        let document: Value = serde_json::from_slice(&problem.to_json()).unwrap();
        let again = error.clone().upgrade(StatusCode::from_u16(problem.status).unwrap()).value;
        let again: Value = serde_json::from_slice(&again.to_json()).unwrap();
        for (name, value) in document.as_object().unwrap() {
            let is_listed = losses.iter().any(|loss| loss.pointer == format!("/{name}"));
            let is_said = match name.as_str() {
                // In words.
                "errors" => problem.errors.iter().all(|one| error.message.as_ref().unwrap().contains(&one.message)),
                "detail" => error.message.as_ref().unwrap().contains(problem.detail.as_ref().unwrap()),
                _ => again.get(name) == Some(value),
            };
            prop_assert!(is_listed || is_said, "{name} of {document} is lost in {again}");
        }
        for loss in &losses {
            prop_assert!(document.pointer(&loss.pointer).is_some(), "{}", loss);
        }
    }

    #[test]
    fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), status in 100..600u16) {
        let limits = Limits::default();
        let _ = OnboardingRequest::parse(&bytes, &limits).map(|request| request.certificate_der());
        let _ = OnboardingResponse::parse(&bytes, &limits);
        let _ = RootCertificateResponse::parse(&bytes, &limits).map(|root| root.certificate_der());
        let _ = Problem::read(bytes.clone().into(), None, Strictness::Lenient, &limits);
        let _ = request_token::Request::from_form(&bytes);
        let mut response = http::Response::new(Bytes::from(bytes.clone()));
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let _ = onboard::Response::from_http(response.clone());
        let _ = request_token::Response::from_http(response.clone());
        let _ = get_desired_state::Response::from_http(response);
        for params in [&[("client_id", "c"), ("deployment_id", "d")][..], &[("device_id", "d")]] {
            let _ = arrive::<report_capabilities::Request>(SpecVersion::V1_0_0Rc2, params, bytes.clone());
            let _ = arrive::<report_deployment_status::Request>(SpecVersion::V1_0_0Rc2, params, bytes.clone());
            let _ = arrive::<onboard::Request>(SpecVersion::V1_0_0Rc2, params, bytes.clone());
        }
    }
}
