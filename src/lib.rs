//! A GridFTP client.

mod client;
mod credential;
mod data;
mod engine;
pub mod error;
mod ops;
pub mod options;
mod protocol;
mod session;
mod types;
mod url;

pub use bytes::Bytes;
pub use client::{Client, ClientBuilder, EngineMetrics, Metrics, engine_metrics, init, shutdown};
pub use credential::Credential;
pub use data::{Block, Get, GetBuilder, GetMany, GetManyBuilder, ManyFile, Put, PutBuilder, PutSummary, Reader, Writer};
pub use error::{Error, ErrorKind, Phase, Reply, Result, Side, TimeoutKind};
pub use types::{ByteRange, Entry, EntryKind, FeatureSet};
pub use url::{Endpoint, IntoUrl, Scheme, Url};
