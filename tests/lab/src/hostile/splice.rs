//! Words put into the mouth of a real server.

use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rustix::event::PollFlags;

use super::{TICK, lock, send, wait_for};

/// A relay before the control channel of a real server, on loopback, that says something of its own once: behind the `235`
/// that ends a GSI login, when everything has to be protected. Data connections do not go through it.
#[derive(Debug)]
pub struct Splice {
    port: u16,
    over: Arc<AtomicBool>,
    sockets: Arc<std::sync::Mutex<Vec<TcpStream>>>,
    thread: Option<JoinHandle<()>>,
}

impl Splice {
    /// Begins to relay to `port` of 127.0.0.1. Behind the 235 of each connection `words` are said: as they are when
    /// `instead` is false, in the place of the server's next line when it is true.
    ///
    /// # Panics
    /// When the system has no port to give.
    #[track_caller]
    pub fn before(port: u16, words: impl Into<Vec<u8>>, instead: bool) -> Self {
        let words: Arc<[u8]> = words.into().into();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .unwrap_or_else(|e| panic!("taking a loopback port: {e}"));
        let own = listener.local_addr().map_or(0, |address| address.port());
        let (over, sockets) =
            (Arc::<AtomicBool>::default(), Arc::<std::sync::Mutex<Vec<TcpStream>>>::default());
        let thread = {
            let (over, sockets) = (Arc::clone(&over), Arc::clone(&sockets));
            std::thread::spawn(move || {
                let mut threads = Vec::new();
                while !over.load(Ordering::SeqCst) {
                    if wait_for(&[(&listener, PollFlags::IN)], TICK).is_empty() {
                        continue;
                    }
                    let Ok((client, _)) = listener.accept() else { continue };
                    let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
                    for stream in [&client, &server] {
                        drop(stream.set_nodelay(true));
                        lock(&sockets).extend(stream.try_clone());
                    }
                    let (Ok(up_from), Ok(up_to)) = (client.try_clone(), server.try_clone()) else { continue };
                    threads.push(std::thread::spawn(move || relay(&up_from, &up_to, None)));
                    let words = (Arc::clone(&words), instead);
                    threads.push(std::thread::spawn(move || relay(&server, &client, Some(words))));
                }
                for thread in threads {
                    drop(thread.join());
                }
            })
        };
        Self { port: own, over, sockets, thread: Some(thread) }
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// Moves lines until one side has closed.
fn relay(from: &TcpStream, to: &TcpStream, mut words: Option<(Arc<[u8]>, bool)>) {
    let mut lines = BufReader::new(from);
    let mut logged_in = false;
    loop {
        let mut line = Vec::new();
        if !matches!(lines.read_until(b'\n', &mut line), Ok(1..)) {
            break;
        }
        let mut left_out = false;
        if logged_in && let Some((words, instead)) = words.take() {
            left_out = instead;
            if send(to, &words).is_err() {
                break;
            }
        }
        logged_in |= line.starts_with(b"235 ");
        if !left_out && send(to, &line).is_err() {
            break;
        }
    }
    drop(to.shutdown(Shutdown::Both));
    drop(from.shutdown(Shutdown::Both));
}

impl Drop for Splice {
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        for socket in lock(&self.sockets).drain(..) {
            drop(socket.shutdown(Shutdown::Both));
        }
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
