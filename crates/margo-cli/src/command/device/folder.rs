use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use margo_core::SpecVersion;
use url::Url;

use super::proof::Proof;
use crate::Onboarded;
use crate::command::failure::Failure;

/// Readable by everyone: it holds no secret.
pub(super) const PUBLIC: u32 = 0o644;

/// Readable by its owner alone.
pub(super) const SECRET: u32 = 0o600;

/// What every device has.
const FILES: [&str; 2] = ["margo-device.toml", "capabilities.yaml"];

/// The folder in which a device's client finds what it needs.
#[derive(Debug)]
pub(super) struct DeviceFolder {
    path: PathBuf,
}

impl DeviceFolder {
    /// A folder that exists and into which everything can be written without overwriting anything.
    pub(super) fn prepare(
        path: &Path,
        revision: SpecVersion,
        proof: Option<&Proof>,
    ) -> Result<Self, Failure> {
        let folder = Self { path: path.to_owned() };
        fs::create_dir_all(path).map_err(|cause| {
            Failure::not_asked(format!("`{}` is no folder", path.display())).because(&cause)
        })?;
        // A link that leads nowhere is there as well.
        let exists = |file: &&String| folder.file(file).symlink_metadata().is_ok();
        if let Some(file) = names(revision, proof).iter().find(exists) {
            let message = format!("`{}` exists; it is not overwritten", folder.file(file).display());
            return Err(Failure::not_asked(message).help("choose another folder, or move it away"));
        }
        let probe = folder.file(&format!(".margo-{}", std::process::id()));
        create(&probe, b"", SECRET).and_then(|()| fs::remove_file(&probe)).map_err(|cause| {
            Failure::not_asked(format!("`{}` cannot be written to", path.display())).because(&cause)
        })?;
        Ok(folder)
    }

    /// A file in the folder.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes everything the device needs, the secrets first, and returns the files.
    pub(super) fn write(
        &self,
        onboarded: &Onboarded,
        revision: SpecVersion,
        manager: &str,
        proof: Option<&Proof>,
    ) -> Result<Vec<PathBuf>, Failure> {
        let config = match proof {
            Some(proof) => proven(onboarded, revision, proof),
            None => configuration(onboarded, revision, manager),
        };
        let texts = [
            ("token", format!("{}\n", onboarded.token), SECRET),
            ("git-token", format!("{}\n", onboarded.git_token), SECRET),
            ("capabilities.yaml", capabilities(&onboarded.device_id, revision), PUBLIC),
            ("margo-device.toml", config, PUBLIC),
        ];
        let names = names(revision, proof);
        let texts = texts.into_iter().map(|(name, text, mode)| (name.to_owned(), text.into_bytes(), mode));
        let files = proof.into_iter().flat_map(|proof| proof.files.iter().cloned()).chain(texts);
        for (name, content, mode) in files.filter(|(name, ..)| names.contains(name)) {
            let file = self.file(&name);
            create(&file, &content, mode).map_err(|cause| {
                Failure::refused(format!("`{}` cannot be written", file.display()))
                    .because(&cause)
                    .help("the device is onboarded; keep its tokens, which are shown this once")
            })?;
        }
        Ok(names.iter().map(|name| self.file(name)).collect())
    }
}

/// The files a device gets, in the order in which they are shown.
fn names(revision: SpecVersion, proof: Option<&Proof>) -> Vec<String> {
    let tokens: &[&str] = match proof {
        None => &["token", "git-token"],
        // What its certificate does not prove, the secret from onboarding does, for tokens that end.
        Some(_) if revision == SpecVersion::PreDraft => &["token"],
        Some(_) => &[],
    };
    let own = proof.into_iter().flat_map(|proof| proof.files.iter().map(|(name, ..)| name.clone()));
    FILES.iter().chain(tokens).map(|name| (*name).to_owned()).chain(own).collect()
}

/// Creates a file that was not there, durable when this returns: it may hold the only copy of a secret.
fn create(path: &Path, content: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, mode);
    #[cfg(not(unix))]
    let _ = mode;
    let mut file = options.open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

