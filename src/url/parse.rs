//! From text to checked parts, and the errors that name what is wrong with them.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};

use super::{Endpoint, Scheme, Url};
use crate::error::{Error, Escaped, Result};
use crate::protocol::command::is_control;
use crate::protocol::secret::Secret;

/// Longest text that is parsed, in bytes.
pub(super) const MAX_TEXT: usize = 64 * 1024;
/// Longest decoded path, in bytes. Encoded in full it still fits the text, and as it is it fits a command.
pub(super) const MAX_PATH: usize = 15 * 1024;
/// Longest user name or password, in bytes.
const MAX_USER: usize = 1024;
/// Longest host name (RFC 1035 §2.3.4).
const MAX_HOST: usize = 253;
/// How much of a refused value an error shows, in bytes.
const SHOWN: usize = 100;

const KNOWN: &str = "ftp://, gsiftp:// or sshftp://";

pub(super) fn url(s: &str) -> Result<Url> {
    if s.len() > MAX_TEXT {
        return Err(Error::invalid(format!("the URL has {} bytes, expected at most {MAX_TEXT}", s.len())));
    }
    let Some((scheme, rest)) = s.split_once("://") else {
        // What has an `@` may have a password in front of it.
        let shown = s.split_once('@').map_or(s, |_| "…@…");
        return Err(refuse("URL", shown, format_args!("it to begin with {KNOWN}")));
    };
    let scheme = parse_scheme(scheme)?;
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let (userinfo, host_port) = match authority.rsplit_once('@') {
        Some((userinfo, host_port)) => (Some(userinfo), host_port),
        None => (None, authority),
    };
    // What stands before an `@` may be a password: it is checked first, so that no other message can quote it.
    let (user, password) = match userinfo {
        Some(userinfo) => parse_userinfo(userinfo)?,
        None => (None, None),
    };
    let (host, port) = parse_host_port(host_port, scheme)?;
    let path = if path.is_empty() { b"/".to_vec() } else { parse_path(path)? };
    Ok(Url { endpoint: Endpoint { scheme, host, port }, user, password, path })
}

fn parse_scheme(text: &str) -> Result<Scheme> {
    [Scheme::Ftp, Scheme::Gsiftp, Scheme::Sshftp]
        .into_iter()
        .find(|scheme| text.eq_ignore_ascii_case(scheme.as_str()))
        .ok_or_else(|| refuse("URL scheme", text, format_args!("{KNOWN}")))
}

/// User and password.
fn parse_userinfo(text: &str) -> Result<(Option<String>, Option<Secret>)> {
    if text.contains('@') {
        return Err(Error::invalid(
            "the URL has more than one @ before its path, expected %40 for one in a user name or password",
        ));
    }
    let (user, password) = match text.split_once(':') {
        Some((user, password)) => (user, Some(password)),
        None => (text, None),
    };
    if user.is_empty() {
        return Err(refuse("URL user name", user, format_args!("a name before the @, or no @")));
    }
    let user = parse_user("URL user name", user, user)?;
    // Its value is in no message.
    let password = password.map(|password| parse_user("URL password", password, "***")).transpose()?;
    Ok((Some(user), password.map(Secret::from)))
}

fn parse_user(part: &'static str, text: &str, shown: &str) -> Result<String> {
    if let Some(raw) = text.bytes().find(|byte| matches!(byte, b'#' | b'?')) {
        return Err(refuse(part, shown, format_args!("%{raw:02X} for a {}", char::from(raw))));
    }
    let bytes = decode(text.as_bytes()).map_err(|_| {
        refuse(part, shown, format_args!("two hexadecimal digits behind each % (%25 for a %)"))
    })?;
    if let Some(byte) = bytes.iter().find(|&&byte| is_control(byte)) {
        return Err(refuse(part, shown, format_args!("no control byte, found 0x{byte:02x}")));
    }
    if bytes.len() > MAX_USER {
        return Err(refuse(part, shown, format_args!("at most {MAX_USER} bytes, found {}", bytes.len())));
    }
    String::from_utf8(bytes).map_err(|_| refuse(part, shown, format_args!("UTF-8")))
}

fn parse_host_port(text: &str, scheme: Scheme) -> Result<(String, u16)> {
    let (host, port) = if let Some(inner) = text.strip_prefix('[') {
        let Some((address, rest)) = inner.split_once(']') else {
            return Err(refuse("URL host", text, format_args!("a ] behind the IPv6 address")));
        };
        let Ok(address) = address.parse::<Ipv6Addr>() else {
            return Err(refuse(
                "URL host",
                text,
                format_args!("an IPv6 address (without a zone) in the brackets"),
            ));
        };
        let port = match rest.strip_prefix(':') {
            Some(port) => Some(port),
            None if rest.is_empty() => None,
            None => return Err(refuse("URL host", text, format_args!("nothing or :port behind the ]"))),
        };
        (address.to_string(), port)
    } else {
        let (host, port) = match text.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (text, None),
        };
        check_host(host)?;
        (host.to_ascii_lowercase(), port)
    };
    let port = match port {
        None => scheme.default_port(),
        Some(text) => parse_port(text)?,
    };
    Ok((host, port))
}

