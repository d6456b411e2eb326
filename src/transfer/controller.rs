//! How many workers work: as many as make it faster.
//!
//! A hill is climbed by measuring: twice as many as long as that brings a tenth, then one more or one less now and then.
//! A server that says it has too much to do halves the number, and is not pushed beyond that again for a while.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::channels::FAR;
use super::choices::Concurrency;
use super::explain::{Choice, Why};
use super::job::Job;
use super::{End, Route};

/// Workers at the start: while one waits for an answer the other one moves.
const FIRST: usize = 2;

/// The same for a tree far away: new connections are slow for many round trips, and more of them are so for fewer.
pub(super) const FIRST_FAR: usize = 4;

/// Connections of a large file from far away, where they lose so much that a few do not fill the link. On a link that loses
/// nothing as many would only make its queue overflow.
const MANY: u16 = 96;

/// How much slower they are then than they were, and how often that has to be found.
const SLOW: f64 = 0.6;
const FOUND: u32 = 2;

/// A file costs as much as that many bytes, whatever is in it.
const FILE_BYTES: u64 = 64 << 10;

/// How long a number of workers is looked at, on a network without delay.
const LOOK: Duration = Duration::from_millis(300);

/// The longest look, at a server far away.
const LONGEST_LOOK: Duration = Duration::from_secs(3);

/// How long a number is kept before another one is tried.
const KEEP: Duration = Duration::from_secs(8);

/// How long a server that had too much to do is left alone.
const RESPECT: Duration = Duration::from_secs(60);

/// What more workers must bring to be kept.
const BETTER: f64 = 1.08;

/// Sets the number of workers until nobody works any more.
pub(super) async fn run(job: Arc<Job>, most: usize, active: watch::Sender<usize>) {
    let fixed = matches!(job.choices.concurrency, Concurrency::Fixed(_)) || job.route == Route::Local;
    let (wide, streams) = (wide(&job), streams(&job));
    let mut control =
        Control { look: look(&job), job, most, wide, streams, active, busy: 0, limit: most, limited: None };
    if fixed {
        control.set(most, Why::Asked);
        return std::future::pending().await;
    }
    control.climb().await;
}

/// New connections take some round trips to be made, and some more to be fast.
fn look(job: &Job) -> Duration {
    (round_trip(job) * 20).clamp(LOOK, LONGEST_LOOK)
}

fn round_trip(job: &Job) -> Duration {
    let of = |end: &End| match end {
        End::Local(_) => Duration::ZERO,
        End::Remote(remote) => remote.round_trip,
    };
    of(&job.sources[0]).max(of(&job.to))
}

/// How many work at the start.
pub(super) fn first(job: &Job) -> usize {
    if !job.single && round_trip(job) >= FAR { FIRST_FAR } else { FIRST }
}

/// Connections that a large file by itself comes or goes over, where their number was not asked for.
fn wide(job: &Job) -> u16 {
    let asked = job.channels.connections();
    if job.single && asked == 1 { streams(job) } else { 1 }
}

/// Connections of each large file and session, wherever such a file comes from or goes to.
fn streams(job: &Job) -> u16 {
    let found = match (&job.sources[0], &job.to) {
        (End::Remote(from), _) if job.route == Route::Download && from.pipelines() => {
            job.channels.streams(from.round_trip, Some(u64::MAX), job.single)
        }
        (_, End::Remote(to)) if job.route == Route::Upload && to.is_gridftp() && to.features.esto() => {
            job.channels.streams_to(to.round_trip, u64::MAX, job.single)
        }
        _ => 1,
    };
    found.max(job.channels.connections())
}

struct Control {
    job: Arc<Job>,
    most: usize,
    /// Connections of one large file and session.
    wide: u16,
    /// Those of each large file, to be told.
    streams: u16,
    active: watch::Sender<usize>,
    look: Duration,
    /// How often servers had too much to do, when that was looked at last.
    busy: u64,
    /// Not more than that, for now.
    limit: usize,
    limited: Option<Instant>,
}

impl Control {
    fn set(&self, workers: usize, why: Why) {
        self.active.send_replace(workers.max(1));
        self.job.tally.sessions.store(workers.max(1), Ordering::Relaxed);
        self.job.queue.look_again();
        self.tell(workers.max(1), why);
    }

    /// Remembers what was chosen, for whoever asks why it was not faster.
    fn tell(&self, sessions: usize, why: Why) {
        let tally = &self.job.tally;
        let narrow = self.job.narrow.load(Ordering::Relaxed);
        let streams = if narrow { self.job.channels.connections() } else { self.streams };
        tally.waits.chose(Choice { after: tally.begun().elapsed(), sessions, streams, why });
    }