/// The file for `margo-device --config`.
fn configuration(onboarded: &Onboarded, revision: SpecVersion, manager: &str) -> String {
    let is_git = revision == SpecVersion::PreDraft;
    let source = if is_git { "git" } else { "rest" };
    let desired_state = match (&onboarded.git_url, is_git) {
        (Some(url), true) => format!("url = {}\ntoken-file = \"git-token\"\n", quoted(url)),
        (None, true) => {
            "# url =                           # the manager hosts none: name the repository here\n\
             token-file = \"git-token\"\n"
                .to_owned()
        }
        (Some(url), false) => {
            format!("# for \"git\":\n# url = {}\n# token-file = \"git-token\"\n", quoted(url))
        }
        (None, false) => String::new(),
    };
    let manager = format!("url = {}\nrevision = \"{revision}\"\ntoken-file = \"token\"\n", quoted(manager));
    whole(&onboarded.device_id, &manager, &format!("source = \"{source}\"\n{desired_state}"))
}

/// The same for a device that proves itself as its revision has it.
fn proven(onboarded: &Onboarded, revision: SpecVersion, proof: &Proof) -> String {
    let address = &proof.address;
    let [certificate, key, trusted] = proof.names().map(quoted);
    let manager = match revision {
        SpecVersion::PreDraft => format!(
            "payload-key = {key}              # signs every body\n\n[manager.oauth]\nclient-id = {}\n\
             secret-file = \"token\"           # for tokens that end\n\n[manager.tls]\nauthority = {trusted}\n",
            quoted(&onboarded.client_id)
        ),
        SpecVersion::V1_0_0Rc1 | SpecVersion::V1_0_0Rc2 => format!(
            "\n[manager.signature]               # signs every request\ncertificate = {certificate}\nkey = {key}\n\n\
             [manager.tls]\nauthority = {trusted}\n"
        ),
        _ => format!(
            "\n[manager.svid]                    # files that are read again when they change\n\
             certificate = {certificate}\nkey = {key}\nbundle = {trusted}\n"
        ),
    };
    let manager = format!("url = {}\nrevision = \"{revision}\"\n{manager}", quoted(address.as_str()));
    let desired_state = if revision == SpecVersion::PreDraft {
        let path = format!("git/{}.git", onboarded.client_id);
        let path = onboarded
            .git_url
            .as_deref()
            .and_then(|url| url.parse::<Url>().ok())
            .map_or(path, |url| url.path().to_owned());
        let url = address.join(&path).map_or_else(|_| path.clone(), String::from);
        format!("source = \"git\"\nurl = {}\ntoken-endpoint = \"/git-token\"\n", quoted(&url))
    } else {
        "source = \"rest\"\n".to_owned()
    };
    whole(&onboarded.device_id, &manager, &desired_state)
}

fn whole(device: &str, manager: &str, desired_state: &str) -> String {
    format!(
        "# The configuration of one device: margo-device --config margo-device.toml\n\
         # Paths are relative to this file.\n\
         \n\
         [device]\n\
         id = {id}\n\
         data = \"data\"                     # what the client remembers\n\
         capabilities = \"capabilities.yaml\"\n\
         \n\
         [manager]\n\
         {manager}\
         \n\
         [desired-state]\n\
         {desired_state}\
         \n\
         [schedule]\n\
         rate = \"30s\"                      # the time between two polls\n\
         jitter = 0.1                      # how much it may differ, as a fraction\n\
         \n\
         [runtime]\n\
         kind = \"folder\"\n\
         folder = \"workloads\"\n",
        id = quoted(device),
    )
}

/// Text as TOML writes it. The strings of JSON are strings of TOML.
fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// An example of the device's capabilities, in the form of its revision and to be filled in.
///
/// What hosts show by themselves is left out: an example that is not filled in then says nothing wrong about them.
fn capabilities(device: &str, revision: SpecVersion) -> String {
    let template = if revision == SpecVersion::PreDraft { PRE_DRAFT } else { RC3 };
    // Some ids would be numbers or booleans without quotes. Text is always written.
    let id = margo_syntax::to_yaml(device).unwrap_or_default();
    template.replace("{device}", device).replace("{id}", id.trim_end())
}

const RC3: &str = r#"# What {device} says about itself, in the form of 1.0.0-rc.3. Its client reports this file when it starts and
# whenever the file changes.
properties:
  id: {id}

# Fill these in.
  vendor: unknown
  modelNumber: unknown
  serialNumber: unknown

