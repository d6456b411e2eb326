//! Packets as a TUN device with offloads gives them: up to 64 KiB of TCP in one, behind a `virtio_net_hdr`.
//!
//! A link charges and loses segments, not what the kernel happened to hand over at once; so such a packet knows its segments
//! and can be cut between them.

/// Length of `struct virtio_net_hdr` as TUN devices have it.
pub(super) const HEADER: usize = 10;

/// The flag of `virtio_net_hdr` that is left of a packet which is one segment: the checksum is to be completed.
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const TCP: u32 = 6;
/// TCP flags: FIN and PSH belong to the last segment, CWR to the first.
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// What is known of a packet's segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Geometry {
    /// How many there are.
    pub(super) segments: usize,
    ip_header: usize,
    tcp_header: usize,
    /// Payload bytes of each but the last; 0 where it is one packet of any kind.
    each: usize,
    payload: usize,
}

impl Geometry {
    /// Reads a packet, its `virtio_net_hdr` included.
    pub(super) fn of(packet: &[u8]) -> Self {
        let ip = packet.get(HEADER..).unwrap_or_default();
        let whole = Self { segments: 1, ip_header: 0, tcp_header: 0, each: 0, payload: ip.len() };
        let (Some(kind), Some(size)) = (packet.get(1), packet.get(4..6)) else { return whole };
        let each = usize::from(u16::from_le_bytes([size[0], size[1]]));
        if kind & 0x7f != GSO_TCPV4 || each == 0 || ip.len() < 40 || ip[0] >> 4 != 4 {
            return whole;
        }
        let ip_header = usize::from(ip[0] & 15) * 4;
        let Some(offset) = ip.get(ip_header + 12) else { return whole };
        let tcp_header = usize::from(offset >> 4) * 4;
        let Some(payload) = ip.len().checked_sub(ip_header + tcp_header) else { return whole };
        Self { segments: payload.div_ceil(each).max(1), ip_header, tcp_header, each, payload }
    }

    /// Bytes on the wire of the first so many segments, headers included.
    pub(super) fn wire_bytes(&self, segments: usize) -> u64 {
        let bytes = if self.segments == 1 {
            self.ip_header + self.tcp_header + self.payload
        } else {
            segments * (self.ip_header + self.tcp_header) + (segments * self.each).min(self.payload)
        };
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }

    /// Segments `from..to` as a packet of its own.
    pub(super) fn cut(&self, packet: &[u8], from: usize, to: usize) -> Vec<u8> {
        if from == 0 && to >= self.segments {
            return packet.to_vec();
        }
        let (begin, end) = (from * self.each, (to * self.each).min(self.payload));
        let headers = HEADER + self.ip_header + self.tcp_header;
        let mut cut = Vec::with_capacity(headers + end - begin);
        cut.extend_from_slice(&packet[..headers]);
        cut.extend_from_slice(&packet[headers + begin..headers + end]);
        if end - begin <= self.each {
            cut[1] = GSO_NONE;
            cut[4..6].fill(0);
        }
        let (ip, tcp) = (HEADER, HEADER + self.ip_header);
        let tcp_length = self.tcp_header + end - begin;
        put16(&mut cut, ip + 2, low16(self.ip_header + tcp_length));
        let id = get16(&cut, ip + 4).wrapping_add(low16(from));
        put16(&mut cut, ip + 4, id);
        put16(&mut cut, ip + 10, 0);
        let sum = !sum16(&cut[ip..tcp], 0);
        put16(&mut cut, ip + 10, sum);
        let number = u32::from_be_bytes([cut[tcp + 4], cut[tcp + 5], cut[tcp + 6], cut[tcp + 7]]);
        let number = number.wrapping_add(u32::try_from(begin).unwrap_or(0));
        cut[tcp + 4..tcp + 8].copy_from_slice(&number.to_be_bytes());
        if to < self.segments {
            cut[tcp + 13] &= !FIN_PSH;
        }
        if from > 0 {
            cut[tcp + 13] &= !CWR;
        }
        // The checksum is to be completed (VIRTIO_NET_HDR_F_NEEDS_CSUM): what stands there is the sum of the pseudo-header.
        let pseudo = sum16(&cut[ip + 12..ip + 20], TCP + u32::from(low16(tcp_length)));
        put16(&mut cut, tcp + 16, pseudo);
        cut
    }
}

