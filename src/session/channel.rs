//! The session's data channels: what the server has been told, and the local ends that are open.
//!
//! One set of channels at a time: a new PASV or PORT makes the server close what it had. In extended block mode the set is
//! kept and serves file after file in its direction; a stream set serves one.

use std::net::{IpAddr, SocketAddr};

use crate::engine::{DataPort, Direction, Engine, Failure, Layout, PortSecurity, PortSettings, Protection};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::{DataOptions, ProtectionLevel, StripeLayout};
use crate::protocol::address;
use crate::protocol::command::Command;
pub(crate) use crate::session::settings::Setting;
use crate::session::settings::{Authentication, Told};
use crate::session::{PendingReply, Session};

/// The data channels of a session, and what the server was told about them.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    pub(super) told: Told,
    /// The set that extended block transfers go over.
    cached: Option<Cached>,
}

#[derive(Debug)]
struct Cached {
    port: DataPort,
    direction: Direction,
    options: DataOptions,
}

/// A port that is ready for a run, and whether it goes back to the session afterwards.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) port: DataPort,
    pub(crate) extended_block: bool,
    direction: Direction,
    options: DataOptions,
    /// Where to connect to comes behind the transfer's command: until [`Session::aim`], the port is aimed nowhere.
    pub(crate) delayed: bool,
}

/// Turns a data-channel failure into an error of setting the channel up.
pub(crate) fn setup_failed(failure: Failure) -> Error {
    failure.into_data_error(Phase::DataSetup, "the data channel could not be set up")
}

impl Session {
    fn port_settings(
        &self,
        direction: Direction,
        options: &DataOptions,
        extended_block: bool,
    ) -> Result<PortSettings> {
        let identity = match self.authentication(options)? {
            Authentication::None => None,
            Authentication::Own => Some(None),
            Authentication::Subject(subject) => Some(Some(subject)),
        };
        let security = match (&self.security, identity) {
            (Some(security), Some(subject)) => PortSecurity::Proven {
                credential: security.data_credential.as_ref().unwrap_or(&security.credential).clone(),
                subject,
                protection: match options.protection {
                    ProtectionLevel::Clear => Protection::Clear,
                    ProtectionLevel::Safe => Protection::Safe,
                    ProtectionLevel::Private => Protection::Private,
                },
            },
            _ => PortSecurity::None,
        };
        if let Some(stack) = &options.net_stack
            && let Some(other) = stack.names().find(|name| !matches!(*name, "tcp" | "gsi"))
        {
            return Err(Error::new(
                ErrorKind::Unsupported,
                Phase::DataSetup,
                format!("this end of a data channel speaks TCP, not the network stack {stack} with {other}"),
            )
            .with_side(Side::Local));
        }
        let layout = match (options.layout, options.allocate) {
            (StripeLayout::Default, _) => Layout::Turns,
            (StripeLayout::Blocked { block_bytes }, _) => Layout::Blocks(block_bytes.into()),
            (StripeLayout::Partitioned, Some(size)) => Layout::Parts { size },
            (StripeLayout::Partitioned, None) if direction == Direction::Read => Layout::Turns,
            (StripeLayout::Partitioned, None) => {
                return Err(Error::invalid(
                    "a partitioned put needs to know the file's size; expected allocate(bytes)",
                ));
            }
        };
        let allowed_peers = matches!(security, PortSecurity::None).then(|| {
            let peer = self.peer().ip().to_canonical();
            std::iter::once(peer).chain(options.data_hosts.iter().copied()).collect()
        });
        Ok(PortSettings {
            extended_block,
            parallelism: options.parallelism,
            tcp_buffer_bytes: options.tcp_buffer_bytes(),
            ipv6: self.peer().is_ipv6(),
            layout,
            security,
            allowed_peers,
        })
    }

    /// Takes the cached set, if it fits.
    fn take_cached(&mut self, direction: Direction, options: &DataOptions) -> Option<Ready> {
        let fits = self
            .channels
            .cached
            .as_ref()
            .is_some_and(|cached| cached.direction == direction && cached.options.same_channels(options));
        // A set that does not fit is closed: the server drops its side at the next PASV or PORT.
        let cached = self.channels.cached.take();
        let cached = cached.filter(|_| fits)?;
        let options = options.clone();
        Some(Ready { port: cached.port, extended_block: true, direction, options, delayed: false })
    }

