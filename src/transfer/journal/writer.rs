//! The thread that adds to a journal.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::record::{Record, frame};
use crate::error::{Error, ErrorKind, Phase, Result, Side};

/// Bytes that are written at once.
const TOGETHER: usize = 256 << 10;

type Sync = Box<dyn FnOnce() -> io::Result<()> + Send>;

enum Order {
    Append(Record),
    Written(oneshot::Sender<()>),
    Checkpoint { sync: Sync, end: End, done: oneshot::Sender<()> },
}

/// What comes behind a checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// More records.
    No,
    /// Nothing: the file is closed, and with it the lock is gone, when the checkpoint is done.
    Yes,
    /// Nothing, and the transfer went well.
    Well,
    /// Nothing, and nobody has time for the disk: what was done since the last checkpoint is worth as much as after a kill.
    Early,
}

/// The way to the thread. It ends when this is dropped and everything is written.
pub(super) struct Writer {
    orders: Mutex<Sender<Order>>,
    failed: Arc<Mutex<Option<Error>>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}

impl Writer {
    pub(super) fn start(file: File, path: PathBuf) -> io::Result<Self> {
        let (orders, receiver) = channel();
        let failed = Arc::<Mutex<Option<Error>>>::default();
        let told = Arc::clone(&failed);
        std::thread::Builder::new().name("gridftp-journal".into()).spawn(move || {
            write_all(file, &receiver, |error| {
                let error = Error::local("cannot write the journal", &path, error, Side::Local);
                tracing::error!(%error, "what is done from now on is not remembered");
                told.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
            });
        })?;
        Ok(Self { orders: Mutex::new(orders), failed })
    }

    fn order(&self, order: Order) {
        // The thread ends when this is dropped, and not before, unless it has panicked: which a checkpoint tells.
        let _ = self.orders.lock().unwrap_or_else(PoisonError::into_inner).send(order);
    }

    pub(super) fn append(&self, record: Record) {
        self.order(Order::Append(record));
    }

    pub(super) async fn written(&self) {
        let (done, is_done) = oneshot::channel();
        self.order(Order::Written(done));
        // What could not be written is told at the end.
        let _ = is_done.await;
    }

    pub(super) async fn checkpoint(
        &self,
        sync: impl FnOnce() -> io::Result<()> + Send + 'static,
        end: End,
    ) -> Result<()> {
        let (done, is_done) = oneshot::channel();
        self.order(Order::Checkpoint { sync: Box::new(sync), end, done });
        let ended = is_done.await;
        if let Some(error) = &*self.failed.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err(error.clone());
        }
        ended.map_err(|_| {
            let message = "the thread that writes the journal ended before its time";
            Error::new(ErrorKind::Internal, Phase::LocalFile, message).with_side(Side::Local)
        })
    }
}

fn write_all(file: File, orders: &Receiver<Order>, failed: impl Fn(io::Error)) {
    let mut broken = false;
    let mut buffer = Vec::with_capacity(TOGETHER);
    let mut next = None;
    while let Some(order) = next.take().or_else(|| orders.recv().ok()) {
        match order {
            Order::Append(record) => {
                frame(&record, &mut buffer);
                // What has come meanwhile goes along.
                while buffer.len() < TOGETHER {
                    match orders.try_recv() {
                        Ok(Order::Append(record)) => frame(&record, &mut buffer),
                        Ok(other) => {
                            next = Some(other);
                            break;
                        }
                        Err(_) => break,
                    }
                }
                // Behind a record that was not written whole nothing may come.
                if !broken && let Err(error) = write(&file, &buffer) {
                    broken = true;
                    failed(error);
                }
                buffer.clear();
            }
            Order::Written(done) => {
                // All before it was written when it was taken. Nobody may wait any more.
                let _ = done.send(());
            }
            Order::Checkpoint { sync, end, done } => {
                if !broken && end != End::Early {
                    let checkpoint = || -> io::Result<()> {
                        sync()?;
                        frame(&Record::Checkpoint, &mut buffer);
                        if end == End::Well {
                            frame(&Record::Finished, &mut buffer);
                        }
                        write(&file, &buffer)?;
                        file.sync_data()
                    };

                    if let Err(error) = checkpoint() {
                        broken = true;
                        failed(error);
                    }
                    buffer.clear();
                }
                if end != End::No {
                    drop(file);
                    let _ = done.send(());
                    return;
                }
                // Nobody may wait any more.
                let _ = done.send(());
            }
        }
    }
}

/// Adds to the file; what could be written in part only is taken off again.
fn write(mut file: &File, bytes: &[u8]) -> io::Result<()> {
    let before = file.metadata()?.len();
    file.write_all(bytes).inspect_err(|_| {
        // If that fails as well, the next run cuts it off.
        let _ = file.set_len(before);
    })
}
