use std::fs;
use std::path::{Path, PathBuf};

use margo_capability::{Architecture, CommunicationInterface, Cpu, InterfaceType, pre_draft};

/// The machine the agent runs on, as Linux shows it under `/proc` and `/sys`.
///
/// Only what holds still is looked at: the memory and the storage there are, not what is free, so that a change is
/// a change of the hardware (R-A-025).
#[derive(Clone, Debug)]
pub struct Host {
    root: PathBuf,
    storage: PathBuf,
}

impl Host {
    /// This machine; its storage is the file system at `/`.
    #[must_use]
    pub fn new() -> Self {
        Self { root: "/".into(), storage: "/".into() }
    }

    /// The same machine, whose `proc` and `sys` are in another folder: in a container, where the host's are
    /// mounted.
    #[must_use]
    pub fn with_root(mut self, root: impl Into<PathBuf>) -> Self {
        self.root = root.into();
        self
    }

    /// The same machine, whose workloads store their data on the file system that holds `path`.
    #[must_use]
    pub fn with_storage(mut self, path: impl Into<PathBuf>) -> Self {
        self.storage = path.into();
        self
    }

    /// In bytes.
    pub(crate) fn memory(&self) -> Option<u64> {
        let text = self.text("proc/meminfo")?;
        let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
        total.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
    }

    /// In bytes.
    pub(crate) fn storage(&self) -> Option<u64> {
        let file_system = rustix::fs::statvfs(&self.storage).ok()?;
        file_system.f_blocks.checked_mul(file_system.f_frsize)
    }

    pub(crate) fn cpus(&self) -> Option<Vec<Cpu>> {
        let cpu = Cpu::new(f64::from(self.cores()?));
        Some(vec![match architecture() {
            Some(architecture) => cpu.with_architecture(architecture),
            None => cpu,
        }])
    }

    /// Nothing where the frequency is not to be seen: the pre-draft has no processor without one.
    pub(crate) fn pre_draft_cpus(&self) -> Option<Vec<pre_draft::Cpu>> {
        let name = architecture().map_or(std::env::consts::ARCH.to_owned(), |known| known.to_string());
        Some(vec![pre_draft::Cpu::new(name, self.cores()?.into(), self.gigahertz()?)])
    }

    pub(crate) fn interfaces(&self) -> Vec<CommunicationInterface> {
        self.networks().map(|(_, kind)| CommunicationInterface::new(kind)).collect()
    }

    pub(crate) fn pre_draft_interfaces(&self) -> Vec<pre_draft::Interface> {
        let interface = |(name, kind): (String, InterfaceType)| {
            let driver =
                fs::read_link(self.root.join("sys/class/net").join(&name).join("device/driver")).ok();
            let driver = driver.as_deref().and_then(Path::file_name).and_then(|name| name.to_str());
            pre_draft::Interface::new(name, kind.as_str(), driver.unwrap_or("unknown"))
        };
        self.networks().map(interface).collect()
    }

    fn cores(&self) -> Option<u32> {
        let online = self.text("sys/devices/system/cpu/online").and_then(|text| count(text.trim()));
        online.or_else(|| u32::try_from(std::thread::available_parallelism().ok()?.get()).ok())
    }

    /// The highest frequency, or the one there is where it does not change; to a tenth.
    fn gigahertz(&self) -> Option<f64> {
        let kilohertz = self.text("sys/devices/system/cpu/cpu0/cpufreq/cpuinfo_max_freq");
        let kilohertz = kilohertz.and_then(|text| text.trim().parse::<f64>().ok());
        let gigahertz = kilohertz.map(|kilohertz| kilohertz / 1e6).or_else(|| {
            let text = self.text("proc/cpuinfo")?;
            let megahertz = text.lines().find_map(|line| line.strip_prefix("cpu MHz"))?;
            Some(megahertz.trim_start_matches([' ', '\t', ':']).trim().parse::<f64>().ok()? / 1e3)
        })?;
        let rounded = (gigahertz * 10.0).round() / 10.0;
        (rounded > 0.0).then_some(rounded)
    }

