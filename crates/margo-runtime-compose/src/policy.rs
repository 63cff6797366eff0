use std::collections::BTreeSet;
use std::path::{Component as PathPart, Path, PathBuf};

use margo_api::RuntimeError;
use margo_syntax::{Format, Limits, Node, NodeKind, Pointer, Tree};
use serde_json::{Map, Value};

use crate::plain::{Plain, Variables};

/// What Compose files may ask of the device. Nothing beyond a container's own walls, by default.
///
/// Whatever a file asks for that is not known here is refused: a key that a newer Compose understands may open a
/// door that this version does not know of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
#[expect(clippy::struct_excessive_bools, reason = "each door is opened by itself")]
pub struct Policy {
    /// Folders and files of the device that may be mounted, with all that is in them. Default: none. What the
    /// package brings may always be mounted.
    pub binds: Vec<PathBuf>,
    /// Whether containers may share the device's network. Default: no.
    pub host_network: bool,
    /// Whether containers may share the device's processes, memory, users and host name. Default: no.
    pub host_namespaces: bool,
    /// Whether containers may use the device's devices. Default: no.
    pub devices: bool,
    /// Whether containers may have more rights than usual: `privileged`, `cap_add`, `security_opt`, `sysctls` and
    /// the like. Default: no.
    pub privileged: bool,
    /// Whether volumes and networks may be used that are not the component's own. Default: no.
    pub external: bool,
}

/// Keys of a service that stay within the container's walls.
const HARMLESS: &[&str] = &[
    "annotations",
    "attach",
    "blkio_config",
    "cap_drop",
    "command",
    "configs",
    "container_name",
    "cpu_count",
    "cpu_percent",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_shares",
    "cpus",
    "cpuset",
    "depends_on",
    "deploy",
    "dns",
    "dns_opt",
    "dns_search",
    "domainname",
    "entrypoint",
    "env_file",
    "environment",
    "expose",
    "extends",
    "extra_hosts",
    "group_add",
    "healthcheck",
    "hostname",
    "image",
    "init",
    "labels",
    "links",
    "logging",
    "mac_address",
    "mem_limit",
    "mem_reservation",
    "mem_swappiness",
    "memswap_limit",
    "networks",
    "oom_kill_disable",
    "oom_score_adj",
    "pids_limit",
    "platform",
    "ports",
    "profiles",
    "pull_policy",
    "read_only",
    "restart",
    "scale",
    "secrets",
    "shm_size",
    "stdin_open",
    "stop_grace_period",
    "stop_signal",
    "storage_opt",
    "tmpfs",
    "tty",
    "ulimits",
    "user",
    "working_dir",
];

/// Keys of a service that give more rights than usual.
const PRIVILEGED: &[&str] = &[
    "cap_add",
    "cgroup_parent",
    "credential_spec",
    "device_cgroup_rules",
    "privileged",
    "runtime",
    "sysctls",
];

/// What a component will run, as far as it matters before it runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Contents {
    pub(crate) images: BTreeSet<String>,
    /// The services that have a container.
    pub(crate) services: BTreeSet<String>,
    /// Every service.
    pub(crate) all: BTreeSet<String>,
}

/// A Compose file as it lies in its package.
#[derive(Debug)]
pub(crate) struct ComposeFile {
    name: String,
    tree: Tree,
}

