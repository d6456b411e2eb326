//! Looking up names, on threads of our own.
//!
//! `getaddrinfo` blocks, for as long as the system's resolver is patient: ten seconds and more for each name that nobody
//! answers for, and it cannot be interrupted. On tokio's threads for blocking work, lookups of dead names would take the
//! places of the program's own work, and the end of a runtime would wait for them. So they have threads of their own, at
//! most [`MOST`], that end when there is nothing left to look up; names that are wanted several times at once are
//! looked up once; and one that nobody waits for any more is not looked up at all.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::{SocketAddr, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// Lookups at a time. One name that nobody answers for holds one of them.
const MOST: usize = 32;

type Answer = Result<Vec<SocketAddr>, Arc<io::Error>>;
type Asker = oneshot::Sender<Answer>;

/// Who waits for what.
struct Lookups {
    /// Every name that is waited for or being looked up.
    askers: Option<HashMap<(String, u16), Vec<Asker>>>,
    waiting: VecDeque<(String, u16)>,
    threads: usize,
}

static LOOKUPS: Mutex<Lookups> = Mutex::new(Lookups { askers: None, waiting: VecDeque::new(), threads: 0 });

fn lookups() -> MutexGuard<'static, Lookups> {
    LOOKUPS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The addresses of a host in the order of the system's resolver.
///
/// # Errors
/// The resolver's, shared by all who asked for the name.
///
/// # Cancel safety
/// Cancel safe; a lookup under way goes on and is forgotten.
pub(super) async fn look_up(host: &str, port: u16) -> Answer {
    let (asker, answer) = oneshot::channel();
    let name = (host.to_owned(), port);
    let needs_thread = {
        let mut lookups = lookups();
        let askers = lookups.askers.get_or_insert_default();
        if let Some(others) = askers.get_mut(&name) {
            others.push(asker);
            false
        } else {
            askers.insert(name.clone(), vec![asker]);
            lookups.waiting.push_back(name);
            let more = lookups.threads < MOST;
            lookups.threads += usize::from(more);
            more
        }
    };
    if needs_thread
        && let Err(error) =
            std::thread::Builder::new().name("gridftp-names".to_owned()).stack_size(STACK).spawn(serve)
    {
        no_thread(&error);
    }
    // Every asker is answered, by a thread or by whoever found that there is none.
    answer.await.unwrap_or_else(|_| Err(Arc::new(io::Error::from(io::ErrorKind::Interrupted))))
}

/// Resolver libraries are written for threads of ordinary size; the memory is taken only when it is touched.
const STACK: usize = 1 << 20;

/// Looks names up until none is left.
fn serve() {
    while let Some((host, port)) = next() {
        let found = (host.as_str(), port).to_socket_addrs().map(Iterator::collect).map_err(Arc::new);
        tell(&(host, port), &found);
    }
}

/// The next name that somebody still waits for; without one, the thread is over.
fn next() -> Option<(String, u16)> {
    let mut lookups = lookups();
    let Lookups { askers, waiting, threads } = &mut *lookups;
    while let Some(name) = waiting.pop_front() {
        let askers = askers.get_or_insert_default();
        if askers.get(&name).is_some_and(|askers| askers.iter().any(|asker| !asker.is_closed())) {
            return Some(name);
        }
        askers.remove(&name);
    }
    *threads -= 1;
    None
}

fn tell(name: &(String, u16), answer: &Answer) {
    let askers = lookups().askers.get_or_insert_default().remove(name);
    for asker in askers.into_iter().flatten() {
        // Who has gone does not want to know.
        drop(asker.send(answer.clone()));
    }
}

/// No thread can be made. Where others are at work, they do it later; otherwise everybody is told.
fn no_thread(error: &io::Error) {
    let askers: Vec<_> = {
        let mut lookups = lookups();
        lookups.threads -= 1;
        if lookups.threads > 0 {
            return;
        }
        lookups.waiting.clear();
        lookups.askers.take().into_iter().flatten().flat_map(|(_, askers)| askers).collect()
    };
    let error = Arc::new(io::Error::new(error.kind(), format!("no thread for a lookup: {error}")));
    askers.into_iter().for_each(|asker| drop(asker.send(Err(Arc::clone(&error)))));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn names_are_found_and_threads_end() {
        let all = (0..200).map(|n| async move { look_up("localhost", 1000 + n % 50).await.unwrap() });
        for (n, found) in futures_util::future::join_all(all).await.into_iter().enumerate() {
            let port = 1000 + u16::try_from(n).unwrap() % 50;
            assert!(
                found.iter().all(|address| address.ip().is_loopback() && address.port() == port),
                "{found:?}"
            );
            assert!(!found.is_empty());
        }
        look_up("no-such-host.invalid", 21).await.unwrap_err();
    }
}
