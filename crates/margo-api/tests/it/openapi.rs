//! Our routes are those of the OpenAPI documents, no more and no fewer.

use std::collections::BTreeSet;
use std::fs;

use margo_api::endpoint::{
    Endpoint, Route, get_bundle, get_deployment, get_desired_state, get_discovery, get_root_certificate,
    get_trust_bundle, onboard, remove_device, report_capabilities, report_deployment_status, request_token,
};
use margo_core::SpecVersion;
use margo_syntax::{Format, Limits};

fn routes() -> Vec<Route> {
    [
        get_bundle::Request::ROUTES,
        get_deployment::Request::ROUTES,
        get_desired_state::Request::ROUTES,
        get_discovery::Request::ROUTES,
        get_root_certificate::Request::ROUTES,
        get_trust_bundle::Request::ROUTES,
        onboard::Request::ROUTES,
        remove_device::Request::ROUTES,
        report_capabilities::Request::ROUTES,
        report_deployment_status::Request::ROUTES,
        request_token::Request::ROUTES,
    ]
    .concat()
}

/// Method and path, with the names of parameters as the OpenAPI documents have them.
fn ours(version: SpecVersion) -> BTreeSet<String> {
    let names = [
        ("{*device_id}", "{deviceId}"),
        ("{device_id}", "{deviceId}"),
        ("{client_id}", "{clientId}"),
        ("{deployment_id}", "{deploymentId}"),
    ];
    let routes = routes().into_iter().filter(|route| route.is_in(version));
    routes
        .map(|route| {
            let path =
                names.iter().fold(route.path.to_owned(), |path, (ours, theirs)| path.replace(ours, theirs));
            format!("{} {path}", route.method)
        })
        .collect()
}

/// What we serve beside the OpenAPI documents, and why.
const ALIASES: &[(SpecVersion, &str, &str)] = &[(
    SpecVersion::V1_0_0Rc1,
    "POST /api/v1/clients/{clientId}/deployment/{deploymentId}/status",
    "X-B-29: a diagram and the first text have the singular",
)];

#[test]
fn our_routes_are_those_of_the_openapi_documents() {
    let Some(examples) = crate::spec_examples() else { return };
    let folder = examples.with_file_name("openapi");
    for (version, files) in [
        (SpecVersion::V1_0_0Rc1, &["workload-management-api-1.0.0-rc.1.yaml"][..]),
        (SpecVersion::V1_0_0Rc2, &["workload-management-api-1.0.0-rc.2.yaml"]),
        (
            SpecVersion::V1_0_0Rc3,
            &["workload-management-api-1.0.0-rc.3.yaml", "trust-bundle-api-1.0.0-rc.3.yaml"],
        ),
    ] {
        let mut theirs = BTreeSet::new();
        for file in files {
            let text = fs::read(folder.join(file)).unwrap();
            let api = margo_syntax::parse(&text, Format::Yaml, &Limits::default()).unwrap().to_value();
            for (path, methods) in api["paths"].as_object().unwrap() {
                let methods = methods.as_object().unwrap().keys().filter(|name| !name.starts_with("param"));
                theirs.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
            }
        }
        for (_, alias, _) in ALIASES.iter().filter(|(of, ..)| *of == version) {
            theirs.insert((*alias).to_owned());
        }
        assert_eq!(ours(version), theirs, "{version}");
    }
}

/// rev-A 1, X-A-20: no OpenAPI document describes the pre-draft, and none of its pages a bare `GET` of a device. A1 to A3, A5, A6; A4 has no message, A7 and A8 are Git.
#[test]
fn the_routes_of_the_pre_draft_are_those_of_its_pages() {
    let expected = [
        "GET /onboarding/certificate",
        "POST /device/{deviceId}/capabilities",
        "POST /device/{deviceId}/deployment/{deploymentId}/status",
        "POST /token",
        "PUT /device/{deviceId}/capabilities",
    ];
    assert_eq!(ours(SpecVersion::PreDraft), expected.map(str::to_owned).into());
}

/// Whoever mounts every route mounts none twice.
#[test]
fn no_route_is_there_twice() {
    let mut seen = BTreeSet::new();
    for route in routes() {
        assert!(route.since <= route.version, "{route:?}");
        assert!(seen.insert((route.method.to_string(), route.path)), "{route:?}");
    }
}
