//! nginx with one worker, as Debian packages it, on a static file.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::connection::{Connection, header};

/// A server that runs until it is stopped.
pub(crate) struct Nginx {
    pub(crate) address: SocketAddr,
    /// What it calls the file's content.
    pub(crate) etag: String,
    program: PathBuf,
    folder: TempDir,
}

impl Nginx {
    /// Serves `content` at `path`. `None` where there is no nginx, which is said.
    pub(crate) fn start(path: &str, content: &[u8]) -> Option<Self> {
        Self::start_with(path, content, "")
    }

    /// The same, with a second server on `tls_address` that speaks mutual TLS with what `folder` has.
    pub(crate) fn start_with_tls(
        path: &str,
        content: &[u8],
        tls_address: SocketAddr,
        folder: &Path,
    ) -> Option<Self> {
        let folder = folder.display();
        let tls = format!(
            "    server {{
        listen {tls_address} ssl;
        root www;
        ssl_protocols TLSv1.3;
        ssl_certificate {folder}/manager.pem;
        ssl_certificate_key {folder}/manager.key;
        ssl_client_certificate {folder}/authority.pem;
        ssl_verify_client on;
        ssl_session_cache off;
        ssl_session_tickets off;
    }}
"
        );
        Self::start_with(path, content, &tls)
    }

    #[expect(clippy::print_stderr, reason = "whoever reads the figures must know what is missing")]
    fn start_with(path: &str, content: &[u8], tls: &str) -> Option<Self> {
        let Some(program) = find() else {
            eprintln!(
                "nginx is not installed (Debian: apt-get install nginx-light): its figures are missing"
            );
            return None;
        };
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        let file = folder.path().join("www").join(path.trim_start_matches('/'));
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, content).unwrap();
        // Free a moment ago; nginx takes no listener that is open already.
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        std::fs::write(folder.path().join("nginx.conf"), config(address, tls)).unwrap();

        let nginx = Self { address, etag: String::new(), program, folder };
        let status = nginx.command(&[]).status().unwrap();
        assert!(status.success(), "nginx ended with {status}");
        nginx.wait();
        let mut connection = Connection::open(address);
        connection.send(format!("GET {path} HTTP/1.1\r\nhost: localhost\r\n\r\n").as_bytes());
        let (answer, head) = connection.receive();
        assert_eq!(answer, (200, content.len()), "{head}");
        let etag = header(head, "etag").unwrap().to_owned();
        Some(Self { etag, ..nginx })
    }

    pub(crate) fn stop(&self) {
        self.command(&["-s", "stop"]).status().unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        // Until the configuration is read, it would complain to a log in `/var`.
        command
            .arg("-p")
            .arg(self.folder.path())
            .args(["-e", "error.log", "-c", "nginx.conf"])
            .args(arguments);
        command.stderr(Stdio::null());
        command
    }

    fn wait(&self) {
        let started = Instant::now();
        while TcpStream::connect(self.address).is_err() {
            assert!(started.elapsed() < Duration::from_secs(10), "nginx does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Debian puts it where not everybody looks.
    let folders = std::env::split_paths(&path).chain([Path::new("/usr/sbin").to_owned()]);
    folders.map(|folder| folder.join("nginx")).find(|program| program.exists())
}

/// Debian's defaults, without its log, and with connections that are kept for as long as the measurement takes.
fn config(address: SocketAddr, tls: &str) -> String {
    format!(
        "user root root;
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{ worker_connections 768; }}
http {{
    sendfile on;
    tcp_nopush on;
    types {{ }}
    default_type application/vnd.margo.manifest.v1+json;
    access_log off;
    keepalive_requests 1000000000;
    client_body_temp_path client;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen {address};
        root www;
    }}
{tls}}}
"
    )
}
