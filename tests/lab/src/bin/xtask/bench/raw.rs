//! What TCP alone reaches: a file is sent by sendfile from one process, and received by another that throws it away.
//!
//! Both are this program, called again by a name that the help does not show.

use std::io::{BufRead as _, Read as _};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// What the receiver reads at once.
const BLOCK: usize = 1 << 20;

/// Which end.
#[derive(clap::Subcommand)]
pub(crate) enum Raw {
    /// Sends the file to whoever connects, one after another
    Send { file: PathBuf },
    /// Receives it
    Receive { port: u16, bytes: u64 },
}

pub(crate) fn run(raw: &Raw) -> Result<()> {
    match raw {
        Raw::Send { file } => send(file),
        Raw::Receive { port, bytes } => receive(*port, *bytes),
    }
}

#[allow(clippy::print_stdout, reason = "the port is told to the process that started this one")]
fn send(path: &Path) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("listening")?;
    println!("{}", listener.local_addr().context("asking for the port")?.port());
    for connection in listener.incoming() {
        let connection = connection.context("accepting")?;
        let file = std::fs::File::open(path).with_context(|| format!("opening {}", path.display()))?;
        // The receiver may be killed; the next one comes all the same.
        while rustix::fs::sendfile(&connection, &file, None, 1 << 30).is_ok_and(|sent| sent > 0) {}
    }
    Ok(())
}

fn receive(port: u16, bytes: u64) -> Result<()> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).context("connecting")?;
    let mut block = vec![0; BLOCK];
    let mut left = bytes;
    loop {
        let got = connection.read(&mut block).context("receiving")?;
        if got == 0 {
            break;
        }
        left = left.saturating_sub(u64::try_from(got).unwrap_or(0));
    }
    if left > 0 {
        bail!("{left} bytes are missing");
    }
    Ok(())
}

fn me() -> Command {
    let mut command = crate::step::this_program();
    command.args(["bench", "raw"]);
    command
}

/// A sender that runs until it is dropped.
pub(crate) struct Sender {
    child: Child,
    port: u16,
}

impl Sender {
    pub(crate) fn start(file: &Path) -> Result<Self> {
        let mut child = me()
            .arg("send")
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("starting the sender")?;
        let mut line = String::new();
        let read = child.stdout.take().map(|out| std::io::BufReader::new(out).read_line(&mut line));
        let port = match read {
            Some(Ok(_)) => line.trim().parse().ok(),
            _ => None,
        };
        // From here on it is ended when this is dropped, also where there is no port.
        let sender = Self { child, port: port.unwrap_or(0) };
        if sender.port == 0 {
            bail!("the sender does not tell its port");
        }
        Ok(sender)
    }

    pub(crate) fn receiver(&self, bytes: u64) -> Command {
        let mut command = me();
        command.args(["receive", &self.port.to_string(), &bytes.to_string()]);
        command
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