fn check_host(host: &str) -> Result<()> {
    let refused = |expected: fmt::Arguments<'_>| Err(refuse("URL host", host, expected));
    if host.is_empty() {
        return refused(format_args!("a host name or address behind ://"));
    }
    check_controls("URL host", host.as_bytes())?;
    if host.len() > MAX_HOST {
        return refused(format_args!("at most {MAX_HOST} characters"));
    }
    if !host.is_ascii() {
        return refused(format_args!("an internationalised name in its ASCII form, xn--…"));
    }
    if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_')) {
        return refused(format_args!(
            "letters, digits, hyphens, dots and underscores, or an IPv6 address in [ ]"
        ));
    }
    // A leading hyphen would be an option to a program that gets the host as an argument, as ssh does.
    let name = host.strip_suffix('.').unwrap_or(host);
    if host.starts_with('-') || name.split('.').any(str::is_empty) {
        return refused(format_args!("labels that are not empty, the first not beginning with a hyphen"));
    }
    // Resolvers read "1.2.3" or "0x7f000001" as addresses of their own making.
    let last = name.rsplit('.').next().unwrap_or(name);
    let numeric =
        last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") || last.starts_with("0X");
    if numeric && host.parse::<Ipv4Addr>().is_err() {
        return refused(format_args!("a name, or an IPv4 address of four numbers from 0 to 255"));
    }
    Ok(())
}

fn parse_port(text: &str) -> Result<u16> {
    let port = if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse::<u16>().ok() } else { None };
    port.filter(|&port| port != 0)
        .ok_or_else(|| refuse("URL port", text, format_args!("a number from 1 to 65535")))
}

fn parse_path(text: &str) -> Result<Vec<u8>> {
    if let Some(raw) = text.bytes().find(|byte| matches!(byte, b'#' | b'?')) {
        let shown = char::from(raw);
        return Err(refuse("URL path", text, format_args!("%{raw:02X} for a {shown} in a file's name")));
    }
    let path = decode(text.as_bytes()).map_err(|escape| {
        refuse(
            "URL path",
            text,
            format_args!("two hexadecimal digits behind each %, not \"{}\" (%25 for a %)", Escaped(escape)),
        )
    })?;
    if check_controls("URL path", &path).is_err() {
        // The value is shown as it was typed, the byte as what it stands for.
        return Err(control_error("URL path", text.as_bytes(), &path));
    }
    check_length("URL path", &path, MAX_PATH)?;
    Ok(path)
}

/// Decodes percent escapes; the error is the first bad one.
fn decode(text: &[u8]) -> Result<Vec<u8>, &[u8]> {
    let hex = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((&first, behind)) = rest.split_first() {
        if first != b'%' {
            out.push(first);
            rest = behind;
            continue;
        }
        let digits = behind.first().copied().and_then(hex).zip(behind.get(1).copied().and_then(hex));
        let Some((high, low)) = digits else {
            return Err(&rest[..rest.len().min(3)]);
        };
        out.push(high << 4 | low);
        rest = &behind[2..];
    }
    Ok(out)
}

pub(super) fn check_controls(part: &'static str, value: &[u8]) -> Result<()> {
    if value.iter().any(|&byte| is_control(byte)) { Err(control_error(part, value, value)) } else { Ok(()) }
}

fn control_error(part: &'static str, shown: &[u8], value: &[u8]) -> Error {
    let byte = value.iter().copied().find(|&byte| is_control(byte)).unwrap_or_default();
    refuse(part, shown, format_args!("no control byte, found 0x{byte:02x}"))
}

pub(super) fn check_length(part: &'static str, value: &[u8], limit: usize) -> Result<()> {
    if value.len() > limit {
        return Err(refuse(part, value, format_args!("at most {limit} bytes, found {}", value.len())));
    }
    Ok(())
}

pub(super) fn refuse(part: &'static str, value: impl AsRef<[u8]>, expected: fmt::Arguments<'_>) -> Error {
    let value = value.as_ref();
    let more = if value.len() > SHOWN { "…" } else { "" };
    let shown = Escaped(&value[..value.len().min(SHOWN)]);
    Error::invalid(format!("{part} \"{shown}{more}\": expected {expected}"))
}
