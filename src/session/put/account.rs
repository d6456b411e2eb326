//! What of a put is in the file for certain.

use std::collections::HashMap;

use crate::error::Reply;
use crate::protocol::markers;
use crate::types::{Marker, RangeSet, RestartMarker};

/// Stretches of bytes of which the server's word is remembered: more are not counted, which does no harm.
const MAX_STRETCHES: usize = 65_536;

/// Stripes of which the server's count is remembered.
const MAX_STRIPES: usize = 4096;

/// How the caller's count of bytes lies in the file.
#[derive(Debug, Clone, Default)]
pub(super) struct Layout {
    /// The file's byte for the caller's byte 0. None where only the server knows.
    pub(super) shift: Option<u64>,
    /// The file's size before, where it was asked for and told; 0 for one that is replaced.
    pub(super) before: Option<u64>,
    /// What the file held before stays, and may reach further than what is sent.
    pub(super) keeps_rest: bool,
    /// Lines change on their way, so that places in the file are not known.
    pub(super) text: bool,
    /// What was in the file before and is right, in the file's count.
    pub(super) kept: RangeSet,
    /// The caller's byte that comes first, and the end of what is there by then.
    pub(super) position: u64,
    pub(super) end: u64,
}

impl Layout {
    /// The size that the file has when the caller's last byte ends there, if that can be known.
    pub(super) fn size_after(&self, end: u64) -> Option<u64> {
        let shift = self.shift?;
        if self.keeps_rest && end == 0 {
            // Where nothing is written nothing grows, wherever that would have been.
            return self.before;
        }
        let end = shift.checked_add(end)?;
        if self.keeps_rest { Some(end.max(self.before?)) } else { Some(end) }
    }
}

/// The account of one put.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) extended_block: bool,
    pub(super) layout: Layout,
    /// What the server told of (111), in the count of the data channel, which is the caller's.
    confirmed: RangeSet,
    /// What the server counted (112), by stripes.
    counted: HashMap<u32, u64>,
    /// How often it told of more than before, or of all.
    news: u64,
    /// Where the next byte of a stream goes, in the caller's count.
    pub(super) position: u64,
    /// Bytes handed over.
    pub(super) sent: u64,
    /// There are more to come, of which nobody has said how many.
    pub(super) to_come: bool,
    /// The end of the last byte, in the caller's count.
    pub(super) end: u64,
}

impl Account {
    pub(super) fn new(layout: Layout, extended_block: bool) -> Self {
        let (position, end) = (layout.position, layout.end);
        Self {
            extended_block,
            layout,
            confirmed: RangeSet::new(),
            counted: HashMap::new(),
            news: 0,
            position,
            sent: 0,
            to_come: false,
            end,
        }
    }

    /// Notes bytes that were handed over.
    pub(super) fn sent(&mut self, offset: u64, bytes: u64) {
        self.sent = self.sent.saturating_add(bytes);
        self.position = offset.saturating_add(bytes);
        self.end = self.end.max(self.position);
    }

    /// Notes how many bytes were handed over in all, of one stretch from the first one on.
    pub(super) fn sent_in_all(&mut self, bytes: u64) {
        self.sent = bytes;
        self.position = self.layout.position.saturating_add(bytes);
        self.end = self.layout.end.max(self.position);
    }

    /// Notes what the server says it has.
    pub(super) fn hear(&mut self, reply: &Reply) {
        let before = self.there();
        match markers::parse(reply) {
            Some(Marker::Range(ranges)) if self.confirmed.len() + ranges.len() <= MAX_STRETCHES => {
                self.confirmed.extend(ranges.iter());
            }
            Some(Marker::Performance(marker))
                if self.counted.len() < MAX_STRIPES || self.counted.contains_key(&marker.stripe) =>
            {
                let counted = self.counted.entry(marker.stripe).or_default();
                *counted = marker.bytes.max(*counted);
            }
            _ => {}
        }
        let there = self.there();
        // With all of it there, whatever the server says is that it is at work on the rest: on a tape, or on a checksum.
        let all = !self.to_come && there.0.max(there.1) >= self.sent;
        self.news += u64::from(there != before || all);
    }

    /// Bytes that the server told of, by its two ways.
    fn there(&self) -> (u64, u64) {
        let counted = self.counted.values().copied().fold(0, u64::saturating_add);
        (self.confirmed.total_bytes(), counted)
    }

