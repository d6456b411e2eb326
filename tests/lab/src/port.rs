//! A loopback port on which every connection is refused.

use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::net::{AddressFamily, SocketType};

use crate::{Error, Result};

/// A TCP port of 127.0.0.1 that refuses connections for as long as this value lives.
///
/// The port is bound but never listened on, so no other process can be given it meanwhile.
#[derive(Debug)]
pub struct RefusedPort {
    port: u16,
    _bound: OwnedFd,
}

impl RefusedPort {
    /// Takes a port.
    ///
    /// # Panics
    /// When the system has no port to give.
    #[track_caller]
    pub fn new() -> Self {
        Self::try_new().unwrap_or_else(|e| panic!("{e}"))
    }

    fn try_new() -> Result<Self> {
        let failed =
            |e: rustix::io::Errno| Error::Io { what: "taking a loopback port".into(), source: e.into() };
        let socket = rustix::net::socket_with(
            AddressFamily::INET,
            SocketType::STREAM,
            rustix::net::SocketFlags::CLOEXEC,
            None,
        )
        .map_err(failed)?;
        rustix::net::bind(&socket, &SocketAddrV4::new(Ipv4Addr::LOCALHOST, 0)).map_err(failed)?;
        let address = rustix::net::getsockname(&socket).map_err(failed)?;
        let address = SocketAddrV4::try_from(address).map_err(failed)?;
        Ok(Self { port: address.port(), _bound: socket })
    }

    /// Its number.
    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Default for RefusedPort {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn connections_are_refused_and_nobody_else_gets_the_port() {
        let refused = RefusedPort::new();
        for _ in 0..3 {
            let error = TcpStream::connect((Ipv4Addr::LOCALHOST, refused.port())).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
        }
        let error = TcpListener::bind((Ipv4Addr::LOCALHOST, refused.port())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::AddrInUse);
    }
}
