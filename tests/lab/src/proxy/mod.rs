//! A proxy before a real server, which breaks connections at a chosen byte.
//!
//! Control connections go through it, and data connections too: the addresses in the replies to PASV, EPSV and SPAS (127
//! and 129 included) and in PORT, EPRT and SPOR are replaced by the proxy's own. A control channel under GSI is passed on as
//! it is: what is encrypted cannot be followed, so its data connections go past the proxy.
//!
//! A [`Fault`] says where something happens (which connection, which direction, after how many bytes) and what. Without
//! one the proxy is transparent; [`Proxy::passed`] tells how many bytes went where, which is where a random byte to break at
//! can be drawn from.
//!
//! One thread does all of it, without a lock that it could wait for. Never here: knowledge of what a reply means, beyond the
//! addresses in it; a second opinion on whether a transfer was right, which is the tests' business.

mod address;
mod fault;
mod hub;
mod relay;

use std::io::PipeWriter;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

pub use fault::{Fault, Way, What, Where};

use crate::server::Login;
use crate::{Error, Result, Server};

/// A running proxy. Dropping it closes all its connections, which their ends see as a reset or an end.
///
/// ```no_run
/// use gridftp_lab::Server;
/// use gridftp_lab::proxy::{Fault, Proxy, Way, What, Where};
///
/// let server = Server::anonymous().start();
/// // The first data connection is reset when 100,000 bytes of it have reached the client.
/// let fault = Fault::new(Where::Data(0), Way::ToClient, 100_000, What::Reset);
/// let proxy = Proxy::before(&server).with(fault).start();
/// println!("{}", proxy.url(server.dir().join("f")));
/// ```
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    root: String,
    folder: std::path::PathBuf,
    shared: Arc<Mutex<Shared>>,
    /// Closed to end the thread.
    stop: Option<PipeWriter>,
    thread: Option<JoinHandle<()>>,
}

/// What a [`Proxy`] shall do.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    server: SocketAddr,
    root: Root,
    folder: std::path::PathBuf,
    faults: Vec<Fault>,
}

/// What stands before the path in a URL, less the port.
#[derive(Debug, Clone)]
struct Root {
    scheme_and_user: String,
    host: String,
}

/// How many bytes of a connection reached its ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Passed {
    /// The connection: never one of the "every" kind.
    pub connection: Where,
    /// Bytes that the server got.
    pub to_server: u64,
    /// Bytes that the client got.
    pub to_client: u64,
}

impl Passed {
    /// Bytes that went this way.
    pub fn bytes(&self, way: Way) -> u64 {
        match way {
            Way::ToServer => self.to_server,
            Way::ToClient => self.to_client,
        }
    }
}

/// What the thread tells, and is told.
#[derive(Debug, Default)]
struct Shared {
    passed: Vec<Passed>,
    faults: Vec<Fault>,
    struck: usize,
    /// Connections that are open.
    open: usize,
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proxy {
    /// A proxy before this server.
    pub fn before(server: &Server) -> Builder {
        let (scheme_and_user, host) = match server.login() {
            Login::Anonymous => ("ftp://".to_owned(), server.host()),
            Login::Password(name) => {
                (format!("ftp://{}:{}@", crate::percent_encode(name), server.password()), server.host())
            }
            Login::Gsi => ("gsiftp://".to_owned(), server.host()),
        };
        let ip: IpAddr =
            if host.starts_with('[') { Ipv6Addr::LOCALHOST.into() } else { Ipv4Addr::LOCALHOST.into() };
        let root = Root { scheme_and_user, host: host.to_owned() };
        Builder { server: SocketAddr::new(ip, server.port()), root, folder: server.dir(), faults: Vec::new() }
    }

    /// A proxy before whatever listens at this address; URLs are those of an anonymous server.
    pub fn before_address(server: SocketAddr) -> Builder {
        let host = match server.ip() {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let root = Root { scheme_and_user: "ftp://".into(), host };
        Builder { server, root, folder: "/".into(), faults: Vec::new() }
    }

    /// The port that it listens on, on the server's address.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The URL of `path` through the proxy, percent-encoded. A relative path is below the server's folder.
    pub fn url(&self, path: impl AsRef<Path>) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.folder.join(path);
        format!("{}{}", self.root, crate::percent_encode(path.as_os_str().as_bytes()))
    }

    /// The URL without a path.
    pub fn url_root(&self) -> &str {
        &self.root
    }

    /// What went through each connection so far, in the order in which they were made.
    pub fn passed(&self) -> Vec<Passed> {
        lock(&self.shared).passed.clone()
    }

    /// How many faults happened so far. One whose byte never came has not.
    pub fn struck(&self) -> usize {
        lock(&self.shared).struck
    }

    /// Connections that are open now, from the proxy's point of view.
    pub fn open(&self) -> usize {
        lock(&self.shared).open
    }

    /// One more fault, for connections that are made from now on.
    pub fn add(&self, fault: Fault) {
        lock(&self.shared).faults.push(fault);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has said so itself.
            let _ = thread.join();
        }
    }
}

impl Builder {
    /// One more fault.
    pub fn with(mut self, fault: Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Begins to listen.
    ///
    /// # Panics
    /// When it cannot.
    #[track_caller]
    pub fn start(self) -> Proxy {
        self.try_start().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Begins to listen.
    ///
    /// # Errors
    /// When there is no descriptor, port or thread to be had.
    pub fn try_start(self) -> Result<Proxy> {
        let failed = |source| Error::Io { what: "starting a proxy".into(), source };
        let listener = TcpListener::bind((self.server.ip(), 0)).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let (stopped, stop) = std::io::pipe().map_err(failed)?;
        let shared = Arc::new(Mutex::new(Shared { faults: self.faults, ..Shared::default() }));
        let hub = hub::Hub::new(listener, self.server, stopped, Arc::clone(&shared)).map_err(failed)?;
        let thread =
            std::thread::Builder::new().name("proxy".into()).spawn(move || hub.run()).map_err(failed)?;
        let Root { scheme_and_user, host } = self.root;
        Ok(Proxy {
            address,
            root: format!("{scheme_and_user}{host}:{}", address.port()),
            folder: self.folder,
            shared,
            stop: Some(stop),
            thread: Some(thread),
        })
    }
}
