//! The specification's own examples: they lie beside the checkout and are never committed here.

use std::fs;
use std::path::PathBuf;

use margo_capability::AnyDeviceCapabilities;
use margo_deployment::AnyApplicationDeployment;
use margo_placement::evaluate;
use margo_syntax::Limits;

/// X-D-30: the rules are evaluated as written: one peripheral that is a GPU by NVIDIA, and one interface that is
/// Ethernet or Bluetooth.
#[test]
fn the_specifications_deployment_is_placed_by_its_rules() {
    let folder = std::env::var_os("MARGO_SPEC_EXAMPLES").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/spec/examples")),
        PathBuf::from,
    );
    if !folder.is_dir() {
        println!("notice: no examples at {}; set MARGO_SPEC_EXAMPLES to read them", folder.display());
        return;
    }
    let read = |name: &str| fs::read(folder.join("D/valid").join(name)).unwrap();
    let deployment = read("DesiredState-001@0450fb92-legacy.yaml");
    let deployment = AnyApplicationDeployment::parse(&deployment, &Limits::default()).unwrap();
    let deployment = deployment.upgrade(&"edge-01".parse().unwrap()).value;
    let profile = &deployment.spec.deployment_profile;
    let fits = |text: String| {
        let device = AnyDeviceCapabilities::decode(text.into(), &Limits::default()).unwrap();
        let device = device.into_value().upgrade().value;
        let placement = evaluate(profile, &device).within("/spec/deploymentProfile");
        let refusals: Vec<_> = placement.refusals().map(|reason| reason.message.clone()).collect();
        (placement.fits(), refusals)
    };

    let device = String::from_utf8(read("DeviceCapabilities.main.page.json")).unwrap();
    assert_eq!(fits(device.clone()), (true, vec![]));
    let relay = String::from_utf8(read("DeviceCapabilities.gateway-no-hosting.page.json")).unwrap();
    assert_eq!(
        fits(relay),
        (false, vec!["the device hosts no workloads: it tells no deployment types".to_owned()])
    );
    let without = device.replace("NVIDIA", "Globex").replace("59 Gi", "512 Mi");
    assert_eq!(
        fits(without),
        (
            false,
            vec![
                "1024Mi of memory are needed, and the device has 512 Mi".to_owned(),
                "the eligibility rule does not match".to_owned(),
            ]
        )
    );
}
