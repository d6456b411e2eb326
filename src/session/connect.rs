//! From a host's name to a connected socket.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::engine::move_high;
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::session::names::look_up;

/// How long one address is tried alone before the next is tried beside it (RFC 8305 §5).
const STAGGER: Duration = Duration::from_millis(250);

/// How long a silent peer is believed to be there before the kernel asks.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_PROBES: u32 = 4;

/// Addresses tried for one name; more would be a misconfiguration or worse.
const MAX_ADDRESSES: usize = 16;

/// The addresses of a host, the two families taking turns.
///
/// # Errors
/// `Resolve` when the name has no address, or none can be found out just now (then transient).
pub(crate) async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>> {
    if let Ok(address) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(address, port)]);
    }
    let found = look_up(host, port).await.map_err(|source| {
        if is_out_of_files(&source) || !descriptor_left() {
            // Resolvers open files and sockets, and say anything when they cannot.
            let message = format!("no descriptor is left to look up the host \"{host}\": {source}");
            return Error::new(ErrorKind::TooManyOpenFiles, Phase::Resolve, message)
                .with_side(Side::Local)
                .with_source(source);
        }
        // The resolver's own words are the only place where "try again" can be told from "no such name".
        let transient = source.to_string().to_ascii_lowercase().contains("temporary");
        Error::new(
            ErrorKind::Resolve,
            Phase::Resolve,
            format!("cannot find an address of the host \"{host}\": {source}"),
        )
        .with_side(Side::Local)
        .with_transient(transient)
        .with_source(source)
    })?;
    let addresses = take_turns(found.into_iter());
    if addresses.is_empty() {
        let message = format!("the host \"{host}\" has no address");
        return Err(Error::new(ErrorKind::Resolve, Phase::Resolve, message).with_side(Side::Local));
    }
    Ok(addresses)
}

/// Keeps the resolver's order within each family and lets the families alternate, beginning with its favourite.
fn take_turns(found: impl Iterator<Item = SocketAddr>) -> Vec<SocketAddr> {
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in found {
        if !all.contains(&address) {
            all.push(address);
        }
    }
    let first_is_v6 = all.first().is_some_and(SocketAddr::is_ipv6);
    let (favoured, others): (Vec<_>, Vec<_>) =
        all.into_iter().partition(|address| address.is_ipv6() == first_is_v6);
    let mut others = others.into_iter();
    let mut turns = Vec::with_capacity(favoured.len() + others.len());
    for address in favoured {
        turns.push(address);
        turns.extend(others.next());
    }
    turns.extend(others);
    turns.truncate(MAX_ADDRESSES);
    turns
}

/// Connects to the first address that answers, trying the next one whenever one fails or has kept silent for a while.
///
/// # Errors
/// `Connect`, with the first failure as its source; `TooManyOpenFiles` when it was ours.
pub(crate) async fn connect(host: &str, addresses: &[SocketAddr]) -> Result<TcpStream> {
    let mut waiting = addresses.iter().copied();
    let mut attempts = JoinSet::new();
    let mut failed: Option<(SocketAddr, io::Error)> = None;
    loop {
        if let Some(address) = waiting.next() {
            attempts.spawn(async move { (address, TcpStream::connect(address).await) });
        }
        // The next address is begun when the attempt under way fails or has been silent for a while.
        let patience = async {
            match waiting.len() {
                0 => std::future::pending().await,
                _ => tokio::time::sleep(STAGGER).await,
            }
        };
        tokio::select! {
            done = attempts.join_next() => match done {
                Some(Ok((_, Ok(stream)))) => return prepare(stream),
                Some(Ok((address, Err(error)))) => {
                    failed.get_or_insert((address, error));
                }
                // Nothing in an attempt can panic; one that was thrown away is one that failed.
                Some(Err(_)) => {}
                None => break,
            },
            () = patience => {}
        }
    }
    Err(refused(host, addresses, failed))
}

fn is_out_of_files(error: &io::Error) -> bool {
    let ours = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE];
    error.raw_os_error().is_some_and(|code| ours.iter().any(|errno| errno.raw_os_error() == code))
}

