//! Where data connections come from: listeners, addresses, and connections that stay open.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::session::Session;
use super::{AsFdDyn, TICK, over, wait_for};

/// How long a client may take until it connects.
const ACCEPT_LIMIT: Duration = Duration::from_secs(30);

/// How the next data connection is made.
#[derive(Debug)]
pub(super) enum Route {
    None,
    Passive(Vec<TcpListener>),
    Active(Vec<SocketAddr>),
}

impl Session<'_> {
    /// PASV, EPSV, SPAS.
    pub(super) fn passive(&mut self, verb: &'static str) -> io::Result<()> {
        self.leave_channels();
        let ip = self.control.local_addr()?.ip();
        let count = if verb == "SPAS" { self.stage.play.stripes } else { 1 };
        let mut listeners = Vec::new();
        let mut addresses = Vec::new();
        for _ in 0..count {
            let listener = TcpListener::bind((ip, 0))?;
            listener.set_nonblocking(true)?;
            addresses.push(listener.local_addr()?);
            listeners.push(listener);
        }
        self.route = Route::Passive(listeners);
        let numbers: Vec<_> = addresses.iter().filter_map(numbers).collect();
        let usual = match (verb, &numbers[..]) {
            ("EPSV", _) => format!("229 Entering Extended Passive Mode (|||{}|)", addresses[0].port()),
            (_, []) => "522 Use EPSV.".to_owned(),
            ("PASV", [first, ..]) => format!("227 Entering Passive Mode ({first})"),
            _ => format!("229-Entering Striped Passive Mode.\r\n {}\r\n229 End", numbers.join("\r\n ")),
        };
        self.reply(verb, &usual)
    }

    /// PORT, EPRT, SPOR.
    pub(super) fn active(&mut self, verb: &'static str, text: &str) -> io::Result<()> {
        self.leave_channels();
        let addresses: Option<Vec<_>> = if verb == "EPRT" {
            extended(text).map(|address| vec![address])
        } else {
            text.split_ascii_whitespace().map(address).collect()
        };
        match addresses {
            Some(addresses) if !addresses.is_empty() => {
                self.route = Route::Active(addresses);
                self.reply(verb, "200 Command successful.")
            }
            _ => self.reply(verb, "501 No such address."),
        }
    }

    /// Gets the connections that a transfer needs. Returns whether they were there already.
    pub(super) fn open(&mut self, sending: bool) -> io::Result<bool> {
        if self.sending != sending || !self.extended {
            self.channels.clear();
        }
        self.sending = sending;
        // Whoever sends in extended block mode connects.
        let fits = match self.route {
            Route::None => false,
            Route::Passive(_) => !(self.extended && sending),
            Route::Active(_) => !self.extended || sending,
        };
        if !fits {
            return Err(io::Error::other("no route for data"));
        }
        let listens = matches!(self.route, Route::Passive(_));
        let gone = self.channels.is_empty() || (listens && self.cached_are_gone());
        if !gone {
            return Ok(true);
        }
        let count = match &self.route {
            Route::Active(addresses) if self.extended => self.parallelism * addresses.len(),
            _ => 1,
        };
        self.more_channels(count)?;
        Ok(false)
    }

    /// Forgets connections that the client closed; tells whether none are left.
    fn cached_are_gone(&mut self) -> bool {
        self.channels
            .retain(|channel| !is_readable(channel) || !matches!(channel.peek(&mut [0]), Ok(0) | Err(_)));
        self.channels.is_empty()
    }

    /// Connects or accepts until there are so many.
    pub(super) fn more_channels(&mut self, count: usize) -> io::Result<()> {
        let limit = Instant::now() + ACCEPT_LIMIT;
        while self.channels.len() < count {
            let stream = match &self.route {
                Route::None => return Err(io::Error::other("no route for data")),
                Route::Active(addresses) => {
                    let address = addresses[self.channels.len() % addresses.len()];
                    TcpStream::connect_timeout(&address, Duration::from_secs(2))?
                }
                Route::Passive(_) => match self.accept()? {
                    Some(stream) => stream,
                    None if Instant::now() > limit => return Err(io::ErrorKind::TimedOut.into()),
                    None => continue,
                },
            };
            self.keep_channel(stream);
        }
        if !self.extended && matches!(self.route, Route::Passive(_)) {
            // One connection for one file.
            self.route = Route::None;
        }
        Ok(())
    }

    pub(super) fn keep_channel(&mut self, stream: TcpStream) {
        self.stage.data_connections.fetch_add(1, Ordering::SeqCst);
        self.channels.push(self.stage.keep(stream));
    }

    /// A connection that has come, within a moment. An error when the client has left.
    fn accept(&self) -> io::Result<Option<TcpStream>> {
        let Route::Passive(listeners) = &self.route else { return Ok(None) };
        let mut things: Vec<(&dyn AsFdDyn, _)> = vec![(&*self.control, PollFlags::RDHUP)];
        things.extend(listeners.iter().map(|listener| (listener as &dyn AsFdDyn, PollFlags::IN)));
        let ready = wait_for(&things, TICK);
        if self.stage.is_over() || ready.contains(&0) {
            return Err(over());
        }
        Ok(ready.iter().find_map(|&index| accepted(&listeners[index - 1])))
    }
}

/// Whether a read would not wait.
fn is_readable(stream: &TcpStream) -> bool {
    !wait_for(&[(stream, PollFlags::IN)], Duration::ZERO).is_empty()
}

/// A connection that waits at a listener.
pub(super) fn accepted(listener: &TcpListener) -> Option<TcpStream> {
    let (stream, _) = listener.accept().ok()?;
    stream.set_nonblocking(false).ok()?;
    Some(stream)
}

/// `h1,h2,h3,h4,p1,p2`, for IPv4.
fn numbers(address: &SocketAddr) -> Option<String> {
    let IpAddr::V4(ip) = address.ip() else { return None };
    let [a, b, c, d] = ip.octets();
    let [high, low] = address.port().to_be_bytes();
    Some(format!("{a},{b},{c},{d},{high},{low}"))
}

fn address(text: &str) -> Option<SocketAddr> {
    let parts: Vec<u8> = text.split(',').map(|part| part.parse().ok()).collect::<Option<_>>()?;
    let [a, b, c, d, high, low] = parts[..] else { return None };
    Some((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}

/// `|1|127.0.0.1|4711|`
fn extended(text: &str) -> Option<SocketAddr> {
    let parts: Vec<_> = text.split('|').collect();
    let [_, _, ip, port, _] = parts[..] else { return None };
    Some((ip.parse::<IpAddr>().ok()?, port.parse().ok()?).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_written() {
        let home = SocketAddr::from(([127, 0, 0, 1], 258));
        assert_eq!(numbers(&home).unwrap(), "127,0,0,1,1,2");
        assert_eq!(address("127,0,0,1,1,2"), Some(home));
        assert_eq!(address("127,0,0,1,1"), None);
        assert_eq!(address("127,0,0,256,1,2"), None);
        assert_eq!(extended("|1|127.0.0.1|258|"), Some(home));
        assert_eq!(extended("|2|::1|9|"), Some("[::1]:9".parse().unwrap()));
        assert_eq!(extended("|2|::1|"), None);
    }
}