# Left out, these are read off the machine. Name them where workloads may use less than there is.
  # cpus:
  #   - cores: 4
  #     architecture: amd64           # amd64, arm64 or arm
  # memory: 8Gi
  # storage: 64Gi
  # interfaces:
  #   - type: ethernet                # ethernet, wifi, cellular, bluetooth, usb, canbus or rs232

# Hardware beside the processor: `- type: gpu`, display, camera, microphone or speaker.
  peripherals: []

# What carries out workloads. A gateway that only relays has none of the three lines.
  otelCollector: true
  supportedRuntimes: [oci]
  supportedDeploymentTypes: [helm, compose]

# What deployments may ask for by name; a domain of yours in front keeps names apart.
# labels:
#   example.com/hall: "4"
"#;

const PRE_DRAFT: &str = r"# What {device} says about itself, in the form of the pre-draft of October 2024. Its client reports this file when it
# starts and whenever the file changes.
apiVersion: device.margo/v1
kind: DeviceCapabilities
properties:
  id: {id}

# Fill these in.
  vendor: unknown
  modelNumber: unknown
  serialNumber: unknown

# Standalone Cluster and Cluster Leader take Helm charts, Standalone Device takes Compose archives.
  roles: [Standalone Cluster, Standalone Device]

# Left out, these are read off the machine. Name them where workloads may use less than there is.
  # resources:
  #   cpus:
  #     - architecture: x86_64
  #       cores: 4
  #       frequency: 2.4              # GHz
  #   memory: 8                       # GB
  #   storage: 64                     # GB
  # interfaces:
  #   - name: eth0
  #     type: Ethernet
  #     modelNumber: unknown
  #     properties: {}

# Hardware beside the processor: name, type, modelNumber and properties of each.
  peripherals: []
";

#[cfg(test)]
mod tests {
    use margo_capability::AnyDeviceCapabilities;
    use margo_syntax::{Format, Limits};
    use serde_json::{Value, json};

    use super::*;

    fn onboarded(revision: SpecVersion, git_url: Option<&str>) -> Onboarded {
        let mut value = json!({
            "clientId": "c-1", "deviceId": "line-3", "revision": revision, "token": "margo_1", "gitToken": "margo_2",
        });
        if let Some(url) = git_url {
            value["gitUrl"] = url.into();
        }
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_configuration_for_each_revision() {
        let url = Some("http://127.0.0.1:8080/git/c-1.git");
        for (name, revision, url) in [
            ("rc3", SpecVersion::V1_0_0Rc3, url),
            ("rc3_without_git", SpecVersion::V1_0_0Rc3, None),
            ("pre_draft", SpecVersion::PreDraft, url),
            ("pre_draft_without_git", SpecVersion::PreDraft, None),
        ] {
            let text = configuration(&onboarded(revision, url), revision, "http://127.0.0.1:8080");
            let read: toml::Table = toml::from_str(&text).unwrap();
            assert_eq!(read["manager"]["revision"].as_str(), Some(revision.as_str()));
            assert_eq!(read["desired-state"].get("url").is_some(), name == "pre_draft");
            insta::assert_snapshot!(name, text);
        }
    }

    /// R-A-013, R-B-011, R-D-001: each revision's own proof, and only the secrets it needs.
    #[test]
    fn a_device_that_proves_itself_gets_what_it_needs_for_that() {
        let url = Some("http://127.0.0.1:8080/git/c-1.git");
        for (name, revision, own, tokens) in [
            ("proven_rc3", SpecVersion::V1_0_0Rc3, ["svid.0.pem", "svid.0.key", "bundle.0.pem"], &[][..]),
            ("proven_rc2", SpecVersion::V1_0_0Rc2, ["certificate.pem", "key.pem", "authority.pem"], &[]),
            (
                "proven_pre_draft",
                SpecVersion::PreDraft,
                ["certificate.pem", "key.pem", "authority.pem"],
                &["token"],
            ),
        ] {
            let modes = [PUBLIC, SECRET, PUBLIC];
            let files = std::iter::zip(own, modes).map(|(name, mode)| (name.to_owned(), name.into(), mode));
            let address = "https://wfm.example".parse().unwrap();
            let proof = Proof { address, client_id: None, files: files.collect() };
            let text = proven(&onboarded(revision, url), revision, &proof);
            let read: toml::Table = toml::from_str(&text).unwrap();
            assert_eq!(read["manager"]["url"].as_str(), Some("https://wfm.example/"));
            assert!(!text.contains("http:"), "{text}");
            insta::assert_snapshot!(name, text);

            let temporary = tempfile::tempdir().unwrap();
            let folder = DeviceFolder::prepare(temporary.path(), revision, Some(&proof)).unwrap();
            folder.write(&onboarded(revision, url), revision, "", Some(&proof)).unwrap();
            let mut found: Vec<_> = fs::read_dir(temporary.path())
                .unwrap()
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            let mut expected: Vec<_> =
                [&["capabilities.yaml", "margo-device.toml"], &own[..], tokens].concat();
            found.sort_unstable();
            expected.sort_unstable();
            assert_eq!(found, expected);
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = fs::metadata(temporary.path().join(own[1])).unwrap().permissions().mode();
                assert_eq!(mode & 0o777, SECRET);
            }
            assert!(DeviceFolder::prepare(temporary.path(), revision, Some(&proof)).is_err());
        }
    }

