//! The session's data channels: what the server has been told, and the local ends that are open.
//!
//! One set of channels at a time: a new PASV or PORT makes the server close what it had. In extended block mode the set is
//! kept and serves file after file in its direction; a stream set serves one.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::channel::DataPort;
use crate::engine::{Direction, Engine, Failure, Layout, PortSecurity, PortSettings, Protection};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::{DataOptions, ProtectionLevel, StripeLayout};
use crate::protocol::address;
use crate::protocol::command::Command;

use crate::session::settings::{Authentication, Setting, Told};
use crate::session::{PendingReply, Session};

/// The data channels of a session, and what the server was told about them.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    pub(super) told: Told,
    /// The addresses of the server's data nodes, once it was asked for them.
    nodes: Option<Vec<IpAddr>>,
    /// The set that extended block transfers go over.
    cached: Option<Cached>,
    /// The address that the server is told to connect to, if that is not the one it is spoken to from.
    advertised: Option<IpAddr>,
}

impl Channels {
    pub(super) fn advertising(address: Option<IpAddr>) -> Self {
        Self { advertised: address, ..Self::default() }
    }
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

/// A set that is being made.
struct Setup {
    ready: Ready,
    /// The server connects.
    listens: bool,
}

impl Ready {
    /// How many blocks may be on their way, or wait to be taken.
    pub(crate) fn window_blocks(&self) -> usize {
        self.options.window_blocks
    }
}

/// Most stripes that are listened for: each costs a descriptor below 1024 and more for its connections.
const MAX_LISTENERS: usize = 64;

/// The refusal of PASV, PORT, SPAS and their kin.
fn no_channel(reply: Reply, striped: bool) -> Error {
    let unknown = striped && matches!(reply.code(), 500 | 502 | 504);
    let error = Error::from_reply(reply, Phase::DataSetup, "the server made no data channel");
    if unknown { error.with_kind(ErrorKind::Unsupported) } else { error }
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
        let allowed_peers = matches!(security, PortSecurity::None).then(|| self.known_peers(options));
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

    /// Whose data is believed where nobody proves who he is: the server's own, that of hosts which the caller named, and in a
    /// striped transfer that of the data nodes which a server named that has proven who it is itself.
    fn known_peers(&self, options: &DataOptions) -> Vec<IpAddr> {
        let mut peers = vec![self.peer().ip().to_canonical()];
        peers.extend(&options.data_hosts);
        if let (Some(nodes), true, Some(_)) = (&self.channels.nodes, options.is_striped(), &self.security) {
            peers.extend(nodes);
        }
        peers
    }

    /// Asks a server how many data nodes it has, and where they are (SPAS), to listen for each of them.
    ///
    /// The nodes listen then, for nothing: the SPOR that follows ends that. Asked for every set, not once: a SPOR behind a
    /// STOR has globus-gridftp-server use a single node unless there is a SPAS between them.
    async fn ask_nodes(&mut self, options: &DataOptions, extended_block: bool) -> Result<usize> {
        let (kinds, mut commands): (Vec<_>, Vec<_>) =
            self.settings(options, extended_block)?.into_iter().unzip();
        commands.push(self.striped_passive()?);
        let mut replies = self.control.send_all(commands);
        let last = replies.pop();
        self.settle(kinds.into_iter().zip(replies).collect()).await?;
        let Some(mut last) = last else {
            return Err(Error::new(ErrorKind::Internal, Phase::DataSetup, "no reply was expected for SPAS"));
        };
        let reply = last.last().await?;
        if !reply.is_completion() {
            return Err(no_channel(reply, true));
        }
        let peer = self.peer().ip().to_canonical();
        let listeners = address::striped(&reply)?;
        if listeners.len() > MAX_LISTENERS {
            return Err(Error::new(
                ErrorKind::Unsupported,
                Phase::DataSetup,
                format!(
                    "the server has {} data nodes, and this client listens for {MAX_LISTENERS} at most",
                    listeners.len()
                ),
            )
            .with_side(Side::Local));
        }
        let nodes: Vec<_> =
            listeners.into_iter().map(|listener| listener.at(peer).ip().to_canonical()).collect();
        let count = nodes.len();
        self.channels.nodes = Some(nodes);
        Ok(count)
    }

    fn striped_passive(&self) -> Result<Command> {
        if self.peer().ip().to_canonical().is_ipv4() {
            Ok(Command::new("SPAS"))
        } else {
            // The form with bars, which has room for IPv6.
            Command::with("SPAS", "2")
        }
    }

    /// Takes the cached set, if it fits.
    fn take_cached(&mut self, direction: Direction, options: &DataOptions) -> Option<Ready> {
        let fits = self.channels.cached.as_ref().is_some_and(|cached| {
            // One whose connections broke while nobody used them would only fail the next file.
            cached.direction == direction && cached.options.same_channels(options) && !cached.port.is_spent()
        });
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
        let (setup, kinds, mut commands) = self.begin_set(direction, options, extended_block).await?;
        let at = kinds.len();
        commands.splice(at..at, first);
        let mut replies = self.control.send_all(commands);
        let last = replies.pop();
        let first = replies.split_off(at);
        let ready = self.end_set(setup, kinds, replies, last).await?;
        Ok((ready, first))
    }

    /// [`Self::make_ready`] to read extended blocks; `behind` goes along in the same write, behind everything else, where the
    /// server [takes it](Self::takes_more_behind_port), so that the first transfer costs no round trip of its own.
    ///
    /// When the set cannot be had, what was sent behind it is heard out first: it means nothing, and the session is in order. If
    /// that takes longer than `limit` the session ends.
    pub(crate) async fn make_ready_ahead(
        &mut self,
        options: &DataOptions,
        behind: Vec<Command>,
        limit: Duration,
    ) -> Result<(Ready, Vec<PendingReply>)> {
        if let Some(ready) = self.take_cached(Direction::Read, options) {
            return Ok((ready, self.control.send_all(behind)));
        }
        let (setup, kinds, mut commands) = self.begin_set(Direction::Read, options, true).await?;
        let at = commands.len();
        commands.extend(behind);
        let mut replies = self.control.send_all(commands);
        let mut behind = replies.split_off(at);
        let last = replies.pop();
        match self.end_set(setup, kinds, replies, last).await {
            Ok(ready) => Ok((ready, behind)),
            Err(error) => {
                // The listener is closed by now: a server that goes on all the same does not reach it.
                let heard = async {
                    for reply in &mut behind {
                        // What broke the connection has been told already.
                        drop(reply.last().await);
                    }
                };
                if tokio::time::timeout(limit, heard).await.is_err() {
                    self.control.quit();
                }
                Err(error)
            }
        }
    }

    /// Whether a transfer's command may be sent before the answers to MODE and PORT: to a server that is known for GridFTP and
    /// for reading ahead, where our own receiver listens. Others are spoken to in turn: they may have no extended blocks, and
    /// would send the file as a stream to whoever listens.
    pub(crate) fn takes_more_behind_port(&self, options: &DataOptions) -> bool {
        let gridftp = self.features.parallel() || self.features.eret();
        let plain = matches!(self.authentication(options), Ok(Authentication::None));
        gridftp && plain && !self.sequential && !options.is_striped()
    }

    /// Opens this end of a set, and tells what the server has to be told: the settings, and last where it connects to, or that
    /// it is to listen.
    async fn begin_set(
        &mut self,
        direction: Direction,
        options: &DataOptions,
        extended_block: bool,
    ) -> Result<(Setup, Vec<Setting>, Vec<Command>)> {
        self.channels.cached = None;
        let engine = Engine::handle()?;
        let listens = extended_block && direction == Direction::Read;
        let stripes = match listens && options.is_striped() {
            true => Some(self.ask_nodes(options, extended_block).await?),
            false => None,
        };
        let settings = self.settings(options, extended_block)?;
        let port_settings = self.port_settings(direction, options, extended_block)?;
        let mut port =
            DataPort::open(&engine, port_settings, direction, options.file && !options.is_striped());
        let address = if listens {
            let on = self.local().ip().to_canonical();
            let mut at = port.listen_all(on, stripes.unwrap_or(1)).await.map_err(setup_failed)?;
            if let Some(gateway) = self.channels.advertised {
                at.iter_mut().for_each(|address| address.set_ip(gateway));
            }
            match at[..] {
                [at] if stripes.is_none() && at.is_ipv4() => {
                    Command::with("PORT", address::port_argument(at)?)?
                }
                [at] if stripes.is_none() => Command::with("EPRT", address::eprt_argument(at)?)?,
                _ => Command::with("SPOR", address::spor_argument(&at)?)?,
            }
        } else if options.is_striped() {
            self.striped_passive()?
        } else {
            Command::new(if self.peer().ip().to_canonical().is_ipv4() { "PASV" } else { "EPSV" })
        };
        let (kinds, mut commands): (Vec<_>, Vec<_>) = settings.into_iter().unzip();
        commands.push(address);
        let ready = Ready { port, extended_block, direction, options: options.clone(), delayed: false };
        Ok((Setup { ready, listens }, kinds, commands))
    }

    /// Takes in the replies to what [`Self::begin_set`] told: to the settings, and the last one.
    async fn end_set(
        &mut self,
        setup: Setup,
        kinds: Vec<Setting>,
        replies: Vec<PendingReply>,
        last: Option<PendingReply>,
    ) -> Result<Ready> {
        let Setup { mut ready, listens } = setup;
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
            return Err(no_channel(reply, ready.options.is_striped()));
        }
        ready.delayed = !listens && ready.options.delayed_passive && reply.code() == 200;
        if listens {
            self.channels.told.active();
        } else if ready.options.is_striped() {
            ready.port.peers(self.stripe_addresses(&reply, &ready.options)?);
        } else if !ready.delayed {
            ready.port.peers(vec![self.data_address(&reply, &ready.options)?]);
        }
        Ok(ready)
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
        let told = address::passive(reply).map_err(in_setup)?.at(peer);
        #[cfg(test)]
        if crate::hooks::without("the server's own address") {
            return Ok(told);
        }
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
        for listener in address::striped(reply).map_err(in_setup)? {
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
        self.speak_freely();
        // One that was never aimed is of no use to anybody else.
        if ready.extended_block && !ready.delayed {
            self.channels.cached =
                Some(Cached { port: ready.port, direction: ready.direction, options: ready.options });
        }
    }
}

/// An address that is none is a failure to set up data channels, not of the command that brought it.
fn in_setup(error: Error) -> Error {
    error.with_phase(Phase::DataSetup)
}

/// Addresses that nobody listens at; servers behind address translation may say them.
fn is_nowhere(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
    }
}
