//! A data port, seen from outside the engine: the local end of a session's data channels.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::oneshot;

use super::command::{Command, Id};
use super::data::{Direction, PortSettings};
use super::failure::Failure;
use super::run::{ReadRun, WriteRun};
use super::thread::Engine;

/// The local end of data channels: one `globus_ftp_control_handle_t`, never connected on its control side.
///
/// A port serves one direction. In stream mode it serves one run; in extended block mode its connections stay open and
/// serve one run after another. After a failure it is of no more use; dropping it closes what is open, without waiting.
#[derive(Debug)]
pub(crate) struct DataPort {
    engine: Engine,
    port: Id,
}

impl DataPort {
    /// A new port. Nothing waits; what fails is told by the first operation on it.
    pub(crate) fn open(engine: &Engine, settings: PortSettings) -> Self {
        let port = engine.next_id();
        engine.push(Command::Open { port, settings });
        Self { engine: engine.clone(), port }
    }

    /// Listens on a free port (of `GLOBUS_TCP_PORT_RANGE`, if set) of the address and returns what to tell the server.
    pub(crate) async fn listen(&self, on: IpAddr) -> Result<SocketAddr, Failure> {
        let (answer, wait) = oneshot::channel();
        self.engine.push(Command::Listen { port: self.port, on, answer });
        wait.await.unwrap_or_else(|_gone| Err(Failure::gone()))
    }

    /// Notes the address, or in striped mode the addresses, to connect to.
    pub(crate) fn peers(&self, addresses: Vec<SocketAddr>) {
        self.engine.push(Command::Peers { port: self.port, addresses });
    }

    /// Starts connecting now, before a run.
    pub(crate) fn connect(&self, direction: Direction) {
        self.engine.push(Command::Connect { port: self.port, direction });
    }

    /// Queues a run of incoming data; at most `window` blocks are in flight or untaken.
    pub(crate) fn read(&self, window: usize) -> ReadRun {
        ReadRun::start(&self.engine, self.port, window)
    }

    /// Queues a run of outgoing data; at most `window` blocks are in flight.
    pub(crate) fn write(&self, window: usize) -> WriteRun {
        WriteRun::start(&self.engine, self.port, window)
    }
}

impl Drop for DataPort {
    fn drop(&mut self) {
        self.engine.push(Command::Close { port: self.port });
    }
}
