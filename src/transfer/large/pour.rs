//! A piece of a file that the data channel sends by itself: nothing of it passes through here.

use std::fs::File;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::upload::{MARKERS, Upload};
use crate::data::{NotSent, Outgoing, Put, Stretch, Supply};
use crate::error::{Error, Result, Side};
use crate::transfer::local_end::blocking;

/// What is left of a piece, which others may make shorter.
struct Rest {
    file: Arc<Upload>,
    id: usize,
    /// The next byte.
    at: u64,
    /// Where the put counts from.
    base: u64,
}

impl Supply for Rest {
    fn next(&mut self, most: u64) -> Option<Stretch> {
        // A thread that has not noticed yet that it was given up must not go on with what somebody else sends.
        let bytes = self.file.crew.pieces.advance_from(self.id, self.at, most);
        let at = self.at;
        self.at = at.saturating_add(bytes);
        // It is not sent before where its put counts from.
        let offset = at.checked_sub(self.base)?;
        (bytes > 0).then_some(Stretch { at, offset, bytes })
    }

    fn sent(&mut self, bytes: u64) {
        self.file.moved.fetch_add(bytes, Ordering::Relaxed);
        self.file.watched.moved(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    fn waited(&mut self, network: Duration, disk: Duration) {
        self.file.job.tally.waits.waited(network, disk);
    }
}

impl Upload {
    /// Whether its bytes have to be looked at on their way, or held back.
    pub(super) fn passes_through(&self) -> bool {
        self.along.is_some() || self.job.choices.rate_limit.is_some()
    }

    /// Sends a piece; tells where it ended.
    pub(super) async fn pour(
        self: &Arc<Self>,
        put: &mut Put,
        id: usize,
        range: &Range<u64>,
        base: u64,
    ) -> Result<u64> {
        let path = self.path.clone();
        let cannot_open = |error| Error::local("cannot open", &self.path, error, Side::Source);
        let file = blocking(move || Ok(File::open(path))).await?.map_err(cannot_open)?;
        let rest = Rest { file: Arc::clone(self), id, at: range.start, base };
        put.begin_file(Outgoing { file, supply: Box::new(rest) }).await?;
        let sent = loop {
            match put.file_sent(MARKERS).await {
                Ok(true) => break Ok(()),
                Ok(false) => self.hear(put, range),
                Err(error) => break Err(error),
            }
        };
        let end = range.start.saturating_add(put.sent());
        match sent {
            Ok(()) if self.crew.pieces.left(id) == 0 && end == self.crew.pieces.end(id) => Ok(end),
            Ok(()) | Err(NotSent::Short) => Err(super::changed(Some(self.size), Some(end))),
            Err(NotSent::Failed(error)) => Err(error),
            Err(NotSent::Unreadable(error)) => {
                Err(Error::local("cannot read", &self.path, error, Side::Source))
            }
        }
    }
}
