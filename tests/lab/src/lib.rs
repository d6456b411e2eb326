//! The lab: what gridftp's tests, benches and `cargo xtask` stand on.
//!
//! Real `globus-gridftp-server` processes on free loopback ports ([`Server`]), plain FTP servers made by others
//! ([`PlainServer`]), a throw-away certificate authority with host, user and proxy certificates ([`Pki`]), trees of reproducible files and their hashes ([`Tree`]), and a port
//! that refuses ([`RefusedPort`]), and a proxy that breaks connections at any byte ([`proxy`]). Everything lives in temporary folders and goes away with its owner, also when the
//! owner panics or is killed.
//!
//! The lab needs no Globus headers and no `unsafe`: it drives programs. Where one of those is missing the error names
//! the packages to install. It must never depend on the crates it tests.
//!
//! ```no_run
//! use gridftp_lab::{Pki, Server};
//!
//! let server = Server::anonymous().start();
//! std::fs::write(server.dir().join("hello"), "hello").unwrap();
//! println!("{}", server.url("hello")); // ftp://127.0.0.1:PORT/tmp/…/hello
//!
//! let pki = Pki::new();
//! let gsi = Server::gsi(&pki).start();
//! let client = std::process::Command::new("globus-url-copy").envs(pki.env()).arg(gsi.url("hello")).spawn();
//! ```
#![forbid(unsafe_code)]

mod capture;
mod error;
pub mod forest;
pub mod hostile;
pub mod packages;
mod pki;
mod plain;
mod port;
pub mod proxy;
mod pulse;
mod random;
mod rsa;
mod server;
mod slurm;
mod sources;
mod ssh;
mod striped;
mod tree;
pub mod wan;
mod watch;

pub use capture::Capture;
pub use error::{Error, Result};
pub use pki::Pki;
pub use plain::{PlainBuilder, PlainServer};
pub use port::RefusedPort;
pub use pulse::Pulse;
pub use random::Random;
pub use server::{Builder, Login, Server};
pub use slurm::Slurm;
pub use sources::rust_sources;
pub use ssh::SshServer;
pub use tree::{File, Tree, random_bytes, sha256, sha256_file, write_random};
pub use watch::ended_within;

/// Percent-encodes a path for a URL: everything but unreserved characters and `/`.
///
/// Takes bytes, as a file name need not be UTF-8.
pub fn percent_encode(path: impl AsRef<[u8]>) -> String {
    use std::fmt::Write as _;
    let mut out = String::new();
    for &byte in path.as_ref() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a String cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}
