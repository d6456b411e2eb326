//! What the server is told about data channels: only what changed, and what it refuses is an error unless it is a hint.

use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::{DataChannelAuth, DataOptions, DriverStack, ProtectionLevel, StripeLayout};
use crate::protocol::command::Command;
use crate::session::{PendingReply, Session};

/// The blocks of globus-gridftp-server where nothing else is said. There is no command that says "the default".
const DEFAULT_STRIPE_BLOCK_BYTES: u32 = 1 << 20;

/// The name that makes a server forget a stack of drivers it was told.
const DEFAULT_STACK: &str = "default";

/// What the server has been told about data channels. A fresh session has been told nothing.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// MODE E is on.
    extended_block: bool,
    representation: Representation,
    /// The last OPTS RETR Parallelism.
    parallelism: Option<u16>,
    /// The last OPTS RETR StripeLayout.
    layout: StripeLayout,
    /// The last SBUF.
    tcp_buffer_bytes: Option<u32>,
    /// The last DCAU, if any was sent after login.
    authentication: Option<Authentication>,
    /// The last PROT.
    protection: ProtectionLevel,
    /// OPTS PASV AllowDelayed=1.
    delayed_passive: bool,
    /// The last SITE SETNETSTACK and SITE SETDISKSTACK.
    net_stack: Option<DriverStack>,
    disk_stack: Option<DriverStack>,
}

impl Told {
    /// PORT, EPRT and SPOR make a server forget that it may say later where it listens.
    pub(super) fn active(&mut self) {
        self.delayed_passive = false;
    }
}

/// The representation type (TYPE).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Representation {
    /// TYPE I, as since the login.
    #[default]
    Image,
    /// TYPE A
    Ascii,
    /// Nobody waited for the answer.
    Unknown,
}

/// Who proves what on data channels (DCAU).
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Authentication {
    /// DCAU N
    None,
    /// DCAU A
    Own,
    /// DCAU S
    Subject(String),
}

/// The commands that bring the server to a transfer's settings, with what each sets.
#[derive(Debug)]
pub(crate) enum Setting {
    Mode(bool),
    Representation(Representation),
    /// The parallelism, the layout of stripes, or both.
    Retrieve {
        parallelism: u16,
        layout: StripeLayout,
    },
    TcpBuffer(Option<u32>),
    Authentication(Authentication),
    Protection(ProtectionLevel),
    DelayedPassive(bool),
    NetStack(Option<DriverStack>),
    DiskStack(Option<DriverStack>),
}

impl Session {
    /// How this session's data connections are authenticated.
    ///
    /// Fails closed: protection that was asked for and is not to be had is an error, never clear text.
    pub(super) fn authentication(&self, options: &DataOptions) -> Result<Authentication> {
        let own = self.security.as_ref().is_some_and(|security| security.data_credential.is_some());
        let wanted = match &options.dcau {
            DataChannelAuth::None => Authentication::None,
            DataChannelAuth::OwnIdentity => Authentication::Own,
            DataChannelAuth::Subject(subject) => Authentication::Subject(subject.clone()),
            // A credential that was given for data channels is there to be used.
            DataChannelAuth::Auto if own || options.needs_delegation() => Authentication::Own,
            DataChannelAuth::Auto => Authentication::None,
        };
        if wanted == Authentication::None {
            return Ok(wanted);
        }
        let lacking = match &self.security {
            None => "a gsiftp:// URL",
            Some(security) if !security.delegated && !own => {
                "a delegated credential, which the client forbids, or one of their own (DCSC)"
            }
            Some(_) if !self.features.dcau() => "a server with DCAU",
            Some(_) => return Ok(wanted),
        };
        Err(Error::new(
            ErrorKind::Unsupported,
            Phase::DataSetup,
            format!("protected or authenticated data channels need {lacking}"),
        )
        .with_side(Side::Server))
    }

    /// The network drivers the server has to be told, with what authentication needs.
    fn net_stack(options: &DataOptions, authentication: &Authentication) -> Result<Option<DriverStack>> {
        let Some(stack) = &options.net_stack else { return Ok(None) };
        match (authentication, stack.has("gsi")) {
            // Without it the server would neither authenticate nor protect, whatever DCAU and PROT say.
            (Authentication::Own | Authentication::Subject(_), false) => Ok(Some(stack.with("gsi"))),
            (Authentication::None, true) => Err(Error::invalid(format!(
                "the network stack {stack} has gsi in it, which needs data channel authentication; expected DCAU A or S"
            ))),
            _ => Ok(Some(stack.clone())),
        }
    }

