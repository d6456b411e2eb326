//! A data port, seen from outside the engine: the local end of a session's data channels.
//!
//! C listens at one address per handle, and counts the ends of data of one sender. So what is listened to for several
//! stripes is several handles, which one [`DataPort`] keeps together.

use std::net::{IpAddr, SocketAddr};

use tokio::sync::oneshot;

use super::command::{Command, Id};
use super::data::{Direction, PortSettings};
use super::failure::Failure;
use super::run::{ReadRun, WriteRun};
use super::thread::Engine;

/// The local end of data channels: a `globus_ftp_control_handle_t`, never connected on its control side; several of them
/// where several stripes are listened to.
///
/// A port serves one direction. In stream mode it serves one run; in extended block mode its connections stay open and
/// serve one run after another. After a failure it is of no more use; dropping it closes what is open, without waiting.
#[derive(Debug)]
pub(crate) struct DataPort {
    engine: Engine,
    port: Id,
    /// The ports of further stripes that are listened to.
    others: Vec<Id>,
    settings: PortSettings,
}

impl DataPort {
    /// A new port. Nothing waits; what fails is told by the first operation on it.
    pub(crate) fn open(engine: &Engine, settings: PortSettings) -> Self {
        let port = engine.next_id();
        engine.push(Command::Open { port, settings: settings.clone() });
        Self { engine: engine.clone(), port, others: Vec::new(), settings }
    }

    /// Listens for each of so many stripes and returns what to tell the server, in their order. Once in a port's life.
    pub(crate) async fn listen_all(
        &mut self,
        on: IpAddr,
        stripes: usize,
    ) -> Result<Vec<SocketAddr>, Failure> {
        let mut addresses = vec![self.listen_as_one_of(on, stripes).await?];
        for left in (1..stripes).rev() {
            let port = self.engine.next_id();
            self.engine.push(Command::Open { port, settings: self.settings.clone() });
            self.others.push(port);
            let (answer, wait) = oneshot::channel();
            self.engine.push(Command::Listen { port, on, ports: left, answer });
            addresses.push(wait.await.unwrap_or_else(|_gone| Err(Failure::gone()))?);
        }
        Ok(addresses)
    }

    /// Listens on one port.
    #[cfg(test)]
    pub(crate) async fn listen(&self, on: IpAddr) -> Result<SocketAddr, Failure> {
        self.listen_as_one_of(on, 1).await
    }

    /// Listens on a free port (of `GLOBUS_TCP_PORT_RANGE`, if set) of the address and returns what to tell the server.
    async fn listen_as_one_of(&self, on: IpAddr, ports: usize) -> Result<SocketAddr, Failure> {
        let (answer, wait) = oneshot::channel();
        self.engine.push(Command::Listen { port: self.port, on, ports, answer });
        wait.await.unwrap_or_else(|_gone| Err(Failure::gone()))
    }

    /// Notes the address, or in striped mode the addresses, to connect to.
    pub(crate) fn peers(&self, addresses: Vec<SocketAddr>) {
        self.engine.push(Command::Peers { port: self.port, addresses });
    }

    /// Whether the port has failed by now, and why; for those who have no run that would tell them.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        for port in self.all() {
            let (answer, wait) = oneshot::channel();
            self.engine.push(Command::Check { port, answer });
            wait.await.unwrap_or_else(|_gone| Err(Failure::gone()))?;
        }
        Ok(())
    }

    fn all(&self) -> impl Iterator<Item = Id> {
        std::iter::once(self.port).chain(self.others.iter().copied())
    }

    /// Starts connecting now, before a run.
    pub(crate) fn connect(&self, direction: Direction) {
        for port in self.all() {
            self.engine.push(Command::Connect { port, direction });
        }
    }

    /// Queues a run of incoming data; at most `window` blocks are in flight or untaken.
    pub(crate) fn read(&self, window: usize) -> ReadRun {
        ReadRun::start(&self.engine, &self.all().collect::<Vec<_>>(), window)
    }

    /// Queues a run of outgoing data; at most `window` blocks are in flight.
    pub(crate) fn write(&self, window: usize) -> WriteRun {
        WriteRun::start(&self.engine, self.port, window)
    }
}

impl Drop for DataPort {
    fn drop(&mut self) {
        for port in self.all() {
            self.engine.push(Command::Close { port });
        }
    }
}
