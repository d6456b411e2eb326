//! A GridFTP server that does what a test tells it: complete and well-behaved by default, and able to misbehave at every
//! step of the protocol.
//!
//! It runs in threads of the test's own process, on a free port of loopback, with its files in memory. [`Play`] says what
//! it holds and what it does wrong ([`Act`]) at which moment ([`Step`]); [`blocks`] makes blocks of extended block mode,
//! right and wrong ones; [`Splice`] puts words into the mouth of a real server.
//!
//! Dropping a [`Hostile`] ends all its threads and connections at once.

mod acts;
pub mod blocks;
mod commands;
mod data;
mod files;
mod play;
mod session;
mod splice;
mod transfer;

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::percent_encode;
use files::{Files, Node, normal};
use play::Rules;
pub use play::{Act, Play, Step};
pub use splice::Splice;

/// How long one wait for an event lasts before the server looks whether it is over.
const TICK: Duration = Duration::from_millis(50);

/// A running hostile server. Dropping it ends it.
#[derive(Debug)]
pub struct Hostile {
    stage: Arc<Stage>,
    port: u16,
    thread: Option<JoinHandle<()>>,
}

/// What all threads of one server share.
#[derive(Debug)]
struct Stage {
    play: Play,
    rules: Rules,
    files: Mutex<Files>,
    over: AtomicBool,
    /// Woken when it is over; nothing is in it.
    bell: (Mutex<()>, Condvar),
    sockets: Mutex<Vec<Weak<TcpStream>>>,
    heard: Mutex<Vec<String>>,
    connections: AtomicUsize,
    data_connections: AtomicUsize,
    open: AtomicUsize,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hostile {
    /// Starts the server.
    ///
    /// # Panics
    /// When the system has no port to give.
    #[track_caller]
    pub fn start(mut play: Play) -> Self {
        let address =
            if play.ipv6 { IpAddr::V6(Ipv6Addr::LOCALHOST) } else { IpAddr::V4(Ipv4Addr::LOCALHOST) };
        let listener =
            TcpListener::bind((address, 0)).unwrap_or_else(|e| panic!("taking a loopback port: {e}"));
        let port = listener.local_addr().map_or(0, |address| address.port());
        let stage = Arc::new(Stage {
            rules: Rules::of(&mut play),
            files: Mutex::new(std::mem::take(&mut play.files)),
            play,
            over: AtomicBool::new(false),
            bell: (Mutex::new(()), Condvar::new()),
            sockets: Mutex::default(),
            heard: Mutex::default(),
            connections: AtomicUsize::new(0),
            data_connections: AtomicUsize::new(0),
            open: AtomicUsize::new(0),
        });
        let thread = {
            let stage = Arc::clone(&stage);
            std::thread::spawn(move || stage.listen(&listener))
        };
        Self { stage, port, thread: Some(thread) }
    }

    /// The URL of a path, which counts from `/`.
    pub fn url(&self, path: &str) -> String {
        let path = normal(path.as_bytes());
        format!("ftp://{}/{}", self.authority(true), percent_encode(&path[1..]))
    }

    /// The URL of the same for a GSI login. The server refuses it unless told otherwise.
    pub fn gsi_url(&self, path: &str) -> String {
        let path = normal(path.as_bytes());
        format!("gsiftp://{}/{}", self.authority(false), percent_encode(&path[1..]))
    }

    fn authority(&self, login: bool) -> String {
        let host = if self.stage.play.ipv6 { "[::1]" } else { "127.0.0.1" };
        match &self.stage.play.password {
            Some((user, password)) if login => format!("{user}:{password}@{host}:{}", self.port),
            _ => format!("{host}:{}", self.port),
        }
    }

    /// The port of its control channel.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Every command so far, of all connections, in the order of arrival.
    pub fn heard(&self) -> Vec<String> {
        lock(&self.stage.heard).clone()
    }

    /// How often a command came whose text begins like this.
    pub fn times_heard(&self, start: &str) -> usize {
        lock(&self.stage.heard).iter().filter(|line| line.starts_with(start)).count()
    }

    /// Control connections made so far.
    pub fn connections(&self) -> usize {
        self.stage.connections.load(Ordering::SeqCst)
    }

    /// Control connections that are open.
    pub fn open_connections(&self) -> usize {
        self.stage.open.load(Ordering::SeqCst)
    }

    /// Data connections made or accepted so far.
    pub fn data_connections(&self) -> usize {
        self.stage.data_connections.load(Ordering::SeqCst)
    }

    /// What is stored under a path; `None` if there is no such file.
    pub fn stored(&self, path: &str) -> Option<Vec<u8>> {
        match lock(&self.stage.files).get(&normal(path.as_bytes())) {
            Some(Node::File(bytes)) => Some(bytes),
            _ => None,
        }
    }

    /// Whether a path is there, as whatever.
    pub fn exists(&self, path: &str) -> bool {
        lock(&self.stage.files).get(&normal(path.as_bytes())).is_some()
    }

    /// The names in a folder.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = lock(&self.stage.files).entries(&normal(folder.as_bytes()));
        entries.into_iter().map(|(name, _)| String::from_utf8_lossy(&name).into_owned()).collect()
    }
}

