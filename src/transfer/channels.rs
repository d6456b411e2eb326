//! How data channels are to be, for every operation of a transfer.

use crate::credential::Credential;
use crate::data::{GetBuilder, PutBuilder, ThirdPartyBuilder};
use crate::error::{Error, Result};
use crate::options::{DataChannelAuth, ProtectionLevel, StripeLayout, TcpBuffer, TransferMode};

/// What was chosen for data channels.
#[derive(Debug, Clone, Default)]
pub(super) struct Channels {
    pub(super) mode: TransferMode,
    pub(super) parallelism: Parallelism,
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

/// Parallel data connections of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Parallelism(pub(super) u16);

impl Default for Parallelism {
    fn default() -> Self {
        Self(1)
    }
}

impl Channels {
    /// Refuses what cannot be, before anything is touched.
    pub(super) fn check(&self, between: bool) -> Result<()> {
        let connections = self.parallelism.0;
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

    /// Whether the blocks of a file come in order, so that it can be divided among several sessions.
    pub(super) fn in_order(&self) -> bool {
        self.parallelism.0 == 1 && self.mode != TransferMode::ExtendedBlock && !self.by_itself()
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
            .parallelism(self.parallelism.0)
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
