//! What can go wrong in the lab, told to the person who runs the tests.

use std::io;
use std::path::Path;

use crate::packages::Component;

/// What the lab's fallible functions return.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why the lab could not set something up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A program of the system is not installed.
    #[error("`{}` is not installed: {}", .0.name, .0.how_to_install())]
    Missing(&'static Component),
    /// A file, folder or process of the lab's own could not be handled.
    #[error("{what}: {source}")]
    Io {
        /// What was being done, with the path.
        what: String,
        /// What the system said.
        source: io::Error,
    },
    /// A program ended with an error.
    #[error("{what} failed ({status}):\n{output}")]
    Program {
        /// The program and what it was for.
        what: String,
        /// How it ended.
        status: String,
        /// What it printed.
        output: String,
    },
    /// The server did not come up.
    #[error("the server did not start: {reason}\ncommand: {command}\n{log}")]
    Start {
        /// What was noticed.
        reason: String,
        /// The command line it was started with.
        command: String,
        /// What it wrote.
        log: String,
    },
    /// A certificate could not be made.
    #[error("making the certificate of {subject}: {source}")]
    Certificate {
        /// Whose certificate.
        subject: String,
        /// What rcgen said.
        source: rcgen::Error,
    },
}

impl Error {
    pub(crate) fn io(what: impl std::fmt::Display, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let what = format!("{what} {}", path.display());
        move |source| Self::Io { what, source }
    }
}