impl Drop for Hostile {
    fn drop(&mut self) {
        self.stage.end();
        if let Some(thread) = self.thread.take() {
            // A panic in there has been printed, and the test has failed by what it missed.
            drop(thread.join());
        }
    }
}

impl Stage {
    /// Accepts control connections until it is over; then waits for their threads.
    fn listen(self: Arc<Self>, listener: &TcpListener) {
        let mut sessions = Vec::new();
        while !self.is_over() {
            if wait_for(&[(listener, PollFlags::IN)], TICK).is_empty() {
                sessions.retain(|session: &JoinHandle<()>| !session.is_finished());
                continue;
            }
            let Ok((stream, _)) = listener.accept() else { continue };
            let number = self.connections.fetch_add(1, Ordering::SeqCst) + 1;
            self.open.fetch_add(1, Ordering::SeqCst);
            let stage = Arc::clone(&self);
            sessions.push(std::thread::spawn(move || {
                session::serve(&stage, stage.keep(stream), number);
                stage.open.fetch_sub(1, Ordering::SeqCst);
            }));
        }
        for session in sessions {
            drop(session.join());
        }
    }

    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    fn end(&self) {
        self.over.store(true, Ordering::SeqCst);
        drop(lock(&self.bell.0));
        self.bell.1.notify_all();
        for socket in lock(&self.sockets).drain(..).filter_map(|socket| socket.upgrade()) {
            drop(socket.shutdown(Shutdown::Both));
        }
    }

    /// Makes a connection one that ends when it is over.
    fn keep(&self, stream: TcpStream) -> Arc<TcpStream> {
        drop(stream.set_nodelay(true));
        let stream = Arc::new(stream);
        let mut sockets = lock(&self.sockets);
        sockets.retain(|socket| socket.strong_count() > 0);
        sockets.push(Arc::downgrade(&stream));
        if self.is_over() {
            drop(stream.shutdown(Shutdown::Both));
        }
        stream
    }

    /// Waits; an error when it is over before that.
    fn pause(&self, time: Duration) -> io::Result<()> {
        let end = Instant::now() + time;
        let mut guard = lock(&self.bell.0);
        while !self.is_over() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            guard = self.bell.1.wait_timeout(guard, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        Err(over())
    }

    fn note(&self, line: &[u8]) {
        lock(&self.heard).push(String::from_utf8_lossy(line).into_owned());
    }
}

fn over() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "the play is over")
}

/// Which of these are ready, after this time at most.
fn wait_for(things: &[(&dyn AsFdDyn, PollFlags)], limit: Duration) -> Vec<usize> {
    let mut list: Vec<_> =
        things.iter().map(|(thing, flags)| PollFd::from_borrowed_fd(thing.fd(), *flags)).collect();
    let limit = Timespec::try_from(limit).ok();
    if poll(&mut list, limit.as_ref()).is_err() {
        return Vec::new();
    }
    list.iter().enumerate().filter(|(_, entry)| !entry.revents().is_empty()).map(|(index, _)| index).collect()
}

/// Sockets of either kind, to be waited for together.
trait AsFdDyn {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_>;
}

impl<T: std::os::fd::AsFd> AsFdDyn for T {
    fn fd(&self) -> std::os::fd::BorrowedFd<'_> {
        self.as_fd()
    }
}

/// Closes a connection so that the other side reads an end and no reset: what it sent meanwhile is read first.
fn close_in_order(stream: &TcpStream) {
    drop(stream.shutdown(Shutdown::Write));
    drop(stream.set_read_timeout(Some(Duration::from_millis(500))));
    let mut nothing = [0; 4096];
    let limit = Instant::now() + Duration::from_secs(1);
    while Instant::now() < limit && matches!((&mut &*stream).read(&mut nothing), Ok(1..)) {}
    drop(stream.shutdown(Shutdown::Both));
}

/// Closes a connection by a reset.
fn reset(stream: &TcpStream) {
    // A close with unsent data thrown away is a reset; a shutdown would not be, so the close itself has to come: the caller
    // drops the last owner behind this.
    let _ = rustix::net::sockopt::set_socket_linger(stream, Some(Duration::ZERO));
}

/// Writes everything, or tells that the other side is gone.
fn send(stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
    (&mut &*stream).write_all(bytes)
}