    #[test]
    fn text_in_a_configuration_stays_text() {
        let url = "http://127.0.0.1/\"\n[evil]\u{7}";
        let revision = SpecVersion::PreDraft;
        let text = configuration(&onboarded(revision, Some(url)), revision, url);
        let read: toml::Table = toml::from_str(&text).unwrap();
        assert_eq!(read["manager"]["url"].as_str(), Some(url));
        assert_eq!(read["desired-state"]["url"].as_str(), Some(url));
    }

    fn read(text: &str) -> AnyDeviceCapabilities {
        let value: Value = margo_syntax::decode(text.as_bytes(), Format::Yaml, &Limits::default()).unwrap();
        AnyDeviceCapabilities::from_value(value).unwrap()
    }

    /// What an example shows must be what a device may say, with the hardware it leaves to the machine.
    #[test]
    fn an_example_that_is_filled_in_is_right() {
        for revision in [SpecVersion::PreDraft, SpecVersion::V1_0_0Rc3] {
            // An id that would be a number.
            let text = capabilities("1.0", revision);
            let filled: Vec<String> = text
                .lines()
                .map(|line| {
                    line.strip_prefix("  # ").map_or(line.to_owned(), |example| format!("  {example}"))
                })
                .collect();
            let capabilities = read(&filled.join("\n"));
            assert_eq!(capabilities.revision(), revision);
            assert_eq!(capabilities.device_id().as_str(), "1.0");
            assert_eq!(capabilities.check(), []);

            let value: Value =
                margo_syntax::decode(text.as_bytes(), Format::Yaml, &Limits::default()).unwrap();
            for left_out in ["cpus", "memory", "storage", "interfaces", "resources"] {
                assert_eq!(value["properties"].get(left_out), None);
            }
        }
    }

    #[test]
    fn files_are_written_once_and_secrets_are_secret() {
        let temporary = tempfile::tempdir().unwrap();
        let path = temporary.path().join("plant").join("line-3");
        let prepare = |path: &Path| DeviceFolder::prepare(path, SpecVersion::V1_0_0Rc3, None);
        let folder = prepare(&path).unwrap();
        let revision = SpecVersion::V1_0_0Rc3;
        let files =
            folder.write(&onboarded(revision, None), revision, "http://127.0.0.1:8080", None).unwrap();
        assert_eq!(files.len(), fs::read_dir(&path).unwrap().count());
        assert_eq!(fs::read_to_string(path.join("git-token")).unwrap(), "margo_2\n");
        #[cfg(unix)]
        for secret in ["token", "git-token"] {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(path.join(secret)).unwrap().permissions().mode() & 0o777, SECRET);
        }

        for file in &files {
            let before = fs::read(file).unwrap();
            let failure = prepare(&path).unwrap_err();
            assert_eq!(failure.code(), crate::command::EXIT_NOT_ASKED);
            assert_eq!(fs::read(file).unwrap(), before);
            fs::remove_file(file).unwrap();
        }
        assert!(prepare(&path).is_ok());
        // Somebody else was faster.
        fs::write(path.join("token"), "theirs").unwrap();
        let failure = folder.write(&onboarded(revision, None), revision, "", None).unwrap_err();
        assert_eq!(failure.code(), crate::command::EXIT_REFUSED);
        assert_eq!(fs::read_to_string(path.join("token")).unwrap(), "theirs");
        // A file is no folder.
        assert!(prepare(&path.join("token")).is_err());
    }
}