fn low16(number: usize) -> u16 {
    u16::try_from(number & 0xffff).unwrap_or(0)
}

fn get16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

fn put16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_be_bytes());
}

/// The sum of the internet checksum (RFC 1071), not complemented.
fn sum16(bytes: &[u8], start: u32) -> u16 {
    let mut sum = start;
    for pair in bytes.chunks(2) {
        sum += u32::from(pair[0]) << 8 | u32::from(pair.get(1).copied().unwrap_or(0));
    }
    while sum >> 16 != 0 {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    u16::try_from(sum).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet of TCP over IPv4 with segments of so many bytes.
    fn packet(each: u16, payload: usize) -> Vec<u8> {
        let mut packet = vec![0; HEADER + 40];
        packet[1] = GSO_TCPV4;
        packet[4..6].copy_from_slice(&each.to_le_bytes());
        packet[HEADER] = 0x45;
        put16(&mut packet, HEADER + 2, low16(40 + payload));
        put16(&mut packet, HEADER + 4, 1000);
        packet[HEADER + 9] = 6;
        packet[HEADER + 12..HEADER + 20].copy_from_slice(&[10, 77, 0, 1, 10, 77, 0, 2]);
        packet[HEADER + 24..HEADER + 28].copy_from_slice(&7_000_u32.to_be_bytes());
        packet[HEADER + 32] = 5 << 4;
        packet[HEADER + 33] = 0x10 | FIN_PSH | CWR;
        packet.extend((0..payload).map(|n| u8::try_from(n % 251).unwrap()));
        packet
    }

    #[test]
    fn segments_are_counted_and_charged() {
        let whole = Geometry::of(&packet(1448, 10_000));
        assert_eq!(whole.segments, 7);
        assert_eq!(whole.wire_bytes(1), 1488);
        assert_eq!(whole.wire_bytes(7), 7 * 40 + 10_000);
        assert_eq!(Geometry::of(&packet(0, 100)).segments, 1);
        assert_eq!(Geometry::of(&packet(0, 100)).wire_bytes(1), 140);
        assert_eq!(Geometry::of(&[]).segments, 1);
    }

    #[test]
    fn pieces_are_the_whole() {
        let whole = packet(1000, 4500);
        let geometry = Geometry::of(&whole);
        assert_eq!(geometry.cut(&whole, 0, 5), whole);
        let (first, second, last) =
            (geometry.cut(&whole, 0, 2), geometry.cut(&whole, 3, 4), geometry.cut(&whole, 4, 5));
        assert_eq!(first[HEADER + 40..], whole[HEADER + 40..][..2000]);
        assert_eq!(second[HEADER + 40..], whole[HEADER + 40..][3000..4000]);
        assert_eq!(last[HEADER + 40..], whole[HEADER + 40..][4000..]);
        let number = |packet: &[u8]| u32::from_be_bytes(packet[HEADER + 24..HEADER + 28].try_into().unwrap());
        assert_eq!([&first, &second, &last].map(|packet| number(packet)), [7000, 10_000, 11_000]);
        // One segment is no packet to be segmented, and two are.
        assert_eq!((first[1], second[1]), (GSO_TCPV4, GSO_NONE));
        // Flags stay with the end they belong to.
        assert_eq!(first[HEADER + 33] & (FIN_PSH | CWR), CWR);
        assert_eq!(second[HEADER + 33] & (FIN_PSH | CWR), 0);
        assert_eq!(last[HEADER + 33] & (FIN_PSH | CWR), FIN_PSH);
        for piece in [&first, &second, &last] {
            assert_eq!(usize::from(get16(piece, HEADER + 2)), piece.len() - HEADER);
            assert_eq!(sum16(&piece[HEADER..HEADER + 20], 0), 0xffff, "the header's checksum");
        }
    }
}
