//! What travels over loopback, as somebody on the wire would see it.

use std::io;
use std::num::NonZeroU32;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SocketFlags, SocketType, recv, socket_with, sockopt};

use crate::{Error, Result};

/// All protocols, as `packet(7)` wants it: in network byte order.
const ALL_PROTOCOLS: u32 = 0x0003_u16.to_be() as u32;

/// Room in the kernel for packets that were not read yet, in bytes: none may be lost.
const BUFFER_BYTES: usize = 256 << 20;

/// Longest packet: loopback sends up to 64 KiB at once.
const PACKET_BYTES: usize = 128 << 10;

/// Lengths of the headers before the payload.
const ETHERNET: usize = 14;
const TCP_HEADER: usize = 20;

/// The payloads of all TCP packets on this process's network, from the start of the capture to its end.
///
/// Needs the capability to see packets (root, or a network namespace of one's own), and sees every connection of the
/// network: run it where there are no others.
#[derive(Debug)]
pub struct Capture {
    over: Arc<AtomicBool>,
    reader: JoinHandle<io::Result<Vec<u8>>>,
}

impl Capture {
    /// Begins to listen.
    ///
    /// # Errors
    /// When the process may not see packets.
    pub fn start() -> Result<Self> {
        let denied = |source: rustix::io::Errno| Error::Io {
            what: "capturing packets (this needs root, or a network namespace of one's own)".into(),
            source: source.into(),
        };
        let protocol = NonZeroU32::new(ALL_PROTOCOLS).map(Protocol::from_raw);
        let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
            .map_err(denied)?;
        sockopt::set_socket_recv_buffer_size_force(&socket, BUFFER_BYTES).map_err(denied)?;
        let over = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&over);
        let reader = std::thread::spawn(move || read_all(&socket, &flag));
        Ok(Self { over, reader })
    }

    /// Ends the capture; the payloads one after the other, in the order in which they were sent.
    ///
    /// # Errors
    /// When reading failed.
    pub fn finish(self) -> Result<Vec<u8>> {
        self.over.store(true, Ordering::SeqCst);
        let result = self.reader.join().unwrap_or_else(|_| Err(io::Error::other("the reader panicked")));
        result.map_err(|source| Error::Io { what: "reading captured packets".into(), source })
    }
}

/// Reads packets until the flag is up and no packet waits any more.
fn read_all(socket: &OwnedFd, over: &AtomicBool) -> io::Result<Vec<u8>> {
    let mut seen = Vec::new();
    let mut packet = vec![0; PACKET_BYTES];
    loop {
        // The flag is read first: what was sent before it was raised is in the socket's buffer by then.
        let last = over.load(Ordering::SeqCst);
        let limit = Timespec::try_from(Duration::from_millis(20)).ok();
        if poll(&mut [PollFd::new(socket, PollFlags::IN)], limit.as_ref())? == 0 {
            if last {
                return Ok(seen);
            }
            continue;
        }
        let (_, length) = recv(socket, &mut packet[..], RecvFlags::empty())?;
        let length = length.min(packet.len());
        if let Some(payload) = tcp_payload(&packet[..length]) {
            seen.extend_from_slice(payload);
        }
    }
}

/// The bytes that a TCP packet carries.
fn tcp_payload(frame: &[u8]) -> Option<&[u8]> {
    const TCP: u8 = 6;
    let kind = u16::from_be_bytes([*frame.get(12)?, *frame.get(13)?]);
    let ip = &frame[ETHERNET..];
    let tcp = match kind {
        0x0800 if *ip.get(9)? == TCP => ip.get(usize::from(ip[0] & 15) * 4..)?,
        0x86dd if *ip.get(6)? == TCP => ip.get(40..)?,
        _ => return None,
    };
    tcp.get(usize::from(*tcp.get(12)? >> 4) * 4..).filter(|_| tcp.len() >= TCP_HEADER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payloads_are_found_behind_the_headers() {
        let mut frame = vec![0; ETHERNET];
        frame[12..14].copy_from_slice(&[8, 0]);
        let mut ip = vec![0; 20];
        (ip[0], ip[9]) = (0x45, 6);
        let mut tcp = vec![0; 32];
        tcp[12] = 8 << 4;
        frame.extend(ip);
        frame.extend(tcp);
        assert_eq!(tcp_payload(&frame), Some(&b""[..]));
        frame.extend(b"hello");
        assert_eq!(tcp_payload(&frame), Some(&b"hello"[..]));
        frame[ETHERNET + 9] = 17;
        assert_eq!(tcp_payload(&frame), None);
        for length in 0..frame.len() {
            let _ = tcp_payload(&frame[..length]);
        }
    }
}
