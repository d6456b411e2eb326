//! An ssh server with keys of its own, for `sshftp`: nothing of the machine's ssh is used or changed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::server::user_name;
use crate::watch::{self, Watched, poll_until};
use crate::{Error, Result, packages, percent_encode};

/// How long the server may take until it listens: an interpreter starts first.
const START_LIMIT: Duration = Duration::from_secs(30);

const SCRIPT: &str = include_str!("ssh.py");

/// A running ssh server (asyncssh) that runs commands as this process's user, with a folder of its own for a home.
///
/// Dropping it ends it and all that it has started; so does the end of this process, however it comes.
#[derive(Debug)]
pub struct SshServer {
    // Dropped in this order: the process first, then the folder it writes to.
    process: Watched,
    port: u16,
    user: String,
    folder: TempDir,
}

impl SshServer {
    /// Makes the keys, starts the server and waits until it listens.
    ///
    /// # Panics
    /// When it cannot; the message holds the server's log, or names the package to install.
    #[track_caller]
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|e| panic!("{e}"))
    }

    fn try_start() -> Result<Self> {
        let python = packages::ASYNCSSH.program()?;
        packages::SSH.program()?;
        let folder = tempfile::Builder::new()
            .prefix("ssh-server-")
            .tempdir()
            .map_err(Error::io("making a folder in", &std::env::temp_dir()))?;
        let home = folder.path().join("home");
        let files = home.join("files");
        fs::create_dir_all(&files).map_err(Error::io("making the folder", &files))?;
        let user = user_name()?;
        key(&home.join("host-key"))?;
        key(&home.join("user-key"))?;
        key(&home.join("other-key"))?;
        let copy = |from: &str, to: &str, front: &str| {
            let text = fs::read_to_string(home.join(from)).map_err(Error::io("reading", &home.join(from)))?;
            fs::write(home.join(to), format!("{front}{text}")).map_err(Error::io("writing", &home.join(to)))
        };
        copy("user-key.pub", "authorized_keys", "")?;

        let mut command = Command::new(python);
        command.args(["-I", "-u", "-c", SCRIPT]).arg(&home).arg(&user);
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default()).env("HOME", &home);
        let create = |name: &str| {
            let path = folder.path().join(name);
            fs::OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(&path)
                .map_err(Error::io("creating", &path))
        };
        let folders = [folder.path().to_owned()];
        let process = Watched::spawn(&command, create("out")?.into(), create("log")?.into(), &folders)?;
        let mut server = Self { process, port: 0, user, folder };
        if let Err(reason) = server.wait_until_it_listens() {
            let command = "asyncssh, by tests/lab/src/ssh.py".into();
            return Err(Error::Start { reason, command, log: server.log() });
        }
        copy("host-key.pub", "known_hosts", &format!("[127.0.0.1]:{} ", server.port))?;
        Ok(server)
    }

    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let (mut ended, mut port) = (None, None);
        poll_until(START_LIMIT, || {
            ended = self.process.try_wait();
            let out = fs::read_to_string(self.folder.path().join("out")).unwrap_or_default();
            port = out
                .strip_prefix("listening ")
                .and_then(|rest| rest.split_once('\n'))
                .and_then(|(port, _)| port.parse().ok());
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

    /// The `sshftp` URL of `path`, percent-encoded. A relative path is below [`dir`](Self::dir).
    pub fn url(&self, path: impl AsRef<Path>) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.dir().join(path);
        format!(
            "sshftp://{}@127.0.0.1:{}{}",
            self.user,
            self.port,
            percent_encode(path.as_os_str().as_bytes())
        )
    }

    /// Its port, on 127.0.0.1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The user it lets in: the one this process runs as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The home folder of those who log in.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// A private folder for the files of a test, empty at the start.
    pub fn dir(&self) -> PathBuf {
        self.home().join("files")
    }

    /// Arguments for OpenSSH's `ssh` with which it knows this server and its user, and nothing else of the machine's.
    pub fn arguments(&self) -> Vec<String> {
        self.arguments_with("user-key")
    }

    /// The same with a key that the server does not know.
    pub fn wrong_arguments(&self) -> Vec<String> {
        self.arguments_with("other-key")
    }

    fn arguments_with(&self, key: &str) -> Vec<String> {
        let home = self.home();
        [
            "-F".to_owned(),
            "none".to_owned(),
            format!("-oUserKnownHostsFile={}", home.join("known_hosts").display()),
            "-oGlobalKnownHostsFile=/dev/null".to_owned(),
            format!("-oIdentityFile={}", home.join(key).display()),
            "-oIdentitiesOnly=yes".to_owned(),
            "-oIdentityAgent=none".to_owned(),
        ]
        .into()
    }

    /// Writes the script that starts a server for `sshftp`, where servers have it: `.globus/sshftp` in the home folder.
    ///
    /// # Panics
    /// When the server is not installed or the file cannot be written.
    #[track_caller]
    pub fn enable_sshftp(&self) {
        let script = self.home().join(".globus/sshftp");
        let write = || -> Result<()> {
            let program = packages::SERVER.program()?;
            let config = self.folder.path().join("empty.conf");
            let mut arguments = format!("-c {} -ssh", config.display());
            if rustix::process::geteuid().is_root() {
                // Only root has to be told whose files are served.
                arguments.push_str(" -allow-root -aa -anonymous-user root -anonymous-group root");
            }
            fs::write(&config, "").map_err(Error::io("writing", &config))?;
            fs::create_dir_all(self.home().join(".globus")).map_err(Error::io("making", &script))?;
            let text = format!("#!/bin/sh\nexec {} {arguments}\n", program.display());
            fs::write(&script, text).map_err(Error::io("writing", &script))?;
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&script, fs::Permissions::from_mode(0o755))
                .map_err(Error::io("changing", &script))
        };
        write().unwrap_or_else(|e| panic!("{e}"));
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The processes that it runs for those who are logged in, as they are now.
    pub fn sessions(&self) -> Vec<u32> {
        let own = self.process.pid();
        watch::group_members(own).into_iter().filter(|&pid| pid != own).collect()
    }
}

impl Drop for SshServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!(
                "---- log of the ssh server on port {} ----\n{}---- end of the log ----",
                self.port,
                self.log()
            );
        }
    }
}

/// A fresh key pair, `path` and `path.pub`.
fn key(path: &Path) -> Result<()> {
    let output = Command::new(packages::SSH_KEYGEN.program()?)
        .args(["-q", "-t", "ed25519", "-N", "", "-C", "lab", "-f"])
        .arg(path)
        .stdin(Stdio::null())
        .output()
        .map_err(Error::io("making the key", path))?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        what: "ssh-keygen".into(),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