impl ComposeFile {
    /// Reads a Compose file, and checks what of it cannot be seen any more when Compose has read it: the files that
    /// it takes in.
    pub(crate) fn read(path: &Path) -> Result<Self, RuntimeError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let bytes = std::fs::read(path).map_err(|cause| {
            RuntimeError::new("compose-invalid", format!("`{name}` cannot be read")).because(cause)
        })?;
        let tree = margo_syntax::parse(&bytes, Format::Yaml, &Limits::default())
            .map_err(|error| RuntimeError::new("compose-invalid", format!("`{name}`: {error}")))?;
        let file = Self { name, tree };
        if file.tree.root().kind() != NodeKind::Mapping {
            return Err(file.invalid(&Pointer::root(), "not a Compose file: expected a mapping"));
        }
        for node in file.tree.nodes() {
            file.check_taken_in(node)?;
        }
        Ok(file)
    }

    /// The names of the services, as the file has them.
    pub(crate) fn services(&self) -> Vec<String> {
        let services = self.tree.root().get("services").map(|node| node.to_value());
        services.and_then(|value| Some(value.as_object()?.keys().cloned().collect())).unwrap_or_default()
    }

    /// The images of services that run in any case, as far as their names do not depend on a parameter.
    pub(crate) fn images(&self) -> BTreeSet<String> {
        let services = self.tree.root().get("services").map(|node| node.to_value()).unwrap_or_default();
        let services = services.as_object().into_iter().flatten().map(|(_, service)| service);
        services
            .filter(|service| service.get("profiles").is_none())
            .filter_map(|service| service.get("image")?.as_str())
            .filter(|image| !image.contains('$'))
            .map(str::to_owned)
            .collect()
    }

    /// The `version` of the file, which further files have to repeat for Compose 1.
    pub(crate) fn version(&self) -> Option<String> {
        self.tree.root().get("version").and_then(|node| match node.to_value() {
            Value::String(text) => Some(text),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
    }

    /// What Compose makes of the file, where that is known without asking it.
    pub(crate) fn plain(&self, variables: &Variables) -> Option<Plain> {
        Plain::of(&self.tree, variables)
    }

    /// Reads what Compose made of the file.
    pub(crate) fn resolved(text: &str) -> Result<Value, RuntimeError> {
        let tree = margo_syntax::parse(text.as_bytes(), Format::Yaml, &Limits::default());
        tree.map(|tree| tree.to_value()).map_err(|error| {
            RuntimeError::new("compose-invalid", format!("what Compose made of it: {error}"))
        })
    }

    /// Checks what Compose made of the file, with all variables put in, against what is allowed.
    ///
    /// `folder` is where the package lies, `base` the folder of the file, `project` the name of the project.
    pub(crate) fn check(
        &self,
        resolved: &Value,
        policy: &Policy,
        folder: &Path,
        base: &Path,
        project: &str,
    ) -> Result<Contents, RuntimeError> {
        let Value::Object(root) = resolved else {
            return Err(self.invalid(&Pointer::root(), "Compose made nothing of it"));
        };
        let checker = Checker { file: self, policy, folder, base, project };
        checker.root(root)
    }

    /// Files that Compose reads itself: what is in them ends up in a container.
    fn check_taken_in(&self, node: Node<'_>) -> Result<(), RuntimeError> {
        let at = node.pointer();
        let Some(key) = at.last() else { return Ok(()) };
        let paths: Vec<String> = match (key.as_ref(), node.to_value()) {
            ("include", _) if at.parent().is_some_and(|parent| parent.is_root()) => {
                return Err(self.refused(&at, "`include` is not allowed: a component is one Compose file"));
            }
            ("env_file" | "label_file", Value::Array(list)) => list
                .iter()
                .map(|entry| entry.get("path").unwrap_or(entry))
                .map(|path| path.as_str().unwrap_or_default().to_owned())
                .collect(),
            ("env_file" | "label_file", Value::String(path)) => vec![path],
            ("extends", Value::Object(members)) => {
                members.get("file").and_then(Value::as_str).map(str::to_owned).into_iter().collect()
            }
            _ => return Ok(()),
        };
        for path in paths {
            if path.contains('$') {
                return Err(
                    self.refused(&at, &format!("`{path}`: the path of a file cannot depend on a parameter"))
                );
            }
            if !stays_inside(Path::new(&path)) {
                return Err(self.refused(&at, &format!("`{path}` is outside the package")));
            }
        }
        Ok(())
    }

    fn refused(&self, at: &Pointer, problem: &str) -> RuntimeError {
        self.error("compose-refused", at, problem)
    }

    fn invalid(&self, at: &Pointer, problem: &str) -> RuntimeError {
        self.error("compose-invalid", at, problem)
    }

    fn error(&self, code: &str, at: &Pointer, problem: &str) -> RuntimeError {
        let location = self.tree.locate_nearest(at);
        RuntimeError::new(code, format!("`{}`, {location}: {problem}", self.name))
    }
}

struct Checker<'a> {
    file: &'a ComposeFile,
    policy: &'a Policy,
    folder: &'a Path,
    base: &'a Path,
    project: &'a str,
}

