use margo_capability::{AnyDeviceCapabilities, DeviceCapabilitiesManifest, Properties};
use margo_syntax::{DecodeError, Format, Limits, SyntaxErrorKind, decode_with};
use serde_json::Value;

const MEGABYTE: usize = 1_000_000;

/// A device with about so many bytes of labels.
fn device(bytes: usize) -> AnyDeviceCapabilities {
    let properties = Properties::new("gateway-1".parse().unwrap(), "Acme", "G2", "SN-1");
    let mut device = DeviceCapabilitiesManifest::new(properties);
    for number in 0..bytes / 100 {
        let text = format!("{number:07} {}", "x".repeat(60));
        device.labels.insert(format!("acme.example/label-{number:06}"), text.as_str().into());
    }
    device.into()
}

fn in_yaml(device: &AnyDeviceCapabilities) -> Vec<u8> {
    let tree: Value = serde_json::from_slice(&device.to_json()).unwrap();
    margo_syntax::to_yaml(&tree).unwrap().into_bytes()
}

fn read(bytes: &[u8], format: Format) -> Result<AnyDeviceCapabilities, DecodeError> {
    decode_with(bytes, format, &Limits::default(), AnyDeviceCapabilities::from_value)
}

/// Within the default limits.
#[test]
fn ten_megabytes_are_read() {
    let device = device(11 * MEGABYTE);
    let (json, yaml) = (device.to_json(), in_yaml(&device));
    assert!(json.len() >= 10 * MEGABYTE && yaml.len() >= 10 * MEGABYTE);
    assert_eq!(read(&yaml, Format::Yaml).unwrap(), device);
    assert_eq!(AnyDeviceCapabilities::decode(json.into(), &Limits::default()).unwrap().into_value(), device);
}

#[test]
fn more_than_the_limits_allow_is_refused_by_the_name_of_the_limit() {
    let device = device(18 * MEGABYTE);
    for (bytes, format) in [(device.to_json(), Format::Json), (in_yaml(&device), Format::Yaml)] {
        let error = read(&bytes, format).unwrap_err();
        assert_eq!(error.syntax(), Some(&SyntaxErrorKind::TooLarge { limit: 16 * 1024 * 1024 }));
        assert_eq!(error.to_string(), "document is larger than 16777216 bytes");
    }
    // Small text, too many values.
    let text = format!("{{\"properties\": {{\"peripherals\": [{}0]}}}}", "0,".repeat(1_000_000));
    for format in [Format::Json, Format::Yaml] {
        assert_eq!(read(text.as_bytes(), format).unwrap_err().message(), "more than 1000000 values");
    }
}
