//! The way between the tools and the engine, which a test can cut.

use std::io::{Read as _, Write as _};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

/// A socket behind which the engine is, until it is cut: then nobody listens, and what was connected is not.
pub(crate) struct Cable {
    socket: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    engine: PathBuf,
    state: Mutex<State>,
    opened: Condvar,
}

#[derive(Default)]
struct State {
    is_cut: bool,
    /// The first request with this method and this in its path cuts the cable.
    fuse: Option<Fuse>,
    /// Requests with this method and this in their path wait.
    gate: Option<(&'static str, &'static str)>,
    waiting: usize,
    ends: Vec<UnixStream>,
    counted: usize,
}

/// What cuts a cable by itself.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fuse {
    pub(crate) method: &'static str,
    pub(crate) path: &'static str,
    /// Whether the request still gets to the engine: what it did is then not known to whoever asked.
    pub(crate) arrives: bool,
}

impl Cable {
    /// A cable from `socket` to the engine at `host`, such as `unix:///run/docker.sock`.
    pub(crate) fn new(socket: &Path, host: &str) -> Self {
        let engine = PathBuf::from(host.strip_prefix("unix://").unwrap());
        let cable = Self {
            socket: socket.to_owned(),
            shared: Arc::new(Shared { engine, state: Mutex::default(), opened: Condvar::new() }),
        };
        cable.listen();
        cable
    }

    /// The address for the tools.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// Cuts the cable at this request.
    pub(crate) fn arm(&self, fuse: Fuse) {
        self.shared.lock().fuse = Some(fuse);
    }

    /// Lets requests with this method and this in their path wait.
    pub(crate) fn close_gate(&self, method: &'static str, path: &'static str) {
        self.shared.lock().gate = Some((method, path));
    }

    /// How many wait.
    pub(crate) fn waiting(&self) -> usize {
        self.shared.lock().waiting
    }

    /// Lets them go on.
    pub(crate) fn open_gate(&self) {
        self.shared.lock().gate = None;
        self.shared.opened.notify_all();
    }

    /// Cuts the cable now.
    pub(crate) fn cut(&self) {
        self.shared.cut();
    }

    /// How many are connected that were not when it was asked last.
    pub(crate) fn connections(&self) -> usize {
        let mut state = self.shared.lock();
        let count = state.ends.len();
        count - std::mem::replace(&mut state.counted, count)
    }

    /// Whether it is cut.
    pub(crate) fn is_cut(&self) -> bool {
        self.shared.lock().is_cut
    }

    /// Makes it whole again.
    pub(crate) fn mend(&self) {
        self.shared.lock().is_cut = false;
        self.listen();
    }

    fn listen(&self) {
        let _ = std::fs::remove_file(&self.socket);
        let listener = UnixListener::bind(&self.socket).unwrap();
        let shared = Arc::clone(&self.shared);
        thread::spawn(move || {
            // It ends, and nobody listens any more, with the first that comes after the cut.
            for client in listener.incoming() {
                let Ok(client) = client else { return };
                if shared.lock().is_cut {
                    return;
                }
                let Ok(engine) = UnixStream::connect(&shared.engine) else { return };
                shared.lock().ends.extend([client.try_clone().unwrap(), engine.try_clone().unwrap()]);
                let (from, to) = (engine.try_clone().unwrap(), client.try_clone().unwrap());
                thread::spawn(move || carry(from, to, |_| true, || {}));
                let (watcher, cutter) = (Arc::clone(&shared), Arc::clone(&shared));
                thread::spawn(move || {
                    carry(client, engine, |bytes| watcher.lets_through(bytes), || cutter.cut_if_blown());
                });
            }
        });
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        self.open_gate();
        self.cut();
        // Wakes the listener.
        let _ = UnixStream::connect(&self.socket);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    fn cut(&self) {
        let mut state = self.lock();
        state.is_cut = true;
        state.counted = 0;
        for end in state.ends.drain(..) {
            let _ = end.shutdown(std::net::Shutdown::Both);
        }
    }

    /// Whether what a tool sends goes on to the engine.
    fn lets_through(&self, bytes: &[u8]) -> bool {
        let mut state = self.lock();
        let head = String::from_utf8_lossy(&bytes[..bytes.len().min(400)]);
        let line = head.lines().next().unwrap_or_default();
        if state.gate.is_some_and(|(method, path)| line.starts_with(method) && line.contains(path)) {
            state.waiting += 1;
            state = self.opened.wait_while(state, |state| state.gate.is_some()).unwrap();
            state.waiting -= 1;
        }
        let blows = |fuse: &Fuse| line.starts_with(fuse.method) && line.contains(fuse.path);
        let Some(fuse) = state.fuse.take_if(|fuse| blows(fuse)) else { return true };
        state.is_cut = true;
        drop(state);
        if !fuse.arrives {
            self.cut();
        }
        fuse.arrives
    }

    fn cut_if_blown(&self) {
        if self.lock().is_cut {
            self.cut();
        }
    }
}

fn carry(mut from: UnixStream, mut to: UnixStream, lets_through: impl Fn(&[u8]) -> bool, after: impl Fn()) {
    let mut buffer = [0; 16 << 10];
    while let Ok(length @ 1..) = from.read(&mut buffer) {
        if !lets_through(&buffer[..length]) || to.write_all(&buffer[..length]).is_err() {
            break;
        }
        after();
    }
    let _ = from.shutdown(std::net::Shutdown::Both);
    let _ = to.shutdown(std::net::Shutdown::Both);
}