    /// Gets data channels ready for a transfer; `first` commands go along in the same write, and their replies come back.
    ///
    /// One round trip where a set must be made, none where the cached one serves (then `first` is only queued).
    pub(crate) async fn make_ready(
        &mut self,
        direction: Direction,
        options: &DataOptions,
        extended_block: bool,
        first: Vec<Command>,
    ) -> Result<(Ready, Vec<PendingReply>)> {
        if extended_block && let Some(ready) = self.take_cached(direction, options) {
            return Ok((ready, self.control.send_all(first)));
        }
        self.channels.cached = None;
        let engine = Engine::handle()?;
        let settings = self.settings(options, extended_block)?;
        let port = DataPort::open(&engine, self.port_settings(direction, options, extended_block)?);
        let listens = extended_block && direction == Direction::Read;
        let address = if listens {
            let at = port.listen(self.local().ip().to_canonical()).await.map_err(setup_failed)?;
            if options.is_striped() {
                Command::with("SPOR", address::spor_argument(&[at])?)?
            } else if at.is_ipv4() {
                Command::with("PORT", address::port_argument(at)?)?
            } else {
                Command::with("EPRT", address::eprt_argument(at)?)?
            }
        } else {
            match (options.is_striped(), self.peer().ip().to_canonical().is_ipv4()) {
                (true, true) => Command::new("SPAS"),
                // The form with bars, which has room for IPv6.
                (true, false) => Command::with("SPAS", "2")?,
                (false, true) => Command::new("PASV"),
                (false, false) => Command::new("EPSV"),
            }
        };
        let (kinds, mut commands): (Vec<_>, Vec<_>) = settings.into_iter().unzip();
        let (first_count, setting_count) = (first.len(), kinds.len());
        commands.extend(first);
        commands.push(address);
        let mut replies = self.control.send_all(commands);
        let last = replies.pop();
        let first = replies.split_off(setting_count);
        debug_assert_eq!(first.len(), first_count);
        self.settle(kinds.into_iter().zip(replies).collect()).await?;
        let Some(mut last) = last else {
            return Err(Error::new(
                ErrorKind::Internal,
                Phase::DataSetup,
                "no reply was expected for PASV or PORT",
            ));
        };
        let reply = last.last().await?;
        if !reply.is_completion() {
            let kind = options.is_striped() && matches!(reply.code(), 500 | 502 | 504);
            let error = Error::from_reply(reply, Phase::DataSetup, "the server made no data channel");
            return Err(if kind { error.with_kind(ErrorKind::Unsupported) } else { error });
        }
        let delayed = !listens && options.delayed_passive && reply.code() == 200;
        if listens {
            self.channels.told.active();
        } else if options.is_striped() {
            port.peers(self.stripe_addresses(&reply, options)?);
        } else if !delayed {
            port.peers(vec![self.data_address(&reply, options)?]);
        }
        Ok((Ready { port, extended_block, direction, options: options.clone(), delayed }, first))
    }

    /// Takes in what a server that was allowed to delay says behind the transfer's command: where it listens (127, 129).
    /// The data connection is started then. Tells whether the reply was that.
    pub(crate) fn aim(&self, ready: &mut Ready, reply: &Reply) -> Result<bool> {
        if !ready.delayed || !matches!(reply.code(), 127 | 129) {
            return Ok(false);
        }
        ready.delayed = false;
        ready.port.peers(vec![self.data_address(reply, &ready.options)?]);
        ready.port.connect(ready.direction);
        Ok(true)
    }

    /// Waits for the first reply to a transfer's command, which says where to connect to, and does so.
    pub(crate) async fn aim_by(
        &self,
        ready: &mut Ready,
        pending: &mut PendingReply,
        doing: &'static str,
    ) -> Result<()> {
        let reply = pending.next().await?;
        if self.aim(ready, &reply)? {
            return Ok(());
        }
        if !reply.is_preliminary() && !reply.is_completion() {
            return Err(Error::from_reply(reply, Phase::Command, doing));
        }
        let message = "the server does not say where it listens";
        Err(Error::new(ErrorKind::Protocol, Phase::DataSetup, message)
            .with_side(Side::Server)
            .with_reply(reply))
    }

    /// Where the server waits for data connections.
    ///
    /// An unauthenticated server is believed about the port only: an address other than its own would let it, or whoever
    /// answers in its place, have us connect to third machines. Those that the caller named are all right.
    fn data_address(&self, reply: &Reply, options: &DataOptions) -> Result<SocketAddr> {
        let peer = self.peer().ip().to_canonical();
        let told = address::passive(reply)?.at(peer);
        if is_nowhere(told.ip()) || (self.security.is_none() && !options.data_hosts.contains(&told.ip())) {
            return Ok(SocketAddr::new(peer, told.port()));
        }
        Ok(told)
    }

    /// Where the server's data nodes wait. A node is elsewhere for a reason, so its address is not replaced: one that an
    /// unauthenticated server may not name is an error.
    fn stripe_addresses(&self, reply: &Reply, options: &DataOptions) -> Result<Vec<SocketAddr>> {
        let peer = self.peer().ip().to_canonical();
        let mut addresses = Vec::new();
        for listener in address::striped(reply)? {
            let told = listener.at(peer);
            let ip = told.ip().to_canonical();
            if is_nowhere(ip) {
                addresses.push(SocketAddr::new(peer, told.port()));
            } else if self.security.is_some() || ip == peer || options.data_hosts.contains(&ip) {
                addresses.push(SocketAddr::new(ip, told.port()));
            } else {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    Phase::DataSetup,
                    format!(
                        "the server, which has not proven who it is, names the data node {ip}; \
                         expected its own address or one of data_hosts"
                    ),
                )
                .with_side(Side::Server));
            }
        }
        Ok(addresses)
    }

    /// Keeps a set for the next transfer; a stream set is of no more use.
    pub(crate) fn give_back(&mut self, ready: Ready) {
        if ready.extended_block {
            self.channels.cached =
                Some(Cached { port: ready.port, direction: ready.direction, options: ready.options });
        }
    }
}

/// Addresses that nobody listens at; servers behind address translation may say them.
fn is_nowhere(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    }
}
