//! A real `globus-gridftp-server`, thrown away after use.

use std::ffi::OsString;
use std::fs;
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use tempfile::TempDir;

use crate::wan::{End, Wan};
use crate::watch::{self, Watched, poll_until};
use crate::{Error, Pki, Result, packages, percent_encode};

/// How long the server may take until it listens. It takes 30 ms on an idle machine.
const START_LIMIT: Duration = Duration::from_secs(20);

/// The password of [`Login::Password`], and the DES hash of it that the server compares with: its `-password-file` is
/// read with OpenSSL's `DES_crypt`, which knows no other kind and looks at eight characters only.
const PASSWORD: &str = "secret";
const PASSWORD_DES: &str = "gfNGjoqggF3Z6";

/// How a client logs in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Login {
    /// `USER anonymous`, in clear text.
    Anonymous,
    /// The name given here with the password [`Server::password`], in clear text.
    Password(String),
    /// GSI, with the credentials of a [`Pki`].
    Gsi,
}

/// A running server. Dropping it ends it and all its connections; so does the end of this process, however it comes.
///
/// When dropped by a panicking thread it prints its log to standard error.
#[derive(Debug)]
pub struct Server {
    // Dropped in this order: the processes first, then the folder they write to.
    pub(crate) nodes: Vec<Self>,
    process: Watched,
    port: u16,
    login: Login,
    host: String,
    folder: TempDir,
}

/// What a [`Server`] shall be like.
#[derive(Debug, Clone)]
#[must_use = "nothing runs before `start`"]
pub struct Builder {
    pub(crate) login: Login,
    security: Vec<(OsString, OsString)>,
    folders: Vec<PathBuf>,
    port: Option<u16>,
    pub(crate) args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    log_level: String,
    confined: bool,
    ipv6: bool,
    pub(crate) nodes: usize,
    pub(crate) node_args: Vec<OsString>,
    pub(crate) is_node: bool,
    /// The link at whose far end it is.
    link: Option<Wan>,
}

impl Server {
    /// A server for anonymous clients.
    pub fn anonymous() -> Builder {
        Builder::new(Login::Anonymous)
    }

    /// A server for clients that say this name and [`Server::password`].
    pub fn with_password(name: impl Into<String>) -> Builder {
        Builder::new(Login::Password(name.into()))
    }

    /// A server for GSI clients: its certificate, the CA and the gridmap are those of `pki`, which must outlive it.
    pub fn gsi(pki: &Pki) -> Builder {
        let mut builder = Builder::new(Login::Gsi);
        builder.folders.push(pki.dir().to_owned());
        builder.security = [
            ("X509_CERT_DIR", pki.ca_dir()),
            ("GRIDMAP", pki.gridmap()),
            // An ordinary user's proxy in /tmp would come before the host certificate.
            ("X509_USER_PROXY", pki.dir().join("no-proxy")),
        ]
        .map(|(key, path)| (key.into(), path.into()))
        .into();
        // What the machine's gsi.conf would otherwise decide: these are the packaged values.
        builder.security.extend(
            [
                ("GLOBUS_GSSAPI_NAME_COMPATIBILITY", "STRICT_RFC2818"),
                ("GLOBUS_GSSAPI_MIN_TLS_PROTOCOL", "0"),
                ("GLOBUS_GSSAPI_MAX_TLS_PROTOCOL", "0"),
                ("GLOBUS_GSSAPI_CIPHERS", "HIGH"),
            ]
            .map(|(key, value)| (key.into(), value.into())),
        );
        builder.host_certificate(&pki.host_cert(), &pki.host_key())
    }

    /// The URL of `path`, percent-encoded. A relative path is below [`dir`](Self::dir); an absolute one is itself.
    pub fn url(&self, path: impl AsRef<Path>) -> String {
        use std::os::unix::ffi::OsStrExt as _;
        let path = self.dir().join(path);
        format!("{}{}", self.url_root(), percent_encode(path.as_os_str().as_bytes()))
    }

    /// The URL without a path: `ftp://127.0.0.1:2811`.
    pub fn url_root(&self) -> String {
        match &self.login {
            Login::Anonymous => format!("ftp://{}:{}", self.host, self.port),
            Login::Password(name) => {
                format!("ftp://{}:{PASSWORD}@{}:{}", percent_encode(name), self.host, self.port)
            }
            Login::Gsi => format!("gsiftp://{}:{}", self.host, self.port),
        }
    }

    /// The port of its control channel, on 127.0.0.1 or ::1.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The host to name in a URL: for GSI a name that the certificate has, and an address otherwise.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// How clients log in.
    pub fn login(&self) -> &Login {
        &self.login
    }

