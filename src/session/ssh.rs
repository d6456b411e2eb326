//! The control channel of `sshftp://`: the standard input and output of an ssh process.
//!
//! What ssh says on standard error is kept, bounded, to be told when the connection ends before it should. The process
//! belongs to the task that drives the control channel: it is killed and waited for when that ends, however it ends.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::net::UdpSocket;
use tokio::net::unix::pipe;
use tokio::process::{Child, ChildStderr, Command};
use tokio::task::JoinHandle;

use crate::engine::move_high;
use crate::error::{Error, ErrorKind, Escaped, Phase, Result, Side};
use crate::options::SshOptions;

/// How much of standard error is kept: the end of it, where the reason stands.
const MAX_WORDS: usize = 2048;

/// How long the end of the process and its last words are waited for, once the connection has ended.
const LAST_WORDS_LIMIT: Duration = Duration::from_secs(2);

/// The two ends of an ssh process, and the process.
pub(crate) struct Connection {
    pub(crate) reader: pipe::Receiver,
    pub(crate) writer: pipe::Sender,
    pub(crate) process: Process,
    /// Where data connections go.
    pub(crate) peer: SocketAddr,
    /// Where they may come from, and come back to.
    pub(crate) local: SocketAddr,
}

/// A running ssh. Killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    words: Arc<Mutex<Vec<u8>>>,
    collector: JoinHandle<()>,
}

/// Starts ssh; `addresses` are those of the host, of which the first counts for data connections.
///
/// # Errors
/// `Unsupported` when there is no such program; `LocalIo`, `TooManyOpenFiles` when it cannot be run.
pub(crate) async fn connect(
    options: &SshOptions,
    host: &str,
    user: Option<&str>,
    addresses: &[SocketAddr],
) -> Result<Connection> {
    let Some(&peer) = addresses.first() else {
        let message = format!("the host \"{host}\" has no address");
        return Err(Error::new(ErrorKind::Resolve, Phase::Resolve, message).with_side(Side::Local));
    };
    let local = towards(peer).await?;
    let mut command = Command::new(options.program_name());
    command.args(options.arguments()).args(["-T", "-x", "-o", "BatchMode=yes", "-p"]);
    command.arg(peer.port().to_string());
    if let Some(user) = user {
        command.args(["-l", user]);
    }
    command.args(["--", host, options.remote()]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|source| not_started(options, source))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (Some(stdin), Some(stdout), Some(stderr)) = (stdin, stdout, stderr) else {
        return Err(Error::new(ErrorKind::Internal, Phase::Connect, "ssh was started without its pipes"));
    };
    // The low numbers are for Globus, as with sockets.
    let failed = |source| not_started(options, source);
    let writer = pipe::Sender::from_owned_fd(move_high(stdin.into_owned_fd().map_err(failed)?));
    let reader = pipe::Receiver::from_owned_fd(move_high(stdout.into_owned_fd().map_err(failed)?));
    let words = Arc::<Mutex<Vec<u8>>>::default();
    let collector = tokio::spawn(collect(stderr, Arc::clone(&words)));
    let process = Process { child, words, collector };
    Ok(Connection { reader: reader.map_err(failed)?, writer: writer.map_err(failed)?, process, peer, local })
}

/// Our address on the way to the server: the one that it can reach us at. Nothing is sent.
async fn towards(peer: SocketAddr) -> Result<SocketAddr> {
    let any = match peer {
        SocketAddr::V4(_) => SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0),
        SocketAddr::V6(_) => SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), 0),
    };
    let found = async {
        let socket = UdpSocket::bind(any).await?;
        socket.connect(peer).await?;
        socket.local_addr()
    };
    found.await.map_err(|source: std::io::Error| {
        Error::new(ErrorKind::Connect, Phase::Connect, format!("there is no way to {peer}: {source}"))
            .with_side(Side::Local)
            .with_source(source)
    })
}

fn not_started(options: &SshOptions, source: std::io::Error) -> Error {
    let program = options.program_name().as_encoded_bytes();
    let shown = Escaped(&program[..program.len().min(200)]).to_string();
    let kind = match source.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::Unsupported,
        _ if matches!(source.raw_os_error(), Some(code) if is_out_of_files(code)) => {
            ErrorKind::TooManyOpenFiles
        }
        _ => ErrorKind::LocalIo,
    };
    Error::new(kind, Phase::Connect, format!("the program \"{shown}\" for sshftp cannot be run: {source}"))
        .with_side(Side::Local)
        .with_source(source)
}

