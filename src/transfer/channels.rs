//! How data channels are to be, for every operation of a transfer.

use std::time::Duration;

use crate::credential::Credential;
use crate::data::{GetBuilder, PutBuilder, ThirdPartyBuilder};
use crate::error::{Error, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, StripeLayout, TcpBuffer, TransferMode};

/// What was chosen for data channels.
#[derive(Debug, Clone, Default)]
pub(super) struct Channels {
    pub(super) mode: TransferMode,
    /// Parallel data connections of one operation; without a number it finds itself.
    pub(super) parallelism: Option<u16>,
    pub(super) protection: ProtectionLevel,
    pub(super) dcau: DataChannelAuth,
    pub(super) tcp_buffer: TcpBuffer,
    pub(super) striped: bool,
    pub(super) layout: StripeLayout,
    pub(super) net_stack: Option<Vec<String>>,
    pub(super) source_disk_stack: Option<Vec<String>>,
    pub(super) destination_disk_stack: Option<Vec<String>>,
    pub(super) delayed_passive: bool,
    pub(super) data_credential: Option<Credential>,
}

/// From that round trip on a large file comes over several connections, and a tree over more sessions.
pub(super) const FAR: Duration = Duration::from_millis(4);

/// Files below that are through before several connections are as fast as they get.
const WORTH_STREAMS: u64 = 8 << 20;

/// Blocks that are on their way to a server: where there are more connections than that, one for each and some more.
const WINDOW: u16 = 8;

impl Channels {
    /// Refuses what cannot be, before anything is touched.
    pub(super) fn check(&self, between: bool) -> Result<()> {
        let connections = self.connections();
        if !(1..=256).contains(&connections) {
            let message = format!("{connections} parallel connections: expected 1 to 256");
            return Err(Error::invalid(message));
        }
        if between && (self.source_disk_stack.is_some() || self.destination_disk_stack.is_some()) {
            return Err(Error::invalid(
                "disk drivers at servers that send to each other cannot be chosen; expected through_client(true)",
            ));
        }
        Ok(())
    }

    /// Whether something was chosen that pipelines of small files and parts of files do not have: each file goes by itself,
    /// in one piece.
    pub(super) fn by_itself(&self) -> bool {
        self.striped
            || self.layout != StripeLayout::Default
            || self.net_stack.is_some()
            || self.source_disk_stack.is_some()
            || self.destination_disk_stack.is_some()
            || self.delayed_passive
            || self.data_credential.is_some()
    }

    /// Connections of one operation, as far as that was chosen.
    pub(super) fn connections(&self) -> u16 {
        self.parallelism.unwrap_or(1)
    }

    /// How many connections a file comes over from a server so far away, where nothing else was chosen: more than one if that
    /// is worth it. One connection needs many round trips to be fast, and each byte that is lost halves its speed; many
    /// share that. A file among others does with fewer.
    pub(super) fn streams(&self, round_trip: Duration, size: Option<u64>, single: bool) -> u16 {
        let chosen = self.parallelism.is_some() || self.mode != TransferMode::Auto || self.by_itself();
        // Otherwise C receives extended blocks, and a peer can end the process with them (C7).
        if chosen || !self.is_plain() || round_trip < FAR || size.is_none_or(|size| size < WORTH_STREAMS) {
            return 1;
        }
        let millis = u16::try_from(round_trip.as_millis()).unwrap_or(u16::MAX);
        if single { (millis / 3).clamp(4, 16) } else { (millis / 4).clamp(2, 8) }
    }

    /// Whether nobody proves who he is on data channels, unless the server wants that by itself: sessions need no delegation.
    pub(super) fn is_plain(&self) -> bool {
        self.protection == ProtectionLevel::Clear
            && matches!(self.dcau, DataChannelAuth::Auto | DataChannelAuth::None)
    }

    /// As [`Self::streams`], for a file to a server: many from the start. Here the kernel of this machine decides what goes over which
    /// connection, and where nothing is lost, many cost little.
    pub(super) fn streams_to(&self, round_trip: Duration, size: u64, single: bool) -> u16 {
        let chosen = self.parallelism.is_some() || self.mode != TransferMode::Auto || self.by_itself();
        if chosen || round_trip < FAR || size < WORTH_STREAMS {
            return 1;
        }
        let millis = u16::try_from(round_trip.as_millis()).unwrap_or(u16::MAX);
        if single { millis.clamp(8, 48) } else { (millis / 4).clamp(2, 8) }
    }

    /// Blocks that may be on their way at the same time.
    pub(super) fn window(connections: u16) -> usize {
        usize::from(if connections > 1 { connections + WINDOW } else { WINDOW }.min(256))
    }

    /// The TCP buffers that were asked for; none where the kernel sees to them.
    pub(super) fn window_bytes(&self) -> Option<u32> {
        match self.tcp_buffer {
            TcpBuffer::Fixed(bytes) => Some(bytes),
            TcpBuffer::Auto => None,
        }
    }

    /// Whether the blocks of a file come in order.
    pub(super) fn in_order(&self) -> bool {
        self.connections() == 1 && self.mode != TransferMode::ExtendedBlock && !self.by_itself()
    }

    /// All but the mode and the number of connections, which depend on how a file is moved.
    pub(super) fn get(&self, get: GetBuilder) -> GetBuilder {
        let mut get = get
            .protection(self.protection)
            .dcau(self.dcau.clone())
            .tcp_buffer(self.tcp_buffer)
            .striped(self.striped)
            .layout(self.layout)
            .delayed_passive(self.delayed_passive);
        if let Some(drivers) = &self.net_stack {
            get = get.net_stack(drivers);
        }
        if let Some(drivers) = &self.source_disk_stack {
            get = get.disk_stack(drivers);
        }
        if let Some(credential) = &self.data_credential {
            get = get.data_credential(credential.clone());
        }
        get
    }

    /// The same for a put.
    pub(super) fn put(&self, put: PutBuilder) -> PutBuilder {
        let mut put = put
            .protection(self.protection)
            .dcau(self.dcau.clone())
            .tcp_buffer(self.tcp_buffer)
            .striped(self.striped)
            .layout(self.layout)
            .delayed_passive(self.delayed_passive);
        if let Some(drivers) = &self.net_stack {
            put = put.net_stack(drivers);
        }
        if let Some(drivers) = &self.destination_disk_stack {
            put = put.disk_stack(drivers);
        }
        if let Some(credential) = &self.data_credential {
            put = put.data_credential(credential.clone());
        }
        put
    }

    /// The same between two servers.
    pub(super) fn pair(&self, pair: ThirdPartyBuilder) -> ThirdPartyBuilder {
        let mut pair = pair
            .parallelism(self.connections())
            .protection(self.protection)
            .dcau(self.dcau.clone())
            .tcp_buffer(self.tcp_buffer)
            .striped(self.striped)
            .layout(self.layout);
        if let Some(drivers) = &self.net_stack {
            pair = pair.net_stack(drivers);
        }
        if let Some(credential) = &self.data_credential {
            pair = pair.data_credential(credential.clone());
        }
        pair
    }
}