    /// The password that goes with the name given to [`with_password`](Self::with_password).
    pub fn password(&self) -> &'static str {
        PASSWORD
    }

    /// A private folder for the files of a test, empty at the start.
    pub fn dir(&self) -> PathBuf {
        self.folder.path().join("files")
    }

    /// What the server has logged so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.folder.path().join("log")).unwrap_or_default()).into_owned()
    }

    /// The process that listens. The connections are its children.
    pub fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The server's process and those of its connections, as they are now.
    pub fn processes(&self) -> Vec<u32> {
        watch::group_members(self.process.pid())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let name = if self.login == Login::Gsi { "GSI server" } else { "server" };
            eprintln!(
                "---- log of the {name} on port {} ----\n{}---- end of the log ----",
                self.port,
                self.log()
            );
        }
    }
}

impl Builder {
    fn new(login: Login) -> Self {
        Self {
            login,
            security: Vec::new(),
            folders: Vec::new(),
            port: None,
            args: Vec::new(),
            env: Vec::new(),
            log_level: "ERROR,WARN,INFO".into(),
            confined: false,
            ipv6: false,
            nodes: 0,
            node_args: Vec::new(),
            is_node: false,
            link: None,
        }
    }

    /// At the far end of a link that is up: clients have to run at the near one ([`Wan::command`]).
    pub fn across(mut self, link: &Wan) -> Self {
        self.link = Some(link.clone());
        self
    }

    /// The certificate and key the server shows, for instance [`Pki::wrong_host_cert`].
    pub fn host_certificate(mut self, certificate: &Path, key: &Path) -> Self {
        self.security.retain(|(name, _)| name != "X509_USER_CERT" && name != "X509_USER_KEY");
        self.security.push(("X509_USER_CERT".into(), certificate.into()));
        self.security.push(("X509_USER_KEY".into(), key.into()));
        self
    }

    /// A fixed port instead of one the system chooses.
    pub fn port(mut self, port: u16) -> Self {
        self.port = Some(port);
        self
    }

    /// A further argument of the server.
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// Further arguments of the server.
    pub fn args<A: Into<OsString>>(mut self, args: impl IntoIterator<Item = A>) -> Self {
        self.args.extend(args.into_iter().map(Into::into));
        self
    }

    /// A variable of the server's environment, which otherwise holds nothing of the caller's but `PATH`.
    pub fn env(mut self, key: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.env.push((key.into(), value.into()));
        self
    }

    /// Lets clients see nothing but [`dir`](Server::dir). Without it they have the whole file system of the account the
    /// server runs under.
    pub fn confined(mut self) -> Self {
        self.confined = true;
        self
    }

    /// Lets it listen on ::1 only, for control and data connections.
    pub fn ipv6(mut self) -> Self {
        self.ipv6 = true;
        self
    }

