//! What the rest of the crate may ask of the engine thread.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::data::{Direction, PortSettings};
use super::exit::Rest;
use super::failure::Failure;
use super::run::{ReadFeed, WriteFeed};
use super::security::{CredentialHandle, GssContext, Step, TargetName};

/// Where the answer to a command goes. Nobody may be waiting any more; then the answer is dropped, and what it owns
/// with it.
pub(super) type Answer<T> = oneshot::Sender<Result<T, Failure>>;

/// A port, run, registered buffer, credential or context: given once, never again.
pub(super) type Id = u64;

pub(super) enum Command {
    /// A new data port. What fails is kept and told by whatever is asked of the port next.
    Open {
        port: Id,
        settings: PortSettings,
    },
    /// Listens for data connections (local_pasv).
    Listen {
        port: Id,
        on: IpAddr,
        /// How many ports of this kind are about to listen, this one included: there must be room for all of them.
        ports: usize,
        answer: Answer<SocketAddr>,
    },
    /// Notes whom to connect to (local_port; local_spor for more than one).
    Peers {
        port: Id,
        addresses: Vec<SocketAddr>,
    },
    /// Starts connecting before a run is there: the server answers RETR and STOR only once it is connected.
    Connect {
        port: Id,
        direction: Direction,
    },
    /// Asks what became of the port so far.
    Check {
        port: Id,
        answer: Answer<()>,
    },
    /// Queues a run: one file's data, or a listing's.
    Read {
        port: Id,
        run: Id,
        feed: ReadFeed,
    },
    Write {
        port: Id,
        run: Id,
        feed: WriteFeed,
    },
    /// A piece of the write run's data.
    Data {
        port: Id,
        run: Id,
        data: Bytes,
        offset: u64,
    },
    /// No more data comes for the write run.
    Finish {
        port: Id,
        run: Id,
    },
    /// A reader took blocks after it had starved the run.
    Rearm {
        port: Id,
    },
    /// A run's consumer is gone before the end.
    Cancel {
        port: Id,
        run: Id,
    },
    /// A write run's owner takes it back before any data.
    Withdraw {
        port: Id,
        run: Id,
    },
    /// The port's owner is gone.
    Close {
        port: Id,
    },

    ImportCredential {
        pem: Bytes,
        answer: Answer<CredentialHandle>,
    },
    ReleaseCredential {
        credential: Id,
    },
    NewContext {
        credential: CredentialHandle,
        target: TargetName,
        delegate: bool,
        answer: Answer<GssContext>,
    },
    StepContext {
        context: Id,
        token: Bytes,
        answer: Answer<Step>,
    },
    Wrap {
        context: Id,
        messages: Vec<Bytes>,
        answer: Answer<Vec<Bytes>>,
    },
    Unwrap {
        context: Id,
        tokens: Vec<Bytes>,
        answer: Answer<Vec<Bytes>>,
    },
    DropContext {
        context: Id,
    },

    /// Answered as soon as the engine works.
    Ping {
        done: std::sync::mpsc::Sender<()>,
    },
    /// The process ends: nothing of C is touched any more.
    Rest(Rest),
    /// Ends the thread after closing what is open.
    Shutdown {
        answer: Answer<()>,
    },
}

/// In commands are private keys, passwords on their way to be encrypted, and data: none of it is shown.
impl std::fmt::Debug for Command {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Command(…)")
    }
}
