//! A file on its way out: one thread reads it and hands its bytes to the connections, as they have room.
//!
//! Over the network the kernel takes the bytes from where it keeps the file (sendfile), so that nothing is copied and no memory
//! is held. A server on this machine would have to fetch them from there by itself, which is slower than a copy that is
//! still in the processor's cache: for that they are read and written.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::sendfile;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, Shutdown, sendmsg, shutdown};
use tokio::sync::watch;

use super::listen::failure;
use super::receiver::Open;
use crate::engine::{Failure, FailureKind};
use crate::protocol::block::{HEADER_BYTES, Header};

/// Read and written at once where bytes are copied: what stays in a processor's cache.
const COPIED_BYTES: usize = 256 << 10;

/// A block of a file that goes over one connection, and of one that goes over many: the last ones should not take long.
const LARGE_BLOCK: u64 = 1 << 20;
const SMALL_BLOCK: u64 = 256 << 10;

/// How often it is looked whether somebody wants this to end who cannot say so.
const LOOK: Duration = Duration::from_millis(500);

/// A stretch of a file that is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stretch {
    /// Where it stands in the file here.
    pub(crate) at: u64,
    /// Where it stands in what the server was told to expect.
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Says what is to be sent, and is told what was: on the sending thread, so it must not wait.
pub(crate) trait Supply: Send {
    /// What comes next, at most so many bytes of it; none when that was all.
    fn next(&mut self, most: u64) -> Option<Stretch>;

    /// So many bytes were handed to the network.
    fn sent(&mut self, bytes: u64);

    /// The thread has waited.
    fn waited(&mut self, network: Duration, disk: Duration);
}

/// Why it ended before its end.
#[derive(Debug)]
pub(crate) enum Broken {
    /// A connection failed, or everything is to end.
    Channel(Failure),
    /// The file could not be read.
    File(io::Error),
    /// The file ends where more of it was to be sent.
    Short,
}

impl From<Failure> for Broken {
    fn from(failure: Failure) -> Self {
        Self::Channel(failure)
    }
}

/// The connections of a port, of which each is one lane.
#[derive(Debug)]
pub(super) struct Lanes {
    pub(super) sockets: Vec<TcpStream>,
    /// Bytes are copied on their way.
    pub(super) copied: bool,
    closed: AtomicBool,
}

impl Lanes {
    pub(super) fn new(sockets: Vec<TcpStream>, copied: bool) -> Self {
        Self { sockets, copied, closed: AtomicBool::new(false) }
    }

    /// Ends all connections, at once, whoever has them.
    pub(super) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        for socket in &self.sockets {
            // It may have ended by itself.
            let _ = shutdown(socket, Shutdown::Both);
        }
    }

    /// Whether one of them has ended: a server that receives says nothing on it but that.
    pub(super) fn is_spent(&self) -> bool {
        let mut byte = [0];
        let quiet = |socket: &TcpStream| {
            socket.peek(&mut byte).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
        };
        self.closed.load(Ordering::Acquire) || !self.sockets.iter().all(quiet)
    }
}

/// What others see of it.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Bytes that were handed to the network.
    pub(super) sent: AtomicU64,
    /// The file is being read at this moment.
    pub(super) reading: AtomicBool,
}

/// One connection's part.
struct Lane<'a> {
    socket: &'a TcpStream,
    header: [u8; HEADER_BYTES],
    header_sent: usize,
    /// What of the block has not been read.
    at: u64,
    left: u64,
    /// What was read and not yet sent.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
}

/// How far a lane came.
enum Step {
    /// Its block is out.
    Free,
    /// The connection has no room.
    Full,
}

pub(super) struct Pump<'a> {
    pub(super) file: &'a File,
    pub(super) supply: &'a mut dyn Supply,
    pub(super) progress: &'a Progress,
    pub(super) open: &'a Open,
    pub(super) over: &'a watch::Receiver<bool>,
    /// How long a connection without room is waited for, if nobody says anything: nobody may be there any more.
    pub(super) patience: Duration,
}

