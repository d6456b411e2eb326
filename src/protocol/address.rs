//! Addresses of data channels: what the server answers to PASV, EPSV and SPAS, and the arguments of PORT, EPRT and SPOR
//! (RFC 959 §4.1.2, RFC 2428, GFD.20).
//!
//! Only the form is checked here. Whether a server may send us where it says is for the session to decide.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4};

use crate::error::{Error, Reply, Result};
use crate::protocol::{excerpt, violation};

/// Most stripes a server may name.
const MAX_STRIPES: usize = 1024;

/// Where a server listens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listener {
    /// `None`: at the address the control connection goes to.
    pub(crate) ip: Option<IpAddr>,
    /// Never 0.
    pub(crate) port: u16,
}

impl Listener {
    /// The address to connect to, `peer` being the other end of the control connection.
    pub(crate) fn at(self, peer: IpAddr) -> SocketAddr {
        SocketAddr::new(self.ip.unwrap_or(peer), self.port)
    }
}

/// The one listener in the reply to PASV (227), EPSV (229), and in the delayed replies 127 and 129 that come behind the
/// transfer's command when the server wants to know first which file is meant.
///
/// # Errors
/// `Protocol` for another code, an address that is not exactly of the form, numbers out of range, and port 0.
pub(crate) fn passive(reply: &Reply) -> Result<Listener> {
    let found = match reply.code() {
        127 | 227 => reply.lines().flat_map(six_numbers).collect(),
        129 | 229 => reply.lines().filter_map(bracketed).map(extended).collect::<Vec<_>>(),
        code => return Err(violation(format!("expected 227 or 229, the server said {code}"))),
    };
    match found[..] {
        [Some(listener)] => Ok(listener),
        _ => Err(violation(format!("expected one address of a data channel, the server said {reply}"))),
    }
}

/// The listeners in the reply to SPAS: one per line between the first and the last, as six numbers or, for `SPAS 2`, in
/// the extended form.
///
/// # Errors
/// `Protocol` for another code than 229, a line that is not exactly of the form, and no line or too many.
pub(crate) fn striped(reply: &Reply) -> Result<Vec<Listener>> {
    if reply.code() != 229 {
        return Err(violation(format!("expected 229, the server said {}", reply.code())));
    }
    let stripes = reply.lines().len().saturating_sub(2);
    if stripes == 0 || stripes > MAX_STRIPES {
        return Err(violation(format!(
            "expected 1 to {MAX_STRIPES} addresses of stripes, the server named {stripes}"
        )));
    }
    let parse = |line: &[u8]| {
        let text = line.trim_ascii();
        let numbers = std::str::from_utf8(text).ok().and_then(numbers);
        let listener = numbers.or_else(|| extended(text));
        listener.ok_or_else(|| {
            violation(format!("expected the address of a stripe, the server said {}", excerpt(line)))
        })
    };
    reply.lines().skip(1).take(stripes).map(parse).collect()
}

/// Every word of a line that has digits and commas, read as `h,h,h,h,p,p`. Servers put it into parentheses, behind an
/// equals sign, or nowhere in particular, and RFC 1123 §4.1.2.6 asks for it to be found.
fn six_numbers(line: &[u8]) -> impl Iterator<Item = Option<Listener>> {
    line.split(|byte| matches!(byte, b' ' | b'(' | b')' | b'='))
        .filter(|word| word.contains(&b',') && word.iter().any(u8::is_ascii_digit))
        .map(|word| numbers(std::str::from_utf8(word.strip_suffix(b".").unwrap_or(word)).ok()?))
}

fn numbers(text: &str) -> Option<Listener> {
    let mut fields = [0_u8; 6];
    let mut texts = text.split(',');
    for field in &mut fields {
        let text = texts.next().filter(|text| (1..=3).contains(&text.len()))?;
        *field =
            if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok()? } else { return None };
    }
    if texts.next().is_some() {
        return None;
    }
    let [a, b, c, d, high, low] = fields;
    listener(Some(Ipv4Addr::new(a, b, c, d).into()), u16::from_be_bytes([high, low]))
}

