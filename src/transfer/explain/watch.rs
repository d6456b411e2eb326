//! What is seen from outside while data moves: connections and threads, looked at now and then.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::Instant;

use super::decide::{decide, ratio};
use super::{Connections, Evidence, Explanation};
use crate::client::{Connection, connections};
use crate::transfer::End;
use crate::transfer::job::Job;
use crate::transfer::progress::Tally;

/// How often it is looked; the first times sooner, for what is soon over.
const FIRST_LOOK: Duration = Duration::from_millis(20);
const LONGEST_LOOK: Duration = Duration::from_millis(500);

/// Less than that is no data: commands, their answers, small listings.
const DATA: u64 = 256 << 10;

/// Connections and threads that are kept account of.
const MOST: usize = 10_000;

/// How long a name may take; it was looked up a moment ago.
const LOOKUP: Duration = Duration::from_secs(1);

/// Processor time is told in these.
const TICK: Duration = Duration::from_millis(10);

/// Runs `work`, and looks on meanwhile; tells at its end what bounded it.
pub(in crate::transfer) async fn watch<T>(
    job: &Arc<Job>,
    tally: &Tally,
    work: impl Future<Output = T>,
) -> (T, Explanation) {
    let mut seen = Seen::begin(job).await;
    let result = {
        let mut work = std::pin::pin!(work);
        tokio::select! {
            biased;
            result = &mut work => result,
            () = seen.look_on() => work.await,
        }
    };
    (result, seen.end(job, tally))
}

struct Seen {
    begun: Instant,
    cpu: Duration,
    peers: Vec<IpAddr>,
    /// As they were when they were seen last.
    connections: HashMap<u64, Connection>,
    most: usize,
    /// What they had carried before.
    before: HashMap<u64, Connection>,
    /// Round trips without and under load, one for each look and connection that moved something since the last.
    loaded: Vec<(Duration, Duration)>,
    threads: HashMap<u32, Thread>,
}

struct Thread {
    name: String,
    first: (Instant, u64),
    last: (Instant, u64),
}

impl Seen {
    async fn begin(job: &Job) -> Self {
        let mut peers = Vec::new();
        for end in job.sources.iter().chain([&job.to]) {
            let End::Remote(remote) = end else { continue };
            let (host, port) = (remote.root.host(), remote.root.port());
            // Without an answer there is nothing to be seen there; who logs in tells why.
            let found = tokio::time::timeout(LOOKUP, tokio::net::lookup_host((host, port))).await;
            if let Ok(Ok(found)) = found {
                peers.extend(found.map(|address| address.ip().to_canonical()));
            }
        }
        let mut seen = Self {
            begun: Instant::now(),
            cpu: cpu(),
            peers,
            connections: HashMap::new(),
            before: HashMap::new(),
            most: 0,
            loaded: Vec::new(),
            threads: HashMap::new(),
        };
        seen.before = connections(&seen.peers).into_iter().map(|found| (found.id, found)).collect();
        seen.look_at_threads();
        seen
    }