    /// What the server logs, in the words of its `-log-level`: `ERROR`, `WARN`, `INFO`, `TRANSFER`, `DUMP` (every
    /// command and reply), `ALL`. The default is `ERROR,WARN,INFO`.
    pub fn log_level(mut self, level: impl Into<String>) -> Self {
        self.log_level = level.into();
        self
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Panics
    /// When it cannot; the message holds the server's log, or names the package to install.
    #[track_caller]
    pub fn start(self) -> Server {
        self.try_start().unwrap_or_else(|e| panic!("{e}"))
    }

    /// Starts the server and waits until it listens.
    ///
    /// # Errors
    /// When it is not installed, ends at once, or does not listen in time.
    pub fn try_start(mut self) -> Result<Server> {
        let nodes = self.start_nodes()?;
        let program = packages::SERVER.program()?;
        let folder = tempfile::Builder::new()
            .prefix("gridftp-server-")
            .tempdir()
            .map_err(Error::io("making a folder in", &std::env::temp_dir()))?;
        let files = folder.path().join("files");
        fs::create_dir(&files).map_err(Error::io("making the folder", &files))?;

        let mut command = match &self.link {
            Some(link) => link.command(End::B, &program),
            None => Command::new(program),
        };
        self.arguments(&mut command, folder.path())?;
        command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
        // Neither the user's own settings nor the site's authorisation callouts have a say.
        command.env("HOME", folder.path()).env("GSI_AUTHZ_CONF", folder.path().join("empty.conf"));
        command.envs(self.security.iter().map(|(k, v)| (k, v)));
        command.envs(self.env.iter().map(|(k, v)| (k, v)));

        let create = |name: &str| {
            let path = folder.path().join(name);
            fs::OpenOptions::new()
                .append(true)
                .create_new(true)
                .open(&path)
                .map_err(Error::io("creating", &path))
        };
        self.folders.push(folder.path().to_owned());
        let process = Watched::spawn(
            &command,
            Stdio::from(create("out")?),
            Stdio::from(create("log")?),
            &self.folders,
        )?;
        let host = match (&self.login, self.ipv6) {
            (Login::Gsi, _) if self.link.is_some() => End::B.name(),
            _ if self.link.is_some() => End::B.address(),
            (Login::Gsi, _) => "localhost",
            (_, false) => "127.0.0.1",
            (_, true) => "[::1]",
        }
        .to_owned();
        let mut server =
            Server { nodes, process, port: self.port.unwrap_or(0), login: self.login, host, folder };
        match server.wait_until_it_listens() {
            Ok(()) => Ok(server),
            Err(reason) => Err(Error::Start { reason, command: format!("{command:?}"), log: server.log() }),
        }
    }

    /// A data node of this striped server.
    pub(crate) fn node(&self) -> Self {
        Self { is_node: true, nodes: 0, port: None, args: self.node_args.clone(), ..self.clone() }
    }

    fn arguments(&self, command: &mut Command, folder: &Path) -> Result<()> {
        // An empty file: the packaged configuration has no say.
        let config = folder.join("empty.conf");
        fs::write(&config, "").map_err(Error::io("writing", &config))?;
        command.arg("-c").arg(config);
        // In the foreground, one forked child for each connection, all on loopback.
        let loopback = match (&self.link, self.ipv6) {
            (Some(_), _) => End::B.address(),
            (None, true) => "::1",
            (None, false) => "127.0.0.1",
        };
        command.args(["-s", "-control-interface", loopback, "-data-interface", loopback, "-home-dir", "/"]);
        // Unbuffered: what is logged is there to be read when a test fails.
        command.args(["-log-level", &self.log_level, "-log-module", "stdio:buffer=0"]);
        if let Some(port) = self.port {
            command.args(["-p", &port.to_string()]);
        }
        if self.confined {
            let mut paths = OsString::from("RW");
            paths.push(folder.join("files"));
            command.arg("-restrict-paths").arg(paths);
        }
        let is_root = rustix::process::geteuid().is_root();
        if is_root {
            command.arg("-allow-root");
        }
        match &self.login {
            Login::Anonymous => {
                command.arg("-aa");
                if is_root {
                    command.args(["-anonymous-user", "root", "-anonymous-group", "root"]);
                }
            }
            Login::Password(name) => {
                let file = folder.join("passwd");
                let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
                fs::write(&file, format!("{name}:{PASSWORD_DES}:{uid}:{gid}:lab:/:/bin/sh\n"))
                    .and_then(|()| fs::set_permissions(&file, fs::Permissions::from_mode(0o600)))
                    .map_err(Error::io("writing", &file))?;
                command.arg("-password-file").arg(file);
            }
            Login::Gsi => {}
        }
        command.args(&self.args);
        Ok(())
    }
}

impl Server {
    /// With a port of its own choice the server says on standard output which; otherwise a connection tells.
    fn wait_until_it_listens(&mut self) -> Result<(), String> {
        let out = self.folder.path().join("out");
        let mut ended = None;
        let fixed = self.port != 0;
        let mut port = None;
        poll_until(START_LIMIT, || {
            ended = self.process.try_wait();
            port = if fixed {
                TcpStream::connect((self.host.trim_matches(['[', ']']), self.port))
                    .is_ok()
                    .then_some(self.port)
            } else {
                announced_port(&fs::read_to_string(&out).unwrap_or_default())
            };
            ended.is_some() || port.is_some()
        });
        match (ended, port) {
            // Somebody else may hold a fixed port, and answer on it.
            (Some(status), _) => Err(format!("it ended at once, {status}")),
            (None, Some(port)) => {
                self.port = port;
                Ok(())
            }
            (None, None) => Err(format!("it does not listen after {START_LIMIT:?}")),
        }
    }
}

/// The port in `Server listening at localhost:43473`, once the line is whole.
fn announced_port(out: &str) -> Option<u16> {
    let (line, _) = out.split_once("Server listening at ")?.1.split_once('\n')?;
    line.trim().rsplit_once(':')?.1.parse().ok()
}

/// The name of the account this process runs under, as gridmap files want it.
pub(crate) fn user_name() -> Result<String> {
    static NAME: OnceLock<String> = OnceLock::new();
    if let Some(name) = NAME.get() {
        return Ok(name.clone());
    }
    let output = Command::new("id")
        .arg("-un")
        .output()
        .map_err(|source| Error::Io { what: "running `id -un`".into(), source })?;
    if !output.status.success() {
        return Err(Error::Program {
            what: "`id -un` (this account has no name, and the server refuses such)".into(),
            status: output.status.to_string(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    Ok(NAME.get_or_init(|| String::from_utf8_lossy(&output.stdout).trim().to_owned()).clone())
}

#[cfg(test)]
mod tests {
    use super::announced_port;

    #[test]
    fn the_announced_port_needs_a_whole_line() {
        assert_eq!(announced_port("Server listening at localhost:43473\n"), Some(43473));
        assert_eq!(announced_port("x\nServer listening at 127.0.0.1:1\ny"), Some(1));
        assert_eq!(announced_port("Server listening at localhost:434"), None);
        assert_eq!(announced_port(""), None);
    }
}
