//! How data channels are made: transmission mode, parallelism, buffers, stripes, security.

use std::net::IpAddr;

use crate::error::{Error, Result};
use crate::options::drivers::{DriverStack, StorageModule};
use crate::options::subject::check_subject;

/// Most parallel data connections that can be asked for.
pub(crate) const MAX_PARALLELISM: u16 = 256;

/// Largest socket buffer that can be asked for, in bytes.
pub(crate) const MAX_TCP_BUFFER_BYTES: u32 = 1 << 30;

/// Sizes of the blocks of [`StripeLayout::Blocked`], in bytes.
const STRIPE_BLOCK_BYTES: std::ops::RangeInclusive<u32> = 1024..=1 << 30;

/// Most hosts that may be named for data connections.
const MAX_DATA_HOSTS: usize = 1024;

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
    /// DCAU A: both ends prove to be the user. The server needs a credential of the user's for that.
    OwnIdentity,
    /// DCAU S: both ends prove to be this distinguished name, as `/O=Grid/CN=somebody`. The server needs a credential for
    /// that, as with [`DataChannelAuth::OwnIdentity`].
    Subject(String),
}

/// The socket buffers of data connections (`SBUF`, GFD.20 §3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum TcpBuffer {
    /// Left to the kernels at both ends, which tune them better than a fixed number. The default.
    #[default]
    Auto,
    /// This many bytes at both ends, 1 to 2^30.
    Fixed(u32),
}

impl From<u32> for TcpBuffer {
    fn from(bytes: u32) -> Self {
        Self::Fixed(bytes)
    }
}

/// Which stripe carries which bytes (`OPTS RETR StripeLayout=`, GFD.20 §3.4).
///
/// On a get it is what the server is asked for, on a put what this client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum StripeLayout {
    /// The server's choice on a get (blocks of 1 MiB at globus-gridftp-server); on a put, blocks take turns.
    #[default]
    Default,
    /// Each stripe has one contiguous part of the file. On a put the size must be known before: say it with
    /// [`allocate`](crate::PutBuilder::allocate).
    Partitioned,
    /// Blocks of this size take turns.
    Blocked {
        /// Bytes per block, 1024 to 2^30.
        block_bytes: u32,
    },
}

