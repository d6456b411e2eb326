//! How long each kind of waiting may last.

use std::time::Duration;

/// How long each kind of waiting may last before it is an error of kind [`Timeout`](crate::ErrorKind::Timeout).
///
/// Each limit has its own [`TimeoutKind`](crate::TimeoutKind). The defaults: connect 30 s, reply 60 s, first byte 60 s,
/// stall 60 s, checksum 6 h, no total. A limit of zero is taken as it is: whatever has to wait at all then fails.
///
/// # Examples
/// ```
/// use std::time::Duration;
/// use gridftp::options::Timeouts;
///
/// let timeouts = Timeouts::default().connect(Duration::from_secs(5)).total(Duration::from_secs(3600));
/// assert_eq!(timeouts.reply_limit(), Duration::from_secs(60));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Timeouts {
    connect: Duration,
    reply: Duration,
    first_byte: Duration,
    stall: Duration,
    checksum: Duration,
    total: Option<Duration>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(30),
            reply: Duration::from_secs(60),
            first_byte: Duration::from_secs(60),
            stall: Duration::from_secs(60),
            checksum: Duration::from_secs(6 * 3600),
            total: None,
        }
    }
}

impl Timeouts {
    /// Limits looking up a host, connecting to it and logging in, all together. Default: 30 seconds.
    pub fn connect(mut self, limit: Duration) -> Self {
        self.connect = limit;
        self
    }

    /// Limits the wait for the reply to a command, counted from the last reply on the same connection, so that a command
    /// queued behind others is not charged for them. Default: 60 seconds.
    pub fn reply(mut self, limit: Duration) -> Self {
        self.reply = limit;
        self
    }

    /// Limits the wait for the first byte of data once a transfer was accepted. Default: 60 seconds.
    pub fn first_byte(mut self, limit: Duration) -> Self {
        self.first_byte = limit;
        self
    }

    /// Limits each pause in a running transfer. Default: 60 seconds.
    ///
    /// In stream mode incoming data is seen in blocks of 256 KiB (and at its end): a link that takes longer than this limit
    /// for one of them, 4.4 kB/s with the default, counts as stalled. Raise the limit for such a link.
    pub fn stall(mut self, limit: Duration) -> Self {
        self.stall = limit;
        self
    }

    /// Limits how long a server may be silent while it computes a checksum: until its answer, or between the markers that
    /// globus-gridftp-server sends every few seconds as long as it reads. Default: 6 hours.
    ///
    /// A server without markers says nothing until it has read the whole file: at 500 MB/s that is half an hour for each
    /// TB. That the server's machine is gone is noticed earlier, by the connection itself, within two minutes.
    pub fn checksum(mut self, limit: Duration) -> Self {
        self.checksum = limit;
        self
    }

    /// Limits a whole operation, waiting for a free session included. Default: no limit.
    pub fn total(mut self, limit: impl Into<Option<Duration>>) -> Self {
        self.total = limit.into();
        self
    }

    /// The limit for connecting and logging in.
    pub fn connect_limit(&self) -> Duration {
        self.connect
    }

    /// The limit for each reply.
    pub fn reply_limit(&self) -> Duration {
        self.reply
    }

    /// The limit for the first byte of data.
    pub fn first_byte_limit(&self) -> Duration {
        self.first_byte
    }

    /// The limit for a pause in a transfer.
    pub fn stall_limit(&self) -> Duration {
        self.stall
    }

    /// The limit for the silence of a server that computes a checksum.
    pub fn checksum_limit(&self) -> Duration {
        self.checksum
    }

    /// The limit for a whole operation, if there is one.
    pub fn total_limit(&self) -> Option<Duration> {
        self.total
    }
}
