//! Text in TYPE A: lines end with CR LF on the wire (RFC 959 §3.1.1.1), and with LF here.
//!
//! Each LF that is sent becomes CR LF, each CR LF that arrives becomes LF, and no other byte changes. So any bytes, also a
//! CR before an LF and one on its own, come back as they were from a server that does the same.

use bytes::{BufMut, Bytes, BytesMut};

/// Bytes that globus-gridftp-server takes from a stream at a time.
pub(crate) const GLOBUS_BLOCK_BYTES: u64 = 256 * 1024;

/// Makes what goes over the wire, piece by piece: every LF gets a CR before it.
#[derive(Debug, Clone, Default)]
pub(crate) struct ToWire {
    /// The server looks for CR LF in blocks of this size and not across their borders, where the CR would stay in its file.
    /// There the LF is sent alone, which such a server takes for the same.
    block_bytes: Option<u64>,
    /// Bytes of the wire so far.
    at: u64,
    /// LFs so far.
    lines: u64,
    /// The last byte was a CR of the text's own: it must not come to stand before a lone LF.
    after_cr: bool,
}

impl ToWire {
    pub(crate) fn new(block_bytes: Option<u64>) -> Self {
        Self { block_bytes, ..Self::default() }
    }

    /// Whether the server is known for keeping lines with LF, taken from blocks of a certain size.
    pub(crate) fn is_for_globus(&self) -> bool {
        self.block_bytes.is_some()
    }

    /// How many lines have ended so far.
    pub(crate) fn lines(&self) -> u64 {
        self.lines
    }

    /// The wire's form of the next piece.
    pub(crate) fn take(&mut self, text: &Bytes) -> Bytes {
        let ends = text.iter().filter(|&&byte| byte == b'\n').count();
        let mut out = BytesMut::with_capacity(text.len() + ends);
        for line in text.split_inclusive(|&byte| byte == b'\n') {
            let (line, ended) = line.strip_suffix(b"\n").map_or((line, false), |line| (line, true));
            self.put(&mut out, line);
            self.after_cr = line.last().map_or(self.after_cr, |&byte| byte == b'\r');
            if ended {
                self.lines += 1;
                let splits = |block| (self.at + 1).is_multiple_of(block);
                if self.after_cr || !self.block_bytes.is_some_and(splits) {
                    self.put(&mut out, b"\r");
                }
                self.put(&mut out, b"\n");
                self.after_cr = false;
            }
        }
        out.freeze()
    }

    fn put(&mut self, out: &mut BytesMut, bytes: &[u8]) {
        out.put_slice(bytes);
        self.at = self.at.saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
    }
}

/// Turns what arrives back, block by block.
#[derive(Debug, Default)]
pub(crate) struct FromWire {
    /// The last block ended with a CR: the next byte decides what becomes of it.
    carry: bool,
}

impl FromWire {
    /// The text of a block. It may be empty, or a byte longer than the block.
    pub(crate) fn take(&mut self, block: &Bytes) -> Bytes {
        if block.is_empty() || (!self.carry && !block.contains(&b'\r')) {
            return block.clone();
        }
        let mut out = BytesMut::with_capacity(block.len() + 1);
        for &byte in block {
            if std::mem::take(&mut self.carry) && byte != b'\n' {
                out.put_u8(b'\r');
            }
            if byte == b'\r' {
                self.carry = true;
            } else {
                out.put_u8(byte);
            }
        }
        out.freeze()
    }

    /// What was held back, at the end of the data.
    pub(crate) fn end(&mut self) -> Option<Bytes> {
        std::mem::take(&mut self.carry).then_some(Bytes::from_static(b"\r"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn to_wire(text: &[u8]) -> Bytes {
        ToWire::new(None).take(&Bytes::copy_from_slice(text))
    }

    fn back(blocks: &[&[u8]]) -> Vec<u8> {
        let mut from = FromWire::default();
        let mut out: Vec<u8> =
            blocks.iter().flat_map(|block| from.take(&Bytes::copy_from_slice(block))).collect();
        out.extend(from.end().iter().flatten());
        assert_eq!(from.end(), None);
        out
    }

    #[test]
    fn line_ends_change_and_nothing_else() {
        for (here, wire) in [
            ("", ""),
            ("a", "a"),
            ("a\nb\n", "a\r\nb\r\n"),
            ("\n\n", "\r\n\r\n"),
            ("a\r\nb", "a\r\r\nb"),
            ("a\rb\r", "a\rb\r"),
            ("\r\r\n\r", "\r\r\r\n\r"),
        ] {
            assert_eq!(to_wire(here.as_bytes()), wire, "{here:?}");
            assert_eq!(back(&[wire.as_bytes()]), here.as_bytes(), "{wire:?}");
        }
        // A server that sends lines without CR is taken as it is.
        assert_eq!(back(&[b"a\nb\n"]), b"a\nb\n");
        assert_eq!(back(&[b"a\r", b"\nb\r", b"\r\n", b"", b"c\r", b"d"]), b"a\nb\r\nc\rd");
    }

    /// What globus-gridftp-server makes of it.
    fn block_by_block(wire: &[u8], block: usize) -> Vec<u8> {
        wire.chunks(block).flat_map(|block| back(&[block])).collect()
    }

    #[test]
    fn lines_that_end_on_a_border_are_sent_without_cr() {
        let mut to = ToWire::new(Some(4));
        let wire: Vec<u8> = [&b"abc"[..], b"\nd", b"e\n\r", b"\n"]
            .iter()
            .flat_map(|text| to.take(&Bytes::from_static(text)))
            .collect();
        assert_eq!(wire, b"abc\nde\r\n\r\r\n");
        assert_eq!(to.lines(), 3);
    }

    proptest! {
        #[test]
        fn a_server_that_looks_at_blocks_gets_the_text_too(
            text in prop::collection::vec(prop::sample::select(&b"\nab"[..]), 0..200),
            block in 2_usize..20,
            cut in 1_usize..30,
        ) {
            let mut to = ToWire::new(Some(block as u64));
            let wire: Vec<u8> = text.chunks(cut).flat_map(|piece| to.take(&Bytes::copy_from_slice(piece))).collect();
            prop_assert_eq!(block_by_block(&wire, block), &text[..]);
            prop_assert_eq!(back(&[&wire]), text);
        }

        #[test]
        fn any_bytes_come_back_however_they_are_cut(
            text in prop::collection::vec(prop::sample::select(&b"\r\nab"[..]), 0..200),
            cuts in prop::collection::vec(0_usize..400, 0..20),
        ) {
            let wire = to_wire(&text);
            prop_assert!(!wire.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r') && !wire.starts_with(b"\n"));
            let mut cuts: Vec<_> = cuts.into_iter().map(|at| at.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let blocks: Vec<_> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
            prop_assert_eq!(back(&blocks), text);
        }
    }
}