impl Checker<'_> {
    fn root(&self, root: &Map<String, Value>) -> Result<Contents, RuntimeError> {
        let mut contents = Contents::default();
        for (key, value) in root {
            let at = Pointer::root().with(key);
            let members = || value.as_object().into_iter().flatten();
            match key.as_str() {
                "version" | "name" => {}
                _ if key.starts_with("x-") => {}
                "services" => {
                    for (name, service) in members() {
                        self.service(&at.join(name), name, service, &mut contents)?;
                    }
                }
                "volumes" => {
                    for (name, volume) in members() {
                        self.volume(&at.join(name), name, volume)?;
                    }
                }
                "networks" => {
                    for (name, network) in members() {
                        self.network(&at.join(name), network)?;
                    }
                }
                "secrets" | "configs" => {
                    for (name, file) in members() {
                        let at = at.join(name);
                        self.external(&at, file)?;
                        if let Some(path) = file.get("file").and_then(Value::as_str) {
                            self.mounted(&at.join("file"), path)?;
                        }
                        if file.get("environment").is_some() {
                            return Err(self.refuse(
                                &at,
                                "`environment` is not allowed here: name a file of the package",
                            ));
                        }
                    }
                }
                _ => return Err(self.refuse(&at, &format!("`{key}` is not allowed"))),
            }
        }
        if contents.services.is_empty() {
            return Err(self.file.invalid(&Pointer::root().with("services"), "no service would run"));
        }
        Ok(contents)
    }

    fn service(
        &self,
        at: &Pointer,
        name: &str,
        service: &Value,
        contents: &mut Contents,
    ) -> Result<(), RuntimeError> {
        let Some(members) = service.as_object() else {
            return Err(self.file.invalid(at, "expected a mapping"));
        };
        for (key, value) in members {
            self.key(&at.join(key), key, value)?;
        }
        contents.all.insert(name.to_owned());
        let is_chosen = members.get("profiles").and_then(Value::as_array).is_none_or(Vec::is_empty);
        let scale = members.get("scale").or_else(|| members.get("deploy")?.get("replicas"));
        if !is_chosen || scale.and_then(Value::as_u64) == Some(0) {
            return Ok(());
        }
        let Some(image) = members.get("image").and_then(Value::as_str) else {
            return Err(self.file.invalid(at, "a service needs an `image`"));
        };
        contents.services.insert(name.to_owned());
        contents.images.insert(image.to_owned());
        Ok(())
    }

    fn key(&self, at: &Pointer, key: &str, value: &Value) -> Result<(), RuntimeError> {
        let allowed = |is_allowed: bool, what: &str| {
            if is_allowed {
                Ok(())
            } else {
                Err(self.refuse(at, &format!("{what} is not allowed on this device")))
            }
        };
        // Compose 2 writes out what is not set.
        let is_off = matches!(value, Value::Null | Value::Bool(false))
            || value.as_array().is_some_and(Vec::is_empty)
            || value.as_object().is_some_and(Map::is_empty)
            || value.as_str() == Some("");
        match key {
            _ if is_off || key.starts_with("x-") => Ok(()),
            "build" => Err(self.refuse(at, "images are not built on a device: name an `image`")),
            "volumes" => value
                .as_array()
                .into_iter()
                .flatten()
                .enumerate()
                .try_for_each(|(index, mount)| self.mount(&at.join(index), mount)),
            "network_mode" => match value.as_str().unwrap_or_default() {
                "none" | "bridge" | "default" => Ok(()),
                service if service.starts_with("service:") => Ok(()),
                "host" => allowed(self.policy.host_network, "`network_mode: host`"),
                other => Err(self.refuse(at, &format!("`network_mode: {other}` is not allowed"))),
            },
            "pid" | "ipc" | "uts" | "userns_mode" | "cgroup" => match value.as_str().unwrap_or_default() {
                "private" | "none" | "shareable" => Ok(()),
                service if service.starts_with("service:") => Ok(()),
                "host" => allowed(self.policy.host_namespaces, &format!("`{key}: host`")),
                other => Err(self.refuse(at, &format!("`{key}: {other}` is not allowed"))),
            },
            "devices" | "gpus" => allowed(self.policy.devices, &format!("`{key}`")),
            "deploy" => {
                let devices = value.pointer("/resources/reservations/devices");
                allowed(self.policy.devices || devices.is_none(), "`devices` in `deploy`")
            }
            "security_opt" => {
                let options = value.as_array().into_iter().flatten().filter_map(Value::as_str);
                let stricter =
                    |option: &str| option.starts_with("no-new-privileges") && !option.ends_with("false");
                allowed(self.policy.privileged || options.into_iter().all(stricter), "`security_opt`")
            }
            _ if PRIVILEGED.contains(&key) => allowed(self.policy.privileged, &format!("`{key}`")),
            _ if HARMLESS.contains(&key) => Ok(()),
            _ => Err(self.refuse(at, &format!("`{key}` is not allowed"))),
        }
    }

    /// One entry of a service's `volumes`.
    fn mount(&self, at: &Pointer, mount: &Value) -> Result<(), RuntimeError> {
        match mount {
            Value::String(text) => match text.split_once(':') {
                Some((source, _)) if is_path(source) => self.mounted(at, source),
                _ => Ok(()),
            },
            Value::Object(members) => {
                let source = members.get("source").and_then(Value::as_str).unwrap_or_default();
                match members.get("type").and_then(Value::as_str) {
                    Some("volume") if !is_path(source) => Ok(()),
                    Some("tmpfs") => Ok(()),
                    Some("bind") => self.mounted(at, source),
                    _ => Err(self.refuse(at, "only volumes, binds and `tmpfs` can be mounted")),
                }
            }
            _ => Err(self.file.invalid(at, "expected a mount")),
        }
    }

    /// A path of the device that a container would see.
    fn mounted(&self, at: &Pointer, source: &str) -> Result<(), RuntimeError> {
        let path = self.base.join(source);
        if source.starts_with('~') || path.components().any(|part| part == PathPart::ParentDir) {
            return Err(self.refuse(at, &format!("`{source}` is outside the package")));
        }
        let is_listed = |path: &Path| self.policy.binds.iter().any(|allowed| path.starts_with(allowed));
        // A link may lead anywhere, so what counts is where it leads.
        let Ok(real) = path.canonicalize() else {
            if is_listed(&path) {
                return Ok(());
            }
            let inside = path.strip_prefix(self.base).or_else(|_| path.strip_prefix(self.folder));
            return Err(inside.map_or_else(
                |_| {
                    self.refuse(
                        at,
                        &format!("`{source}` is outside the package, and may not be mounted on this device"),
                    )
                },
                // It would be made, and be gone with the next version.
                |inside| {
                    self.refuse(
                        at,
                        &format!(
                            "`{}` is not in the package: keep data in a volume with a name",
                            inside.display()
                        ),
                    )
                },
            ));
        };
        let folder = self.folder.canonicalize().unwrap_or_else(|_| self.folder.to_owned());
        if real.starts_with(&folder) || is_listed(&real) {
            return Ok(());
        }
        Err(self
            .refuse(at, &format!("`{source}` is outside the package, and may not be mounted on this device")))
    }

    fn volume(&self, at: &Pointer, name: &str, volume: &Value) -> Result<(), RuntimeError> {
        self.external(at, volume)?;
        let own = [name.to_owned(), format!("{}_{name}", self.project)];
        let called = volume.get("name").and_then(Value::as_str);
        if called.is_some_and(|called| !own.iter().any(|own| own == called)) && !self.policy.external {
            return Err(self.refuse(at, "a volume's `name` may belong to somebody else: leave it out"));
        }
        let options = volume.get("driver_opts").and_then(Value::as_object);
        let driver = volume.get("driver").and_then(Value::as_str).unwrap_or("local");
        if driver != "local" && !self.policy.external {
            return Err(self.refuse(at, &format!("the driver `{driver}` is not allowed on this device")));
        }
        let text = |name: &str| options.and_then(|options| options.get(name)).and_then(Value::as_str);
        if options.is_none_or(Map::is_empty) || text("type") == Some("tmpfs") {
            return Ok(());
        }
        // A volume that is a folder of the device, in other words.
        match text("device") {
            Some(device) if is_path(device) => self.mounted(&at.join("driver_opts").with("device"), device),
            _ if self.policy.external => Ok(()),
            _ => Err(self.refuse(at, "`driver_opts` are not allowed on this device")),
        }
    }

    fn network(&self, at: &Pointer, network: &Value) -> Result<(), RuntimeError> {
        self.external(at, network)?;
        match network.get("driver").and_then(Value::as_str) {
            None | Some("bridge" | "default" | "none") => Ok(()),
            Some(_) if self.policy.host_network => Ok(()),
            Some(driver) => {
                Err(self.refuse(at, &format!("the driver `{driver}` is not allowed on this device")))
            }
        }
    }

    fn external(&self, at: &Pointer, what: &Value) -> Result<(), RuntimeError> {
        let is_own = matches!(what.get("external"), None | Some(Value::Null | Value::Bool(false)));
        if is_own || self.policy.external {
            return Ok(());
        }
        Err(self.refuse(at, "`external` is not allowed on this device"))
    }

    fn refuse(&self, at: &Pointer, problem: &str) -> RuntimeError {
        self.file.refused(at, problem)
    }
}

