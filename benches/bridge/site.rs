//! Servers, and a client of theirs.

use std::process::{Command, ExitCode};
use std::time::Duration;

use gridftp::Client;
use gridftp_lab::{Pki, Server};
use tokio::runtime::{Builder, Runtime};

/// Tells the process that measures where the GSI server's file is.
const GSI: &str = "GRIDFTP_BENCH_GSI";

/// What all benches use.
pub(crate) struct Site {
    /// Of one thread: that of a client's own tasks is the one that waits for them, so no figure has a change of threads in it
    /// but those to the Globus thread and back.
    pub(crate) runtime: Runtime,
    pub(crate) client: Client,
    pub(crate) server: Server,
    /// A file at a server with certificates.
    pub(crate) gsi_url: String,
}

impl Site {
    /// None outside of [`run_below_a_site`].
    pub(crate) fn here() -> Option<Self> {
        let gsi_url = std::env::var(GSI).ok()?;
        // Between two benches, while the last one's figures are looked at, sessions have to stay.
        let client = Client::builder().idle_timeout(Duration::from_secs(600)).build().unwrap();
        Some(Self {
            runtime: Builder::new_current_thread().enable_all().build().unwrap(),
            client,
            server: Server::anonymous().start(),
            gsi_url,
        })
    }
}

/// Starts this program again, with an environment that trusts a new authority: the C library reads it from there only, and a
/// running process must not change its own.
pub(crate) fn run_below_a_site() -> ExitCode {
    let pki = Pki::new();
    let server = Server::gsi(&pki).start();
    std::fs::write(server.dir().join("file"), "contents").unwrap();
    let mut again = Command::new(std::env::current_exe().unwrap());
    again.args(std::env::args_os().skip(1)).envs(pki.env()).env(GSI, server.url("file"));
    if again.status().unwrap().success() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
