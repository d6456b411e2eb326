//! The router between the two ends: what comes out of one TUN device goes into the other one, as late, as slowly and as seldom
//! as was asked for. One thread, woken by packets and by time.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsFd as _, BorrowedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tun_rs::SyncDevice;

use super::conditions::Conditions;
use super::packet::{Geometry, HEADER};
use crate::Random;

/// The largest packet, with its header.
const LARGEST: usize = 70_000;

/// Packets of one direction that are taken before the other one has its turn.
const TURN: usize = 32;

/// How long it sleeps when nothing is under way.
const IDLE: Duration = Duration::from_millis(500);

/// What one direction has seen.
#[derive(Debug, Default, Clone, Copy)]
struct Counts {
    segments: u64,
    bytes: u64,
    lost: u64,
    /// Segments for which the queue had no room.
    dropped: u64,
    longest_queue_bytes: u64,
    most_late: Duration,
}

/// One direction of the link.
struct Direction {
    /// When, and what.
    under_way: VecDeque<(Instant, Vec<u8>)>,
    /// When the last byte so far has left the sender.
    free_at: Instant,
    random: Random,
    /// Segments up to and with the next one that is lost.
    next_loss: u64,
    counts: Counts,
}

impl Direction {
    fn new(seed: u64, loss: f64) -> Self {
        let mut direction = Self {
            under_way: VecDeque::new(),
            free_at: Instant::now(),
            random: Random::new(seed),
            next_loss: 0,
            counts: Counts::default(),
        };
        direction.roll(loss);
        direction
    }

    /// How many segments come until one is lost: geometric, so that each has the same odds.
    fn roll(&mut self, loss: f64) {
        self.next_loss = if loss <= 0.0 {
            u64::MAX
        } else {
            let uniform =
                (f64::from(u32::try_from(self.random.next() >> 32).unwrap_or(0)) + 0.5) / 4_294_967_296.0;
            let count = (uniform.ln() / (1.0 - loss.min(0.999_999)).ln()).ceil().max(1.0);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "positive, and saturating is as good"
            )]
            let count = count as u64;
            count
        };
    }

    /// Takes a packet that was sent now.
    fn take(&mut self, packet: &[u8], conditions: &Conditions, now: Instant) {
        let geometry = Geometry::of(packet);
        let all = u64::try_from(geometry.segments).unwrap_or(u64::MAX);
        self.counts.segments += all;
        self.counts.bytes += geometry.wire_bytes(geometry.segments);
        let mut fits = geometry.segments;
        let mut leaves = now;
        if let Some(rate) = conditions.rate_bits {
            let begin = self.free_at.max(now);
            let waiting = bytes_in(begin.duration_since(now), rate);
            let room = conditions.queue_bytes().max(geometry.wire_bytes(1));
            while fits > 0 && waiting + geometry.wire_bytes(fits) > room {
                fits -= 1;
            }
            self.counts.dropped += u64::try_from(geometry.segments - fits).unwrap_or(0);
            if fits == 0 {
                return;
            }
            let queued = waiting + geometry.wire_bytes(fits);
            self.counts.longest_queue_bytes = self.counts.longest_queue_bytes.max(queued);
            self.free_at = begin + time_of(geometry.wire_bytes(fits), rate);
            leaves = self.free_at;
        }
        let arrives = leaves + conditions.rtt / 2;
        let mut from = 0;
        while self.next_loss <= u64::try_from(fits - from).unwrap_or(0) {
            let lost = from + usize::try_from(self.next_loss).unwrap_or(1) - 1;
            self.counts.lost += 1;
            if lost > from {
                self.under_way.push_back((arrives, geometry.cut(packet, from, lost)));
            }
            from = lost + 1;
            self.roll(conditions.loss);
        }
        if from < fits {
            if self.next_loss != u64::MAX {
                self.next_loss -= u64::try_from(fits - from).unwrap_or(0);
            }
            self.under_way.push_back((arrives, geometry.cut(packet, from, fits)));
        }
    }

    /// Hands over what has arrived by now.
    fn deliver(&mut self, to: &SyncDevice, now: Instant) {
        while self.under_way.front().is_some_and(|(at, _)| *at <= now)
            && let Some((at, packet)) = self.under_way.pop_front()
        {
            self.counts.most_late = self.counts.most_late.max(now.duration_since(at));
            // An end that takes nothing is one that is being taken down.
            let _ = to.send(&packet);
        }
    }
}

fn bytes_in(time: Duration, rate_bits: u64) -> u64 {
    u64::try_from(time.as_nanos() * u128::from(rate_bits) / 8_000_000_000).unwrap_or(u64::MAX)
}

