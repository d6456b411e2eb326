//! STOR, APPE and ESTO.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::TcpStream;
use std::sync::Arc;

use rustix::event::PollFlags;

use super::super::data::{Route, accepted};
use super::super::{AsFdDyn, TICK, wait_for};
use super::*;

/// Bytes of one read.
const PIECE: usize = 64 * 1024;
/// A file larger than this is refused: it is all in memory.
const LARGEST: usize = 1 << 30;

/// What has come of a file.
struct Arrived<'p> {
    path: &'p [u8],
    bytes: Vec<u8>,
    /// Where offset 0 of the connection belongs.
    base: usize,
    count: u64,
    rule: Option<(u64, Act)>,
}

impl Arrived<'_> {
    fn put(&mut self, at: usize, bytes: &[u8]) -> io::Result<()> {
        let end =
            at.checked_add(bytes.len()).filter(|&end| end <= LARGEST).ok_or(io::ErrorKind::FileTooLarge)?;
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[at..end].copy_from_slice(bytes);
        self.count += bytes.len() as u64;
        Ok(())
    }

    /// How many bytes may be read before something is to be done.
    fn room(&self) -> usize {
        let left = self.rule.as_ref().map_or(u64::MAX, |(after, _)| after.saturating_sub(self.count));
        usize::try_from(left).unwrap_or(PIECE).clamp(1, PIECE)
    }
}

