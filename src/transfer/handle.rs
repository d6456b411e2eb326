//! A transfer under way.

use std::fmt;
use std::sync::Arc;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::Instrument as _;

use super::builder::TransferBuilder;
use super::progress::{Progress, Tally, Ticker};
use super::report::TransferReport;
use super::run;
use crate::error::{Error, ErrorKind, Phase, Result, Side};

/// A transfer that has been started.
///
/// # Cancel safety
/// Dropping it ends the transfer as [`Transfer::abort`] does, in the background.
pub struct Transfer {
    progress: watch::Receiver<Progress>,
    /// Says that it is to end, by being dropped or by what it holds.
    end: Option<watch::Sender<bool>>,
    task: JoinHandle<Result<TransferReport>>,
}

impl Transfer {
    pub(super) fn start(builder: TransferBuilder) -> Result<Self> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(Error::invalid("a transfer was started outside of a tokio runtime"));
        };
        let order = run::check(builder)?;
        let (shown, progress) = watch::channel(Progress::default());
        let (end, ended) = watch::channel(false);
        let tally = Arc::new(Tally::new());
        let mut ticker = Ticker::new(Arc::clone(&tally), shown);
        let span = tracing::debug_span!("transfer", from = %order.from[0], to = %order.to);
        let task = async move {
            let mut work = std::pin::pin!(run::run(order, tally, ended));
            let result = tokio::select! {
                result = &mut work => result,
                () = ticker.run() => work.await,
            };
            ticker.tick(true);
            result
        };
        let task = runtime.spawn(task.instrument(span));
        Ok(Self { progress, end: Some(end), task })
    }

    /// How far it is: a new value comes five times a second. The last one has the stage
    /// [`Over`](super::Stage::Over).
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let transfer = client.transfer("run7", "gsiftp://se.example.org/data/run7").recursive(true).start()?;
    /// let mut progress = transfer.progress();
    /// tokio::spawn(async move {
    ///     while progress.changed().await.is_ok() {
    ///         let now = progress.borrow_and_update().clone();
    ///         println!("{} of {} files, {:.0} MB/s", now.files_done, now.files_found, now.bytes_per_second / 1e6);
    ///     }
    /// });
    /// transfer.join().await?.check()?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// As [`Client::transfer`](crate::Client::transfer).
    ///
    /// # Cancel safety
    /// Dropping the future is dropping the transfer.
    pub async fn join(mut self) -> Result<TransferReport> {
        (&mut self.task).await.unwrap_or_else(|_| Err(gone()))
    }

    /// Ends it before its end: nothing new is begun, what is under way is broken off. Temporary files are deleted, or kept to
    /// go on with where there is a journal. The report says what was done until then; it is
    /// [aborted](TransferReport::is_aborted).
    ///
    /// # Errors
    /// What the transfer had failed with as a whole.
    ///
    /// # Cancel safety
    /// Dropping the future is dropping the transfer, which ends all the same.
    pub async fn abort(mut self) -> Result<TransferReport> {
        if let Some(end) = &self.end {
            end.send_replace(true);
        }
        (&mut self.task).await.unwrap_or_else(|_| Err(gone()))
    }
}

/// The runtime ended, or a task of ours has panicked.
fn gone() -> Error {
    Error::new(ErrorKind::Internal, Phase::Data, "the task of a transfer ended before the transfer")
        .with_side(Side::Local)
}

impl Drop for Transfer {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end.send_replace(true);
        }
    }
}

impl fmt::Debug for Transfer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transfer").field("progress", &*self.progress.borrow()).finish_non_exhaustive()
    }
}
