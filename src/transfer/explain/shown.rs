//! In words.

use std::fmt;
use std::time::Duration;

use super::decide::{cores_used, ratio};
use super::{Bound, Choice, Connections, Explanation, Why};
use crate::error::Escaped;

impl Bound {
    /// What it is, in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "nothing that could be seen",
            Self::RateLimit => "the limit that was asked for",
            Self::Latency => "round trips",
            Self::Disk => "the disk of this machine",
            Self::ClientCpu => "the processor of this machine",
            Self::Loss => "packets lost on the way",
            Self::Link => "the link",
            Self::Server => "the server",
        }
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Why {
    /// The reason, in a few words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Asked => "as asked for",
            Self::Begin => "where every transfer of this kind begins",
            Self::TryMore => "to see whether more is faster",
            Self::TryFewer => "to see whether fewer are as fast",
            Self::Back => "what was tried was not better",
            Self::Share => "several sessions on one file",
            Self::Busy => "a server said that it has too much to do",
            Self::Slowed => "connections became much slower than they were: more of them share the losses",
            Self::Unreached => "the server cannot connect to this client",
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for Choice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        write!(f, "after {}: {} session{}", Short(self.after), self.sessions, plural(self.sessions))?;
        if self.streams > 1 {
            write!(f, ", {} connections each", self.streams)?;
        }
        write!(f, " ({})", self.why)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let evidence = &self.evidence;
        write!(f, "bounded by {}: ", self.bound)?;
        self.reason(f)?;
        write!(
            f,
            "\n  time: {}, {} of it before the first byte; ",
            Short(evidence.elapsed),
            Short(evidence.before_first_byte)
        )?;
        let waits = [
            (evidence.waited_for_network, "the network and servers"),
            (evidence.waited_for_disk, "the disk"),
            (evidence.waited_for_limit, "the limit"),
        ];
        let all: Duration = waits.iter().map(|(time, _)| *time).sum();
        if all.is_zero() {
            f.write_str("nobody waited for anything")?;
        } else {
            f.write_str("of what was waited")?;
            for (at, (time, what)) in waits.iter().filter(|(time, _)| !time.is_zero()).enumerate() {
                let part = time.as_secs_f64() / all.as_secs_f64();
                write!(f, "{} {} for {what}", if at > 0 { "," } else { "" }, Percent(part))?;
            }
        }
        write!(f, "\n  processor: {:.2} of {} cores", cores_used(evidence), evidence.cores)?;
        if let Some((name, part)) = &evidence.busiest_thread {
            write!(
                f,
                "; the busiest thread, {}, worked {} of the time",
                Escaped(name.as_bytes()),
                Percent(*part)
            )?;
        }
        if let Some(connections) = &evidence.connections {
            write!(f, "\n  {connections}")?;
        }
        if evidence.busy_replies > 0 {
            write!(f, "\n  busy: servers said so {} times", evidence.busy_replies)?;
        }
        match self.window_bytes {
            Some(bytes) => write!(f, "\n  window: {bytes} bytes, as asked for")?,
            None => f.write_str("\n  window: the kernel's choice, which grows with what comes")?,
        }
        for choice in &self.choices {
            write!(f, "\n  {choice}")?;
        }
        Ok(())
    }
}

