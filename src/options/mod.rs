//! What a caller can choose: plain values, checked when they are set, that do nothing by themselves.
//!
//! Never here: connections, files, clocks, or anything that acts on an option.

mod data;
mod delegation;
mod drivers;
mod ssh;
mod subject;
mod timeouts;

pub(crate) use data::DataOptions;
pub use data::{DataChannelAuth, ProtectionLevel, StripeLayout, TcpBuffer, TransferMode};
pub use delegation::Delegation;
pub(crate) use drivers::{DriverStack, StorageModule};
pub use ssh::SshOptions;
pub(crate) use ssh::check_ssh_user;
pub(crate) use subject::check_subject;
pub use timeouts::Timeouts;
