use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Duration;

use margo_capability::{AnyDeviceCapabilities, pre_draft};
use margo_core::{DeviceId, Quantity};
use margo_syntax::{DecodeError, Format, Limits};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::Host;

/// In bytes. A document describes one device.
const LARGEST_FILE: u64 = 1 << 20;

const GIGABYTE: u64 = 1_000_000_000;

/// The capabilities of a device: a file its maker or owner writes, completed by what the host shows.
///
/// A see-thru gateway tells of the devices behind it as well: its own document first, and one more for each of them in
/// the same YAML stream (R-C-003). Which host they have nobody here knows, so only the first is completed.
///
/// The file is YAML, or JSON when its name ends in `.json`, in the form of any revision that
/// [`AnyDeviceCapabilities`] reads. Where a device that runs workloads leaves out its processors, its memory, its
/// storage or its interfaces, those of the [`Host`] are filled in, in the forms of 1.0.0-rc.3 and of the pre-draft.
/// A relay gateway, which tells no deployment types, is left as it is (R-D-021).
///
/// The file is read again at an interval and its **content** is compared. Notifications of the kernel would not do:
/// they follow a file that an atomic rename has replaced, are not delivered on network and overlay file systems,
/// and say nothing about a memory module. The file is small; reading it costs less than keeping a watch.
#[derive(Clone, Debug)]
pub struct CapabilityFile {
    path: PathBuf,
    host: Host,
    interval: Duration,
}

