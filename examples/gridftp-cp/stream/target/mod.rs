//! Where a copy goes, found out before anything is moved.
//!
//! Two questions are answered here: which name the copy gets (a folder gets the source's name), and how it is written:
//! under a temporary name, or directly. Nothing is opened or changed yet, save that missing folders are made for `-cd`.

pub(crate) mod local;
pub(crate) mod remote;

use std::ffi::OsStr;

use crate::failure::Failure;
use crate::location::Location;

/// A destination that has been looked at.
#[derive(Debug)]
pub(crate) enum Target {
    Stdout,
    Local(local::LocalTarget),
    Remote(remote::RemoteTarget),
}

impl Target {
    /// Whether bytes can only be written one after the other.
    pub(crate) fn in_order(&self) -> bool {
        match self {
            Self::Stdout => true,
            Self::Local(target) => target.way == local::Way::Stream,
            Self::Remote(_) => false,
        }
    }
}

/// The source's name, which a folder as destination needs.
fn name_of(source: &Location) -> Result<&OsStr, Failure> {
    source.file_name().ok_or_else(|| {
        Failure::usage(format!("the destination is a folder, and the source {source} has no file name; expected the name of a file"))
    })
}