    /// What the server has yet to be told.
    pub(crate) fn settings(
        &self,
        options: &DataOptions,
        extended_block: bool,
    ) -> Result<Vec<(Setting, Command)>> {
        let mut list = Vec::new();
        let told = &self.channels.told;
        let authentication = self.authentication(options)?;
        let net_stack = Self::net_stack(options, &authentication)?;
        if let Some(security) = &self.security
            && self.features.dcau()
        {
            // What a server does unless it is told is its own affair: between two servers nobody here would notice.
            let at_login = security.dcau_off.then_some(Authentication::None);
            if told.authentication.as_ref().or(at_login.as_ref()) != Some(&authentication) {
                let argument = match &authentication {
                    Authentication::None => "N".to_owned(),
                    Authentication::Own => "A".to_owned(),
                    Authentication::Subject(subject) => format!("S {subject}"),
                };
                list.push((Setting::Authentication(authentication), Command::with("DCAU", argument)?));
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
        // Not asked of FEAT: globus-gridftp-server does not list it, and does it.
        let bytes = options.tcp_buffer_bytes();
        if told.tcp_buffer_bytes != bytes {
            let command = Command::with("SBUF", bytes.unwrap_or_default().to_string())?;
            list.push((Setting::TcpBuffer(bytes), command));
        }
        for (setting, command, told, wanted) in [
            (Setting::NetStack as fn(_) -> _, "SETNETSTACK", &told.net_stack, &net_stack),
            (Setting::DiskStack as fn(_) -> _, "SETDISKSTACK", &told.disk_stack, &options.disk_stack),
        ] {
            if told != wanted {
                let drivers = wanted.as_ref().map_or_else(|| DEFAULT_STACK.to_owned(), ToString::to_string);
                list.push((setting(wanted.clone()), Command::with("SITE", format!("{command} {drivers}"))?));
            }
        }
        let (representation, letter) =
            if options.ascii { (Representation::Ascii, "A") } else { (Representation::Image, "I") };
        if told.representation != representation {
            list.push((Setting::Representation(representation), Command::with("TYPE", letter)?));
        }
        if told.extended_block != extended_block {
            list.push((
                Setting::Mode(extended_block),
                Command::with("MODE", if extended_block { "E" } else { "S" })?,
            ));
        }
        if extended_block {
            list.extend(self.retrieve_options(options)?);
        }
        if told.delayed_passive != options.delayed_passive {
            if options.delayed_passive && !self.delays_passive() {
                return Err(Error::new(
                    ErrorKind::Unsupported,
                    Phase::DataSetup,
                    "the server does not say where it listens behind the transfer's command (PASV AllowDelayed)",
                )
                .with_side(Side::Server));
            }
            let allowed = u8::from(options.delayed_passive);
            let command = Command::with("OPTS", format!("PASV AllowDelayed={allowed};"))?;
            list.push((Setting::DelayedPassive(options.delayed_passive), command));
        }
        Ok(list)
    }

    fn delays_passive(&self) -> bool {
        self.features.parameters("PASV").is_some_and(|told| told.contains("AllowDelayed"))
    }

    fn retrieve_options(&self, options: &DataOptions) -> Result<Option<(Setting, Command)>> {
        let told = &self.channels.told;
        let (parallelism, layout) = (options.parallelism, options.layout);
        let mut argument = String::new();
        if told.layout != layout {
            argument = match layout {
                StripeLayout::Default => {
                    format!("StripeLayout=Blocked;BlockSize={DEFAULT_STRIPE_BLOCK_BYTES};")
                }
                StripeLayout::Partitioned => "StripeLayout=Partitioned;".to_owned(),
                StripeLayout::Blocked { block_bytes } => {
                    format!("StripeLayout=Blocked;BlockSize={block_bytes};")
                }
            };
        }
        if told.parallelism != Some(parallelism) {
            argument.push_str(&format!("Parallelism={parallelism},{parallelism},{parallelism};"));
        }
        if argument.is_empty() {
            return Ok(None);
        }
        let command = Command::with("OPTS", format!("RETR {argument}"))?;
        Ok(Some((Setting::Retrieve { parallelism, layout }, command)))
    }

    /// Brings the server back to TYPE I behind a text, for commands that have nothing to do with transfers (SIZE counts by
    /// it at some servers). Nobody waits for the answer, so the next transfer says it once more.
    pub(crate) fn leave_text(&mut self) {
        self.channels.told.representation = Representation::Unknown;
        if let Ok(command) = Command::with("TYPE", "I") {
            drop(self.control.send(command));
        }
    }

    /// Takes in the replies to [`Self::settings`].
    pub(crate) async fn settle(&mut self, replies: Vec<(Setting, PendingReply)>) -> Result<()> {
        let mut refusal = None;
        for (setting, mut pending) in replies {
            let reply = pending.last().await?;
            if let Err(what) = self.channels.told.take(setting, reply.is_completion()) {
                // The rest is heard out, so that what is remembered is what the server was told.
                refusal.get_or_insert_with(|| {
                    Error::from_reply(reply, Phase::DataSetup, what).with_kind(ErrorKind::Unsupported)
                });
            }
        }
        refusal.map_or(Ok(()), Err)
    }
}

impl Told {
    /// Notes what the server made of a setting.
    fn take(&mut self, setting: Setting, done: bool) -> Result<(), &'static str> {
        match setting {
            Setting::Mode(extended_block) if done => self.extended_block = extended_block,
            Setting::Mode(true) => return Err("the server has no extended block mode"),
            Setting::Mode(false) => return Err("the server does not go back to stream mode"),
            Setting::Representation(representation) if done => self.representation = representation,
            Setting::Representation(Representation::Ascii) => {
                return Err("the server has no text type (TYPE A)");
            }
            Setting::Representation(_) => return Err("the server refused binary transfers (TYPE I)"),
            Setting::Authentication(authentication) if done => self.authentication = Some(authentication),
            Setting::Authentication(_) => {
                return Err("the server refused to change data channel authentication");
            }
            Setting::Protection(level) if done => self.protection = level,
            Setting::Protection(_) => return Err("the server refused the protection of data channels"),
            // A hint: a server that does not take it moves the data all the same.
            Setting::TcpBuffer(bytes) => self.tcp_buffer_bytes = bytes,
            Setting::Retrieve { parallelism, layout } if done => {
                self.parallelism = Some(parallelism);
                self.layout = layout;
            }
            // One connection is what a server without the option uses.
            Setting::Retrieve { parallelism: 1, layout } if self.layout == layout => {
                self.parallelism = Some(1);
            }
            Setting::Retrieve { layout, .. } if self.layout == layout => {
                return Err("the server refused parallel data connections");
            }
            Setting::Retrieve { .. } => return Err("the server refused the layout of stripes"),
            Setting::DelayedPassive(allowed) if done => self.delayed_passive = allowed,
            // A server that does not know the option does not delay.
            Setting::DelayedPassive(false) => self.delayed_passive = false,
            Setting::DelayedPassive(true) => return Err("the server refused delayed passive"),
            Setting::NetStack(stack) if done => self.net_stack = stack,
            Setting::NetStack(_) => return Err("the server refused the stack of network drivers"),
            Setting::DiskStack(stack) if done => self.disk_stack = stack,
            Setting::DiskStack(_) => return Err("the server refused the stack of disk drivers"),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Protection that was refused is never taken for granted, and what was told before stays true.
    #[test]
    fn what_is_refused_is_an_error_unless_it_is_a_hint() {
        let mut told = Told::default();
        for level in [ProtectionLevel::Safe, ProtectionLevel::Private] {
            assert!(told.take(Setting::Protection(level), false).is_err());
            assert_eq!(told.protection, ProtectionLevel::Clear);
        }
        told.take(Setting::Protection(ProtectionLevel::Private), true).unwrap();
        assert_eq!(told.protection, ProtectionLevel::Private);
        // The server that does not go back would send what the next user does not expect.
        assert!(told.take(Setting::Protection(ProtectionLevel::Clear), false).is_err());
        for authentication in
            [Authentication::None, Authentication::Own, Authentication::Subject("/CN=x".to_owned())]
        {
            assert!(told.take(Setting::Authentication(authentication), false).is_err());
            assert_eq!(told.authentication, None);
        }
        let stack = || Some(DriverStack::new(["tcp"]));
        assert!(told.take(Setting::NetStack(stack()), false).is_err());
        assert!(told.take(Setting::DiskStack(stack()), false).is_err());
        assert!(told.take(Setting::DelayedPassive(true), false).is_err());
        let retrieve = |parallelism, layout| Setting::Retrieve { parallelism, layout };
        assert!(told.take(retrieve(2, StripeLayout::Default), false).is_err());
        assert!(told.take(retrieve(1, StripeLayout::Partitioned), false).is_err());
        assert_eq!(told.parallelism, None);
        told.take(retrieve(1, StripeLayout::Default), false).unwrap();
        told.take(Setting::TcpBuffer(Some(1)), false).unwrap();
        told.take(Setting::DelayedPassive(false), false).unwrap();
    }
}