/// What stands in the last parentheses of a line.
fn bracketed(line: &[u8]) -> Option<&[u8]> {
    let close = line.iter().rposition(|&byte| byte == b')')?;
    let open = line[..close].iter().rposition(|&byte| byte == b'(')?;
    Some(&line[open + 1..close])
}

/// `|||port|`, or `|1|address|port|` and `|2|address|port|`, with any printable character for the bar.
fn extended(text: &[u8]) -> Option<Listener> {
    let text = std::str::from_utf8(text).ok()?;
    let bar = text.chars().next().filter(|bar| bar.is_ascii_graphic() && !bar.is_ascii_alphanumeric())?;
    let fields: Vec<&str> = text.splitn(6, bar).collect();
    let [_, protocol, address, port, ""] = fields[..] else {
        return None;
    };
    let ip = match (protocol, address) {
        ("", "") => None,
        ("1", address) => Some(IpAddr::V4(address.parse().ok()?)),
        ("2", address) => Some(IpAddr::V6(address.parse::<Ipv6Addr>().ok()?)),
        _ => return None,
    };
    let digits = (1..=5).contains(&port.len()) && port.bytes().all(|byte| byte.is_ascii_digit());
    listener(ip, if digits { port.parse().ok()? } else { return None })
}

fn listener(ip: Option<IpAddr>, port: u16) -> Option<Listener> {
    (port != 0).then_some(Listener { ip, port })
}

/// The argument of PORT.
///
/// # Errors
/// `InvalidInput` for an IPv6 address and for port 0.
pub(crate) fn port_argument(address: SocketAddr) -> Result<String> {
    match canonical(address)? {
        SocketAddr::V4(address) => Ok(six(address)),
        SocketAddr::V6(_) => Err(Error::invalid(format!("data address {address}: expected IPv4 for PORT"))),
    }
}

/// The argument of EPRT.
///
/// # Errors
/// `InvalidInput` for port 0.
pub(crate) fn eprt_argument(address: SocketAddr) -> Result<String> {
    canonical(address).map(bars)
}

/// The argument of SPOR, for one address or more: six numbers each, or the extended form as soon as one is IPv6.
///
/// # Errors
/// `InvalidInput` for no address, too many, and port 0.
pub(crate) fn spor_argument(addresses: &[SocketAddr]) -> Result<String> {
    if addresses.is_empty() || addresses.len() > MAX_STRIPES {
        let given = addresses.len();
        return Err(Error::invalid(format!("{given} data addresses: expected 1 to {MAX_STRIPES} for SPOR")));
    }
    let addresses = addresses.iter().map(|&address| canonical(address)).collect::<Result<Vec<_>>>()?;
    let plain = addresses.iter().all(SocketAddr::is_ipv4);
    let mut argument = String::new();
    for address in addresses {
        if !argument.is_empty() {
            argument.push(' ');
        }
        match address {
            SocketAddr::V4(address) if plain => argument.push_str(&six(address)),
            address => argument.push_str(&bars(address)),
        }
    }
    Ok(argument)
}

/// An IPv4 address that a socket for both families shows as IPv6 is IPv4 to a server.
fn canonical(address: SocketAddr) -> Result<SocketAddr> {
    if address.port() == 0 {
        return Err(Error::invalid(format!("data address {address}: expected a port from 1 to 65535")));
    }
    Ok(SocketAddr::new(address.ip().to_canonical(), address.port()))
}

fn six(address: SocketAddrV4) -> String {
    let [a, b, c, d] = address.ip().octets();
    let [high, low] = address.port().to_be_bytes();
    format!("{a},{b},{c},{d},{high},{low}")
}

fn bars(address: SocketAddr) -> String {
    let protocol = if address.is_ipv4() { 1 } else { 2 };
    format!("|{protocol}|{}|{}|", address.ip(), address.port())
}

#[cfg(test)]
mod tests;
