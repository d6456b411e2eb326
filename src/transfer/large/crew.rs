//! Those who work on one large file: its owner, and whoever has nothing else to do.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use crate::error::{ErrorKind, Result};
use crate::transfer::job::Job;
use crate::transfer::pieces::{Piece, Pieces};

/// The pieces of a file, and those who move them.
#[derive(Debug)]
pub(super) struct Crew {
    pub(super) pieces: Pieces,
    /// Nobody is to move anything any more.
    over: watch::Sender<bool>,
    helpers: watch::Sender<usize>,
    /// When helpers are wanted again, after one has failed.
    wanted_again: Mutex<Option<Instant>>,
}

/// How often the owner looks whether there is something to do again.
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// How long nobody helps after a helper has failed. What it gave back is the owner's then: helpers that take it again and again
/// and fail would keep the owner, whose failures count, from ever having its turn.
const ALONE: Duration = Duration::from_secs(30);

impl Crew {
    pub(super) fn new(pieces: Pieces) -> Self {
        Self {
            pieces,
            over: watch::Sender::new(false),
            helpers: watch::Sender::new(0),
            wanted_again: Mutex::default(),
        }
    }

    /// Whether there is something to do for one more.
    pub(super) fn has_room(&self) -> bool {
        !*self.over.borrow() && self.wants_help() && self.pieces.has_room()
    }

    fn wants_help(&self) -> bool {
        let until = self.wanted_again.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_none_or(|until| Instant::now() >= until)
    }

    /// The owner's part: moves pieces until there are none, and nobody has one. The first failure of its own ends it.
    pub(super) async fn work<F: Future<Output = Result<()>>>(
        &self,
        piece: impl Fn(Piece) -> F,
    ) -> Result<()> {
        loop {
            while let Some(next) = self.pieces.take() {
                piece(next).await?;
            }
            // Others may give back what they could not move.
            let mut helpers = self.helpers.subscribe();
            if *helpers.borrow_and_update() == 0 {
                if self.pieces.is_idle() && !self.pieces.has_room() {
                    return Ok(());
                }
                continue;
            }
            // Now and then even if nobody says so: what somebody is late with is to be had with time.
            let _ = tokio::time::timeout(LOOK_AGAIN, helpers.changed()).await;
        }
    }

    /// A helper's part: moves pieces as long as there are some and helpers are wanted. `begin` is done before each.
    pub(super) async fn help<F, B>(
        &self,
        job: &Job,
        begin: impl Fn() -> B + Sync,
        piece: impl Fn(Piece) -> F + Sync,
    ) where
        F: Future<Output = Result<()>> + Send,
        B: Future<Output = ()> + Send,
    {
        let _here = Here::new(&self.helpers);
        let mut over = self.over.subscribe();
        while !*over.borrow()
            && self.wants_help()
            && job.queue.helps()
            && let Some(next) = self.pieces.take()
        {
            let id = next.id;
            let mut moving = pin!(async {
                begin().await;
                piece(next).await
            });
            let released = async {
                job.queue.no_more_help().await;
                self.pieces.release(id);
                // It ends with its next block.
                std::future::pending::<()>().await;
            };
            let result = tokio::select! {
                biased;
                _ = over.wait_for(|over| *over) => None,
                result = &mut moving => Some(result),
                () = released => None,
            };
            match result {
                // What it has not moved is somebody else's; nothing of that is left if it has told so itself.
                None => self.pieces.finish(id, false),
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    *self.wanted_again.lock().unwrap_or_else(PoisonError::into_inner) =
                        Instant::now().checked_add(ALONE);
                    tracing::debug!(%error, "a helper could not move its part of a file");
                    if error.kind() == ErrorKind::ServerBusy {
                        job.busy.fetch_add(1, Ordering::Relaxed);
                    }
                    return;
                }
            }
        }
    }

    /// Nobody is to move anything any more; returns when nobody does.
    pub(super) async fn dismiss(&self) {
        self.over.send_replace(true);
        // Each of them ends when it sees that it is over.
        let _ = self.helpers.subscribe().wait_for(|helpers| *helpers == 0).await;
    }
}

/// A helper that is counted, however it ends.
struct Here<'a>(&'a watch::Sender<usize>);

impl<'a> Here<'a> {
    fn new(helpers: &'a watch::Sender<usize>) -> Self {
        helpers.send_modify(|helpers| *helpers += 1);
        Self(helpers)
    }
}

impl Drop for Here<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|helpers| *helpers -= 1);
    }
}
