//! RETR, ERET and listings.

use std::time::Duration;

use super::super::data::Route;
use super::*;

/// Bytes of one block, and of one write in stream mode.
const PIECE: usize = 64 * 1024;

/// A stretch of the contents: from, to, and the offset that its first byte is given in extended block mode.
pub(super) type Stretch = (usize, usize, u64);

/// Which bytes a command and the REST before it ask for.
pub(super) fn ranges(bytes: &[u8], wanted: &Wanted, rest: Option<&str>, extended: bool) -> Vec<Stretch> {
    let size = bytes.len();
    let place = |at: u64| usize::try_from(at).unwrap_or(size).min(size);
    if let Some((offset, length)) = wanted.part {
        return vec![(place(offset), place(offset.saturating_add(length)), 0)];
    }
    let rest = rest.unwrap_or("0");
    if !extended || !rest.contains('-') {
        let from = place(rest.parse().unwrap_or(0));
        return vec![(from, size, from as u64)];
    }
    // What is named is there already.
    let mut there: Vec<(u64, u64)> = rest
        .split(',')
        .filter_map(|range| range.split_once('-'))
        .filter_map(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)))
        .collect();
    there.sort_unstable();
    let mut stretches = Vec::new();
    let mut at = 0;
    for (from, to) in there {
        if from > at {
            stretches.push((place(at), place(from), at));
        }
        at = at.max(to);
    }
    stretches.push((place(at), size, at));
    stretches
}

