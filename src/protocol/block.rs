//! Headers of extended block mode (GFD.20, MODE E): 17 bytes before each block.

/// Bytes of a header.
pub(crate) const HEADER_BYTES: usize = 17;

const CLOSE: u8 = 0x04;
const EOD: u8 = 0x08;
const RESTART: u8 = 0x10;
const ERRORS: u8 = 0x20;
const EOF: u8 = 0x40;

/// One behind the last byte that any file can have.
const MAX: u64 = i64::MAX.unsigned_abs();

/// More connections than any sender has.
const MAX_ENDS: u64 = 65_536;

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    /// Bytes that follow, and where they stand; `offset + count` is at most 2^63 - 1.
    pub(crate) count: u64,
    pub(crate) offset: u64,
    /// How many ends of data there are in all (EOF); never 0.
    pub(crate) ends: Option<u64>,
    /// Nothing of this file comes behind the block on this connection (EOD).
    pub(crate) end_of_data: bool,
    /// The sender closes this connection behind the block (CLOSE).
    pub(crate) close: bool,
}

impl Header {
    /// The header of a block of so many bytes, which stand there.
    pub(crate) fn block(count: u64, offset: u64) -> [u8; HEADER_BYTES] {
        written(0, count, offset)
    }

    /// The header that ends a connection's part of a file, and says on one of them how many such ends there are.
    pub(crate) fn end(ends: Option<u64>) -> [u8; HEADER_BYTES] {
        ends.map_or_else(|| written(EOD, 0, 0), |ends| written(EOD | EOF, 0, ends))
    }

    /// Reads a header.
    ///
    /// The bits of record ends (128) and those without a meaning (1, 2) change nothing about the bytes, and are passed over as
    /// the Globus libraries do. A restart marker (16) is no part of a file, and of a block with suspected errors (32) the
    /// sender itself says that it may be wrong: both are refused. With EOF the offset is the number of ends, and no bytes
    /// follow, whatever the count says: Globus neither writes it nor looks at it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn parse(bytes: [u8; HEADER_BYTES]) -> Result<Self, String> {
        let [descriptor, numbers @ ..] = bytes;
        let (count, offset) = numbers.split_at(8);
        let number = |bytes: &[u8]| bytes.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        let (count, offset) = (number(count), number(offset));
        if descriptor & RESTART != 0 {
            return Err("a restart marker among the blocks of a file".to_owned());
        }
        if descriptor & ERRORS != 0 {
            return Err("a block that the server itself suspects to be wrong".to_owned());
        }
        let (end_of_data, close) = (descriptor & EOD != 0, descriptor & CLOSE != 0);
        if descriptor & EOF != 0 {
            return match offset {
                1..=MAX_ENDS => Ok(Self { count: 0, offset: 0, ends: Some(offset), end_of_data, close }),
                _ => Err(format!("an end of file after {offset} ends of data")),
            };
        }
        if offset.checked_add(count).is_none_or(|end| end > MAX) {
            return Err(format!("a block of {count} bytes at the impossible offset {offset}"));
        }
        Ok(Self { count, offset, ends: None, end_of_data, close })
    }
}

fn written(descriptor: u8, count: u64, offset: u64) -> [u8; HEADER_BYTES] {
    let mut bytes = [descriptor; HEADER_BYTES];
    let [_, numbers @ ..] = &mut bytes;
    let (first, second) = numbers.split_at_mut(8);
    first.copy_from_slice(&count.to_be_bytes());
    second.copy_from_slice(&offset.to_be_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    use super::written as header;

    #[test]
    fn what_is_written_can_be_read() {
        let block = Header::parse(Header::block(700, 1 << 40)).unwrap();
        let expected = Header { count: 700, offset: 1 << 40, ends: None, end_of_data: false, close: false };
        assert_eq!(block, expected);
        assert_eq!(Header::block(700, 1 << 40)[..9], [0, 0, 0, 0, 0, 0, 0, 2, 188]);
        let end = Header { count: 0, offset: 0, end_of_data: true, ..expected };
        assert_eq!(Header::parse(Header::end(None)).unwrap(), end);
        assert_eq!(Header::parse(Header::end(Some(48))).unwrap(), Header { ends: Some(48), ..end });
    }

    #[test]
    fn what_globus_sends() {
        let block = Header { count: 262_144, offset: 524_288, ends: None, end_of_data: false, close: false };
        assert_eq!(Header::parse(header(0, 262_144, 524_288)), Ok(block));
        let end = Header { count: 0, offset: 0, ends: Some(4), end_of_data: true, close: false };
        assert_eq!(Header::parse(header(0x48, 0, 4)), Ok(end));
        assert_eq!(Header::parse(header(0x48, 99, 4)), Ok(end), "the count of an EOF means nothing");
        let eod = Header { count: 0, offset: 0, ends: None, end_of_data: true, close: false };
        assert_eq!(Header::parse(header(0x08, 0, 0)), Ok(eod));
        assert_eq!(Header::parse(header(0x0c, 0, 0)), Ok(Header { close: true, ..eod }));
        assert_eq!(
            Header::parse(header(0x83, 262_144, 524_288)),
            Ok(block),
            "bits without a meaning for bytes"
        );
    }

    #[test]
    fn what_no_file_has() {
        for (descriptor, count, offset) in [
            (0x40, 0, 0),
            (0x48, 0, MAX_ENDS + 1),
            (0x40, 0, u64::MAX),
            (0x10, 5, 0),
            (0x20, 5, 0),
            (0, 1, MAX),
            (0, u64::MAX, u64::MAX),
            (0, 0, 1 << 63),
            (0x08, MAX, 1),
        ] {
            let refused = Header::parse(header(descriptor, count, offset));
            assert!(refused.is_err(), "{descriptor} {count} {offset}: {refused:?}");
        }
        assert!(Header::parse(header(0, MAX, 0)).is_ok());
    }

    proptest! {
        #[test]
        fn whatever_comes_a_block_ends_where_files_may(bytes in any::<[u8; HEADER_BYTES]>()) {
            if let Ok(header) = Header::parse(bytes) {
                prop_assert!(header.offset.checked_add(header.count).is_some_and(|end| end <= MAX));
                prop_assert!(header.ends.is_none_or(|ends| ends > 0 && header.count == 0));
            }
        }
    }
}
