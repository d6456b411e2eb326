//! The verdict.

use std::time::Duration;

use super::{Bound, Evidence};

/// Less than that says nothing.
const SHORT: Duration = Duration::from_millis(200);

/// What counts as most of something, and as all of it.
const MOST: f64 = 0.5;
const ALL: f64 = 0.85;

/// The name of the engine's thread.
const ENGINE: &str = "globus";

/// Which part of the packets may have to be sent again on a link that loses nothing.
const REPEATED: f64 = 0.000_1;

/// Which part may come out of order there: behind a single lost packet are all that were on their way.
const DISORDER: f64 = 0.01;

/// A round trip with so much more than without load is waiting in a queue.
const QUEUED: f64 = 1.25;

/// On a shorter way the kernel's own pauses are longer than the way, and a loss costs nothing worth a word.
const NEAR: Duration = Duration::from_millis(2);

/// Files of that size and less cost round trips rather than bytes.
const SMALL: u64 = 1 << 20;

pub(super) fn decide(evidence: &Evidence) -> Bound {
    let Evidence { elapsed, bytes, files, waited_for_network, waited_for_disk, waited_for_limit, .. } =
        evidence;
    let waited = (*waited_for_network + *waited_for_disk + *waited_for_limit).as_secs_f64();
    let part = |of: &Duration| if waited > 0.0 { of.as_secs_f64() / waited } else { 0.0 };
    if evidence.before_first_byte.as_secs_f64() >= MOST * elapsed.as_secs_f64() && *bytes > 0 {
        // What is over as soon as it has begun is bounded by what comes before.
        return if evidence.round_trip >= NEAR { Bound::Latency } else { Bound::Unknown };
    }
    if *bytes == 0 && *files == 0 || *elapsed < SHORT {
        return Bound::Unknown;
    }
    if part(waited_for_limit) >= MOST {
        return Bound::RateLimit;
    }
    if is_busy(evidence, waited) {
        return Bound::ClientCpu;
    }
    if part(waited_for_disk) >= MOST {
        return Bound::Disk;
    }
    let small = bytes / (*files).max(1) <= SMALL;
    if evidence.round_trip >= NEAR && small && !evidence.pipelines {
        return Bound::Latency;
    }
    if let Some(connections) = &evidence.connections
        && connections.shortest_round_trip >= NEAR
    {
        let (shortest, loaded) = (connections.shortest_round_trip, connections.loaded_round_trip);
        if loaded > Duration::ZERO && loaded.as_secs_f64() >= QUEUED * shortest.as_secs_f64() {
            return Bound::Link;
        }
        let few = if connections.incoming { DISORDER } else { REPEATED };
        if ratio(connections.disordered, connections.packets) >= few {
            return Bound::Loss;
        }
    }
    Bound::Server
}

/// Whether a thread, or all cores together, had no time left. A busy thread is to blame if it is the one that all data channels
/// of C share, or if whoever moved data hardly waited: the program has threads of its own, and files are written by one.
fn is_busy(evidence: &Evidence, waited: f64) -> bool {
    let to_blame = |name: &str| name == ENGINE || waited < MOST * evidence.elapsed.as_secs_f64();
    let thread = evidence.busiest_thread.as_ref().is_some_and(|(name, part)| *part >= ALL && to_blame(name));
    thread || cores_used(evidence) >= ALL * ratio(u64::try_from(evidence.cores.max(1)).unwrap_or(1), 1)
}

/// How many cores this process kept at work.
pub(super) fn cores_used(evidence: &Evidence) -> f64 {
    evidence.cpu.as_secs_f64() / evidence.elapsed.as_secs_f64().max(0.001)
}

#[expect(clippy::cast_precision_loss, reason = "a part of something, to be compared and shown")]
pub(super) fn ratio(part: u64, of: u64) -> f64 {
    part as f64 / of.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::super::Connections;
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    /// A gigabyte in ten seconds over 50 ms, without a fault: what is left is the server.
    fn plain() -> Evidence {
        Evidence {
            elapsed: millis(10_000),
            before_first_byte: millis(400),
            bytes: 1 << 30,
            files: 1,
            waited_for_network: millis(15_000),
            waited_for_disk: millis(400),
            cpu: millis(1500),
            cores: 2,
            busiest_thread: Some(("tokio".to_owned(), 0.1)),
            round_trip: millis(50),
            pipelines: true,
            connections: Some(Connections {
                count: 16,
                most: 16,
                shortest_round_trip: millis(50),
                loaded_round_trip: millis(52),
                packets: 800_000,
                ..Connections::default()
            }),
            ..Evidence::default()
        }
    }

    fn with(change: impl FnOnce(&mut Evidence)) -> Bound {
        let mut evidence = plain();
        change(&mut evidence);
        decide(&evidence)
    }

    fn connections(change: impl FnOnce(&mut Connections)) -> Bound {
        with(|evidence| change(evidence.connections.as_mut().unwrap()))
    }

    #[test]
    fn each_verdict_has_its_reason() {
        assert_eq!(decide(&plain()), Bound::Server);
        assert_eq!(with(|evidence| evidence.waited_for_limit = millis(60_000)), Bound::RateLimit);
        assert_eq!(with(|evidence| evidence.waited_for_disk = millis(30_000)), Bound::Disk);
        assert_eq!(with(|evidence| evidence.cpu = millis(18_000)), Bound::ClientCpu);
        let one = |evidence: &mut Evidence| evidence.busiest_thread = Some(("globus".to_owned(), 0.97));
        assert_eq!(with(one), Bound::ClientCpu);
        let other = |evidence: &mut Evidence| evidence.busiest_thread = Some(("other".to_owned(), 0.97));
        assert_eq!(with(other), Bound::Server, "it is waited for somebody else");
        let working = |evidence: &mut Evidence| {
            other(evidence);
            evidence.waited_for_network = millis(2_000);
        };
        assert_eq!(with(working), Bound::ClientCpu);
        assert_eq!(connections(|connections| connections.loaded_round_trip = millis(80)), Bound::Link);
        assert_eq!(connections(|connections| connections.disordered = 2_000), Bound::Loss);
        let some =
            |connections: &mut Connections| (connections.disordered, connections.incoming) = (2_000, true);
        assert_eq!(connections(some), Bound::Server);
        // A full queue drops as well: the queue is the reason.
        let both = |connections: &mut Connections| {
            (connections.disordered, connections.loaded_round_trip) = (2_000, millis(80));
        };
        assert_eq!(connections(both), Bound::Link);
        let late = |evidence: &mut Evidence| evidence.before_first_byte = millis(6_000);
        assert_eq!(with(late), Bound::Latency);
        let many = |evidence: &mut Evidence| (evidence.files, evidence.pipelines) = (100_000, false);
        assert_eq!(with(many), Bound::Latency);
        assert_eq!(with(|evidence| evidence.files = 100_000), Bound::Server);
        // Near by a packet that was sent again costs nothing.
        let near = |evidence: &mut Evidence| {
            evidence.round_trip = Duration::from_micros(100);
            let connections = evidence.connections.as_mut().unwrap();
            connections.shortest_round_trip = Duration::from_micros(60);
            connections.disordered = 1000;
        };
        assert_eq!(with(near), Bound::Server);
        assert_eq!(with(|evidence| (evidence.bytes, evidence.files) = (0, 0)), Bound::Unknown);
        assert_eq!(decide(&Evidence::default()), Bound::Unknown);
        let soon = |evidence: &mut Evidence| evidence.elapsed = millis(100);
        assert_eq!(with(soon), Bound::Latency);
    }
}
