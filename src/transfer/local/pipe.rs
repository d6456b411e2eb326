//! Pipes that carry bytes from a socket to a file inside the kernel: nothing of them is copied through this process.
//!
//! A pipe is filled by whoever receives and emptied by the thread that writes. It is empty whenever it is given out.

use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::sync::Semaphore;

/// What a pipe is to hold: what an ordinary user may ask for.
const PIPE_BYTES: usize = 1 << 20;

/// Pipes of one stream: one is filled while the other is emptied.
const PIPES: usize = 3;

/// Both ends of a pipe.
#[derive(Debug)]
pub(in crate::transfer) struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
    bytes: usize,
}

impl Pipe {
    fn new() -> io::Result<Self> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        // A user who has many is refused; a small one does as well.
        let bytes = fcntl_setpipe_size(&write, PIPE_BYTES).unwrap_or(64 << 10);
        Ok(Self { read: out_of_the_way(read), write: out_of_the_way(write), bytes })
    }

    /// Where bytes go in.
    pub(in crate::transfer) fn entrance(&self) -> BorrowedFd<'_> {
        self.write.as_fd()
    }

    /// How many bytes it is asked to hold.
    pub(in crate::transfer) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Moves so many bytes to a place in a file, or to a device as it stands. Blocks.
    pub(super) fn empty_into(
        &self,
        file: BorrowedFd<'_>,
        offset: Option<u64>,
        count: usize,
    ) -> io::Result<()> {
        let (mut at, mut left) = (offset, count);
        while left > 0 {
            let moved = match splice(&self.read, None, file, at.as_mut(), left, SpliceFlags::MOVE) {
                Err(rustix::io::Errno::INTR) => continue,
                // Not every device, and not every file system, can take them that way.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::OPNOTSUPP) => {
                    return self.copy_into(file, at, left);
                }
                moved => moved?,
            };
            if moved == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            left -= moved;
        }
        Ok(())
    }

    fn copy_into(&self, file: BorrowedFd<'_>, offset: Option<u64>, count: usize) -> io::Result<()> {
        let mut buffer = vec![0; count.min(256 << 10)];
        let (mut at, mut left) = (offset, count);
        while left > 0 {
            let room = left.min(buffer.len());
            let found = rustix::io::retry_on_intr(|| rustix::io::read(&self.read, &mut buffer[..room]))?;
            if found == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let mut rest = &buffer[..found];
            while !rest.is_empty() {
                let written = rustix::io::retry_on_intr(|| match at {
                    Some(at) => rustix::io::pwrite(file, rest, at),
                    None => rustix::io::write(file, rest),
                })?;
                if written == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                rest = &rest[written..];
                at = at.map(|at| at + u64::try_from(written).unwrap_or(0));
            }
            left -= found;
        }
        Ok(())
    }
}

/// Leaves the low numbers to C, which cannot do with others.
fn out_of_the_way(fd: OwnedFd) -> OwnedFd {
    rustix::io::fcntl_dupfd_cloexec(&fd, 1024).unwrap_or(fd)
}

/// The pipes of one stream.
#[derive(Debug)]
pub(in crate::transfer) struct Pipes {
    free: Mutex<Vec<Arc<Pipe>>>,
    permits: Semaphore,
}

/// A pipe that is given out. Dropped, it is closed with whatever is in it, and another one may take its place.
#[derive(Debug)]
pub(in crate::transfer) struct Lent {
    pipe: Arc<Pipe>,
    pipes: Arc<Pipes>,
}

impl Pipes {
    pub(in crate::transfer) fn new() -> Arc<Self> {
        Arc::new(Self { free: Mutex::default(), permits: Semaphore::new(PIPES) })
    }

    /// An empty pipe, when one is free. `None` where there is no descriptor left for one.
    pub(in crate::transfer) async fn take(self: &Arc<Self>) -> Option<Lent> {
        let permit = self.permits.acquire().await.ok()?;
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let pipe = free.or_else(|| Pipe::new().ok().map(Arc::new))?;
        permit.forget();
        Some(Lent { pipe, pipes: Arc::clone(self) })
    }
}

impl Lent {
    /// It is empty again, and can be given to others.
    pub(super) fn give_back(self) {
        let pipe = Arc::clone(&self.pipe);
        self.pipes.free.lock().unwrap_or_else(PoisonError::into_inner).push(pipe);
    }
}

impl std::ops::Deref for Lent {
    type Target = Pipe;

    fn deref(&self) -> &Pipe {
        &self.pipe
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.pipes.permits.add_permits(1);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Seek as _, Write as _};

    use super::*;

    #[tokio::test]
    async fn bytes_go_to_their_place() {
        let pipes = Pipes::new();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&[b'.'; 12]).unwrap();
        for copied in [false, true] {
            let pipe = pipes.take().await.unwrap();
            rustix::io::write(pipe.entrance(), b"hello").unwrap();
            if copied {
                pipe.copy_into(file.as_fd(), Some(7), 5).unwrap();
            } else {
                pipe.empty_into(file.as_fd(), Some(1), 5).unwrap();
            }
            pipe.give_back();
        }
        let mut found = String::new();
        file.rewind().unwrap();
        file.read_to_string(&mut found).unwrap();
        assert_eq!(found, ".hello.hello");
        assert_eq!(pipes.free.lock().unwrap().len(), 1, "the pipe is used again");
    }

    #[tokio::test]
    async fn a_pipe_takes_bytes_as_they_come_and_no_more_pipes_are_made_than_are_allowed() {
        let (sink, source) = (Pipe::new().unwrap(), Pipe::new().unwrap());
        rustix::io::write(source.entrance(), b"abc").unwrap();
        source.empty_into(sink.entrance(), None, 3).unwrap();
        let mut found = [0; 3];
        rustix::io::read(&sink.read, &mut found).unwrap();
        assert_eq!(&found, b"abc");
        let pipes = Pipes::new();
        let mut held = Vec::new();
        for _ in 0..PIPES {
            held.push(pipes.take().await.unwrap());
        }
        let none = tokio::time::timeout(std::time::Duration::from_millis(20), pipes.take()).await;
        assert!(none.is_err());
        held.pop();
        assert!(pipes.take().await.is_some());
    }
}