    async fn look_on(&mut self) {
        let mut pause = FIRST_LOOK;
        loop {
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_LOOK);
            self.look();
        }
    }

    fn look(&mut self) {
        let mut at_once = 0;
        for now in connections(&self.peers) {
            let now = since(now, self.before.get(&now.id));
            let before = self.connections.get(&now.id).copied().unwrap_or_default();
            let moved = bytes(&now).saturating_sub(bytes(&before));
            at_once += usize::from(moved > 0 && bytes(&now) >= DATA);
            // Whoever receives only has the way there from the handshake.
            let loaded =
                if now.bytes_received > now.bytes_sent { now.receiving_round_trip } else { now.round_trip };
            if moved >= DATA && loaded > Duration::ZERO && !now.shortest.is_zero() && self.loaded.len() < MOST
            {
                self.loaded.push((now.shortest, loaded));
            }
            if self.connections.len() < MOST || self.connections.contains_key(&now.id) {
                self.connections.insert(now.id, now);
            }
        }
        self.most = self.most.max(at_once);
        self.look_at_threads();
    }

    fn look_at_threads(&mut self) {
        let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return };
        let now = Instant::now();
        for task in tasks.flatten() {
            let number = task.file_name().to_str().and_then(|name| name.parse().ok());
            let stat = std::fs::read_to_string(task.path().join("stat")).ok();
            let Some((number, (name, ticks))) = number.zip(stat.as_deref().and_then(thread)) else {
                continue;
            };
            if self.threads.len() >= MOST && !self.threads.contains_key(&number) {
                continue;
            }
            let first = (now, ticks);
            let known = self.threads.entry(number).or_insert_with(|| Thread {
                name: name.to_owned(),
                first,
                last: first,
            });
            known.last = (now, ticks);
        }
    }

    fn end(mut self, job: &Job, tally: &Tally) -> Explanation {
        self.look_at_threads();
        let elapsed = self.begun.elapsed();
        let (network, disk, limit) = tally.waits.so_far();
        let (bytes, files) = tally.speed_marks();
        let ends = || job.sources.iter().chain([&job.to]);
        let remotes = || {
            ends().filter_map(|end| match end {
                End::Remote(remote) => Some(remote),
                End::Local(_) => None,
            })
        };
        let first_byte = tally.waits.first_byte().map_or(elapsed, |at| at.duration_since(tally.begun()));
        let evidence = Evidence {
            elapsed: tally.begun().elapsed(),
            before_first_byte: first_byte,
            bytes,
            files,
            waited_for_network: network,
            waited_for_disk: disk,
            waited_for_limit: limit,
            cpu: cpu().saturating_sub(self.cpu),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            busiest_thread: self.busiest(elapsed),
            round_trip: remotes().map(|remote| remote.round_trip).max().unwrap_or_default(),
            pipelines: remotes().all(|remote| remote.pipelines()),
            connections: self.carried(),
            busy_replies: job.busy.load(Ordering::Relaxed),
        };
        Explanation {
            bound: decide(&evidence),
            evidence,
            window_bytes: job.channels.window_bytes(),
            choices: tally.waits.choices(),
        }
    }

    /// A thread that came late has had no more time than it was there; one that was hardly there says nothing.
    fn busiest(&self, elapsed: Duration) -> Option<(String, f64)> {
        let part = |thread: &Thread| {
            let there = thread.last.0.duration_since(thread.first.0).max(elapsed / 2).as_secs_f64();
            let worked =
                TICK * u32::try_from(thread.last.1.saturating_sub(thread.first.1)).unwrap_or(u32::MAX);
            (thread.name.clone(), (worked.as_secs_f64() / there.max(0.001)).min(1.0))
        };
        self.threads.values().map(part).max_by(|one, other| one.1.total_cmp(&other.1))
    }

    fn carried(&mut self) -> Option<Connections> {
        let carried: Vec<_> = self.connections.values().filter(|one| bytes(one) >= DATA).collect();
        if carried.is_empty() {
            return None;
        }
        let sum = |of: fn(&Connection) -> u64| carried.iter().map(|one| of(one)).sum::<u64>();
        let time = |of: fn(&Connection) -> Duration| {
            let millis = carried.iter().map(|one| of(one).as_millis()).sum::<u128>();
            u64::try_from(millis).unwrap_or(u64::MAX)
        };
        // By how much longer it was.
        let longer =
            |(shortest, loaded): &(Duration, Duration)| loaded.as_secs_f64() / shortest.as_secs_f64();
        self.loaded.sort_by(|one, other| longer(one).total_cmp(&longer(other)));
        let typical = self.loaded.get(self.loaded.len() / 4).copied();
        let shortest = carried.iter().map(|one| one.shortest).filter(|time| !time.is_zero()).min();
        let incoming = sum(|one| one.bytes_received) > sum(|one| one.bytes_sent);
        let sending = time(|one| one.sending);
        Some(Connections {
            count: carried.len(),
            most: self.most,
            shortest_round_trip: typical.map_or_else(|| shortest.unwrap_or_default(), |typical| typical.0),
            loaded_round_trip: typical.map_or(Duration::ZERO, |typical| typical.1),
            incoming,
            packets: sum(|one| if is_incoming(one) { one.packets_received } else { one.packets_sent }),
            disordered: sum(|one| if is_incoming(one) { one.out_of_order } else { one.repeated }),
            peer_full: ratio(time(|one| one.peer_full), sending),
            buffer_full: ratio(time(|one| one.buffer_full), sending),
        })
    }
}

/// What it has carried since then; connections of earlier transfers are used again.
fn since(now: Connection, before: Option<&Connection>) -> Connection {
    let Some(before) = before else { return now };
    Connection {
        bytes_sent: now.bytes_sent.saturating_sub(before.bytes_sent),
        bytes_received: now.bytes_received.saturating_sub(before.bytes_received),
        packets_sent: now.packets_sent.saturating_sub(before.packets_sent),
        packets_received: now.packets_received.saturating_sub(before.packets_received),
        repeated: now.repeated.saturating_sub(before.repeated),
        out_of_order: now.out_of_order.saturating_sub(before.out_of_order),
        sending: now.sending.saturating_sub(before.sending),
        peer_full: now.peer_full.saturating_sub(before.peer_full),
        buffer_full: now.buffer_full.saturating_sub(before.buffer_full),
        ..now
    }
}

fn is_incoming(one: &Connection) -> bool {
    one.bytes_received > one.bytes_sent
}

fn bytes(one: &Connection) -> u64 {
    one.bytes_sent.max(one.bytes_received)
}

/// Processor time of this process.
fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Name and processor time, of `/proc/self/task/N/stat`: a name may have anything in it, blanks and brackets too.
fn thread(stat: &str) -> Option<(&str, u64)> {
    let (begin, end) = (stat.find('(')?, stat.rfind(')')?);
    let mut fields = stat.get(end + 1..)?.split_ascii_whitespace();
    // Behind the name comes field 3; these are 14 and 15.
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some((stat.get(begin + 1..end)?, user + system))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_are_read_whatever_their_names() {
        let line = "77 (a) b (c) S 1 2 3 0 -1 4194560 10 0 0 0 120 34 0 0 20 0 4 0 100 200 300";
        assert_eq!(thread(line), Some(("a) b (c", 154)));
        assert_eq!(thread("77 (x) S 1 2"), None);
        assert_eq!(thread(")("), None);
        let own = std::fs::read_to_string("/proc/thread-self/stat").unwrap();
        assert!(thread(&own).is_some(), "{own}");
    }
}