fn time_of(bytes: u64, rate_bits: u64) -> Duration {
    let nanos = u128::from(bytes) * 8_000_000_000 / u128::from(rate_bits.max(1));
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// Routes until it is told to end, by a word on the control socket.
///
/// # Errors
/// A device that is gone.
pub(super) fn route(
    devices: &[SyncDevice; 2],
    control: &UnixListener,
    mut conditions: Conditions,
    seed: u64,
) -> io::Result<()> {
    let mut directions =
        [Direction::new(seed, conditions.loss), Direction::new(seed.wrapping_add(1), conditions.loss)];
    let mut buffer = vec![0; LARGEST];
    loop {
        let mut busy = false;
        for (number, direction) in directions.iter_mut().enumerate() {
            let (from, to) = (&devices[number], &devices[1 - number]);
            for _ in 0..TURN {
                match from.recv(&mut buffer) {
                    Ok(length) if length > HEADER => {
                        busy = true;
                        direction.take(&buffer[..length], &conditions, Instant::now());
                    }
                    Ok(_) => break,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
            direction.deliver(to, Instant::now());
        }
        if busy {
            continue;
        }
        let now = Instant::now();
        let next =
            directions.iter().filter_map(|direction| direction.under_way.front().map(|(at, _)| *at)).min();
        let wait = next.map_or(IDLE, |at| at.saturating_duration_since(now));
        if wait_for(devices, control, wait)?
            && let Ok((stream, _)) = control.accept()
            && !answer(stream, &mut conditions, &mut directions)
        {
            return Ok(());
        }
    }
}

/// Waits for packets, a word, or time; says whether it is a word.
fn wait_for(devices: &[SyncDevice; 2], control: &UnixListener, limit: Duration) -> io::Result<bool> {
    let limit = Timespec::try_from(limit).map_err(|_| io::Error::other("a time that is too long"))?;
    let [one, other] = devices;
    let fds: [BorrowedFd<'_>; 3] = [one.as_fd(), other.as_fd(), control.as_fd()];
    let mut polled = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    match poll(&mut polled, Some(&limit)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(polled[2].revents().contains(PollFlags::IN)),
        Err(error) => Err(error.into()),
    }
}

/// A word from somebody: `set CONDITIONS`, `stat`, `reset`, `end`. Says whether to go on.
fn answer(mut stream: UnixStream, conditions: &mut Conditions, directions: &mut [Direction; 2]) -> bool {
    let mut text = String::new();
    // Whoever says nothing must not hold up the link.
    let _ = stream.set_read_timeout(Some(Duration::from_millis(200)));
    if stream.read_to_string(&mut text).is_err() {
        return true;
    }
    let mut go_on = true;
    let reply = match text.trim().split_once(' ').unwrap_or_else(|| (text.trim(), "")) {
        ("set", wanted) => match conditions.changed(wanted) {
            Ok(new) => {
                *conditions = new;
                directions.iter_mut().for_each(|direction| direction.roll(new.loss));
                "ok\n".to_owned()
            }
            Err(why) => format!("error {why}\n"),
        },
        ("stat", _) => {
            let mut lines = format!("{conditions}\n");
            for (name, direction) in ["a to b", "b to a"].iter().zip(directions.iter()) {
                let c = &direction.counts;
                lines += &format!(
                    "{name}: {} segments, {} bytes, {} lost, {} dropped, longest queue {} bytes, at most {:?} late\n",
                    c.segments, c.bytes, c.lost, c.dropped, c.longest_queue_bytes, c.most_late
                );
            }
            lines
        }
        ("reset", _) => {
            directions.iter_mut().for_each(|direction| direction.counts = Counts::default());
            "ok\n".to_owned()
        }
        ("end", _) => {
            go_on = false;
            "ok\n".to_owned()
        }
        (other, _) => format!("error unknown word {other}\n"),
    };
    let _ = stream.write_all(reply.as_bytes());
    go_on
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(bytes: usize) -> Vec<u8> {
        let mut packet = vec![0; HEADER + bytes];
        packet[HEADER] = 0x45;
        packet
    }

    #[test]
    fn delay_and_rate_are_exact() {
        let conditions = Conditions {
            rtt: Duration::from_millis(50),
            rate_bits: Some(8_000_000),
            ..Conditions::default()
        };
        let mut direction = Direction::new(1, 0.0);
        let now = Instant::now();
        direction.free_at = now;
        for _ in 0..10 {
            direction.take(&plain(1000), &conditions, now);
        }
        // A millisecond each, one after the other, and half the round trip.
        let arrivals: Vec<_> = direction.under_way.iter().map(|(at, _)| at.duration_since(now)).collect();
        let wanted: Vec<_> = (1..=10).map(|n| Duration::from_millis(25 + n)).collect();
        assert_eq!(arrivals, wanted);
        assert_eq!(direction.counts.longest_queue_bytes, 10_000);
    }

    #[test]
    fn what_has_no_room_is_dropped_and_losses_are_as_many_as_asked_for() {
        let conditions =
            Conditions { rate_bits: Some(8_000_000), queue: Some(5000), ..Conditions::default() };
        let mut direction = Direction::new(1, 0.0);
        let now = Instant::now();
        direction.free_at = now;
        for _ in 0..10 {
            direction.take(&plain(1000), &conditions, now);
        }
        assert_eq!((direction.under_way.len(), direction.counts.dropped), (5, 5));
        let lossy = Conditions { loss: 0.01, ..Conditions::default() };
        let mut direction = Direction::new(1, 0.01);
        for _ in 0..100_000 {
            direction.take(&plain(100), &lossy, now);
        }
        let lost = direction.counts.lost;
        assert!((900..1100).contains(&lost), "{lost}");
        assert_eq!(u64::try_from(direction.under_way.len()).unwrap() + lost, 100_000);
    }
}
