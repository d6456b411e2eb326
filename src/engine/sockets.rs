//! What the kernel knows of this process's TCP connections: round trips, losses, who waits for whom (`tcp(7)`, `TCP_INFO`).
//!
//! Looked at from outside, by the process's own table of descriptors: C does not say which sockets are its own.

use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsRawFd as _, BorrowedFd, RawFd};
use std::time::Duration;

use rustix::net::sockopt::socket_cookie;

/// Descriptors that are looked at, at most: with more than that the rest is not seen.
const MOST: usize = 4096;

/// One connection, as the kernel sees it now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Connection {
    /// The same for as long as there is that connection, and no other's meanwhile.
    pub(crate) id: u64,
    pub(crate) round_trip: Duration,
    /// The shortest round trip so far.
    pub(crate) shortest: Duration,
    /// What the receiving side takes for the round trip; zero while it does not know.
    pub(crate) receiving_round_trip: Duration,
    pub(crate) bytes_sent: u64,
    pub(crate) bytes_received: u64,
    pub(crate) packets_sent: u64,
    pub(crate) packets_received: u64,
    /// Sent again.
    pub(crate) repeated: u64,
    /// Came before one that was sent earlier.
    pub(crate) out_of_order: u64,
    /// How long there was something to be sent; of that, how long the peer's window and our own buffer were in the way.
    pub(crate) sending: Duration,
    pub(crate) peer_full: Duration,
    pub(crate) buffer_full: Duration,
}

/// The connections of this process to some addresses.
pub(crate) fn connections(peers: &[IpAddr]) -> Vec<Connection> {
    let Ok(table) = std::fs::read_dir("/proc/self/fd") else { return Vec::new() };
    let mut found = Vec::new();
    for entry in table.flatten().take(MOST) {
        let number = entry.file_name().to_str().and_then(|name| name.parse::<RawFd>().ok());
        let Some(number) = number else { continue };
        // SAFETY: a number that was open a moment ago, borrowed for a few questions. Another thread may have closed it meanwhile,
        // or closed and opened it: then an answer is an error, or that of another socket, which its cookie,
        // the first and the last question, tells.
        let socket = unsafe { BorrowedFd::borrow_raw(number) };
        let Ok(id) = socket_cookie(socket) else { continue };
        if is_to(socket, peers)
            && let Some(info) = info(socket)
            && socket_cookie(socket) == Ok(id)
        {
            found.push(decode(id, &info));
        }
    }
    found
}

fn is_to(socket: BorrowedFd<'_>, peers: &[IpAddr]) -> bool {
    let peer = rustix::net::getpeername(socket).ok().flatten();
    let peer = peer.and_then(|peer| SocketAddr::try_from(peer).ok());
    peer.is_some_and(|peer| peers.contains(&peer.ip().to_canonical()))
}

/// `struct tcp_info` up to where this reads it. What the kernel does not know of is zero.
type Info = [u8; 232];

fn info(socket: BorrowedFd<'_>) -> Option<Info> {
    let mut info: Info = [0; 232];
    let mut length = libc::socklen_t::try_from(info.len()).ok()?;
    // SAFETY: the kernel writes `length` bytes at most, which is how many there are, whatever the descriptor is by now.
    let answer = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            info.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (answer == 0).then_some(info)
}

/// By the places of `linux/tcp.h`, which never change: fields are only added behind the last one.
fn decode(id: u64, info: &Info) -> Connection {
    let short = |at: usize| info[at..at + 4].try_into().map_or(0, u32::from_ne_bytes);
    let long = |at: usize| info[at..at + 8].try_into().map_or(0, u64::from_ne_bytes);
    let micros = |at: usize| Duration::from_micros(short(at).into());
    // The kernel says "none" by the largest number.
    let known = |time: Duration| if time >= Duration::from_secs(1000) { Duration::ZERO } else { time };
    Connection {
        id,
        round_trip: micros(68),
        shortest: known(micros(148)),
        receiving_round_trip: micros(92),
        bytes_sent: long(120),
        bytes_received: long(128),
        packets_sent: short(156).into(),
        packets_received: short(152).into(),
        repeated: short(100).into(),
        out_of_order: short(224).into(),
        sending: Duration::from_micros(long(168)),
        peer_full: Duration::from_micros(long(176)),
        buffer_full: Duration::from_micros(long(184)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, TcpStream};

    use super::*;

    #[test]
    fn the_kernel_counts_what_a_connection_carries() {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let mut one = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut other, _) = listener.accept().unwrap();
        let before: Vec<_> =
            connections(&[Ipv4Addr::LOCALHOST.into()]).iter().map(|found| found.id).collect();
        assert!(before.len() >= 2, "both ends are this process's: {before:?}");
        one.write_all(&vec![7; 300_000]).unwrap();
        let mut data = vec![0; 300_000];
        other.read_exact(&mut data).unwrap();
        let now = connections(&[Ipv4Addr::LOCALHOST.into()]);
        let sent = now.iter().find(|found| found.bytes_received == 300_000).unwrap();
        assert!(before.contains(&sent.id));
        assert!(sent.packets_received >= 5, "{sent:?}");
        let sender = now.iter().find(|found| found.packets_sent >= 5).unwrap();
        assert!(sender.bytes_sent <= 300_001, "{sender:?}");
        assert!(
            sender.round_trip > Duration::ZERO && sender.round_trip < Duration::from_secs(1),
            "{sender:?}"
        );
        assert_eq!(connections(&[Ipv6Addr::LOCALHOST.into()]), []);
        drop((one, other));
        let after = connections(&[Ipv4Addr::LOCALHOST.into()]);
        assert!(!after.iter().any(|found| found.id == sent.id));
    }
}