fn is_out_of_files(code: i32) -> bool {
    [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].iter().any(|errno| errno.raw_os_error() == code)
}

/// Reads standard error to its end, so that ssh never waits for room in the pipe.
async fn collect(mut stderr: ChildStderr, words: Arc<Mutex<Vec<u8>>>) {
    let mut buffer = [0; 1024];
    while let Ok(count @ 1..) = stderr.read(&mut buffer).await {
        let mut words = words.lock().unwrap_or_else(PoisonError::into_inner);
        words.extend_from_slice(&buffer[..count]);
        let excess = words.len().saturating_sub(MAX_WORDS);
        words.drain(..excess);
    }
}

impl Process {
    /// What ssh has to say about a connection that ended, in place of the bare `reason`. `answered` tells whether the server
    /// has ever said anything, `left` that nobody wants to know.
    pub(crate) async fn explain(&mut self, reason: Error, answered: bool, left: bool) -> Error {
        if left || reason.kind() != ErrorKind::ConnectionLost {
            return reason;
        }
        let end = async {
            let status = self.child.wait().await.ok();
            // What was written before the end is still in the pipe.
            let _ = (&mut self.collector).await;
            status
        };
        let status = tokio::time::timeout(LAST_WORDS_LIMIT, end).await.ok().flatten();
        let words = self.words.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let text = String::from_utf8_lossy(&words).trim().replace("\r\n", " / ").replace('\n', " / ");
        let shown = Escaped(text.as_bytes()).to_string();
        let how = status
            .map_or_else(|| "ssh closed the connection".to_owned(), |status| format!("ssh ended ({status})"));
        let message = if shown.is_empty() { how } else { format!("{how}: {shown}") };
        let kind = if answered { ErrorKind::ConnectionLost } else { kind_of_end(status, &text) };
        let message = if answered { format!("{reason}; {message}") } else { message };
        Error::new(kind, reason.phase(), message).with_side(Side::Server)
    }

    /// Ends the process and waits for it, so that no zombie is left.
    pub(crate) async fn end(mut self) {
        // Fails only where it has ended already.
        let _ = self.child.start_kill();
        let _ = tokio::time::timeout(LAST_WORDS_LIMIT, self.child.wait()).await;
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Somebody may have inherited standard error and keep it open.
        self.collector.abort();
    }
}

/// Why no server answered, from the words of OpenSSH and of shells.
fn kind_of_end(status: Option<ExitStatus>, text: &str) -> ErrorKind {
    let text = text.to_ascii_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&[
        "host key verification failed",
        "permission denied (",
        "too many authentication",
        "no matching host key",
    ]) {
        ErrorKind::Authentication
    } else if says(&["could not resolve hostname"]) {
        ErrorKind::Resolve
    } else if says(&["connect to host", "connection refused", "no route to host", "network is unreachable"]) {
        ErrorKind::Connect
    } else if status.and_then(|status| status.code()).is_some_and(|code| matches!(code, 126 | 127)) {
        // The shell over there found no such command.
        ErrorKind::Unsupported
    } else {
        ErrorKind::ConnectionLost
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;

    use super::*;

    #[test]
    fn ssh_says_why() {
        let status = |code: i32| Some(ExitStatus::from_raw(code << 8));
        for (status, text, kind) in [
            (status(255), "ada@h: Permission denied (publickey).", ErrorKind::Authentication),
            (status(255), "Host key verification failed.", ErrorKind::Authentication),
            (status(255), "ssh: Could not resolve hostname x: Name or service not known", ErrorKind::Resolve),
            (status(255), "ssh: connect to host h port 22: Connection refused", ErrorKind::Connect),
            (status(127), "sh: 1: no-such-server: not found", ErrorKind::Unsupported),
            (status(1), "", ErrorKind::ConnectionLost),
            (None, "", ErrorKind::ConnectionLost),
        ] {
            assert_eq!(kind_of_end(status, text), kind, "{text}");
        }
    }

    #[tokio::test]
    async fn our_address_on_the_way_to_a_server() {
        assert!(towards("127.0.0.1:22".parse().unwrap()).await.unwrap().ip().is_loopback());
    }
}
