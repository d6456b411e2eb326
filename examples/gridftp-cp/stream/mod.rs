//! What is copied from its first to its last byte by this program itself: standard streams, pipes and devices, a part of a
//! file, text, and what goes through a program or a module of a server.
//!
//! `pump` moves blocks from a `source` to a `sink`; `target` finds out, before anything is moved, where the copy goes and how;
//! a sink writes under a temporary name and renames it when everything has been checked. Never here: whole files and trees,
//! which the library's transfers move, try again, and go on with.

pub(crate) mod names;
pub(crate) mod pump;
pub(crate) mod sink;
pub(crate) mod source;
pub(crate) mod target;
pub(crate) mod tuning;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gridftp::options::{DataChannelAuth, ProtectionLevel, StripeLayout, TransferMode};
use gridftp::transfer::RateLimit;
use gridftp::{Credential, GetBuilder, PutBuilder};

use crate::location::Location;

/// One copy, with everything that was chosen for it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) source: Location,
    pub(crate) dest: Location,
    pub(crate) part: Part,
    pub(crate) create_folders: bool,
    pub(crate) fsync: bool,
    /// Whether something that is there may be replaced.
    pub(crate) replace: bool,
    pub(crate) channels: Channels,
    pub(crate) rate_limit: Option<RateLimit>,
    pub(crate) meter: Arc<Meter>,
}

/// How data channels are to be.
#[derive(Debug, Clone, Default)]
pub(crate) struct Channels {
    pub(crate) mode: TransferMode,
    pub(crate) parallelism: u16,
    pub(crate) tcp_buffer: Option<u32>,
    pub(crate) block_bytes: Option<usize>,
    pub(crate) dcau: DataChannelAuth,
    pub(crate) protection: ProtectionLevel,
    pub(crate) ascii: bool,
    pub(crate) striped: bool,
    pub(crate) layout: StripeLayout,
    pub(crate) delayed_passive: bool,
    pub(crate) data_credential: Option<Credential>,
    pub(crate) source: Drivers,
    pub(crate) dest: Drivers,
}

/// What one server is to load.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drivers {
    pub(crate) net_stack: Option<Vec<String>>,
    pub(crate) disk_stack: Option<Vec<String>>,
    /// A storage module and its arguments.
    pub(crate) module: Option<(String, String)>,
    /// What is moved comes from, or goes to, a program: there is no file.
    pub(crate) program: bool,
}

impl Channels {
    pub(crate) fn get(&self, get: GetBuilder) -> GetBuilder {
        let mut get = get
            .dcau(self.dcau.clone())
            .protection(self.protection)
            .ascii(self.ascii)
            .striped(self.striped)
            .layout(self.layout)
            .delayed_passive(self.delayed_passive);
        if let Some(bytes) = self.tcp_buffer {
            get = get.tcp_buffer(bytes);
        }
        if let Some(credential) = &self.data_credential {
            get = get.data_credential(credential.clone());
        }
        if let Some(drivers) = &self.source.net_stack {
            get = get.net_stack(drivers);
        }
        if let Some(drivers) = &self.source.disk_stack {
            get = get.disk_stack(drivers);
        }
        match &self.source.module {
            Some((name, arguments)) => get.storage_module(name, arguments),
            None => get,
        }
    }

    pub(crate) fn put(&self, put: PutBuilder) -> PutBuilder {
        let mut put = put
            .dcau(self.dcau.clone())
            .protection(self.protection)
            .ascii(self.ascii)
            .striped(self.striped)
            .layout(self.layout)
            .delayed_passive(self.delayed_passive);
        if let Some(bytes) = self.tcp_buffer {
            put = put.tcp_buffer(bytes);
        }
        if let Some(credential) = &self.data_credential {
            put = put.data_credential(credential.clone());
        }
        if let Some(drivers) = &self.dest.net_stack {
            put = put.net_stack(drivers);
        }
        if let Some(drivers) = &self.dest.disk_stack {
            put = put.disk_stack(drivers);
        }
        match &self.dest.module {
            Some((name, arguments)) => put.storage_module(name, arguments),
            None => put,
        }
    }
}

/// Which bytes of the source.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) offset: u64,
    pub(crate) length: Option<u64>,
    /// An offset or a length was given: what the destination holds beside them is kept.
    pub(crate) partial: bool,
}

/// How far a copy is, for whoever shows it.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    bytes: AtomicU64,
    /// One more than the bytes to come; 0 while nobody knows.
    total: AtomicU64,
}

impl Meter {
    pub(crate) fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn announce(&self, total: Option<u64>) {
        self.total.store(total.map_or(0, |total| total.saturating_add(1)), Ordering::Relaxed);
    }

    pub(crate) fn total(&self) -> Option<u64> {
        self.total.load(Ordering::Relaxed).checked_sub(1)
    }
}
