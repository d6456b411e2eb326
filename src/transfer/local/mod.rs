//! STUB
use std::path::{Path, PathBuf}; use std::time::SystemTime; use bytes::Bytes;
use crate::error::Result; use crate::types::{RangeSet,Checksum,ChecksumAlgorithm}; use crate::error::Error; use crate::data::Block;
use super::choices::Links;
#[derive(Debug, Clone)] pub(crate) struct Facts { pub kind: super::ReportKind, pub size: u64, pub modified: SystemTime, pub mode: u32 }
#[derive(Debug)] pub(crate) struct Root;
impl Root { pub fn of_file(_: &Path, _: bool) -> Result<(Self, Vec<u8>)> { todo!() } pub fn of_folder(_: &Path, _: bool, _: bool) -> Result<Self> { todo!() }
 pub fn facts(&self, _: &[u8]) -> Result<Option<Facts>> { todo!() } pub fn make_dir(&self, _: &[u8]) -> Result<()> { todo!() } pub fn make_link(&self, _: &[u8], _: &[u8]) -> Result<()> { todo!() }
 pub fn set_attributes(&self, _: &[u8], _: Option<u32>, _: Option<SystemTime>) -> Result<()> { todo!() } pub fn remove_file(&self, _: &[u8]) -> Result<()> { todo!() } pub fn remove_dir(&self, _: &[u8]) -> Result<()> { todo!() } pub fn sync(&self) -> std::io::Result<()> { todo!() } }
pub(crate) fn temporary_name(_: &[u8], _: u64) -> Vec<u8> { todo!() }
pub(crate) fn is_there(_: &Path) -> Result<bool> { todo!() }
pub(crate) fn checksum(_: &Root, _: &[u8], _: &ChecksumAlgorithm) -> Result<Checksum> { todo!() }
pub(crate) fn facts_of_source(_: &Path) -> Result<Option<Facts>> { todo!() }
pub(crate) fn regular_facts(_: &Path) -> Result<Facts> { todo!() }
pub(crate) fn read_small(_: &Path) -> Result<(Bytes, Facts)> { todo!() }
#[derive(Debug)] pub(crate) struct Attributes;
impl Attributes { pub fn of(_: &super::queue::Item, _: super::Preserve) -> Self { todo!() } }
pub(crate) fn write_small(_: &Root, _: &[u8], _: u64, _: &Bytes, _: &Attributes, _: bool, _: bool) -> Result<()> { todo!() }
#[derive(Debug)] pub(crate) struct Writer;
impl Writer { pub fn open(_: &Root, _: &[u8], _: u64, _: Option<u64>, _: &RangeSet) -> Result<Self> { todo!() } pub fn written(&self) -> RangeSet { todo!() } pub fn temporary(&self) -> &[u8] { todo!() }
 pub async fn write_at(&self, _: u64, _: Bytes) -> Result<()> { todo!() } pub async fn flush(&self) -> Result<()> { todo!() } pub async fn checksum(&self, _: &ChecksumAlgorithm) -> Result<Checksum> { todo!() }
 pub async fn finish(&self, _: u64, _: Attributes, _: bool, _: bool) -> Result<()> { todo!() } pub async fn keep(&self) -> RangeSet { todo!() } pub async fn discard(&self) { todo!() } }
#[derive(Debug)] pub(crate) struct Reader;
impl Reader { pub fn open(_: PathBuf, _: Vec<std::ops::Range<u64>>, _: u64) -> Self { todo!() } pub async fn next(&mut self) -> Result<Option<Block>> { todo!() } }
pub(crate) enum Kind { File { size: u64 }, Dir, Link { target: Option<Vec<u8>> }, Loop, Special(&'static str) }
pub(crate) struct Found { pub path: Vec<u8>, pub kind: Kind, pub mode: u32, pub modified: SystemTime }
pub(crate) struct Scan; impl Scan { pub fn new(_: PathBuf, _: Links) -> Self { todo!() } pub fn one_level(_: PathBuf, _: Links) -> Self { todo!() } }
impl Iterator for Scan { type Item = Result<Found, (Vec<u8>, Error)>; fn next(&mut self) -> Option<Self::Item> { todo!() } }
