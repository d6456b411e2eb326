//! The session's data channels: what the server has been told, and the local ends that are open.
//!
//! One set of channels at a time: a new PASV or PORT makes the server close what it had. In extended block mode the set is
//! kept and serves file after file in its direction; a stream set serves one.

use std::net::{IpAddr, SocketAddr};

use crate::engine::{DataPort, Direction, Engine, Failure, PortSecurity, PortSettings, Protection};
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::options::{DataOptions, ProtectionLevel};
use crate::protocol::address;
use crate::protocol::command::Command;
use crate::session::{PendingReply, Session};

/// What the server has been told about data channels. A fresh session has been told nothing.
#[derive(Debug, Default)]
pub(crate) struct Channels {
    /// MODE E is on.
    extended_block: bool,
    /// The last OPTS RETR Parallelism.
    parallelism: Option<u16>,
    /// The last SBUF.
    tcp_buffer_bytes: Option<u32>,
    /// The last DCAU, if any was sent after login: true for A.
    authenticated: Option<bool>,
    /// The last PROT.
    protection: ProtectionLevel,
    /// The set that extended block transfers go over.
    cached: Option<Cached>,
}

#[derive(Debug)]
struct Cached {
    port: DataPort,
    direction: Direction,
    options: DataOptions,
}

/// The commands that bring the server to a transfer's settings, with what each sets.
enum Setting {
    Mode(bool),
    Parallelism(u16),
    TcpBuffer(u32),
    Authenticated(bool),
    Protection(ProtectionLevel),
}

/// A port that is ready for a run, and whether it goes back to the session afterwards.
#[derive(Debug)]
pub(crate) struct Ready {
    pub(crate) port: DataPort,
    pub(crate) extended_block: bool,
    direction: Direction,
    options: DataOptions,
}

/// Turns a data-channel failure into an error of setting the channel up.
pub(crate) fn setup_failed(failure: Failure) -> Error {
    failure.into_data_error(Phase::DataSetup, "the data channel could not be set up")
}

impl Session {
    /// Whether this session's data connections can prove anything.
    fn authenticates(&self, options: &DataOptions) -> Result<bool> {
        let wanted = options.needs_delegation();
        let can = self.security.as_ref().is_some_and(|security| security.delegated) && self.features.dcau();
        if wanted && !can {
            // Fail closed: protection that was asked for and is not to be had is an error, never clear text.
            return Err(Error::new(
                ErrorKind::Unsupported,
                Phase::DataSetup,
                "protected or authenticated data channels need gsiftp://, a delegated credential and a server with DCAU",
            )
            .with_side(Side::Server));
        }
        Ok(wanted)
    }

    fn port_settings(&self, options: &DataOptions, extended_block: bool) -> Result<PortSettings> {
        let authenticated = self.authenticates(options)?;
        let security = match (&self.security, authenticated) {
            (Some(security), true) => PortSecurity::Own {
                credential: security.credential.clone(),
                protection: match options.protection {
                    ProtectionLevel::Clear => Protection::Clear,
                    ProtectionLevel::Safe => Protection::Safe,
                    ProtectionLevel::Private => Protection::Private,
                },
            },
            _ => PortSecurity::None,
        };
        Ok(PortSettings {
            extended_block,
            parallelism: options.parallelism,
            tcp_buffer_bytes: options.tcp_buffer_bytes,
            ipv6: self.peer().is_ipv6(),
            security,
            allowed_peers: (!authenticated).then(|| vec![self.peer().ip().to_canonical()]),
        })
    }

    /// What the server has yet to be told.
    fn settings(&self, options: &DataOptions, extended_block: bool) -> Result<Vec<(Setting, Command)>> {
        let mut list = Vec::new();
        let told = &self.channels;
        let authenticated = self.authenticates(options)?;
        if self.security.is_some() && self.features.dcau() {
            let now =
                told.authenticated.unwrap_or_else(|| !self.security.as_ref().is_some_and(|s| s.dcau_off));
            if now != authenticated {
                let letter = if authenticated { "A" } else { "N" };
                list.push((Setting::Authenticated(authenticated), Command::with("DCAU", letter)?));
            }
        }
        if told.protection != options.protection {
            let letter = match options.protection {
                ProtectionLevel::Clear => "C",
                ProtectionLevel::Safe => "S",
                ProtectionLevel::Private => "P",
            };
            list.push((Setting::Protection(options.protection), Command::with("PROT", letter)?));
        }
        if let Some(bytes) = options.tcp_buffer_bytes
            && told.tcp_buffer_bytes != Some(bytes)
            && self.features.sbuf()
        {
            list.push((Setting::TcpBuffer(bytes), Command::with("SBUF", bytes.to_string())?));
        }
        if told.extended_block != extended_block {
            list.push((
                Setting::Mode(extended_block),
                Command::with("MODE", if extended_block { "E" } else { "S" })?,
            ));
        }
        if extended_block && told.parallelism != Some(options.parallelism) {
            let n = options.parallelism;
            let argument = format!("RETR Parallelism={n},{n},{n};");
            list.push((Setting::Parallelism(n), Command::with("OPTS", argument)?));
        }
        Ok(list)
    }