/// Whether one more descriptor can be had.
fn descriptor_left() -> bool {
    use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, SocketFlags::CLOEXEC, None);
    !matches!(socket, Err(rustix::io::Errno::MFILE | rustix::io::Errno::NFILE))
}

fn refused(host: &str, addresses: &[SocketAddr], failed: Option<(SocketAddr, io::Error)>) -> Error {
    let Some((address, source)) = failed else {
        return Error::new(ErrorKind::Connect, Phase::Connect, format!("no address of \"{host}\" was tried"));
    };
    let others = match addresses.len() {
        0 | 1 => String::new(),
        count => format!(" (and {} more addresses)", count - 1),
    };
    let message = format!("cannot connect to \"{host}\" at {address}{others}: {source}");
    let (kind, side) = if is_out_of_files(&source) {
        (ErrorKind::TooManyOpenFiles, Side::Local)
    } else {
        (ErrorKind::Connect, Side::Server)
    };
    Error::new(kind, Phase::Connect, message).with_side(side).with_source(source)
}

/// Sets the options of a control connection and moves its descriptor out of the numbers that Globus needs.
fn prepare(stream: TcpStream) -> Result<TcpStream> {
    let failed = |source: io::Error| {
        Error::new(ErrorKind::Connect, Phase::Connect, "cannot set up the new connection's socket")
            .with_side(Side::Local)
            .with_source(source)
    };
    stream.set_nodelay(true).map_err(failed)?;
    // A control connection is silent during long transfers, and firewalls forget silent connections.
    let _ = sockopt::set_socket_keepalive(&stream, true);
    let _ = sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE);
    let _ = sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL);
    let _ = sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_PROBES);
    let stream = stream.into_std().map_err(failed)?;
    let stream = std::net::TcpStream::from(move_high(OwnedFd::from(stream)));
    TcpStream::from_std(stream).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;

    use tokio::net::TcpListener;

    use super::*;

    #[test]
    fn families_take_turns() {
        let of = |text: &[&str]| -> Vec<SocketAddr> { text.iter().map(|a| a.parse().unwrap()).collect() };
        let found = of(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1", "[::1]:1", "2.2.2.2:1"]);
        let turns = take_turns(found.into_iter());
        assert_eq!(turns, of(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "2.2.2.2:1", "[::3]:1"]));
    }

    #[tokio::test]
    async fn literals_are_not_looked_up() {
        assert_eq!(resolve("127.0.0.9", 5).await.unwrap(), ["127.0.0.9:5".parse().unwrap()]);
        assert_eq!(resolve("::1", 5).await.unwrap(), ["[::1]:5".parse().unwrap()]);
    }

    #[tokio::test]
    async fn an_unknown_host_is_a_resolve_error() {
        let error = resolve("no-such-host.invalid", 21).await.unwrap_err();
        assert_eq!((error.kind(), error.phase()), (ErrorKind::Resolve, Phase::Resolve));
        assert!(error.to_string().contains("no-such-host.invalid"), "{error}");
    }

    #[tokio::test]
    async fn a_refused_address_does_not_hide_the_next() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let open = listener.local_addr().unwrap();
        let closed = {
            let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
            gone.local_addr().unwrap()
        };
        let stream = connect("lab", &[closed, open]).await.unwrap();
        assert_eq!(stream.peer_addr().unwrap(), open);
        let error = connect("lab", &[closed]).await.unwrap_err();
        assert_eq!((error.kind(), error.is_transient()), (ErrorKind::Connect, true));
        assert!(error.to_string().contains(&closed.to_string()), "{error}");
    }

    #[tokio::test]
    async fn the_descriptor_is_moved_above_selects_border() {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let maximum = getrlimit(Resource::Nofile).maximum;
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
        let allowed = getrlimit(Resource::Nofile).current;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = connect("lab", &[listener.local_addr().unwrap()]).await.unwrap();
        assert!(stream.nodelay().unwrap());
        if allowed.is_none_or(|limit| limit > 1100) {
            assert!(stream.as_raw_fd() >= 1024, "{}", stream.as_raw_fd());
        }
    }
}
