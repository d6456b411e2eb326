//! Blocks of extended block mode (GFD.20 §3.4), to be sent as they should be and otherwise.

/// End of file: the offset says how many connections will tell the end of their data.
pub const EOF: u8 = 64;
/// End of data: the last block of this connection, for this file.
pub const EOD: u8 = 8;
/// The sender closes the connection behind this block.
pub const CLOSE: u8 = 4;

/// Bytes of a header.
pub(super) const HEADER: usize = 17;

/// A header that says this, whatever follows.
pub fn header(descriptor: u8, count: u64, offset: u64) -> Vec<u8> {
    let mut bytes = vec![descriptor];
    bytes.extend(count.to_be_bytes());
    bytes.extend(offset.to_be_bytes());
    bytes
}

/// A block of data.
pub fn block(offset: u64, data: &[u8]) -> Vec<u8> {
    let mut bytes = header(0, data.len() as u64, offset);
    bytes.extend_from_slice(data);
    bytes
}

/// The end of a file that came over `connections`, and of the data of this one.
pub fn eof(connections: u64) -> Vec<u8> {
    header(EOF | EOD, 0, connections)
}

/// The end of the data of this connection.
pub fn eod() -> Vec<u8> {
    header(EOD, 0, 0)
}

/// A header as it came: descriptor, count, offset.
pub(super) fn read(bytes: &[u8; HEADER]) -> (u8, u64, u64) {
    let number =
        |range: std::ops::Range<usize>| bytes[range].iter().fold(0, |sum, &b| (sum << 8) | u64::from(b));
    (bytes[0], number(1..9), number(9..17))
}
