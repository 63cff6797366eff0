//! A container engine and a registry to test against: `cargo xtask engine up`.
//!
//! Both are Debian's, run beside whatever else is on the machine, and are found by what lies in one folder:
//! `/tmp/margo-engine`, or what `MARGO_ENGINE` names. The engine has no network bridge, so containers need
//! `network_mode: host`.

use std::fs::{self, File};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::compose_tools;
use crate::run::run;

type Done = Result<(), String>;

/// What the engine needs, as Debian calls it: program and package.
const NEEDED: &[(&str, &str)] = &[
    ("dockerd", "docker.io"),
    ("docker-compose", "docker-compose"),
    ("docker-registry", "docker-registry"),
    ("skopeo", "skopeo"),
    ("busybox", "busybox-static"),
    ("podman", "podman"),
    // It is too old here, and brings what the newer one needs.
    ("podman-compose", "podman-compose"),
];

/// How long something may take until it answers.
const PATIENCE: Duration = Duration::from_mins(1);

/// The user `margo` with the password `secret`.
const HTPASSWD: &str = "margo:$2b$12$lshT1QVmlCEpnsC4sgaGh.ZKjdkdb.ZWrLRI0rkC2NyCO6OFgO7x6\n";

pub(crate) fn task(args: &[String]) -> Done {
    match args.first().map(String::as_str) {
        Some("up") => up(),
        Some("down") => down(),
        _ => Err("usage: cargo xtask engine up|down".to_owned()),
    }
}

/// Starts the engine, a registry and a registry that asks who one is, unless they run. Prints how to reach them.
pub(crate) fn up() -> Done {
    install()?;
    let folder = folder();
    fs::create_dir_all(&folder).map_err(|error| format!("`{}`: {error}", folder.display()))?;
    if !answers(&folder) {
        start_engine(&folder)?;
    }
    let mut environment = format!("DOCKER_HOST={}\n", host(&folder));
    let mut images_at = String::new();
    for (name, variable) in [("registry", "MARGO_REGISTRY"), ("registry-auth", "MARGO_REGISTRY_AUTH")] {
        let address = registry(&folder, name)?;
        environment.extend([variable, "=", &address, "\n"]);
        if name == "registry" {
            images(&folder, &address)?;
            images_at = address;
        }
    }
    write(&folder.join("env"), &environment)?;
    print!("{environment}");
    compose_tools::up(&folder, &images_at)
}

/// Ends what [`up`] started, and removes the folder.
pub(crate) fn down() -> Done {
    let folder = folder();
    // Containers end with the engine only if it is asked to end them.
    if answers(&folder) {
        let list = docker(&folder).args(["ps", "--all", "--quiet"]).output();
        let list =
            list.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
        let containers: Vec<_> = list.split_whitespace().collect();
        if !containers.is_empty() {
            let mut remove = docker(&folder);
            remove.args(["rm", "--force"]).args(containers).stdout(Stdio::null());
            run(&mut remove)?;
        }
    }
    compose_tools::down(&folder)?;
    for (name, program) in
        [("dockerd", "dockerd"), ("registry", "docker-registry"), ("registry-auth", "docker-registry")]
    {
        end(&folder.join(format!("{name}.pid")), program)?;
    }
    // What the engine mounted for its containers.
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(1)).map(Path::new);
    let own: Vec<_> = mounts.filter(|mount| mount.starts_with(&folder)).collect();
    for mount in own.iter().rev() {
        run(Command::new("umount").arg(mount))?;
    }
    match fs::remove_dir_all(&folder) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(format!("`{}`: {error}", folder.display()))
        }
        _ => Ok(()),
    }
}

/// Where the engine listens, if it runs.
pub(crate) fn running_host() -> Option<String> {
    let folder = folder();
    answers(&folder).then(|| host(&folder))
}

fn folder() -> PathBuf {
    std::env::var_os("MARGO_ENGINE").map_or_else(|| std::env::temp_dir().join("margo-engine"), PathBuf::from)
}

fn host(folder: &Path) -> String {
    format!("unix://{}", folder.join("docker.sock").display())
}

fn docker(folder: &Path) -> Command {
    let mut command = Command::new("docker");
    command.env("DOCKER_HOST", host(folder)).env("DOCKER_CONFIG", folder.join("config"));
    command
}

fn install() -> Done {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let has = |program: &str| std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
    let missing: Vec<_> =
        NEEDED.iter().filter(|(program, _)| !has(program)).map(|(_, package)| *package).collect();
    if missing.is_empty() {
        return Ok(());
    }
    println!("installing {}", missing.join(", "));
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(Stdio::null());
        apt
    };
    run(apt().arg("update"))?;
    run(apt().args(["install", "--yes", "--no-install-recommends"]).args(missing))
}

fn answers(folder: &Path) -> bool {
    let mut version = docker(folder);
    version.arg("version").stdout(Stdio::null()).stderr(Stdio::null());
    version.status().is_ok_and(|status| status.success())
}

