//! A plain FTP server made by others (pyftpdlib), for what the Globus server never lets one see: no extended block mode,
//! no GridFTP commands, `/` is the login folder, other words in the replies; and, where a test asks for it, no `MLST`,
//! no `FEAT` or no `EPSV` either.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::watch::{self, Watched, poll_until};
use crate::{Error, Result, packages, percent_encode};

/// How long the server may take until it listens: an interpreter starts first.
const START_LIMIT: Duration = Duration::from_secs(30);

const SCRIPT: &str = include_str!("plain.py");
const PASSWORD: &str = "secret";

/// A running plain server. Dropping it ends it and all its connections; so does the end of this process, however it comes.
///
/// When dropped by a panicking thread it prints its log, which holds every command and reply, to standard error.
#[derive(Debug)]
pub struct PlainServer {
    // Dropped in this order: the process first, then the folder it writes to.
    process: Watched,
    port: u16,
    user: Option<String>,
    host: String,
    folder: TempDir,
}

/// What a [`PlainServer`] shall be like.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct PlainBuilder {
    user: Option<String>,
    address: String,
    permitted: String,
    unknown: Vec<String>,
}

impl PlainServer {
    /// A server for anonymous clients, who may do everything below [`dir`](Self::dir).
    pub fn anonymous() -> PlainBuilder {
        PlainBuilder {
            user: None,
            address: "127.0.0.1".into(),
            permitted: "elradfmwMT".into(),
            unknown: Vec::new(),
        }
    }

    /// A server for clients that say this name and [`PlainServer::password`].
    pub fn with_password(name: impl Into<String>) -> PlainBuilder {
        PlainBuilder { user: Some(name.into()), ..Self::anonymous() }
    }

    /// The URL of `path`, percent-encoded. Clients see [`dir`](Self::dir) as `/`: a path is below it, and an absolute one
    /// that names the folder itself loses that part.
    pub fn url(&self, path: impl AsRef<Path>) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let path = path.as_ref();
        let path = path.strip_prefix(self.dir()).unwrap_or(path);
        let path = path.strip_prefix("/").unwrap_or(path);
        format!("{}/{}", self.url_root(), percent_encode(path.as_os_str().as_bytes()))
    }

    /// The URL without a path: `ftp://127.0.0.1:2811`.
    pub fn url_root(&self) -> String {
        match &self.user {
            None => format!("ftp://{}:{}", self.host, self.port),
            Some(name) => {
                format!("ftp://{}:{PASSWORD}@{}:{}", percent_encode(name), self.host, self.port)
            }
        }
    }

    /// The port of its control channel.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The password that goes with the name given to [`with_password`](Self::with_password).
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// A private folder for the files of a test, empty at the start; `/` for clients.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// What the server has logged so far: every command (`<-`) and reply (`->`), passwords hidden.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The process of the server.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The server's processes, as they are now.
    pub fn processes(&self) -> Vec<u32> {
        watch::group_members(self.process.pid())
    }
}

impl Drop for PlainServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "---- log of the plain server on port {} ----\n{}---- end of the log ----",
                self.port,
                self.log()
            );
        }
    }
}

impl PlainBuilder {
    /// Commands that the server shall not know: it answers them 500 and does not list them among its features.
    /// `SITE` commands are named with it: `SITE CHMOD`.
    pub fn without(mut self, commands: &[&str]) -> Self {
        self.unknown.extend(commands.iter().map(|&command| command.to_owned()));
        self
    }

    /// Removes what came after RFC 959: no features, no facts, no sizes and times, no extended passive mode.
    pub fn old(self) -> Self {
        self.without(&["FEAT", "OPTS", "MLST", "MLSD", "SIZE", "MDTM", "MFMT", "EPSV", "EPRT", "SITE CHMOD"])
    }

    /// Clients may look and read, and nothing else.
    pub fn read_only(mut self) -> Self {
        self.permitted = "elr".into();
        self
    }

    /// Listens on `::1` instead of 127.0.0.1.
    pub fn ipv6(mut self) -> Self {
        self.address = "::1".into();
        self
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Panics
    /// When it cannot; the message holds the server's log, or names the package to install.
    #[track_caller]
    pub fn start(self) -> PlainServer {
        self.try_start().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// When it is not installed, ends at once, or does not listen in time.
    pub fn try_start(self) -> Result<PlainServer> {
        let python = packages::PYFTPDLIB.program()?;
        let folder = tempfile::Builder::new()
            .prefix("plain-server-")
            .tempdir()
            .map_err(Error::io("making a folder in", &std::env::temp_dir()))?;
        let files = folder.path().join("files");
        fs::create_dir(&files).map_err(Error::io("making the folder", &files))?;

        let mut command = Command::new(python);
        // Isolated: neither the user's modules nor the variables of the caller's environment have a say.
        command.args(["-I", "-u", "-c", SCRIPT, &self.address]).arg(&files);
        command.args([self.user.as_deref().unwrap_or("anonymous"), PASSWORD, &self.permitted]);
        command.args(&self.unknown);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", folder.path());

        let create = |name: &str| {
            let path = folder.path().join(name);
            fs::OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(&path)
                .map_err(Error::io("creating", &path))
        };
        let process = Watched::spawn(
            &command,
            Stdio::from(create("out")?),
            Stdio::from(create("log")?),
            &[folder.path().to_owned()],
        )?;
        let host = if self.address.contains(':') { format!("[{}]", self.address) } else { self.address };
        let mut server = PlainServer { process, port: 0, user: self.user, host, folder };
        match server.wait_until_it_listens() {
            Ok(()) => Ok(server),
            Err(reason) => Err(Error::Start {
                reason,
                command: "pyftpdlib, by tests/lab/src/plain.py".into(),
                log: server.log(),
            }),
        }
    }
}

impl PlainServer {
    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let out = self.folder.path().join("out");
        let (mut ended, mut port) = (None, None);
        poll_until(START_LIMIT, || {
            ended = self.process.try_wait();
            port = announced_port(&fs::read_to_string(&out).unwrap_or_default());
            ended.is_some() || port.is_some()
        });
        match (ended, port) {
            (Some(status), _) => Err(format!("it ended at once, {status}")),
            (None, Some(port)) => {
                self.port = port;
                Ok(())
            }
            (None, None) => Err(format!("it does not listen after {START_LIMIT:?}")),
        }
    }
}

/// The port in `listening 43473`, once the line is whole.
fn announced_port(out: &str) -> Option<u16> {
    out.strip_suffix('\n')?.strip_prefix("listening ")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::announced_port;

    #[test]
    fn the_announced_port_needs_a_whole_line() {
        assert_eq!(announced_port("listening 43473\n"), Some(43473));
        assert_eq!(announced_port("listening 434"), None);
        assert_eq!(announced_port(""), None);
    }
}
