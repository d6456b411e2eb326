//! Why a transfer was not faster, and what it chose to be as fast as it was.
//!
//! `waits` counts what the movers of data wait for, `watch` looks at the connections and threads while they work, `decide`
//! makes a verdict out of that: pure, so that every verdict has its test. Nothing here has a say in how data is moved.

mod decide;
mod shown;
mod waits;
mod watch;

use std::time::Duration;

pub(super) use waits::Waits;
pub(super) use watch::watch;

/// What kept a transfer from being faster, how that is known, and what was chosen.
///
/// Its [`Display`](std::fmt::Display) says all of it in some lines, for people. Made for transfers that
/// [ask for it](crate::TransferBuilder::explain).
///
/// # Examples
/// ```no_run
/// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
/// let report = client.transfer("gsiftp://se.example.org/data/run7.tar", "run7.tar").explain(true).await?;
/// if let Some(explanation) = report.explanation() {
///     eprintln!("{explanation}");
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Explanation {
    /// What bounded it.
    pub bound: Bound,
    /// What that was found by.
    pub evidence: Evidence,
    /// The TCP buffers that were asked for, in bytes; none where the kernel sees to them.
    pub window_bytes: Option<u32>,
    /// What was chosen, in the order of time; the first 64 and the last.
    pub choices: Vec<Choice>,
}

/// What a transfer may be bounded by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Bound {
    /// It was over too soon to tell, or moved nothing.
    Unknown,
    /// The limit that was asked for.
    RateLimit,
    /// Round trips: logins, questions and answers took most of the time.
    Latency,
    /// Files of this machine were not read or written faster.
    Disk,
    /// A thread of this process, or all cores of this machine, had no time left.
    ClientCpu,
    /// Packets were lost on the way, and each loss slows its connection down.
    Loss,
    /// The link was full: packets waited in a queue on the way.
    Link,
    /// A server did not send, or take, what the network would have carried: its disk, its processor or its network.
    Server,
}

/// What a transfer did with its time, and what the kernel told of its connections.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Evidence {
    /// From the start to the end.
    pub elapsed: Duration,
    /// Until the first byte of a file had moved.
    pub before_first_byte: Duration,
    /// Bytes that were moved, those moved again included.
    pub bytes: u64,
    /// Files that were copied.
    pub files: u64,
    /// What whoever moved data waited for, all of them together: servers and the network.
    pub waited_for_network: Duration,
    /// The same: files of this machine.
    pub waited_for_disk: Duration,
    /// The same: the limit that was asked for.
    pub waited_for_limit: Duration,
    /// Processor time of this process; others of its transfers and threads are in it.
    pub cpu: Duration,
    /// Cores that it may use.
    pub cores: usize,
    /// The busiest thread: its name, and which part of the time it worked.
    pub busiest_thread: Option<(String, f64)>,
    /// How long a short question to a server took, before data moved: the farther one's, of two.
    pub round_trip: Duration,
    /// Whether small files went through pipelines, which need no round trip each.
    pub pipelines: bool,
    /// The connections of this process to the servers. None where they could not be looked at: data between two servers does
    /// not come here, and a transfer may be over too soon.
    pub connections: Option<Connections>,
    /// How often a server said that it has too much to do.
    pub busy_replies: u64,
}

/// What the kernel told of the connections that carried data.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct Connections {
    /// How many there were.
    pub count: usize,
    /// How many at the same time, at most.
    pub most: usize,
    /// The shortest round trip of the one that stands for all.
    pub shortest_round_trip: Duration,
    /// The round trip of the same one while data moved; zero if that is not known. Three quarters of
    /// all that was seen was longer, beside the shortest one: a sender that pauses now and then is no queue.
    pub loaded_round_trip: Duration,
    /// Whether most of the data came in over them.
    pub incoming: bool,
    /// Packets with data.
    pub packets: u64,
    /// Of these: sent again, or, where data came, out of order behind a loss.
    pub disordered: u64,
    /// Of the time in which there was something to be sent, the part in which the server's window was full.
    pub peer_full: f64,
    /// The part in which our own buffer was too small.
    pub buffer_full: f64,
}

/// Something that was chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Choice {
    /// How long after the start.
    pub after: Duration,
    /// Sessions that work at the same time from then on.
    pub sessions: usize,
    /// Connections of each large file and session.
    pub streams: u16,
    /// Why.
    pub why: Why,
}

/// Why something was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Why {
    /// It was asked for.
    Asked,
    /// It is where every transfer begins.
    Begin,
    /// More may be faster: it is tried.
    TryMore,
    /// Fewer may be as fast: it is tried.
    TryFewer,
    /// It was not faster, or it was slower: back to what was before.
    Back,
    /// Several sessions are to work on one file.
    Share,
    /// A server said that it has too much to do.
    Busy,
    /// The connections became much slower than they were: more of them share the losses.
    Slowed,
    /// The server cannot connect to this client: one connection for each session.
    Unreached,
}