    async fn climb(&mut self) {
        let mut at = first(&self.job).min(self.most);
        // Two on one file as well, whose servers work on two cores then. From far away it comes over many connections
        // anyway, and is one worker's at first.
        self.job.queue.help(self.wide == 1);
        self.set(at, Why::Begin);
        let mut best = match (self.job.route, self.wide) {
            (Route::Download, 2..) => self.watch(&mut at).await,
            _ => self.measure().await,
        };
        // Up in large steps first; one file from far away does not come faster over more sessions, and near by not over more than
        // there are cores here: each keeps one busy, and trying costs more than it brings.
        let near = self.job.single && round_trip(&self.job) < FAR;
        let cores =
            if near { std::thread::available_parallelism().map_or(FIRST, usize::from) } else { usize::MAX };
        while at < self.limit.min(cores) && self.wide == 1 {
            let next = (at * 2).min(self.limit).min(cores);
            let speed = self.try_out(next, Why::TryMore).await;
            if speed < best * BETTER {
                self.set(at, Why::Back);
                break;
            }
            (at, best) = (next, speed);
        }
        let mut up = true;
        loop {
            self.keep(&mut at).await;
            best = self.measure().await;
            if up {
                let better;
                (best, better) = self.try_help(best, at).await;
                if better {
                    continue;
                }
            }
            let step = (at / 4).max(1);
            let next = if up { (at + step).min(self.limit) } else { (at - step.min(at - 1)).max(1) };
            if next != at {
                let speed = self.try_out(next, if up { Why::TryMore } else { Why::TryFewer }).await;
                // Fewer that are as fast are better.
                let good = if up { speed > best * BETTER } else { speed > best * 0.98 };
                if good {
                    at = next;
                } else {
                    self.set(at, Why::Back);
                    up = !up;
                }
            } else {
                up = !up;
            }
        }
    }

    /// A file by itself that comes over several connections from far away. As soon as they are much slower than they were they
    /// lose packets, and each loss halves one: then all that is left comes over many.
    async fn watch(&mut self, at: &mut usize) -> f64 {
        let (begun, mut best, mut slow) = (Instant::now(), 0.0_f64, 0);
        loop {
            let speed = self.measure_for(self.look / 5).await;
            if self.cannot_connect() {
                // It is a stream then, for which another session does pay.
                (self.wide, self.streams) = (1, 1);
                self.job.queue.help(true);
                self.tell(*at, Why::Unreached);
                return self.measure().await;
            }
            best = best.max(speed);
            // Nothing at all counts as well: connections that stood still begin anew anyway, and at the end of a file there is
            // nothing left to be handed over.
            slow = if speed < best * SLOW { slow + 1 } else { 0 };
            // What is held back on purpose, by us or by the server, is no sign of anything.
            let free = self.limited.is_none() && self.job.choices.rate_limit.is_none();
            if slow >= FOUND && self.most > 1 && free {
                tracing::debug!(
                    best,
                    speed,
                    streams = MANY,
                    "a file comes much slower than it did: it is to come over more connections"
                );
                self.job.streams.store(MANY, Ordering::Relaxed);
                self.job.queue.hand_over();
                self.job.queue.help(true);
                *at = FIRST.min(self.limit);
                self.streams = MANY;
                self.set(*at, Why::Slowed);
                // New connections take some time to be fast.
                sleep(self.look).await;
                return self.measure().await;
            }
            if begun.elapsed() > KEEP {
                return speed;
            }
        }
    }

    /// Whether a server that a file was to come from over several connections cannot make them.
    fn cannot_connect(&self) -> bool {
        match &self.job.sources[0] {
            End::Remote(from) => from.reaches() == Some(false),
            End::Local(_) => false,
        }
    }

    /// Has several work on one file, where that is not so, and keeps it if it is better. Tells the speed, and whether it was.
    async fn try_help(&mut self, mut best: f64, at: usize) -> (f64, bool) {
        if self.job.queue.helps() || at < 2 || !self.job.queue.has_shared() {
            return (best, false);
        }
        // A connection that is still getting faster would be taken for the others' merit.
        for _ in 0..5 {
            let speed = self.measure().await;
            let steady = speed < best * BETTER;
            best = speed;
            if steady {
                break;
            }
        }
        self.job.queue.help(true);
        let speed = self.try_out(at, Why::Share).await;
        if speed > best * BETTER {
            return (speed, true);
        }
        self.job.queue.help(false);
        (best, false)
    }

    async fn try_out(&mut self, workers: usize, why: Why) -> f64 {
        self.set(workers, why);
        // What is new has to begin first.
        sleep(self.look / 2).await;
        self.measure().await
    }

    /// Waits, with an eye on servers that have too much to do.
    async fn keep(&mut self, at: &mut usize) {
        let until = Instant::now() + KEEP;
        while Instant::now() < until {
            sleep(LOOK).await;
            if self.is_busy() {
                *at = (*at / 2).max(1);
                (self.limit, self.limited) = (*at, Some(Instant::now()));
                tracing::debug!(workers = *at, "a server has too much to do: fewer sessions");
                self.set(*at, Why::Busy);
            }
        }
        if self.limited.is_some_and(|since| since.elapsed() > RESPECT) {
            (self.limit, self.limited) = (self.most, None);
        }
    }

    fn is_busy(&mut self) -> bool {
        let busy = self.job.busy.load(Ordering::Relaxed);
        let more = busy > self.busy;
        self.busy = busy;
        more
    }

    /// What is moved a second.
    async fn measure(&mut self) -> f64 {
        self.measure_for(self.look).await
    }

    async fn measure_for(&mut self, time: Duration) -> f64 {
        let before = self.job.tally.speed_marks();
        let begun = Instant::now();
        sleep(time).await;
        if self.is_busy() {
            let now = (*self.active.borrow() / 2).max(1);
            (self.limit, self.limited) = (now, Some(Instant::now()));
            self.set(now, Why::Busy);
            return 0.0;
        }
        let after = self.job.tally.speed_marks();
        let cost = (after.0 - before.0) + (after.1 - before.1) * FILE_BYTES;
        per(cost, begun.elapsed())
    }
}

#[expect(clippy::cast_precision_loss, reason = "a rate, to be compared")]
fn per(cost: u64, time: Duration) -> f64 {
    cost as f64 / time.as_secs_f64().max(0.001)
}
