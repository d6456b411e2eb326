//! Text in TYPE A: lines end with CR LF on the wire (RFC 959 §3.1.1.1), and with LF here.
//!
//! Each LF that is sent becomes CR LF, each CR LF that arrives becomes LF, and no other byte changes. So any bytes, also a
//! CR before an LF and one on its own, come back as they were from a server that does the same, as globus-gridftp-server
//! does.

use bytes::{BufMut, Bytes, BytesMut};

/// What goes over the wire for these bytes: every LF gets a CR before it.
pub(crate) fn to_wire(text: &Bytes) -> Bytes {
    let ends = text.iter().filter(|&&byte| byte == b'\n').count();
    if ends == 0 {
        return text.clone();
    }
    let mut out = BytesMut::with_capacity(text.len() + ends);
    for line in text.split_inclusive(|&byte| byte == b'\n') {
        match line.strip_suffix(b"\n") {
            Some(line) => {
                out.put_slice(line);
                out.put_slice(b"\r\n");
            }
            None => out.put_slice(line),
        }
    }
    out.freeze()
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
            assert_eq!(to_wire(&Bytes::copy_from_slice(here.as_bytes())), wire, "{here:?}");
            assert_eq!(back(&[wire.as_bytes()]), here.as_bytes(), "{wire:?}");
        }
        // A server that sends lines without CR is taken as it is.
        assert_eq!(back(&[b"a\nb\n"]), b"a\nb\n");
        assert_eq!(back(&[b"a\r", b"\nb\r", b"\r\n", b"", b"c\r", b"d"]), b"a\nb\r\nc\rd");
    }

    proptest! {
        #[test]
        fn any_bytes_come_back_however_they_are_cut(
            text in prop::collection::vec(prop::sample::select(&b"\r\nab"[..]), 0..200),
            cuts in prop::collection::vec(0_usize..400, 0..20),
        ) {
            let wire = to_wire(&Bytes::from(text.clone()));
            prop_assert!(!wire.windows(2).any(|pair| pair[1] == b'\n' && pair[0] != b'\r') && !wire.starts_with(b"\n"));
            let mut cuts: Vec<_> = cuts.into_iter().map(|at| at.min(wire.len())).collect();
            cuts.extend([0, wire.len()]);
            cuts.sort_unstable();
            let blocks: Vec<_> = cuts.windows(2).map(|pair| &wire[pair[0]..pair[1]]).collect();
            prop_assert_eq!(back(&blocks), text);
        }
    }
}