    /// Takes in the replies to [`Self::settings`].
    async fn settle(&mut self, replies: Vec<(Setting, PendingReply)>) -> Result<()> {
        for (setting, mut pending) in replies {
            let reply = pending.last().await?;
            let refused = |what: &'static str| {
                Err(Error::from_reply(reply.clone(), Phase::DataSetup, what)
                    .with_kind(ErrorKind::Unsupported))
            };
            let done = reply.is_completion();
            match setting {
                Setting::Mode(extended_block) if done => {
                    self.channels.extended_block = extended_block;
                }
                Setting::Mode(true) => return refused("the server has no extended block mode"),
                Setting::Mode(false) => return refused("the server does not go back to stream mode"),
                Setting::Authenticated(on) if done => self.channels.authenticated = Some(on),
                Setting::Authenticated(_) => {
                    return refused("the server refused to change data channel authentication");
                }
                Setting::Protection(level) if done => self.channels.protection = level,
                Setting::Protection(_) => {
                    return refused("the server refused the protection of data channels");
                }
                // A hint: a server that does not take it moves the data all the same.
                Setting::TcpBuffer(bytes) => self.channels.tcp_buffer_bytes = Some(bytes),
                // One connection is what a server without the option uses.
                Setting::Parallelism(n) if done || n == 1 => self.channels.parallelism = Some(n),
                Setting::Parallelism(_) => return refused("the server refused parallel data connections"),
            }
        }
        Ok(())
    }

    /// Takes the cached set, if it fits.
    fn take_cached(&mut self, direction: Direction, options: &DataOptions) -> Option<Ready> {
        let fits = self.channels.cached.as_ref().is_some_and(|cached| {
            cached.direction == direction
                && cached.options.parallelism == options.parallelism
                && cached.options.tcp_buffer_bytes == options.tcp_buffer_bytes
                && cached.options.protection == options.protection
                && cached.options.needs_delegation() == options.needs_delegation()
        });
        // A set that does not fit is closed: the server drops its side at the next PASV or PORT.
        let cached = self.channels.cached.take();
        let cached = cached.filter(|_| fits)?;
        Some(Ready { port: cached.port, extended_block: true, direction, options: cached.options })
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
        let port = DataPort::open(&engine, self.port_settings(options, extended_block)?);
        let settings = self.settings(options, extended_block)?;
        let peer = self.peer().ip().to_canonical();
        let listens = extended_block && direction == Direction::Read;
        let address = if listens {
            let at = port.listen(self.local().ip().to_canonical()).await.map_err(setup_failed)?;
            if at.is_ipv4() {
                Command::with("PORT", address::port_argument(at)?)?
            } else {
                Command::with("EPRT", address::eprt_argument(at)?)?
            }
        } else {
            Command::new(if peer.is_ipv4() { "PASV" } else { "EPSV" })
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
            return Err(Error::from_reply(reply, Phase::DataSetup, "the server made no data channel"));
        }
        if !listens {
            port.peers(vec![self.data_address(&reply)?]);
        }
        Ok((Ready { port, extended_block, direction, options: options.clone() }, first))
    }

    /// Where the server waits for data connections.
    ///
    /// An unauthenticated server is believed about the port only: an address other than its own would let it, or whoever
    /// answers in its place, have us connect to third machines.
    fn data_address(&self, reply: &Reply) -> Result<SocketAddr> {
        let peer = self.peer().ip().to_canonical();
        let told = address::passive(reply)?.at(peer);
        let unusable = match told.ip() {
            IpAddr::V4(ip) => ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast(),
            IpAddr::V6(ip) => ip.is_unspecified() || ip.is_multicast(),
        };
        if unusable || self.security.is_none() {
            return Ok(SocketAddr::new(peer, told.port()));
        }
        Ok(told)
    }

    /// Keeps a set for the next transfer; a stream set is of no more use.
    pub(crate) fn give_back(&mut self, ready: Ready) {
        if ready.extended_block {
            self.channels.cached =
                Some(Cached { port: ready.port, direction: ready.direction, options: ready.options });
        }
    }
}
