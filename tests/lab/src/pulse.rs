//! How much time this machine took away: a timed assertion is about the library, and not about who else had the processor.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

const BEAT: Duration = Duration::from_millis(5);

/// Counts, from its start on, the time for which a thread that had nothing to do but wake up was not woken.
///
/// A busy machine, and one whose host gives its processors to others, stands still for moments that no program in it can do
/// anything about. A test adds [`Pulse::missed`] to what it allows.
///
/// ```
/// let pulse = gridftp_lab::Pulse::start();
/// std::thread::sleep(std::time::Duration::from_millis(20));
/// assert!(pulse.elapsed() + pulse.missed() >= std::time::Duration::from_millis(20));
/// ```
#[derive(Debug)]
pub struct Pulse {
    begun: Instant,
    missed_micros: Arc<AtomicU64>,
}

impl Pulse {
    /// Begins to count.
    ///
    /// # Panics
    /// No thread can be started.
    pub fn start() -> Self {
        let missed_micros = Arc::new(AtomicU64::new(0));
        let counter = Arc::downgrade(&missed_micros);
        std::thread::Builder::new()
            .name("pulse".to_owned())
            .spawn(move || {
                let mut last = Instant::now();
                while counter.strong_count() > 0 {
                    std::thread::sleep(BEAT);
                    let now = Instant::now();
                    // A beat that is a little late is what every machine does.
                    let late = now.duration_since(last).saturating_sub(2 * BEAT);
                    if let Some(counter) = counter.upgrade() {
                        counter.fetch_add(
                            u64::try_from(late.as_micros()).unwrap_or(u64::MAX),
                            Ordering::Relaxed,
                        );
                    }
                    last = now;
                }
            })
            .unwrap_or_else(|error| panic!("starting a thread: {error}"));
        Self { begun: Instant::now(), missed_micros }
    }

    /// What was missed so far.
    pub fn missed(&self) -> Duration {
        Duration::from_micros(self.missed_micros.load(Ordering::Relaxed))
    }

    /// The time since the start, without what was missed.
    pub fn elapsed(&self) -> Duration {
        self.begun.elapsed().saturating_sub(self.missed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_counts_and_what_is_missed_does_not() {
        let begun = Instant::now();
        let pulse = Pulse::start();
        std::thread::sleep(Duration::from_millis(50));
        let counted = pulse.elapsed();
        assert!(counted <= begun.elapsed());
        assert!(pulse.elapsed() + pulse.missed() >= Duration::from_millis(50));
    }
}