impl Pump<'_> {
    /// Sends what is to be sent; returns when all of it was handed to the network. Blocks.
    pub(super) fn run(mut self, lanes: &Lanes) -> Result<(), Broken> {
        let mut copied = lanes.copied;
        let most = if lanes.sockets.len() > 1 { SMALL_BLOCK } else { LARGE_BLOCK };
        let mut all: Vec<_> = lanes.sockets.iter().map(Lane::new).collect();
        let mut free: VecDeque<_> = (0..all.len()).collect();
        let (mut full, mut more, mut turns) = (Vec::new(), true, 0_usize);
        let mut moved = Instant::now();
        loop {
            while let Some(which) = free.pop_front() {
                if lanes.closed.load(Ordering::Acquire) || *self.over.borrow() {
                    return Err(Failure::gone().into());
                }
                let Some(lane) = all.get_mut(which) else { continue };
                match self.step(lane, &mut copied)? {
                    Step::Full => full.push(which),
                    Step::Free => match self.supply.next(most).filter(|_| more) {
                        Some(stretch) => {
                            lane.begin(stretch);
                            free.push_back(which);
                        }
                        None => more = false,
                    },
                }
                turns += 1;
                // The others have their turn too where one is never full.
                if turns.is_multiple_of(4 * all.len().max(1)) && !full.is_empty() {
                    await_room(&all, &mut full, &mut free, Duration::ZERO)?;
                }
            }
            if full.is_empty() {
                return Ok(());
            }
            let since = Instant::now();
            await_room(&all, &mut full, &mut free, LOOK)?;
            self.supply.waited(since.elapsed(), Duration::ZERO);
            if !free.is_empty() {
                moved = Instant::now();
            } else if moved.elapsed() > self.patience {
                return Err(
                    Failure::new(FailureKind::Other, "no data connection had room for too long").into()
                );
            }
            if lanes.closed.load(Ordering::Acquire) || *self.over.borrow() {
                return Err(Failure::gone().into());
            }
        }
    }

    fn step(&mut self, lane: &mut Lane<'_>, copied: &mut bool) -> Result<Step, Broken> {
        while lane.is_busy() {
            let straight = !*copied && lane.start == lane.end;
            let of_file = straight && lane.header_sent == HEADER_BYTES;
            let sent = if of_file {
                let sent = self.straight(lane);
                if !matches!(sent, Ok(_) | Err(Errno::AGAIN | Errno::INTR)) {
                    // Not every file can be sent like that. And of an error it is not known whether it is the file's or the
                    // connection's: read and written, it shows.
                    *copied = true;
                    continue;
                }
                sent
            } else {
                if !straight {
                    self.fill(lane)?;
                }
                lane.send(straight)
            };
            match sent {
                Ok(0) if of_file => return Err(Broken::Short),
                Ok(sent) => self.note(sent),
                Err(Errno::AGAIN) => return Ok(Step::Full),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(broke(errno.into()).into()),
            }
        }
        Ok(Step::Free)
    }

    fn note(&mut self, sent: usize) {
        let sent = u64::try_from(sent).unwrap_or(u64::MAX);
        if sent > 0 {
            self.progress.sent.fetch_add(sent, Ordering::Relaxed);
            self.open.counters().bytes_written.add(sent);
            self.supply.sent(sent);
        }
    }

    /// Has the kernel send what is left of a block.
    fn straight(&mut self, lane: &mut Lane<'_>) -> rustix::io::Result<usize> {
        let most = usize::try_from(lane.left).unwrap_or(usize::MAX);
        let sent = self.reading(|file| sendfile(lane.socket, file, Some(&mut lane.at), most))?;
        lane.left = lane.left.saturating_sub(u64::try_from(sent).unwrap_or(u64::MAX));
        Ok(sent)
    }

    /// Reads more of a block, where all that was read is out.
    fn fill(&mut self, lane: &mut Lane<'_>) -> Result<(), Broken> {
        if lane.start < lane.end || lane.left == 0 {
            return Ok(());
        }
        lane.buffer.resize(COPIED_BYTES, 0);
        let wanted = usize::try_from(lane.left).unwrap_or(usize::MAX).min(COPIED_BYTES);
        let memory = lane.buffer.get_mut(..wanted).unwrap_or_default();
        let at = lane.at;
        self.reading(|file| file.read_exact_at(memory, at)).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Broken::Short,
            _ => Broken::File(error),
        })?;
        (lane.start, lane.end) = (0, wanted);
        let wanted = u64::try_from(wanted).unwrap_or(u64::MAX);
        (lane.at, lane.left) = (lane.at.saturating_add(wanted), lane.left.saturating_sub(wanted));
        Ok(())
    }

    fn reading<T>(&mut self, read: impl FnOnce(&File) -> T) -> T {
        let since = Instant::now();
        self.progress.reading.store(true, Ordering::Relaxed);
        let read = read(self.file);
        self.progress.reading.store(false, Ordering::Relaxed);
        self.supply.waited(Duration::ZERO, since.elapsed());
        read
    }
}

