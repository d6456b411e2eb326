//! Values that operations take and give: entries of folders, ranges of bytes, features of servers.
//!
//! They are plain data with checked contents. How they look on the wire is said in `protocol`.
//!
//! Never here: anything that sends, receives or decides.

mod checksum;
mod entry;
mod features;
mod markers;
mod range;
mod ranges;
mod restart;

pub use checksum::{AlgorithmName, Checksum, ChecksumAlgorithm};
pub use entry::{Entry, EntryKind};
pub use features::FeatureSet;
pub use markers::{Marker, PerfMarker};
pub use range::ByteRange;
pub use ranges::RangeSet;
pub use restart::RestartMarker;
