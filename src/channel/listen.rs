//! Sockets that wait for data connections.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::engine::{Failure, FailureKind, move_high, port_range};

/// Connections that may wait to be taken, as many as Globus has.
const BACKLOG: u32 = 4096;

/// Listens on a free port, which is one of `GLOBUS_TCP_PORT_RANGE` if that is set.
pub(super) fn listen(on: IpAddr, tcp_buffer_bytes: Option<u32>) -> Result<TcpListener, Failure> {
    let refused = |error| failure(&error, format!("no data connection can be waited for on {on}"));
    match port_range().and_then(parse_range) {
        None => bind(SocketAddr::new(on, 0), tcp_buffer_bytes, false).map_err(refused),
        Some((first, last)) => {
            let mut outcome = Err(io::Error::from(io::ErrorKind::AddrInUse));
            for port in turned(first, last) {
                outcome = bind(SocketAddr::new(on, port), tcp_buffer_bytes, true);
                if outcome.as_ref().err().is_none_or(is_out_of_descriptors) {
                    break;
                }
            }
            outcome.map_err(refused)
        }
    }
}

fn bind(at: SocketAddr, tcp_buffer_bytes: Option<u32>, one_of_few: bool) -> io::Result<TcpListener> {
    let socket = if at.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = tcp_buffer_bytes {
        // Before it listens: the connections inherit it, and with it what window they may offer.
        socket.set_recv_buffer_size(bytes)?;
    }
    if one_of_few {
        // Connections of earlier transfers that are still being put to rest do not take a port out of a small range.
        socket.set_reuseaddr(true)?;
    }
    socket.bind(at)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    TcpListener::from_std(move_high(OwnedFd::from(listener)).into())
}

/// Leaves the low numbers to C, which cannot do with others.
pub(super) fn out_of_the_way(stream: TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(move_high(OwnedFd::from(stream.into_std()?)).into())
}

/// `first,last` as Globus reads it: anything else is as if it was not there.
pub(super) fn parse_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once(',')?;
    let last = last.trim_start();
    let digits = last.find(|c: char| !c.is_ascii_digit()).unwrap_or(last.len());
    let (first, last) = (first.trim().parse().ok()?, last[..digits].parse().ok()?);
    (first > 0 && first <= last).then_some((first, last))
}

/// All ports of a range, each time from another one on: who begins at the same one meets those that were taken before.
pub(super) fn turned(first: u16, last: u16) -> impl Iterator<Item = u16> {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let count = u32::from(last - first) + 1;
    // Several processes of one host share the range.
    let start = TURN.fetch_add(1, Ordering::Relaxed).wrapping_add(std::process::id().wrapping_mul(7919));
    let place = move |step| (start % count + step) % count;
    (0..count).filter_map(move |step| first.checked_add(u16::try_from(place(step)).ok()?))
}

pub(super) fn is_out_of_descriptors(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let lack = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
    lack.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

pub(super) fn failure(error: &io::Error, doing: impl std::fmt::Display) -> Failure {
    let kind = error.raw_os_error().map_or(FailureKind::Other, FailureKind::Errno);
    Failure::new(kind, format!("{doing}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_what_globus_takes_for_one() {
        for (text, range) in [
            ("50000,51000", Some((50_000, 51_000))),
            (" 50000 , 51000 ", Some((50_000, 51_000))),
            ("7,7", Some((7, 7))),
            ("50000,51000 more", Some((50_000, 51_000))),
            ("51000,50000", None),
            ("50000 51000", None),
            ("50000", None),
            ("0,10", None),
            ("1,70000", None),
            ("", None),
            ("a,b", None),
        ] {
            assert_eq!(parse_range(text), range, "{text}");
        }
    }

    #[test]
    fn every_port_of_a_range_has_its_turn() {
        for (first, last) in [(7, 7), (10, 13), (65_530, 65_535), (1, 65_535)] {
            let mut ports: Vec<_> = turned(first, last).collect();
            ports.sort_unstable();
            assert_eq!(ports, (first..=last).collect::<Vec<_>>());
        }
    }
}