    /// The interfaces that are hardware, by name; loopback, bridges and the like have no `device`.
    fn networks(&self) -> impl Iterator<Item = (String, InterfaceType)> {
        let folder = self.root.join("sys/class/net");
        let mut names: Vec<String> = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .collect();
        names.sort();
        names.into_iter().filter_map(move |name| {
            let at = folder.join(&name);
            if !at.join("device").exists() {
                return None;
            }
            let uevent = fs::read_to_string(at.join("uevent")).unwrap_or_default();
            let kind = if uevent.contains("DEVTYPE=wlan") || at.join("wireless").exists() {
                InterfaceType::Wifi
            } else if uevent.contains("DEVTYPE=wwan") {
                InterfaceType::Cellular
            } else {
                // ARPHRD_ETHER and ARPHRD_CAN of `linux/if_arp.h`.
                match fs::read_to_string(at.join("type")).ok()?.trim() {
                    "1" => InterfaceType::Ethernet,
                    "280" => InterfaceType::Canbus,
                    _ => return None,
                }
            };
            Some((name, kind))
        })
    }

    fn text(&self, path: &str) -> Option<String> {
        fs::read_to_string(self.root.join(path)).ok()
    }
}

impl Default for Host {
    fn default() -> Self {
        Self::new()
    }
}

fn architecture() -> Option<Architecture> {
    match std::env::consts::ARCH {
        "x86_64" => Some(Architecture::Amd64),
        "aarch64" => Some(Architecture::Arm64),
        "arm" => Some(Architecture::Arm),
        _ => None,
    }
}

/// How many numbers a list such as `0-3,5` has.
fn count(ranges: &str) -> Option<u32> {
    ranges.split(',').try_fold(0_u32, |total, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.parse::<u32>().ok()?, last.parse::<u32>().ok()?);
        total.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        assert_eq!(count("0"), Some(1));
        assert_eq!(count("0-3,5"), Some(5));
        for list in ["", "3-0", "a", "0-4294967295", "0-3,"] {
            assert_eq!(count(list), None, "{list}");
        }
    }

    #[test]
    fn hardware_is_told_from_what_only_looks_like_it() {
        let root = tempfile::tempdir().unwrap();
        let net = root.path().join("sys/class/net");
        let interface = |name: &str, is_hardware: bool, kind: &str, uevent: &str| {
            let at = net.join(name);
            fs::create_dir_all(&at).unwrap();
            if is_hardware {
                fs::create_dir(at.join("device")).unwrap();
            }
            fs::write(at.join("type"), kind).unwrap();
            fs::write(at.join("uevent"), uevent).unwrap();
        };
        interface("wlan0", true, "1\n", "DEVTYPE=wlan\nINTERFACE=wlan0\n");
        interface("wwan0", true, "65534\n", "DEVTYPE=wwan\n");
        interface("eth1", true, "1\n", "INTERFACE=eth1\n");
        interface("can0", true, "280\n", "");
        interface("lo", false, "772\n", "");
        interface("docker0", false, "1\n", "DEVTYPE=bridge\n");
        interface("ib0", true, "32\n", "");
        let found: Vec<_> = Host::new().with_root(root.path()).networks().collect();
        let expected = [
            ("can0", InterfaceType::Canbus),
            ("eth1", InterfaceType::Ethernet),
            ("wlan0", InterfaceType::Wifi),
            ("wwan0", InterfaceType::Cellular),
        ];
        assert_eq!(found, expected.map(|(name, kind)| (name.to_owned(), kind)));
    }

    #[test]
    fn amounts_are_read_in_their_units() {
        let root = tempfile::tempdir().unwrap();
        let cpu = root.path().join("sys/devices/system/cpu");
        fs::create_dir_all(cpu.join("cpu0/cpufreq")).unwrap();
        fs::create_dir(root.path().join("proc")).unwrap();
        fs::write(root.path().join("proc/meminfo"), "MemFree: 1 kB\nMemTotal:       16384 kB\n").unwrap();
        fs::write(root.path().join("proc/cpuinfo"), "model name\t: X\ncpu MHz\t\t: 2394.374\n").unwrap();
        fs::write(cpu.join("online"), "0-7\n").unwrap();
        let host = Host::new().with_root(root.path());
        assert_eq!((host.memory(), host.cores()), (Some(16 << 20), Some(8)));
        assert_eq!(host.gigahertz(), Some(2.4));
        fs::write(cpu.join("cpu0/cpufreq/cpuinfo_max_freq"), "1800000\n").unwrap();
        assert_eq!(host.gigahertz(), Some(1.8));
    }

    #[test]
    fn what_is_not_there_is_not_invented() {
        let root = tempfile::tempdir().unwrap();
        let host = Host::new().with_root(root.path()).with_storage(root.path().join("missing"));
        assert_eq!((host.memory(), host.storage(), host.gigahertz()), (None, None, None));
        assert!(host.interfaces().is_empty() && host.pre_draft_cpus().is_none());
    }
}
