//! A look at a credential now and then, for programs that outlive their proxies.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use super::certificate;
use super::files::unusable;
use super::{Credential, CredentialInfo};
use crate::error::{Error, Result};

/// Watches the file of a credential for its renewal, and for its end.
///
/// A credential is read anew for each login in any case. What a watch adds: the program hears of a renewal
/// ([`changed`](CredentialWatch::changed)) and of the coming end ([`expiring`](CredentialWatch::expiring)); and sessions that
/// were logged in with what was there before serve no new operation from then on, in every client that was given this
/// [`Credential`] or a clone of it. What is under way goes on.
///
/// The file is read in an interval, by a task of its own that ends when the watch is dropped; and whenever
/// [`check`](CredentialWatch::check) is called.
///
/// # Examples
/// ```no_run
/// # async fn example() -> gridftp::Result<()> {
/// use std::time::Duration;
/// use gridftp::{Client, Credential};
///
/// let credential = Credential::from_proxy_file("/tmp/x509up_u1000");
/// let client = Client::builder().credential(credential.clone()).build()?;
/// let mut watch = credential.watch(Duration::from_secs(60)).await?;
/// tokio::spawn(async move {
///     while let Ok(renewed) = watch.changed().await {
///         println!("renewed, good for {:?}", renewed.remaining());
///     }
/// });
/// # Ok(())
/// # }
/// ```
pub struct CredentialWatch {
    look: Arc<Look>,
    seen: watch::Receiver<CredentialInfo>,
    interval: Duration,
    task: AbortHandle,
}

/// What the task and the watch share.
struct Look {
    credential: Credential,
    /// What was there last, and what was wrong with it since. Held while the file is read, so that looks take turns.
    state: tokio::sync::Mutex<Bytes>,
    failure: Mutex<Option<Error>>,
    sender: watch::Sender<CredentialInfo>,
}

impl Credential {
    /// Reads what the credential says: whose it is, of which kind, how long it is good for.
    ///
    /// # Errors
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for a password or an anonymous login;
    /// [`Authentication`](crate::ErrorKind::Authentication) when there is none or it cannot be read. One whose time is over
    /// is no error here.
    ///
    /// # Cancel safety
    /// Cancel safe.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example() -> gridftp::Result<()> {
    /// let info = gridftp::Credential::default_search().info().await?;
    /// println!("{} for {:?}", info.identity(), info.remaining());
    /// # Ok(())
    /// # }
    /// ```
    pub async fn info(&self) -> Result<CredentialInfo> {
        self.check_gsi()?;
        describe(self.load_locked().await?).await
    }

    /// Watches the credential from now on, reading it each time the interval has passed.
    ///
    /// Must be called within a tokio runtime; the watch ends with it.
    ///
    /// # Errors
    /// As [`Credential::info`]; [`InvalidInput`](crate::ErrorKind::InvalidInput) for an interval of zero.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn watch(&self, interval: Duration) -> Result<CredentialWatch> {
        self.check_gsi()?;
        if interval.is_zero() {
            return Err(Error::invalid("an interval of 0 s for watching a credential, expected more"));
        }
        let text = self.load().await?;
        let info = describe(text.clone()).await?;
        let (sender, seen) = watch::channel(info);
        let look = Arc::new(Look {
            credential: self.clone(),
            state: tokio::sync::Mutex::new(text),
            failure: Mutex::default(),
            sender,
        });
        let task = tokio::spawn(Arc::clone(&look).go_on(interval)).abort_handle();
        Ok(CredentialWatch { look, seen, interval, task })
    }

    fn check_gsi(&self) -> Result<()> {
        if self.is_gsi() {
            return Ok(());
        }
        Err(Error::invalid(format!("{self:?} holds no certificate, expected a GSI credential")))
    }
}

impl Look {
    async fn go_on(self: Arc<Self>, interval: Duration) {
        loop {
            tokio::time::sleep(interval).await;
            // What is wrong is kept for whoever asks; the file may be being replaced just now.
            let _ = self.look().await;
        }
    }

    async fn look(&self) -> Result<CredentialInfo> {
        let result = self.read().await;
        let failure = result.as_ref().err().cloned();
        let before =
            std::mem::replace(&mut *self.failure.lock().unwrap_or_else(PoisonError::into_inner), failure);
        if let (Err(error), None) = (&result, before) {
            tracing::warn!(credential = ?self.credential, "the credential cannot be read any more: {error}");
        }
        result
    }

    async fn read(&self) -> Result<CredentialInfo> {
        let mut known = self.state.lock().await;
        let text = self.credential.load().await?;
        if *known == text {
            return Ok(self.sender.borrow().clone());
        }
        let info = describe(text.clone()).await?;
        *known = text;
        // First the sessions, so that whoever hears of it gets new ones.
        self.credential.renewed();
        tracing::info!(credential = ?self.credential, identity = info.identity(), serial = info.serial(), "renewed");
        self.sender.send_replace(info.clone());
        Ok(info)
    }
}

impl CredentialWatch {
    /// What was there when the file was last read well.
    pub fn info(&self) -> CredentialInfo {
        self.look.sender.borrow().clone()
    }

    /// What is wrong with the file since it was last read well, if something is.
    pub fn failure(&self) -> Option<Error> {
        self.look.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the file now, without waiting for the interval.
    ///
    /// # Errors
    /// What is wrong with the file; what was there before stays in use.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn check(&self) -> Result<CredentialInfo> {
        self.look.look().await
    }

    /// Waits for the next renewal: other contents that are a credential.
    ///
    /// The file is looked at by a task of the runtime in which the watch was made: when that has ended, a renewal is only
    /// noticed by [`CredentialWatch::check`].
    ///
    /// # Errors
    /// None at present.
    ///
    /// # Cancel safety
    /// Cancel safe: a renewal that was not told is told by the next call.
    pub async fn changed(&mut self) -> Result<CredentialInfo> {
        self.seen.changed().await.map_err(|_| unusable("the watch has ended"))?;
        Ok(self.seen.borrow_and_update().clone())
    }

    /// Waits until the credential is good for no longer than this. A renewal meanwhile puts it off.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn expiring(&self, left: Duration) -> CredentialInfo {
        let mut renewals = self.look.sender.subscribe();
        loop {
            let info = renewals.borrow_and_update().clone();
            let limit = info.expires().checked_sub(left).unwrap_or(SystemTime::UNIX_EPOCH);
            let Ok(rest) = limit.duration_since(SystemTime::now()) else { return info };
            if rest.is_zero() {
                return info;
            }
            // Clocks are set, and machines sleep: no longer at once than the file goes unread.
            tokio::select! {
                () = tokio::time::sleep(rest.min(self.interval)) => {}
                changed = renewals.changed() => if changed.is_err() { return info },
            }
        }
    }

    /// What was read, for those who watch it themselves: each renewal is a new value.
    pub fn subscribe(&self) -> watch::Receiver<CredentialInfo> {
        self.look.sender.subscribe()
    }
}

impl Drop for CredentialWatch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for CredentialWatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CredentialWatch")
            .field("credential", &self.look.credential)
            .field("interval", &self.interval)
            .finish_non_exhaustive()
    }
}

/// Reading certificates takes some tenths of a millisecond, and OpenSSL may load its providers for it.
async fn describe(text: Bytes) -> Result<CredentialInfo> {
    let reading = tokio::task::spawn_blocking(move || certificate::describe(&text)).await;
    reading.unwrap_or_else(|_| Err(unusable("reading the credential was interrupted")))
}