fn start_engine(folder: &Path) -> Done {
    let path = |name: &str| folder.join(name).display().to_string();
    // Of an engine that was killed, or that lost its socket.
    for (pid, program) in [
        (folder.join("dockerd.pid"), "dockerd"),
        (folder.join("exec/containerd/containerd.pid"), "containerd"),
    ] {
        end(&pid, program)?;
        // The next one waits in vain for whatever has this id by now.
        let _ = fs::remove_file(pid);
    }
    let mut command = Command::new("dockerd");
    command
        .args(["--host", &host(folder), "--data-root", &path("data"), "--exec-root", &path("exec")])
        .args(["--pidfile", &path("dockerd.pid")])
        .args(["--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]);
    background(&mut command, &folder.join("dockerd.log"))?;
    wait_for("the engine", &folder.join("dockerd.log"), || answers(folder))
}

/// Starts a registry, unless it runs; its address.
fn registry(folder: &Path, name: &str) -> Result<String, String> {
    let place = folder.join(name);
    let (pid, address_file) = (folder.join(format!("{name}.pid")), place.join("address"));
    if let Ok(address) = fs::read_to_string(&address_file)
        && running(&pid, "docker-registry").is_some()
        && std::net::TcpStream::connect(&address).is_ok()
    {
        return Ok(address);
    }
    end(&pid, "docker-registry")?;
    fs::create_dir_all(&place).map_err(|error| format!("`{}`: {error}", place.display()))?;
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let address = free.map_err(|error| format!("no free port: {error}"))?.to_string();
    let data = place.join("data");
    let mut config = format!(
        "version: 0.1\nlog: {{ level: warn }}\nstorage: {{ filesystem: {{ rootdirectory: {} }}, delete: {{ enabled: true }} }}\n\
         http: {{ addr: '{address}' }}\n",
        data.display()
    );
    if name.ends_with("auth") {
        write(&place.join("htpasswd"), HTPASSWD)?;
        let file = place.join("htpasswd").display().to_string();
        config.extend(["auth: { htpasswd: { realm: test, path: ", &file, " } }\n"]);
    }
    let (config_file, log) = (place.join("config.yml"), folder.join(format!("{name}.log")));
    write(&config_file, &config)?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&config_file);
    let id = background(&mut command, &log)?;
    write(&pid, &id.to_string())?;
    wait_for(name, &log, || std::net::TcpStream::connect(&address).is_ok())?;
    write(&address_file, &address)?;
    Ok(address)
}

/// Puts the images of the tests into the registry: a static `busybox`, three times as versions of one image, and
/// once for another architecture.
fn images(folder: &Path, registry: &str) -> Done {
    let done = folder.join("images");
    // Their digests stay the same while the engine runs.
    if done.exists() {
        return Ok(());
    }
    let script = format!(
        r#"set -e
cd '{folder}'
mkdir -p root/bin root/tmp foreign
cp "$(command -v busybox)" root/bin/busybox
for name in sh sleep cat httpd nc wget env true false; do ln -sf busybox root/bin/$name; done
for tag in 1 2 3; do
    tar -C root -c . | docker import --change 'ENV PATH=/bin' --change 'CMD ["sleep", "1000000"]' \
        --change "LABEL version=$tag" - {registry}/box:$tag
    docker push --quiet {registry}/box:$tag
done
docker tag {registry}/box:1 {registry}/box:foreign
docker save {registry}/box:foreign | tar -C foreign -x
sed -i 's/"architecture":"[a-z0-9]*"/"architecture":"s390x"/' foreign/*.json
tar -C foreign -c . | docker load
docker push --quiet {registry}/box:foreign
# What is wanted is pulled.
docker image rm {registry}/box:1 {registry}/box:2 {registry}/box:3 {registry}/box:foreign
"#,
        folder = folder.display(),
    );
    let mut command = Command::new("sh");
    command
        .args(["-c", &script])
        .env("DOCKER_HOST", host(folder))
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.env("DOCKER_CONFIG", folder.join("config"));
    run(&mut command)?;
    write(&done, "")
}

fn background(command: &mut Command, log: &Path) -> Result<u32, String> {
    let program = Path::new(command.get_program()).display().to_string();
    let open = || File::create(log).map_err(|error| format!("`{}`: {error}", log.display()));
    let output = open()?;
    let errors = output.try_clone().map_err(|error| error.to_string())?;
    // A group of its own: what is typed at the terminal is not for it.
    std::os::unix::process::CommandExt::process_group(command, 0);
    let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
    child.map(|child| child.id()).map_err(|error| format!("`{program}` cannot be started: {error}"))
}

fn wait_for(what: &str, log: &Path, is_there: impl Fn() -> bool) -> Done {
    let started = Instant::now();
    while !is_there() {
        if started.elapsed() > PATIENCE {
            let text = fs::read_to_string(log).unwrap_or_default();
            let last: Vec<_> = text.lines().rev().take(10).collect();
            let last: Vec<_> = last.into_iter().rev().collect();
            return Err(format!("{what} does not answer:\n{}", last.join("\n")));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

/// The process in a file, if it still runs this program, for what is in the file's folder: an id is given again, perhaps
/// to that of another folder.
fn running(pid: &Path, program: &str) -> Option<u32> {
    let id: u32 = fs::read_to_string(pid).ok()?.trim().parse().ok()?;
    let command = fs::read(format!("/proc/{id}/cmdline")).ok()?;
    let command = String::from_utf8_lossy(&command);
    let (name, arguments) = command.split_once('\0')?;
    let is_ours =
        arguments.split('\0').any(|it| pid.parent().is_some_and(|own| Path::new(it).starts_with(own)));
    (name.ends_with(program) && is_ours).then_some(id)
}

fn end(pid: &Path, program: &str) -> Done {
    let Some(id) = running(pid, program) else { return Ok(()) };
    run(Command::new("kill").arg(id.to_string()))?;
    let started = Instant::now();
    while running(pid, program).is_some() {
        if started.elapsed() > PATIENCE {
            return Err(format!("`{program}` does not end"));
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Done {
    fs::write(path, text).map_err(|error| format!("`{}`: {error}", path.display()))
}
