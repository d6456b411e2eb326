//! A server for a person to play with.

use std::path::Path;

use anyhow::{Context as _, Result};
use gridftp_lab::{Pki, Server, packages, write_random};

/// What kind of server.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// GSI with a throw-away CA, instead of anonymous
    #[arg(long)]
    gsi: bool,
    /// The control channel's port; the system chooses one otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    port: Option<u16>,
}

/// Runs it until Ctrl-C. The server's watcher notices the end of this process, however it comes, and cleans up.
pub(crate) fn run(args: &Args) -> Result<()> {
    let pki = if args.gsi { Some(Pki::try_new()?) } else { None };
    // Anybody on this machine can reach a loopback port, so a person's server shows one folder only.
    let mut builder = match &pki {
        Some(pki) => Server::gsi(pki),
        None => Server::anonymous(),
    }
    .confined();
    if let Some(port) = args.port {
        builder = builder.port(port);
    }
    let server = builder.try_start()?;
    let hello = server.dir().join("hello.txt");
    std::fs::write(&hello, "Hello from a throw-away GridFTP server.\n")
        .with_context(|| format!("writing {}", hello.display()))?;
    write_random(&server.dir().join("random-10M"), 1, 10_000_000)?;

    println!("# A {} server, until Ctrl-C. Its files: {}", kind(args.gsi), server.dir().display());
    if let Some(pki) = &pki {
        println!("# In the shell of the client:");
        for (name, path) in pki.env() {
            println!("export {name}={}", quote(&path));
        }
    }
    println!("# Try:");
    println!("cargo run --quiet --release --example gridftp-cp -- {} -", server.url("hello.txt"));
    println!(
        "cargo run --quiet --release --example gridftp-cp -- {} /tmp/random-10M",
        server.url("random-10M")
    );
    if packages::URL_COPY.is_present() {
        println!("globus-url-copy {} file:///tmp/hello.txt", server.url("hello.txt"));
    }
    loop {
        std::thread::park();
    }
}

fn kind(gsi: bool) -> &'static str {
    if gsi { "GSI" } else { "anonymous" }
}

/// A path as a word of the shell.
fn quote(path: &Path) -> String {
    let text = path.display().to_string();
    if text.bytes().all(|b| b.is_ascii_alphanumeric() || b"/._-+".contains(&b)) {
        text
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}