impl Explanation {
    fn reason(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let evidence = &self.evidence;
        let unseen = Connections::default();
        let connections = evidence.connections.as_ref().unwrap_or(&unseen);
        match self.bound {
            Bound::Unknown => f.write_str("it was over too soon to tell"),
            Bound::RateLimit => f.write_str("most of the time was waited for it"),
            Bound::Latency if !evidence.pipelines => write!(
                f,
                "the server takes small files one by one, and each costs round trips of {}",
                Short(evidence.round_trip)
            ),
            Bound::Latency => write!(
                f,
                "logins and questions took {} of {}, at {} each",
                Short(evidence.before_first_byte),
                Short(evidence.elapsed),
                Short(evidence.round_trip)
            ),
            Bound::Disk => {
                f.write_str("whoever moved data waited for files of this machine most of the time")
            }
            Bound::ClientCpu => f.write_str("a thread, or all cores, had no time left"),
            Bound::Loss => write!(
                f,
                "{} of {} packets were lost or out of order, and each loss slows a connection down",
                connections.disordered, connections.packets
            ),
            Bound::Link => write!(
                f,
                "packets took {} there and back with data under way, {} without: they wait in a queue",
                Short(connections.loaded_round_trip),
                Short(connections.shortest_round_trip)
            ),
            Bound::Server if connections.peer_full >= 0.5 => write!(
                f,
                "its window was full {} of the time in which there was something to be sent",
                Percent(connections.peer_full)
            ),
            Bound::Server if evidence.connections.is_none() => f.write_str(
                "this machine waited for it, and had time left; the connections could not be looked at",
            ),
            Bound::Server => f.write_str(
                "this machine waited for it, and had time left; no queue and no losses were seen on the way",
            ),
        }
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connections: {}, {} at once", self.count, self.most)?;
        if !self.shortest_round_trip.is_zero() {
            write!(f, "; round trip {}", Short(self.shortest_round_trip))?;
        }
        if !self.loaded_round_trip.is_zero() {
            write!(f, ", {} with data under way", Short(self.loaded_round_trip))?;
        }
        let part = Percent(ratio(self.disordered, self.packets));
        write!(f, "; {} of {} packets lost or out of order ({part})", self.disordered, self.packets)?;
        if self.buffer_full > 0.0 {
            write!(f, "; our own buffer was full {} of the time", Percent(self.buffer_full))?;
        }
        Ok(())
    }
}

/// A time with as many digits as mean something.
struct Short(Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs_f64();
        match self.0.as_millis() {
            0 => write!(f, "{:.2} ms", seconds * 1e3),
            1..10 => write!(f, "{:.1} ms", seconds * 1e3),
            10..1000 => write!(f, "{:.0} ms", seconds * 1e3),
            _ => write!(f, "{seconds:.1} s"),
        }
    }
}

struct Percent(f64);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent = self.0 * 100.0;
        if percent > 0.0 && percent < 1.0 { write!(f, "{percent:.2} %") } else { write!(f, "{percent:.0} %") }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Evidence;
    use super::*;

    #[test]
    fn it_can_be_read() {
        let explanation = Explanation {
            bound: Bound::Loss,
            evidence: Evidence {
                elapsed: Duration::from_millis(8260),
                before_first_byte: Duration::from_micros(412_300),
                waited_for_network: Duration::from_secs(15),
                waited_for_disk: Duration::from_secs(1),
                cpu: Duration::from_secs(1),
                cores: 2,
                busiest_thread: Some(("a\nb".to_owned(), 0.125)),
                connections: Some(Connections {
                    count: 112,
                    most: 96,
                    shortest_round_trip: Duration::from_micros(50_400),
                    loaded_round_trip: Duration::from_micros(51_000),
                    packets: 380_000,
                    disordered: 3_800,
                    ..Connections::default()
                }),
                ..Evidence::default()
            },
            window_bytes: None,
            choices: vec![
                Choice { after: Duration::from_millis(400), sessions: 1, streams: 16, why: Why::Begin },
                Choice { after: Duration::from_millis(1900), sessions: 2, streams: 96, why: Why::Slowed },
            ],
        };
        let said = explanation.to_string();
        assert_eq!(
            said,
            "bounded by packets lost on the way: 3800 of 380000 packets were lost or out of order, and each loss slows a \
             connection down\n  \
             time: 8.3 s, 412 ms of it before the first byte; of what was waited 94 % for the network and servers, 6 % for \
             the disk\n  \
             processor: 0.12 of 2 cores; the busiest thread, a\\nb, worked 12 % of the time\n  \
             connections: 112, 96 at once; round trip 50 ms, 51 ms with data under way; 3800 of 380000 packets lost or out of \
             order (1 %)\n  \
             window: the kernel's choice, which grows with what comes\n  \
             after 400 ms: 1 session, 16 connections each (where every transfer of this kind begins)\n  \
             after 1.9 s: 2 sessions, 96 connections each (connections became much slower than they were: more of them share \
             the losses)"
        );
    }
}