impl<'a> Lane<'a> {
    fn new(socket: &'a TcpStream) -> Self {
        let header = [0; HEADER_BYTES];
        Self {
            socket,
            header,
            header_sent: HEADER_BYTES,
            at: 0,
            left: 0,
            buffer: Vec::new(),
            start: 0,
            end: 0,
        }
    }

    fn begin(&mut self, stretch: Stretch) {
        self.header = Header::block(stretch.bytes, stretch.offset);
        (self.header_sent, self.at, self.left) = (0, stretch.at, stretch.bytes);
    }

    fn is_busy(&self) -> bool {
        self.header_sent < HEADER_BYTES || self.start < self.end || self.left > 0
    }

    /// Sends what is left of the header, and what was read; tells how many bytes of the file that were.
    fn send(&mut self, more: bool) -> rustix::io::Result<usize> {
        let header = self.header.get(self.header_sent..).unwrap_or_default();
        let bytes = self.buffer.get(self.start..self.end).unwrap_or_default();
        let flags = SendFlags::NOSIGNAL | if more { SendFlags::MORE } else { SendFlags::empty() };
        let slices = [IoSlice::new(header), IoSlice::new(bytes)];
        let sent = sendmsg(self.socket, &slices, &mut SendAncillaryBuffer::default(), flags)?;
        let of_header = sent.min(header.len());
        self.header_sent += of_header;
        self.start += sent - of_header;
        Ok(sent - of_header)
    }
}

/// Waits until some of the connections have room, and at most that long.
fn await_room(
    all: &[Lane<'_>],
    full: &mut Vec<usize>,
    free: &mut VecDeque<usize>,
    limit: Duration,
) -> Result<(), Failure> {
    let sockets = full.iter().filter_map(|&which| all.get(which));
    let mut waiting: Vec<_> = sockets.map(|lane| PollFd::new(lane.socket, PollFlags::OUT)).collect();
    let limit = Timespec { tv_sec: 0, tv_nsec: i64::from(limit.subsec_nanos()) };
    match poll(&mut waiting, Some(&limit)) {
        // An error shows with the next byte.
        Ok(_) | Err(Errno::INTR) => {}
        Err(errno) => return Err(broke(errno.into())),
    }
    let mut answers = waiting.iter().map(|waiting| !waiting.revents().is_empty());
    full.retain(|&which| {
        let has_room = answers.next().unwrap_or(true);
        if has_room {
            free.push_back(which);
        }
        !has_room
    });
    Ok(())
}

/// Ends the data: one end on each connection, and on the first one how many there are. Blocks.
pub(super) fn end(lanes: &Lanes, over: &watch::Receiver<bool>) -> Result<(), Failure> {
    let count = u64::try_from(lanes.sockets.len()).unwrap_or(u64::MAX);
    let mut all: Vec<_> = lanes.sockets.iter().map(Lane::new).collect();
    for (which, lane) in all.iter_mut().enumerate() {
        (lane.header, lane.header_sent) = (Header::end((which == 0).then_some(count)), 0);
        while lane.is_busy() {
            match lane.send(false) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let (mut full, mut free) = (vec![0], VecDeque::new());
                    await_room(std::slice::from_ref(lane), &mut full, &mut free, LOOK)?;
                }
                Err(errno) => return Err(broke(errno.into())),
            }
            if lanes.closed.load(Ordering::Acquire) || *over.borrow() {
                return Err(Failure::gone());
            }
        }
    }
    Ok(())
}

fn broke(error: io::Error) -> Failure {
    failure(&error, "a data connection broke")
}

/// What a run says that was cut off from its thread.
pub(super) fn lost() -> Broken {
    Broken::Channel(Failure::new(FailureKind::Closed, "the sending thread ended"))
}

/// As much as the thread and its run share.
pub(super) type Shared = Arc<Progress>;