impl CapabilityFile {
    /// The file at `path`, looked at every 10 seconds, completed from this machine.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), host: Host::new(), interval: Duration::from_secs(10) }
    }

    /// The same file, completed from `host`.
    #[must_use]
    pub fn with_host(mut self, host: Host) -> Self {
        self.host = host;
        self
    }

    /// The same file, looked at every `interval`; at most ten times a second.
    #[must_use]
    pub fn with_interval(mut self, interval: Duration) -> Self {
        self.interval = interval.max(Duration::from_millis(100));
        self
    }

    /// Reads the file and completes it: the device itself, and then those behind it, each after its gateway. Blocks
    /// for as long as the disk does.
    ///
    /// # Errors
    ///
    /// The file cannot be read, has more than 1 MiB, or is not what a device may report; with the place. Nor may it
    /// tell of a device twice, or of one whose gateway it does not tell of.
    pub fn read(&self) -> Result<Vec<AnyDeviceCapabilities>, CapabilityError> {
        let io = |source| CapabilityError::Read { path: self.path.clone(), source };
        let mut bytes = Vec::new();
        File::open(&self.path)
            .and_then(|file| file.take(LARGEST_FILE + 1).read_to_end(&mut bytes))
            .map_err(io)?;
        if bytes.len() as u64 > LARGEST_FILE {
            return Err(CapabilityError::TooLarge { path: self.path.clone() });
        }
        let decode = |source| CapabilityError::Decode { path: self.path.clone(), source };
        let limits = Limits::default();
        let is_json = self.path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
        let trees = if is_json {
            margo_syntax::parse(&bytes, Format::Json, &limits).map(|tree| vec![tree])
        } else {
            margo_syntax::parse_all(&bytes, &limits)
        };
        let mut devices = Vec::new();
        for (index, tree) in trees.map_err(|error| decode(error.into()))?.iter().enumerate() {
            let device = tree.decode_with(|_, mut value| {
                if index == 0 {
                    complete(&mut value, &self.host);
                }
                let capabilities = AnyDeviceCapabilities::from_value(value)?;
                // Strict when writing: what would be refused is not sent.
                capabilities.check().into_iter().next().map_or(Ok(capabilities), Err)
            });
            devices.push(device.map_err(decode)?);
        }
        self.in_order(devices)
    }

    /// R-C-003, R-D-020: a gateway before what is behind it.
    fn in_order(
        &self,
        mut devices: Vec<AnyDeviceCapabilities>,
    ) -> Result<Vec<AnyDeviceCapabilities>, CapabilityError> {
        if devices.is_empty() {
            return Err(CapabilityError::Empty { path: self.path.clone() });
        }
        let wrong = |device: &DeviceId, reason| CapabilityError::Hierarchy {
            path: self.path.clone(),
            device: device.clone(),
            reason,
        };
        devices[1..].sort_by_key(|device| device.device_id().segments().count());
        let mut seen = BTreeSet::new();
        for device in &devices {
            let id = device.device_id();
            if !seen.is_empty() && id.gateway().is_none_or(|gateway| !seen.contains(&gateway)) {
                return Err(wrong(id, "stands behind no gateway of the file"));
            }
            if !seen.insert(id.clone()) {
                return Err(wrong(id, "is told of twice"));
            }
        }
        Ok(devices)
    }

    /// How often the file is looked at.
    #[must_use]
    pub fn interval(&self) -> Duration {
        self.interval
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The capabilities cannot be told.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CapabilityError {
    /// The file cannot be read.
    #[error("capabilities in `{}` cannot be read", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The file has more than 1 MiB.
    #[error("capabilities in `{}` have more than {LARGEST_FILE} bytes", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file has no document.
    #[error("capabilities in `{}` are missing", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// A device is told of where it cannot be.
    #[error("capabilities in `{}` are not those of a gateway: `{device}` {reason}", path.display())]
    Hierarchy {
        /// The file.
        path: PathBuf,
        /// The device.
        device: DeviceId,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file is not what a device may report.
    #[error("capabilities in `{}` are not valid", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// Where, and why not.
        source: DecodeError,
    },
}

/// Fills in what the host shows and the file leaves out. Whatever is not an object is left for reading to refuse.
fn complete(document: &mut Value, host: &Host) {
    let kind = document.get("kind").and_then(Value::as_str);
    let is_pre_draft = matches!(kind, Some("DeviceCapabilities" | "DeviceCapability"));
    let Some(properties) = document.get_mut("properties").and_then(Value::as_object_mut) else { return };
    if is_pre_draft {
        complete_pre_draft(properties, host);
    } else if properties.contains_key("supportedDeploymentTypes") {
        fill(properties, "cpus", || host.cpus());
        fill(properties, "memory", || host.memory().map(Quantity::of_bytes));
        fill(properties, "storage", || host.storage().map(Quantity::of_bytes));
        fill(properties, "interfaces", || Some(host.interfaces()));
    }
}

fn complete_pre_draft(properties: &mut Map<String, Value>, host: &Host) {
    let resources = properties.entry("resources").or_insert_with(|| Map::new().into());
    if let Some(resources) = resources.as_object_mut() {
        fill(resources, "cpus", || host.pre_draft_cpus());
        // R-A-027.
        fill(resources, "memory", || host.memory().map(|bytes| bytes / GIGABYTE));
        fill(resources, "storage", || host.storage().map(|bytes| bytes / GIGABYTE));
    }
    fill(properties, "interfaces", || Some::<Vec<pre_draft::Interface>>(host.pre_draft_interfaces()));
}

fn fill<T: Serialize>(members: &mut Map<String, Value>, name: &str, detect: impl FnOnce() -> Option<T>) {
    if members.contains_key(name) {
        return;
    }
    if let Some(value) = detect().and_then(|detected| serde_json::to_value(detected).ok()) {
        members.insert(name.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use margo_core::SpecVersion;
    use serde_json::json;
    use tempfile::TempDir;

    use super::*;

    /// A machine with 8 processors at 2.5 GHz, 16 GiB of memory and one network card.
    fn machine() -> (TempDir, Host) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("sys/devices/system/cpu/cpu0/cpufreq")).unwrap();
        fs::create_dir_all(root.join("sys/class/net/eth0/device")).unwrap();
        fs::create_dir(root.join("proc")).unwrap();
        fs::write(root.join("proc/meminfo"), "MemTotal: 16777216 kB\n").unwrap();
        fs::write(root.join("sys/devices/system/cpu/online"), "0-7\n").unwrap();
        fs::write(root.join("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq"), "2500000\n").unwrap();
        fs::write(root.join("sys/class/net/eth0/type"), "1\n").unwrap();
        let host = Host::new().with_root(root).with_storage(root);
        (folder, host)
    }

    fn read(name: &str, text: &str) -> Result<Value, CapabilityError> {
        let (folder, host) = machine();
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        let capabilities = CapabilityFile::new(path).with_host(host).read()?;
        Ok(serde_json::from_slice(&capabilities[0].to_json()).unwrap())
    }

    const HOSTING: &str = "
properties:
  id: plc-7
  vendor: Acme
  modelNumber: PLC 9000
  serialNumber: SN-1
  memory: 4Gi
  peripherals: []
  otelCollector: true
  supportedRuntimes: [oci]
  supportedDeploymentTypes: [compose]
";

    /// R-D-021: what the file says stays, what it leaves out is filled in.
    #[test]
    fn a_host_completes_its_file() {
        let read = read("capabilities.yaml", HOSTING).unwrap();
        let properties = &read["properties"];
        assert_eq!(properties["memory"], "4Gi");
        assert_eq!(properties["cpus"][0]["cores"], 8);
        assert_eq!(properties["interfaces"], json!([{"type": "ethernet"}]));
        assert!(Quantity::from(properties["storage"].as_str().unwrap()).bytes().unwrap() > 0);
    }

    /// R-D-021.
    #[test]
    fn a_relay_gateway_is_left_as_it_is() {
        let text =
            json!({"properties": {"id": "gw", "vendor": "A", "modelNumber": "G", "serialNumber": "1"}});
        assert_eq!(read("capabilities.json", &text.to_string()).unwrap(), text);
    }

    /// R-A-026, R-A-027.
    #[test]
    fn the_pre_draft_counts_in_gigabytes_and_gigahertz() {
        let read = read(
            "capabilities.yaml",
            "
apiVersion: device.margo/v1
kind: DeviceCapabilities
properties:
  id: plc-7
  vendor: Acme
  modelNumber: PLC 9000
  serialNumber: SN-1
  roles: [Standalone Device]
  resources: { storage: 64 }
  peripherals: []
",
        )
        .unwrap();
        let resources = &read["properties"]["resources"];
        assert_eq!((&resources["memory"], &resources["storage"]), (&json!(17), &json!(64)));
        assert_eq!(
            (&resources["cpus"][0]["cores"], &resources["cpus"][0]["frequency"]),
            (&json!(8), &json!(2.5))
        );
        assert_eq!(read["properties"]["interfaces"][0]["name"], "eth0");
        assert_eq!(read["kind"], "DeviceCapabilities");
    }

    fn stream(text: &str) -> Result<Vec<String>, String> {
        let (folder, host) = machine();
        let path = folder.path().join("capabilities.yaml");
        fs::write(&path, text).unwrap();
        let read = CapabilityFile::new(path).with_host(host).read();
        read.map(|devices| devices.iter().map(|device| device.device_id().to_string()).collect())
            .map_err(|error| error.to_string())
    }

    fn relay(id: &str) -> String {
        format!("properties: {{ id: {id}, vendor: A, modelNumber: G, serialNumber: '1' }}\n")
    }

    /// R-C-003, R-D-020.
    #[test]
    fn a_gateway_comes_before_what_is_behind_it() {
        let all = |ids: &[&str]| ids.iter().map(|id| relay(id)).collect::<Vec<_>>().join("---\n");
        assert_eq!(
            stream(&all(&["gw", "gw/b/plc", "gw/b", "gw/a"])).unwrap(),
            ["gw", "gw/b", "gw/a", "gw/b/plc"]
        );
        for (ids, device) in [
            (&["gw", "gw/a/plc"][..], "`gw/a/plc` stands behind no gateway"),
            (&["gw", "other"], "`other` stands behind no gateway"),
            (&["gw", "gw/a", "gw/a"], "`gw/a` is told of twice"),
        ] {
            let error = stream(&all(ids)).unwrap_err();
            assert!(error.contains(device), "{error}");
        }
        assert!(stream("").unwrap_err().ends_with("are missing"));
    }

    #[test]
    fn an_error_names_file_and_place() {
        let error = read("bad.yaml", &HOSTING.replace("[compose]", "[]")).unwrap_err();
        assert!(error.to_string().ends_with("bad.yaml` are not valid"), "{error}");
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "line 11, column 29: /properties/supportedDeploymentTypes: expected at least one");

        let error = read("bad.json", "{\"properties\": }").unwrap_err();
        assert!(std::error::Error::source(&error).unwrap().to_string().starts_with("line 1, column 16: "));
        for text in ["[]", "properties: 7", "properties: { resources: 7 }"] {
            assert!(matches!(read("bad.yaml", text), Err(CapabilityError::Decode { .. })), "{text}");
        }
    }

    #[test]
    fn a_file_is_read_within_limits() {
        let filler = "#".repeat(usize::try_from(LARGEST_FILE).unwrap());
        assert!(matches!(read("big.yaml", &filler), Err(CapabilityError::Empty { .. })));
        assert!(matches!(read("big.yaml", &(filler + "#")), Err(CapabilityError::TooLarge { .. })));
        let missing = CapabilityFile::new("/nowhere/capabilities.yaml").read().unwrap_err();
        assert!(matches!(missing, CapabilityError::Read { .. }));
    }

    #[test]
    fn this_very_machine_can_be_described() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("capabilities.yaml");
        fs::write(&path, HOSTING).unwrap();
        let capabilities = CapabilityFile::new(path).read().unwrap();
        assert_eq!(capabilities[0].revision(), SpecVersion::V1_0_0Rc3);
    }
}