fn is_path(source: &str) -> bool {
    source.starts_with(['/', '.', '~']) || source.contains('/')
}

fn stays_inside(path: &Path) -> bool {
    let mut depth = 0_i32;
    for part in path.components() {
        match part {
            PathPart::Normal(_) => depth += 1,
            PathPart::CurDir => {}
            PathPart::ParentDir => depth -= 1,
            PathPart::RootDir | PathPart::Prefix(_) => return false,
        }
        if depth < 0 {
            return false;
        }
    }
    !path.starts_with("~")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a file as if Compose had nothing to put in, with `web`'s further keys.
    fn check(keys: &str, policy: &Policy) -> Result<Contents, RuntimeError> {
        whole(&format!("services:\n  web:\n    image: r.example/web:1\n{keys}"), policy)
    }

    fn whole(text: &str, policy: &Policy) -> Result<Contents, RuntimeError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compose.yaml");
        std::fs::write(&path, text).unwrap();
        std::fs::write(folder.path().join("web.conf"), "").unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("link")).unwrap();
        let file = ComposeFile::read(&path)?;
        file.check(&ComposeFile::resolved(text)?, policy, folder.path(), folder.path(), "p")
    }

    fn refused(keys: &str) -> String {
        let error = check(keys, &Policy::default()).expect_err(keys);
        assert_eq!(error.code(), "compose-refused", "{error}");
        error.message().to_owned()
    }

    #[test]
    fn what_stays_within_a_container_is_allowed() {
        let keys = "    command: [sleep, '9']\n    environment: { A: b }\n    volumes: ['data:/data', './web.conf:/w', {type: tmpfs, target: /t}]\n    \
                    security_opt: ['no-new-privileges:true']\n    privileged: false\n    cap_add: []\n    x-note: 1\n  db:\n    image: r.example/db:2\n  \
                    tool:\n    image: r.example/tool:2\n    profiles: [debug]\nvolumes:\n  data:\n  ram: { driver_opts: { type: tmpfs, device: tmpfs } }\nx-more: {}\n";
        let contents = check(keys, &Policy::default()).unwrap();
        assert_eq!(Vec::from_iter(&contents.images), ["r.example/db:2", "r.example/web:1"]);
        assert_eq!(Vec::from_iter(&contents.services), ["db", "web"]);
        assert_eq!(Vec::from_iter(&contents.all), ["db", "tool", "web"]);
    }

    #[test]
    fn a_mount_from_outside_is_refused_with_its_line() {
        for mount in
            ["/:/host", "/var/run/docker.sock:/s", "../x:/x", "~/x:/x", "./link:/l", "./link/passwd:/l"]
        {
            let message = refused(&format!("    volumes:\n      - '{mount}'\n"));
            assert!(message.starts_with("`compose.yaml`, line 5, column 9:"), "{message}");
            assert!(message.contains("outside the package"), "{message}");
        }
        refused("    volumes: [{ type: bind, source: /etc, target: /e }]\n");
        refused("    volumes: [{ type: npipe, source: x, target: /e }]\n");
        assert!(refused("    volumes: ['./data:/data']\n").contains("keep data in a volume"));
        refused("volumes: { a: { driver_opts: { type: none, o: bind, device: /etc } } }\n");
        refused("volumes: { a: { driver: nfs } }\n");
        refused("volumes: { a: { external: true } }\n");
        refused("volumes: { a: { name: other_data } }\n");
        refused("secrets: { a: { file: /etc/shadow } }\n");
        refused("    env_file: /etc/environment\n");
        refused("    env_file: ['../x']\n");
        refused("    env_file: [{ path: '${X}' }]\n");
        refused("    extends: { file: ../x.yaml, service: x }\n");
        refused("x-hidden: { env_file: [/etc/shadow] }\n");
    }

    #[test]
    fn the_policy_opens_doors_one_by_one() {
        let policies = [
            Policy { binds: vec!["/etc".into()], ..Policy::default() },
            Policy { host_network: true, ..Policy::default() },
            Policy { host_namespaces: true, ..Policy::default() },
            Policy { devices: true, ..Policy::default() },
            Policy { privileged: true, ..Policy::default() },
            Policy { external: true, ..Policy::default() },
        ];
        let keys = [
            "    volumes: ['/etc/hosts:/h']\n",
            "    network_mode: host\n",
            "    pid: host\n",
            "    devices: ['/dev/ttyS0:/dev/ttyS0']\n",
            "    cap_add: [NET_ADMIN]\n",
            "networks: { other: { external: true } }\n",
        ];
        for (index, keys) in keys.iter().enumerate() {
            refused(keys);
            for (other, policy) in policies.iter().enumerate() {
                assert_eq!(check(keys, policy).is_ok(), index == other, "{keys} under {policy:?}");
            }
        }
    }

    #[test]
    fn what_is_not_known_is_refused() {
        for keys in [
            "    provider: { type: x }\n",
            "    use_api_socket: true\n",
            "    network_mode: 'container:other'\n",
            "    ipc: 'container:other'\n",
            "    volumes_from: ['container:other']\n",
            "include: [other.yaml]\n",
            "models: { a: {} }\n",
            "    build: .\n",
            "    security_opt: ['seccomp:unconfined']\n",
            "    deploy: { resources: { reservations: { devices: [{}] } } }\n",
            "networks: { a: { driver: macvlan } }\n",
        ] {
            refused(keys);
        }
    }

    #[test]
    fn a_file_that_is_none_is_named_with_its_line() {
        let message = |text: &str| whole(text, &Policy::default()).unwrap_err().message().to_owned();
        assert!(
            message("services:\n  web: [\n").starts_with("`compose.yaml`: line "),
            "{}",
            message("services:\n  web: [\n")
        );
        assert!(message("- a\n").contains("expected a mapping"));
        assert!(message("services: {}\n").contains("no service would run"));
        assert!(
            message("services:\n  web:\n    command: x\n")
                .contains("line 3, column 5: a service needs an `image`")
        );
    }
}