impl Session<'_> {
    pub(super) fn receive(&mut self, verb: &str, wanted: &Wanted, rest: Option<&str>) -> io::Result<()> {
        if !self.begin(&wanted.path, false)? {
            return Ok(());
        }
        let old = match lock(&self.stage.files).get(&wanted.path) {
            Some(Node::File(bytes)) => bytes,
            _ => Vec::new(),
        };
        let offset =
            rest.filter(|rest| !rest.contains('-')).and_then(|rest| rest.parse().ok()).unwrap_or(0_u64);
        let offset = wanted.part.map_or(offset, |(offset, _)| offset);
        let base = if verb == "APPE" { old.len() } else { usize::try_from(offset).unwrap_or(LARGEST) };
        let keeps = verb != "STOR" || offset > 0 || rest.is_some_and(|rest| rest.contains('-'));
        let mut arrived = Arrived {
            path: &wanted.path,
            bytes: if keeps { old } else { Vec::new() },
            base,
            count: 0,
            rule: self.stage.rules.take_data(0, self.number, Some(&wanted.path)),
        };
        // REST counts from the beginning of the file in extended block mode too.
        if self.extended && wanted.part.is_none() && verb != "APPE" {
            arrived.base = 0;
        }
        let went =
            if self.extended { self.receive_blocks(&mut arrived) } else { self.receive_stream(&mut arrived) };
        // As on a disk: what came is there, whatever became of the rest.
        lock(&self.stage.files).put(&wanted.path, std::mem::take(&mut arrived.bytes));
        let went = match went {
            Ok(went) => went,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Err(error),
            Err(_) => Went::Broke,
        };
        self.finish(&wanted.path, went)
    }

    fn receive_stream(&mut self, arrived: &mut Arrived<'_>) -> io::Result<Went> {
        let mut piece = vec![0; PIECE];
        loop {
            if let Some(went) = self.due(arrived)? {
                return Ok(went);
            }
            let Some(channel) = self.channels.first().cloned() else { return Ok(Went::Broke) };
            let count = (&mut &*channel).read(&mut piece[..arrived.room()])?;
            if count == 0 {
                return self.received(arrived);
            }
            let at = arrived.base.saturating_add(usize::try_from(arrived.count).unwrap_or(LARGEST));
            arrived.put(at, &piece[..count])?;
        }
    }

    fn receive_blocks(&mut self, arrived: &mut Arrived<'_>) -> io::Result<Went> {
        // How many ends each listener was told of, and has seen: separate data nodes count for themselves.
        let listeners: &[_] = if let Route::Passive(listeners) = &self.route { listeners } else { &[] };
        let mut ends: BTreeMap<u16, (Option<u64>, u64)> =
            listeners.iter().filter_map(|it| Some((it.local_addr().ok()?.port(), (None, 0)))).collect();
        // Those of the channels that still send for this file.
        let mut sending: Vec<Arc<TcpStream>> = self.channels.clone();
        while ends.values().any(|&(expected, seen)| expected != Some(seen)) {
            if let Some(went) = self.due(arrived)? {
                return Ok(went);
            }
            let Some(channel) = self.next_ready(&mut sending)? else { continue };
            let mut head = [0; blocks::HEADER];
            if (&mut &*channel).read_exact(&mut head).is_err() {
                // A connection that was kept may have been closed since; in the middle of a file its bytes are missed.
                sending.retain(|it| !Arc::ptr_eq(it, &channel));
                self.channels.retain(|it| !Arc::ptr_eq(it, &channel));
                if self.channels.is_empty() && arrived.count > 0 {
                    return Ok(Went::Broke);
                }
                continue;
            }
            let (descriptor, mut count, mut offset) = blocks::read(&head);
            let node = ends.entry(channel.local_addr()?.port()).or_default();
            if descriptor & blocks::EOF != 0 {
                node.0 = Some(offset);
            }
            if descriptor & blocks::EOD != 0 {
                node.1 += 1;
            }
            let mut piece = vec![0; PIECE];
            while count > 0 {
                let limit = usize::try_from(count).unwrap_or(PIECE).min(arrived.room());
                let got = (&mut &*channel).read(&mut piece[..limit])?;
                if got == 0 {
                    return Ok(Went::Broke);
                }
                let at = usize::try_from(offset).unwrap_or(LARGEST).saturating_add(arrived.base);
                arrived.put(at, &piece[..got])?;
                count -= got as u64;
                offset += got as u64;
                if let Some(went) = self.due(arrived)? {
                    return Ok(went);
                }
            }
            if descriptor & blocks::EOD != 0 {
                sending.retain(|it| !Arc::ptr_eq(it, &channel));
            }
            if descriptor & blocks::CLOSE != 0 {
                self.channels.retain(|it| !Arc::ptr_eq(it, &channel));
            }
        }
        self.received(arrived)
    }

    /// A connection with something to read, new ones included; `None` if a moment went by without.
    fn next_ready(&mut self, sending: &mut Vec<Arc<TcpStream>>) -> io::Result<Option<Arc<TcpStream>>> {
        let mut things: Vec<(&dyn AsFdDyn, _)> = vec![(&*self.control, PollFlags::RDHUP)];
        let listeners: &[_] = if let Route::Passive(listeners) = &self.route { listeners } else { &[] };
        things.extend(listeners.iter().map(|listener| (listener as &dyn AsFdDyn, PollFlags::IN)));
        things.extend(sending.iter().map(|channel| (&**channel as &dyn AsFdDyn, PollFlags::IN)));
        let ready = wait_for(&things, TICK);
        if self.stage.is_over() || ready.contains(&0) {
            return Err(over());
        }
        let arrivals: Vec<_> =
            ready.iter().filter_map(|&index| accepted(listeners.get(index - 1)?)).collect();
        let first =
            ready.iter().find(|&&index| index > listeners.len()).map(|&index| index - 1 - listeners.len());
        let first = first.and_then(|index| sending.get(index).cloned());
        for stream in arrivals {
            self.keep_channel(stream);
            sending.extend(self.channels.last().cloned());
        }
        Ok(first)
    }

    /// What is to be done now.
    fn due(&mut self, arrived: &mut Arrived<'_>) -> io::Result<Option<Went>> {
        while let Some((_, act)) = arrived.rule.take_if(|(after, _)| *after == arrived.count) {
            match self.misdeed(&act)? {
                Some(Next::GoOn) => {}
                Some(Next::End | Next::Done) => {
                    self.close_channels();
                    return Ok(Some(Went::Well));
                }
                Some(Next::Say(bytes)) => return Ok(Some(Went::Said(bytes))),
                None => return Err(self.hold()),
            }
            arrived.rule = self.stage.rules.take_data(arrived.count + 1, self.number, Some(arrived.path));
        }
        Ok(None)
    }

    fn received(&mut self, arrived: &Arrived<'_>) -> io::Result<Went> {
        let Some(act) = self.stage.rules.take(Step::DataEnd, self.number, Some(arrived.path)) else {
            return Ok(Went::Well);
        };
        Ok(match self.misdeed(&act)? {
            Some(Next::Say(bytes)) => Went::Said(bytes),
            _ => Went::Well,
        })
    }
}
