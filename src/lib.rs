//! A GridFTP client.

pub mod error;
mod credential;
mod engine;
pub mod options;
mod protocol;
mod session;
mod types;
mod url;

pub use bytes::Bytes;
pub use error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
pub use types::{ByteRange, Entry, EntryKind, FeatureSet};
pub use url::{Endpoint, IntoUrl, Scheme, Url};
