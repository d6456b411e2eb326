//! Addresses of data connections in lines of a control channel: found, and replaced.
//!
//! Written without a look at the library's own parser, so that a mistake there is not made here as well.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4};

/// What lines of one direction may hold.
#[derive(Debug, Default)]
pub(super) struct Reader {
    /// Within a reply of several lines that names addresses (SPAS).
    inside: bool,
}

impl Reader {
    /// Whether a line of the server's may name where it listens.
    pub(super) fn is_reply_with_address(&mut self, line: &[u8]) -> bool {
        if self.inside {
            self.inside = !line.starts_with(b"229 ");
            return true;
        }
        self.inside = line.starts_with(b"229-");
        let code = line.get(..4).unwrap_or_default();
        self.inside || matches!(code, b"127 " | b"227 " | b"129 " | b"229 ")
    }
}

/// Whether a line of the client's names where it listens.
pub(super) fn is_command_with_address(line: &[u8]) -> bool {
    let verb = line.get(..5).unwrap_or_default().to_ascii_uppercase();
    matches!(&verb[..], b"PORT " | b"EPRT " | b"SPOR ")
}

/// The line with every address in it replaced by what `other` gives for it. An address without a host stands for `own`.
pub(super) fn replace(
    line: &[u8],
    own: IpAddr,
    mut other: impl FnMut(SocketAddr) -> io::Result<SocketAddr>,
) -> io::Result<Vec<u8>> {
    let Ok(text) = std::str::from_utf8(line) else { return Ok(line.to_vec()) };
    let mut out = String::with_capacity(text.len() + 16);
    let mut rest = text;
    while let Some(next) = rest.chars().next() {
        let at_border = !out.ends_with(|c: char| c == ',' || c.is_ascii_digit());
        if at_border && let Some((address, length)) = six(rest) {
            let address = other(address.into())?;
            write_six(&mut out, address);
            rest = &rest[length..];
        } else if let Some((form, length)) = bars(rest, own) {
            let address = other(form.address)?;
            form.write(&mut out, address);
            rest = &rest[length..];
        } else {
            out.push(next);
            rest = &rest[next.len_utf8()..];
        }
    }
    Ok(out.into_bytes())
}

/// `h,h,h,h,p,p` at the beginning of `text`, and how long it is.
fn six(text: &str) -> Option<(SocketAddrV4, usize)> {
    let length = text.find(|c: char| c != ',' && !c.is_ascii_digit()).unwrap_or(text.len());
    let fields: Option<Vec<u8>> = text[..length].split(',').map(|field| field.parse().ok()).collect();
    let [a, b, c, d, high, low] = fields?[..] else { return None };
    Some((SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])), length))
}

fn write_six(out: &mut String, address: SocketAddr) {
    let SocketAddr::V4(address) = address else { return };
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    // Writing to a String cannot fail.
    let _ = write!(out, "{a},{b},{c},{d},{high},{low}");
}

/// An address as EPSV and EPRT write it.
struct Extended {
    address: SocketAddr,
    with_host: bool,
}

/// `|||port|`, `|1|host|port|` or `|2|host|port|` at the beginning of `text`, and how long it is.
fn bars(text: &str, own: IpAddr) -> Option<(Extended, usize)> {
    let mut ends = text.match_indices('|').map(|(at, _)| at);
    if ends.next() != Some(0) {
        return None;
    }
    let mut field = |from: usize| ends.next().map(|at| (&text[from..at], at + 1));
    let (family, host_at) = field(1)?;
    let (host, port_at) = field(host_at)?;
    let (port, end) = field(port_at)?;
    let with_host = !host.is_empty();
    let ip = match family {
        "" if !with_host => own,
        "1" | "2" => host.parse().ok()?,
        _ => return None,
    };
    let address = SocketAddr::new(ip, port.parse().ok()?);
    Some((Extended { address, with_host }, end))
}

impl Extended {
    fn write(&self, out: &mut String, address: SocketAddr) {
        let port = address.port();
        let _ = if self.with_host {
            write!(out, "|{}|{}|{port}|", if address.is_ipv4() { 1 } else { 2 }, address.ip())
        } else {
            write!(out, "|||{port}|")
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every port becomes one higher, on another host of the same family.
    fn replaced(line: &str) -> String {
        let own = "::1".parse().unwrap();
        let line = replace(line.as_bytes(), own, |address| {
            let ip: IpAddr = if address.is_ipv4() { [127, 0, 0, 9].into() } else { "::9".parse().unwrap() };
            Ok(SocketAddr::new(ip, address.port() + 1))
        });
        String::from_utf8(line.unwrap()).unwrap()
    }

    #[test]
    fn every_form_of_an_address_is_replaced() {
        for (line, expected) in [
            (
                "227 Entering Passive Mode (127,0,0,1,4,255)\r\n",
                "227 Entering Passive Mode (127,0,0,9,5,0)\r\n",
            ),
            ("227 =10,0,0,1,0,80.\r\n", "227 =127,0,0,9,0,81.\r\n"),
            ("229 Entering Passive Mode (|||4000|)\r\n", "229 Entering Passive Mode (|||4001|)\r\n"),
            ("EPRT |2|::1|4000|\r\n", "EPRT |2|::9|4001|\r\n"),
            ("EPRT |1|127.0.0.1|4000|\r\n", "EPRT |1|127.0.0.9|4001|\r\n"),
            ("SPOR 127,0,0,1,1,1 127,0,0,1,1,2\r\n", "SPOR 127,0,0,9,1,2 127,0,0,9,1,3\r\n"),
            (" 127,0,0,1,1,1\r\n", " 127,0,0,9,1,2\r\n"),
        ] {
            assert_eq!(replaced(line), expected);
        }
    }

    #[test]
    fn what_is_no_address_stays() {
        for line in [
            "227 Entering Passive Mode (1,2,3,4,5)\r\n",
            "227 Entering Passive Mode (1,2,3,4,5,6,7)\r\n",
            "227 Entering Passive Mode (127,0,0,1,4,256)\r\n",
            "229 (|3|x|1|)\r\n",
            "229 (||x|1|)\r\n",
            "229 (||\r\n",
            "",
        ] {
            assert_eq!(replaced(line), line);
        }
        assert_eq!(
            replace(b"PORT \xff", Ipv4Addr::LOCALHOST.into(), |_| unreachable!()).unwrap(),
            b"PORT \xff"
        );
    }

    #[test]
    fn lines_with_addresses_are_known_by_their_beginning() {
        let mut reader = Reader::default();
        let lines =
            ["150 a", "227 b", "226 c", "229-d", " 1,2,3,4,5,6", "229 end", "226 f", "229 g", "633 x"];
        let found: Vec<_> = lines.iter().map(|line| reader.is_reply_with_address(line.as_bytes())).collect();
        assert_eq!(found, [false, true, false, true, true, true, false, true, false]);
        assert!(is_command_with_address(b"port 1,2,3,4,5,6") && is_command_with_address(b"SPOR 1"));
        assert!(!is_command_with_address(b"RETR PORT") && !is_command_with_address(b"PORT"));
    }
}
