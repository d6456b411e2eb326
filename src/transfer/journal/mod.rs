//! STUB
use crate::error::Result; use crate::types::{RangeSet,Checksum}; use std::path::Path;
#[derive(Debug, Clone, PartialEq)] pub(crate) struct Identity { pub size: Option<u64>, pub modified_nanos: Option<i64>, pub unique: Option<Vec<u8>> }
#[derive(Debug)] pub(crate) enum Record { Done { path: Vec<u8>, source: Identity, destination: Option<Identity>, checksum: Option<Checksum> }, Part { path: Vec<u8>, source: Identity, temporary: Vec<u8>, ranges: RangeSet }, Dropped { path: Vec<u8> } }
#[derive(Debug, Default)] pub(crate) struct State; #[derive(Debug)] pub(crate) struct Part { pub source: Identity, pub ranges: RangeSet }
#[derive(Debug, PartialEq)] pub(crate) enum Done { No, Yes, Changed }
impl State { pub fn done(&self, _: &[u8], _: &Identity) -> Done { todo!() } pub fn part(&self, _: &[u8]) -> Option<&Part> { todo!() } }
#[derive(Debug)] pub(crate) struct Journal;
impl Journal { pub fn open(_: &Path, _: &[u8]) -> Result<(Self, State)> { todo!() } pub fn tag(&self) -> u64 { todo!() } pub fn append(&self, _: Record) { todo!() } pub async fn close(&self, _: impl FnOnce() -> std::io::Result<()> + Send, _: bool) -> Result<()> { todo!() } }