    /// Changes with each sign of the server's that it has more, or has all of it in hand.
    pub(super) fn news(&self) -> u64 {
        self.news
    }

    /// What is in the file for certain, while data moves.
    pub(super) fn marker(&self) -> RestartMarker {
        let mut there = self.layout.kept.clone();
        if let (Some(shift), true) = (self.layout.shift, self.extended_block) {
            let place = |at: u64| at.saturating_add(shift);
            there.extend(self.confirmed.iter().map(|range| place(range.start)..place(range.end)));
        }
        self.as_marker(there)
    }

    /// What is in the file for certain, when no more is written and the server tells this size.
    pub(super) fn marker_at_rest(&self, size: Option<u64>) -> RestartMarker {
        let Layout { shift: Some(shift), before: Some(before), kept, position, .. } = &self.layout else {
            return self.marker();
        };
        let known = !self.extended_block && !self.layout.text;
        let Some(size) = size.filter(|_| known) else { return self.marker() };
        let start = shift.saturating_add(*position);
        let mut there = kept.clone();
        // A stream is written in order; but only growth tells how far it came.
        if size > start.max(*before) {
            there.insert(start..size.min(start.saturating_add(self.sent)));
        }
        self.as_marker(there)
    }

    fn as_marker(&self, there: RangeSet) -> RestartMarker {
        let offset = there.contiguous_from(0);
        if self.extended_block || offset != there.total_bytes() {
            RestartMarker::Extended(there)
        } else {
            RestartMarker::Stream { offset }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn told(line: &'static str) -> Reply {
        Reply::new(111, vec![Bytes::from_static(line.as_bytes())])
    }

    #[test]
    fn a_stream_is_there_as_far_as_the_file_grew() {
        let account = |shift, before, position, sent| {
            let kept = std::iter::once(0..position).collect();
            let layout =
                Layout { shift: Some(shift), before: Some(before), kept, position, ..Layout::default() };
            let mut account = Account::new(layout, false);
            account.sent(position, sent);
            account
        };
        for (account, size, marker) in [
            (account(0, 0, 0, 100), Some(70), "70"),
            (account(0, 0, 0, 100), Some(0), "0"),
            (account(0, 0, 0, 100), None, "0"),
            // More than was sent is not ours.
            (account(0, 0, 0, 100), Some(170), "100"),
            (account(0, 50, 50, 100), Some(70), "70"),
            // The file was longer before: nothing is known of what came.
            (account(0, 90, 50, 100), Some(90), "50"),
            (account(0, 90, 50, 100), Some(95), "95"),
            // Into the middle.
            (account(30, 20, 0, 100), Some(40), "30-40"),
            (account(30, 60, 0, 100), Some(60), "0"),
        ] {
            assert_eq!(account.marker_at_rest(size).to_string(), marker, "{account:?} {size:?}");
        }
    }

    #[test]
    fn blocks_are_there_when_the_server_says_so() {
        let layout = Layout { shift: Some(5), kept: std::iter::once(0..5).collect(), ..Layout::default() };
        let mut account = Account::new(layout, true);
        account.sent(0, 1000);
        assert_eq!(account.marker_at_rest(Some(1000)).to_string(), "0-5");
        account.hear(&told("Range Marker 0-10,20-30"));
        account.hear(&told("Range Marker 10-15"));
        account.hear(&told("nonsense"));
        account.hear(&Reply::new(112, vec![Bytes::from_static(b"Range Marker 100-200")]));
        assert_eq!(account.marker().to_string(), "0-20,25-35");
        assert_eq!(account.marker_at_rest(Some(1000)).to_string(), "0-20,25-35");
    }

    #[test]
    fn sizes_afterwards() {
        let layout = |shift, before, keeps_rest| Layout { shift, before, keeps_rest, ..Layout::default() };
        assert_eq!(layout(Some(0), Some(0), false).size_after(10), Some(10));
        assert_eq!(layout(None, Some(0), false).size_after(10), None);
        assert_eq!(layout(Some(7), Some(7), true).size_after(10), Some(17));
        assert_eq!(layout(Some(0), Some(50), true).size_after(10), Some(50));
        assert_eq!(layout(Some(0), None, true).size_after(10), None);
        assert_eq!(layout(Some(80), Some(50), true).size_after(0), Some(50));
        assert_eq!(layout(Some(u64::MAX), Some(0), false).size_after(1), None);
    }
}