impl Session<'_> {
    pub(super) fn send(&mut self, path: &[u8], bytes: &[u8], stretches: &[Stretch]) -> io::Result<()> {
        if !self.begin(path, true)? {
            return Ok(());
        }
        let went = match self.send_all(path, bytes, stretches) {
            Ok(went) => went,
            Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => return Err(error),
            Err(_) => Went::Broke,
        };
        self.finish(path, went)
    }

    fn send_all(&mut self, path: &[u8], bytes: &[u8], stretches: &[Stretch]) -> io::Result<Went> {
        if self.channels.is_empty() {
            // Closed at once, and nobody says so.
            return Ok(Went::Unended);
        }
        let mut sent = 0_u64;
        let mut turn = 0;
        let mut rule = self.stage.rules.take_data(0, self.number, Some(path));
        for &(from, to, offset) in stretches {
            let mut at = from;
            loop {
                while let Some((_, act)) = rule.take_if(|(after, _)| *after == sent) {
                    let place = offset + (at - from) as u64;
                    match self.lie(act, &bytes[at..], place)? {
                        Next::GoOn => {}
                        Next::End => return self.end(path),
                        Next::Done => return Ok(Went::Unended),
                        Next::Say(bytes) => return Ok(Went::Said(bytes)),
                    }
                    rule = self.stage.rules.take_data(sent + 1, self.number, Some(path));
                }
                if at >= to {
                    break;
                }
                let limit = rule.as_ref().map_or(u64::MAX, |(after, _)| after - sent);
                let count = PIECE.min(to - at).min(usize::try_from(limit).unwrap_or(usize::MAX));
                let place = offset + (at - from) as u64;
                self.piece(&bytes[at..at + count], place, &mut turn)?;
                at += count;
                sent += count as u64;
            }
        }
        self.end(path)
    }

    fn piece(&self, bytes: &[u8], place: u64, turn: &mut usize) -> io::Result<()> {
        let count = self.channels.len().max(1);
        let channel = self.channels.get(*turn % count).ok_or(io::ErrorKind::NotConnected)?;
        *turn += 1;
        if self.extended {
            put(channel, &header(0, bytes.len() as u64, place))?;
        }
        put(channel, bytes)
    }

    /// Tells that this was all.
    fn end(&mut self, path: &[u8]) -> io::Result<Went> {
        if let Some(act) = self.stage.rules.take(Step::DataEnd, self.number, Some(path)) {
            match self.lie(act, b"", 0)? {
                Next::GoOn | Next::End => {}
                Next::Done => return Ok(Went::Unended),
                Next::Say(bytes) => return Ok(Went::Said(bytes)),
            }
        }
        if self.extended {
            // Each address that was named is told the end for itself, as separate data nodes do.
            let nodes = if let Route::Active(addresses) = &self.route { addresses.len() } else { 1 };
            let count = (self.channels.len() / nodes.max(1)) as u64;
            for (index, channel) in self.channels.iter().enumerate() {
                put(channel, &if index < nodes { blocks::eof(count) } else { blocks::eod() })?;
            }
        } else {
            // Whatever the client might have sent there is read, lest the end become a reset.
            self.close_channels();
        }
        Ok(Went::Well)
    }

    /// A misdeed in the data that is sent. `left` is what should follow, `place` where it belongs.
    fn lie(&mut self, act: Act, left: &[u8], place: u64) -> io::Result<Next> {
        if let Some(next) = self.misdeed(&act)? {
            return Ok(next);
        }
        match act {
            Act::Half => {
                if self.extended {
                    self.raw(0, &header(0, 1000, place)[..8])?;
                }
                Err(self.hold())
            }
            Act::Noise => {
                self.raw(0, &noise(1024))?;
                Ok(Next::GoOn)
            }
            Act::Insert(bytes) => {
                self.raw(0, &bytes)?;
                Ok(Next::GoOn)
            }
            Act::Wire(bytes) => {
                self.raw(0, &bytes)?;
                Ok(Next::Done)
            }
            Act::WireThenClose(bytes) => {
                self.raw(0, &bytes)?;
                self.close_channels();
                Ok(Next::Done)
            }
            Act::Wires(wires) => {
                self.more_channels(wires.len())?;
                for (index, bytes) in wires.iter().enumerate() {
                    self.raw(index, bytes)?;
                }
                Ok(Next::Done)
            }
            Act::Endless | Act::EndlessLines => self.flood(left, place),
            Act::Drip(time) => self.drip(left, place, time),
            _ => Ok(Next::GoOn),
        }
    }

    fn raw(&self, channel: usize, bytes: &[u8]) -> io::Result<()> {
        put(self.channels.get(channel).ok_or(io::ErrorKind::NotConnected)?, bytes)
    }

    /// The contents again and again, until the client has enough.
    fn flood(&self, left: &[u8], mut place: u64) -> io::Result<Next> {
        let bytes = if left.is_empty() { &[b'x'; PIECE] } else { left };
        loop {
            for piece in bytes.chunks(PIECE) {
                let framed = if self.extended { block(place, piece) } else { piece.to_vec() };
                self.raw(0, &framed)?;
                place += piece.len() as u64;
            }
        }
    }

    fn drip(&self, left: &[u8], place: u64, time: Duration) -> io::Result<Next> {
        for (at, byte) in left.iter().enumerate() {
            let framed = if self.extended { block(place + at as u64, &[*byte]) } else { vec![*byte] };
            self.raw(0, &framed)?;
            self.stage.pause(time)?;
        }
        Ok(Next::End)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_what_is_sent() {
        let whole = Wanted { path: Vec::new(), part: None };
        let part = Wanted { path: Vec::new(), part: Some((4, 3)) };
        let bytes = [0; 10];
        assert_eq!(ranges(&bytes, &whole, None, false), [(0, 10, 0)]);
        assert_eq!(ranges(&bytes, &whole, Some("4"), false), [(4, 10, 4)]);
        assert_eq!(ranges(&bytes, &whole, Some("40"), false), [(10, 10, 10)]);
        assert_eq!(ranges(&bytes, &part, None, true), [(4, 7, 0)]);
        assert_eq!(ranges(&bytes, &whole, Some("0-2,5-7"), true), [(2, 5, 2), (7, 10, 7)]);
    }
}