/// The data options of one transfer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DataOptions {
    pub(crate) mode: TransferMode,
    pub(crate) parallelism: u16,
    pub(crate) tcp_buffer: TcpBuffer,
    pub(crate) window_blocks: usize,
    pub(crate) dcau: DataChannelAuth,
    pub(crate) protection: ProtectionLevel,
    /// SPAS and SPOR, as [`Self::is_striped`] says.
    pub(crate) striped: bool,
    pub(crate) layout: StripeLayout,
    /// Hosts that count as the server's where nobody is authenticated.
    pub(crate) data_hosts: Vec<IpAddr>,
    pub(crate) net_stack: Option<DriverStack>,
    pub(crate) disk_stack: Option<DriverStack>,
    /// ERET and ESTO through this module instead of RETR and STOR.
    pub(crate) storage_module: Option<StorageModule>,
    /// The server says behind STOR or RETR where it listens.
    pub(crate) delayed_passive: bool,
    /// ALLO before STOR.
    pub(crate) allocate: Option<u64>,
    /// Text: TYPE A.
    pub(crate) ascii: bool,
    /// What is sent is a file, which data channels that can do so send by themselves.
    pub(crate) file: bool,
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            mode: TransferMode::Auto,
            parallelism: 1,
            tcp_buffer: TcpBuffer::Auto,
            window_blocks: 8,
            dcau: DataChannelAuth::Auto,
            protection: ProtectionLevel::Clear,
            striped: false,
            layout: StripeLayout::Default,
            data_hosts: Vec::new(),
            net_stack: None,
            disk_stack: None,
            storage_module: None,
            delayed_passive: false,
            allocate: None,
            ascii: false,
            file: false,
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
        if let TcpBuffer::Fixed(bytes) = self.tcp_buffer
            && (bytes == 0 || bytes > MAX_TCP_BUFFER_BYTES)
        {
            return Err(Error::invalid(format!(
                "a TCP buffer of {bytes} bytes is not possible; expected 1 to {MAX_TCP_BUFFER_BYTES}"
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
        if let DataChannelAuth::Subject(subject) = &self.dcau {
            check_subject(subject)?;
            // The library would take such a name for that of a host.
            if subject.contains('@') && !subject.contains("CN=") {
                return Err(Error::invalid(
                    "the subject for data channels has no common name; expected one like /O=Grid/CN=somebody",
                ));
            }
        }
        self.check_stripes()?;
        for stack in [&self.net_stack, &self.disk_stack].into_iter().flatten() {
            stack.check()?;
        }
        if self.ascii && self.extended_block() {
            return Err(Error::invalid("text (TYPE A) goes over one data connection; expected stream mode"));
        }
        if let Some(module) = &self.storage_module {
            module.check()?;
        }
        match self.allocate {
            Some(bytes) if i64::try_from(bytes).is_err() => {
                Err(Error::invalid(format!("{bytes} bytes cannot be allocated; expected less than 2^63")))
            }
            _ => Ok(()),
        }
    }

    fn check_stripes(&self) -> Result<()> {
        if let StripeLayout::Blocked { block_bytes } = self.layout
            && !STRIPE_BLOCK_BYTES.contains(&block_bytes)
        {
            return Err(Error::invalid(format!(
                "blocks of {block_bytes} bytes are not possible; expected {} to {}",
                STRIPE_BLOCK_BYTES.start(),
                STRIPE_BLOCK_BYTES.end()
            )));
        }
        if self.is_striped() && self.mode == TransferMode::Stream {
            return Err(Error::invalid(
                "stream mode has one data connection; stripes were asked for (use extended block mode)",
            ));
        }
        if self.is_striped() && self.delayed_passive {
            return Err(Error::invalid(
                "stripes and delayed passive do not go together; expected one of them",
            ));
        }
        if self.data_hosts.len() > MAX_DATA_HOSTS {
            let given = self.data_hosts.len();
            return Err(Error::invalid(format!("{given} data hosts; expected at most {MAX_DATA_HOSTS}")));
        }
        Ok(())
    }

    /// Whether data channels made for these options serve the other ones as well.
    pub(crate) fn same_channels(&self, other: &Self) -> bool {
        let channels = |options: &Self| Self {
            mode: TransferMode::Auto,
            window_blocks: 0,
            storage_module: None,
            // Parts of a file are cut by its size.
            allocate: options.allocate.filter(|_| options.layout == StripeLayout::Partitioned),
            ..options.clone()
        };
        channels(self) == channels(other)
    }

    /// Whether the server may use several data nodes.
    pub(crate) fn is_striped(&self) -> bool {
        self.striped || self.layout != StripeLayout::Default
    }

    /// The fixed size of socket buffers, if there is one.
    pub(crate) fn tcp_buffer_bytes(&self) -> Option<u32> {
        match self.tcp_buffer {
            TcpBuffer::Auto => None,
            TcpBuffer::Fixed(bytes) => Some(bytes),
        }
    }

    /// Whether the server must hold a credential of the user's for this.
    pub(crate) fn needs_delegation(&self) -> bool {
        self.protection > ProtectionLevel::Clear
            || matches!(self.dcau, DataChannelAuth::OwnIdentity | DataChannelAuth::Subject(_))
    }

    /// Whether extended block mode is used for one file.
    pub(crate) fn extended_block(&self) -> bool {
        match self.mode {
            TransferMode::Auto => self.parallelism > 1 || self.is_striped(),
            TransferMode::Stream => false,
            TransferMode::ExtendedBlock => true,
        }
    }
}
