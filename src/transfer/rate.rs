//! A limit for bytes a second, shared by everyone who moves bytes of one transfer, or of several.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, Result};

/// What may come at once after a pause. Short enough that a second holds what a second may hold.
const BURST: Duration = Duration::from_millis(100);

/// How many bytes a second may be moved, by all who have this limit or a clone of it.
///
/// # Examples
/// ```
/// # fn main() -> gridftp::Result<()> {
/// let limit = gridftp::transfer::RateLimit::new(10_000_000)?; // 10 MB/s, for as many transfers as get a clone of it
/// assert_eq!(limit.bytes_per_second(), 10_000_000);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct RateLimit {
    bytes_per_second: u64,
    /// When what has been moved so far would have been moved at exactly that rate.
    due: Arc<Mutex<Option<Instant>>>,
}

impl RateLimit {
    /// A limit of so many bytes a second.
    ///
    /// # Errors
    /// `InvalidInput` for less than 1024 bytes a second: such a transfer looks like a dead one to every server.
    pub fn new(bytes_per_second: u64) -> Result<Self> {
        if bytes_per_second < 1024 {
            let message = format!("a limit of {bytes_per_second} bytes a second; expected 1024 or more");
            return Err(Error::invalid(message));
        }
        Ok(Self { bytes_per_second, due: Arc::default() })
    }

    /// The limit.
    pub fn bytes_per_second(&self) -> u64 {
        self.bytes_per_second
    }

    /// How long whoever has just moved so many bytes has to wait.
    fn pause(&self, bytes: u64, now: Instant) -> Duration {
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_second);
        let takes = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        let begin = due.map_or(earliest, |due| due.max(earliest));
        let end = begin.checked_add(takes).unwrap_or(begin);
        *due = Some(end);
        end.saturating_duration_since(now)
    }

    /// Waits as long as so many bytes, which were moved just now, should have taken: for what is moved beside transfers.
    ///
    /// # Cancel safety
    /// The bytes count, whether it is waited for or not.
    pub async fn moved(&self, bytes: u64) {
        let pause = self.pause(bytes, Instant::now());
        if pause > Duration::ZERO {
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_the_long_run_it_is_the_rate() {
        let limit = RateLimit::new(1_000_000).unwrap();
        let begun = Instant::now();
        let mut now = begun;
        for _ in 0..100 {
            now += limit.pause(100_000, now);
        }
        let elapsed = now.duration_since(begun);
        assert!((Duration::from_millis(9_900)..=Duration::from_secs(10)).contains(&elapsed), "{elapsed:?}");
        // After a pause not all of it is made up for.
        now += Duration::from_secs(60);
        assert_eq!(limit.pause(100_000, now), Duration::ZERO);
        assert!(limit.pause(100_000, now) >= Duration::from_millis(99));
        // Whoever has a clone has the same limit.
        assert!(limit.clone().pause(1, now) >= Duration::from_millis(99));
        assert!(RateLimit::new(1023).is_err());
    }
}
