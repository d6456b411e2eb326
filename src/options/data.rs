//! How data channels are made: transmission mode, parallelism, buffers, security.

use crate::error::{Error, Result};

/// Most parallel data connections that can be asked for.
pub(crate) const MAX_PARALLELISM: u16 = 256;

/// Largest socket buffer that can be asked for, in bytes.
pub(crate) const MAX_TCP_BUFFER_BYTES: u32 = 1 << 30;

/// Most blocks that may be in flight for one transfer.
pub(crate) const MAX_WINDOW_BLOCKS: usize = 256;

/// The transmission mode: what travels on a data connection (RFC 959 §3.4, GFD.20 §2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TransferMode {
    /// Extended block mode where it is of use (more than one stream, or many files in a row), else stream mode.
    #[default]
    Auto,
    /// MODE S: one connection per file, ended by its close. The server listens.
    Stream,
    /// MODE E: blocks with offsets over one or more connections, which stay open from file to file.
    ///
    /// The sender connects: on a get, this client listens, so the server must be able to reach it.
    ExtendedBlock,
}

/// The protection of data on its way (PROT, RFC 2228 §3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
#[non_exhaustive]
pub enum ProtectionLevel {
    /// As it is. The default.
    #[default]
    Clear,
    /// Signed: nobody can change it unnoticed.
    Safe,
    /// Signed and encrypted.
    Private,
}

/// Data channel authentication (DCAU, GFD.20 §2.5): who may be at the other end of a data connection.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum DataChannelAuth {
    /// The user's own identity at both ends where protection needs it, else none.
    #[default]
    Auto,
    /// DCAU N: nobody proves anything. Whoever connects to a listening client is still compared with the server's address.
    None,
    /// DCAU A: both ends prove to be the user. The server needs a delegated credential for that.
    OwnIdentity,
}

/// The data options of one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataOptions {
    pub(crate) mode: TransferMode,
    pub(crate) parallelism: u16,
    pub(crate) tcp_buffer_bytes: Option<u32>,
    pub(crate) window_blocks: usize,
    pub(crate) dcau: DataChannelAuth,
    pub(crate) protection: ProtectionLevel,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            mode: TransferMode::Auto,
            parallelism: 1,
            tcp_buffer_bytes: None,
            window_blocks: 8,
            dcau: DataChannelAuth::Auto,
            protection: ProtectionLevel::Clear,
        }
    }
}

impl DataOptions {
    /// Refuses what cannot be, naming it.
    pub(crate) fn check(&self) -> Result<()> {
        if self.parallelism == 0 || self.parallelism > MAX_PARALLELISM {
            return Err(Error::invalid(format!(
                "a parallelism of {} is not possible; expected 1 to {MAX_PARALLELISM} data connections",
                self.parallelism
            )));
        }
        if self.mode == TransferMode::Stream && self.parallelism > 1 {
            return Err(Error::invalid(format!(
                "stream mode has one data connection; {} were asked for (use extended block mode)",
                self.parallelism
            )));
        }
        if self.tcp_buffer_bytes.is_some_and(|bytes| bytes == 0 || bytes > MAX_TCP_BUFFER_BYTES) {
            return Err(Error::invalid(format!(
                "a TCP buffer of {} bytes is not possible; expected 1 to {MAX_TCP_BUFFER_BYTES}",
                self.tcp_buffer_bytes.unwrap_or_default()
            )));
        }
        if self.window_blocks == 0 || self.window_blocks > MAX_WINDOW_BLOCKS {
            return Err(Error::invalid(format!(
                "a window of {} blocks is not possible; expected 1 to {MAX_WINDOW_BLOCKS}",
                self.window_blocks
            )));
        }
        if self.protection > ProtectionLevel::Clear && self.dcau == DataChannelAuth::None {
            return Err(Error::invalid(
                "data cannot be protected without data channel authentication; expected DCAU A with SAFE or PRIVATE",
            ));
        }
        Ok(())
    }

    /// Whether the server must hold a delegated credential for this.
    pub(crate) fn needs_delegation(&self) -> bool {
        self.protection > ProtectionLevel::Clear || self.dcau == DataChannelAuth::OwnIdentity
    }

    /// Whether extended block mode is used for one file.
    pub(crate) fn extended_block(&self) -> bool {
        match self.mode {
            TransferMode::Auto => self.parallelism > 1,
            TransferMode::Stream => false,
            TransferMode::ExtendedBlock => true,
        }
    }
}
