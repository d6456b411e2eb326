//! The steps before anything is said: a name, addresses, a greeting. Without the library, so that its reasons can be told
//! apart.

use std::fmt::Write as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use gridftp::{Scheme, Url};
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::report::Outcome;
use crate::exit::Code;
use crate::failure::Failure;
use crate::show;

/// Longest greeting that is looked at, in bytes.
const GREETING: usize = 4096;

/// More addresses than a host with a reason has.
const MAX_ADDRESSES: usize = 32;

fn failed(code: Code, message: impl Into<String>) -> Outcome {
    Outcome::failed(&Failure::told(code, message))
}

pub(super) async fn resolve(url: &Url, limit: Duration) -> (Outcome, Vec<SocketAddr>) {
    let host = url.host().trim_matches(['[', ']']);
    let addresses = match timeout(limit, tokio::net::lookup_host((host, url.port()))).await {
        Ok(Ok(found)) => found,
        Ok(Err(error)) => {
            let outcome = failed(Code::Network, format!("{host} has no address: {error}"))
                .advise("is the name spelt right? Does `getent hosts NAME` know it, or another machine?");
            return (outcome, Vec::new());
        }
        Err(_) => {
            let outcome = failed(Code::Timeout, format!("looking up {host} took longer than {limit:?}"))
                .advise("the name servers of this machine do not answer: see /etc/resolv.conf");
            return (outcome, Vec::new());
        }
    };
    let mut all: Vec<SocketAddr> = Vec::new();
    for address in addresses {
        if !all.contains(&address) && all.len() < MAX_ADDRESSES {
            all.push(address);
        }
    }
    if all.is_empty() {
        return (failed(Code::Network, format!("{host} has no address")), all);
    }
    let list: Vec<String> = all.iter().map(|address| address.ip().to_string()).collect();
    let text = if host.parse::<IpAddr>().is_ok() { format!("{host} is an address") } else { list.join(", ") };
    (Outcome::good(text), all)
}

/// All at once: one that does not answer costs as much as all of them.
pub(super) async fn connect(addresses: &[SocketAddr], limit: Duration) -> (Outcome, Option<TcpStream>) {
    let mut tries = JoinSet::new();
    for (index, address) in addresses.iter().copied().enumerate() {
        tries.spawn(async move {
            let begun = Instant::now();
            let result = timeout(limit, TcpStream::connect(address)).await;
            let result = result.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
            (index, address, begun.elapsed(), result)
        });
    }
    let mut results = tries.join_all().await;
    results.sort_by_key(|(index, ..)| *index);
    let (mut text, mut stream, mut bad) = (String::new(), None, Vec::new());
    for (_, address, time, result) in results {
        let between = if text.is_empty() { "" } else { "; " };
        // Writing to a String cannot fail.
        let _ = match result {
            Ok(connected) => {
                stream.get_or_insert(connected);
                write!(text, "{between}{address} in {:.1} ms", time.as_secs_f64() * 1000.0)
            }
            Err(error) => {
                bad.push(error.kind());
                let error = match error.kind() {
                    io::ErrorKind::TimedOut => format!("no answer within {limit:?}"),
                    _ => error.to_string(),
                };
                write!(text, "{between}{address}: {error}")
            }
        };
    }
    if bad.is_empty() {
        return (Outcome::good(text), stream);
    }
    let silent = bad.iter().all(|kind| *kind == io::ErrorKind::TimedOut);
    let mut outcome = match (&stream, silent) {
        (Some(_), _) => Outcome::warned(text),
        (None, true) => failed(Code::Timeout, text),
        (None, false) => failed(Code::Network, text),
    };
    if stream.is_some() {
        outcome = outcome.advise("not all addresses of the name can be reached; one that can is used");
    }
    if bad.contains(&io::ErrorKind::ConnectionRefused) {
        outcome = outcome.advise(
            "nothing listens on that port: is it the right one (gsiftp 2811, ftp 21)? Does the server run?",
        );
    }
    if bad.contains(&io::ErrorKind::TimedOut) {
        outcome =
            outcome.advise("a firewall drops what goes to that port, here or there, or the host is down");
    }
    if bad
        .iter()
        .any(|kind| matches!(kind, io::ErrorKind::NetworkUnreachable | io::ErrorKind::HostUnreachable))
    {
        outcome = outcome.advise(
            "this machine has no route there: for IPv6 addresses often no fault, else see `ip route`",
        );
    }
    (outcome, stream)
}

/// The first line that the server says, and whether a login makes sense.
pub(super) async fn greeting(mut stream: TcpStream, url: &Url, limit: Duration) -> (Outcome, bool) {
    let mut line = Vec::new();
    let reading = async {
        let mut buffer = [0; 512];
        while !line.contains(&b'\n') && line.len() < GREETING {
            match stream.read(&mut buffer).await? {
                0 => break,
                count => line.extend_from_slice(&buffer[..count]),
            }
        }
        io::Result::Ok(())
    };
    let read = timeout(limit, reading).await;
    let first = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let first = first.strip_suffix(b"\r").unwrap_or(first);
    let shown = show::name(&first[..first.len().min(200)]);
    let outcome = match read {
        Err(_) => failed(Code::Timeout, format!("the server says nothing within {limit:?}"))
            .advise("what listens there is overloaded, hangs, waits for a reverse look-up of this machine, or is no FTP server"),
        Ok(Err(error)) => failed(Code::Network, format!("the connection broke: {error}")),
        Ok(Ok(())) if line.is_empty() => failed(Code::Network, "the server closed the connection without a word")
            .advise("it may refuse this machine's address (hosts.allow, a firewall), or have too many connections"),
        Ok(Ok(())) => return said(first, &shown, url),
    };
    (outcome, false)
}

fn said(first: &[u8], shown: &str, url: &Url) -> (Outcome, bool) {
    let is_ssh = first.starts_with(b"SSH-");
    if url.scheme() == Scheme::Sshftp {
        return if is_ssh {
            (Outcome::good(shown), true)
        } else {
            (failed(Code::Server, format!("no SSH server: {shown}")), false)
        };
    }
    match first {
        [b'2', b'2', b'0', ..] => (Outcome::good(shown), true),
        [b'4', b'2', b'1', ..] => {
            (failed(Code::Busy, format!("the server has no room: {shown}")).advise("try again later"), false)
        }
        [b'1'..=b'5', b'0'..=b'9', b'0'..=b'9', ..] => {
            (failed(Code::Server, format!("the server does not want to talk: {shown}")), false)
        }
        _ if is_ssh => (
            failed(Code::Server, format!("an SSH server: {shown}"))
                .advise("is it the right port? sshftp:// is for GridFTP by SSH"),
            false,
        ),
        _ => (failed(Code::Server, format!("no FTP server: {shown}")).advise("is it the right port?"), false),
    }
}
