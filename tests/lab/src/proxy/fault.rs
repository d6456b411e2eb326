//! What can be broken, and where.

use std::time::Duration;

/// Something that happens to a connection, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// The connection.
    pub connection: Where,
    /// The direction whose bytes are counted.
    pub way: Way,
    /// How many bytes reach the receiver before it happens; with 0 it happens as soon as the connection is there.
    pub at: u64,
    /// What happens.
    pub what: What,
}

/// A connection through the proxy, by the order in which they are made, or all of a kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Where {
    /// The n-th control connection, counted from 0.
    Control(usize),
    /// The n-th data connection of the proxy, counted from 0, whoever made it.
    Data(usize),
    /// Every control connection.
    EveryControl,
    /// Every data connection.
    EveryData,
}

/// The direction of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Way {
    /// From the client to the server.
    ToServer,
    /// From the server to the client.
    ToClient,
}

/// What happens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// Both ends see the end of the connection (FIN); what the sender sends on is answered by a reset.
    Cut,
    /// The receiver sees an orderly end (FIN), and the sender sees nothing: what it sends on is taken and lost. It is the cut
    /// that is hardest to notice, since the sender has every reason to believe that all of it arrived.
    Truncate,
    /// Both ends get a reset (RST).
    Reset,
    /// Nothing more goes this way, and nothing more is taken from the sender. The other way goes on.
    Stall,
    /// Nothing more goes either way, the ends of the connection included; whatever is sent is taken and lost.
    BlackHole,
    /// Nothing goes this way for so long, once.
    Delay(Duration),
    /// From here on no more than so many bytes a second go this way.
    Throttle(u64),
    /// These bytes come in between.
    Inject(Vec<u8>),
    /// One bit of the next byte is another one.
    Flip,
}

impl Fault {
    /// A fault.
    pub fn new(connection: Where, way: Way, at: u64, what: What) -> Self {
        Self { connection, way, at, what }
    }
}

impl Where {
    /// Whether this names the connection `other`, which is a single one.
    pub(super) fn names(self, other: Self) -> bool {
        match (self, other) {
            (Self::EveryControl, Self::Control(_)) | (Self::EveryData, Self::Data(_)) => true,
            _ => self == other,
        }
    }
}
