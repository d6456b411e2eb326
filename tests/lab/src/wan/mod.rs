//! A long way on one machine: two network namespaces, joined by a router of our own over two TUN devices, with delay, rate,
//! loss and a queue. Nothing of the machine's own network is used or changed.
//!
//! The ends are `a` (10.77.0.1, where clients run) and `b` (10.77.0.2, where servers run). The router is a process of its own, so
//! that the link stays when whoever made it ends. Never here: what runs at the ends.

mod conditions;
mod packet;
mod router;

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tun_rs::{DeviceBuilder, SyncDevice};

pub use conditions::Conditions;

use crate::watch::poll_until;
use crate::{Error, Result, packages};

/// How long the router may take to be there, or to be gone.
const LIMIT: Duration = Duration::from_secs(10);

/// What TCP may have under way, in bytes: enough for 10 Gbit/s over 200 ms.
const TCP_MEMORY: u64 = 256 << 20;

/// Where `ip netns exec` looks for files that take the place of those in /etc.
const NAMES: &str = "/etc/netns";

const ALLOWED: &str = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";

/// One of the two ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Where clients run.
    A,
    /// Where servers run.
    B,
}

impl End {
    fn letter(self) -> &'static str {
        match self {
            Self::A => "a",
            Self::B => "b",
        }
    }

    /// Its name, which both ends know.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "wan-a",
            Self::B => "wan-b",
        }
    }

    /// Its address.
    pub fn address(self) -> &'static str {
        match self {
            Self::A => "10.77.0.1",
            Self::B => "10.77.0.2",
        }
    }
}

/// What of a link does not change while it is there.
#[derive(Debug, Clone)]
pub struct Make {
    /// The congestion control of both ends.
    pub congestion_control: String,
    /// The largest packet on the wire.
    pub mtu: u16,
    /// What losses are drawn with.
    pub seed: u64,
}

impl Default for Make {
    fn default() -> Self {
        Self { congestion_control: "cubic".to_owned(), mtu: 1500, seed: 1 }
    }
}

/// A link by its name.
#[derive(Debug, Clone)]
pub struct Wan {
    name: String,
}

impl Wan {
    /// The link of that name, whether it is up or not.
    ///
    /// # Errors
    /// A name that is not one of up to eight letters and digits.
    pub fn named(name: &str) -> Result<Self> {
        if name.is_empty() || name.len() > 8 || !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            let reason = format!("\"{name}\" is no name of a link, expected up to eight letters and digits");
            return Err(Error::Start { reason, command: "wan".into(), log: String::new() });
        }
        Ok(Self { name: name.to_owned() })
    }

    fn folder(&self) -> PathBuf {
        Path::new("/run").join(format!("gridftp-wan-{}", self.name))
    }

    fn namespace(&self, end: End) -> String {
        format!("gridftp-{}-{}", self.name, end.letter())
    }

    /// Brings it up, in place of one of the same name. `router` is a command that calls [`Wan::route`] with this name in a process
    /// of its own.
    ///
    /// # Errors
    /// No root, no TUN devices, no `ip`.
    pub fn up(&self, conditions: &Conditions, make: &Make, router: &mut Command) -> Result<()> {
        let failed = |reason: String| Error::Start { reason, command: "wan up".into(), log: String::new() };
        packages::IP.program()?;
        if !rustix::process::geteuid().is_root() {
            return Err(failed("network namespaces and TUN devices need root".into()));
        }
        if !Path::new("/dev/net/tun").exists() {
            return Err(failed(
                "there is no /dev/net/tun (mknod /dev/net/tun c 10 200, where that is allowed)".into(),
            ));
        }
        self.down()?;
        let folder = self.folder();
        fs::DirBuilder::new().mode(0o700).create(&folder).map_err(Error::io("making", &folder))?;
        let made = self.bring_up(conditions, make, router);
        if made.is_err() {
            let _ = self.down();
        }
        made
    }

    fn bring_up(&self, conditions: &Conditions, make: &Make, router: &mut Command) -> Result<()> {
        allow(&make.congestion_control, &self.folder())?;
        for end in [End::A, End::B] {
            let namespace = self.namespace(end);
            // Read by `ip netns exec`: a server asks what its own address is called, and does not start without an answer.
            let folder = Path::new(NAMES).join(&namespace);
            fs::create_dir_all(&folder).map_err(Error::io("making", &folder))?;
            let hosts = fs::read_to_string("/etc/hosts").unwrap_or_default();
            let names = [End::A, End::B].map(|end| format!("{} {}\n", end.address(), end.name())).concat();
            let names = format!("{names}{hosts}");
            fs::write(folder.join("hosts"), names).map_err(Error::io("writing into", &folder))?;
            ip(&["netns", "add", &namespace])?;
        }
        let log = self.folder().join("log");
        let output = fs::File::create(&log).map_err(Error::io("creating", &log))?;
        router.args([&self.name, &conditions.words(), &make.seed.to_string()]);
        router.stdin(Stdio::null()).stdout(Stdio::null()).stderr(output).process_group(0);
        let mut child =
            router.spawn().map_err(|source| Error::Io { what: "starting the router".into(), source })?;
        let socket = self.folder().join("control");
        let ended = |child: &mut std::process::Child| !matches!(child.try_wait(), Ok(None));
        if !poll_until(LIMIT, || socket.exists() || ended(&mut child)) || ended(&mut child) {
            let log = fs::read_to_string(&log).unwrap_or_default();
            return Err(Error::Start {
                reason: "the router did not start".into(),
                command: "wan".into(),
                log,
            });
        }
        for end in [End::A, End::B] {
            let namespace = self.namespace(end);
            let inside = |args: &[&str]| ip(&[&["-n", &namespace], args].concat());
            inside(&["link", "set", "lo", "up"])?;
            inside(&["link", "set", "wan0", "mtu", &make.mtu.to_string(), "txqueuelen", "20000"])?;
            inside(&["addr", "add", &format!("{}/24", end.address()), "dev", "wan0"])?;
            inside(&["link", "set", "wan0", "up"])?;
            let settings = format!(
                "cd /proc/sys/net/ipv4 && echo 4096 131072 {TCP_MEMORY} > tcp_rmem && echo 4096 65536 {TCP_MEMORY} > tcp_wmem \
                 && echo {} > tcp_congestion_control && echo 1 > tcp_no_metrics_save",
                make.congestion_control
            );
            ip(&["netns", "exec", &namespace, "sh", "-c", &settings])?;
        }
        Ok(())
    }

    /// The router itself: makes the devices, gives one to each end, and routes until it is told to end.
    ///
    /// # Errors
    /// The devices cannot be made.
    pub fn route(&self, words: &str, seed: u64) -> Result<()> {
        let failed =
            |reason: String| Error::Start { reason, command: "wan route".into(), log: String::new() };
        let conditions = Conditions::default().changed(words).map_err(failed)?;
        let device = |end: End| -> Result<SyncDevice> {
            let name = format!("gw{}{}", self.name, end.letter());
            let made = DeviceBuilder::new().name(&name).offload(true).enable(false).build_sync();
            let device =
                made.map_err(|source| Error::Io { what: format!("making the device {name}"), source })?;
            let blocking = device.set_nonblocking(true);
            blocking.map_err(|source| Error::Io { what: format!("the device {name}"), source })?;
            ip(&["link", "set", &name, "netns", &self.namespace(end), "name", "wan0"])?;
            Ok(device)
        };
        let devices = [device(End::A)?, device(End::B)?];
        let path = self.folder().join("control");
        let control = UnixListener::bind(&path).map_err(Error::io("listening at", &path))?;
        let routed = router::route(&devices, &control, conditions, seed);
        routed.map_err(|source| Error::Io { what: "routing".into(), source })
    }

    /// Says a word to the router; gives its answer.
    fn say(&self, words: &str) -> Result<String> {
        let path = self.folder().join("control");
        let mut stream = UnixStream::connect(&path).map_err(Error::io("the link is not up:", &path))?;
        let mut answer = String::new();
        let said = stream
            .write_all(words.as_bytes())
            .and_then(|()| stream.shutdown(Shutdown::Write))
            .and_then(|()| stream.read_to_string(&mut answer));
        said.map_err(Error::io("speaking to the router at", &path))?;
        match answer.strip_prefix("error ") {
            Some(why) => {
                Err(Error::Start { reason: why.trim().to_owned(), command: "wan".into(), log: String::new() })
            }
            None => Ok(answer),
        }
    }

    /// Changes what it is like while connections stay: `rtt=50ms rate=1gbit loss=0.1% queue=8mib`, any of them.
    ///
    /// # Errors
    /// It is not up, or a word is wrong.
    pub fn set(&self, words: &str) -> Result<()> {
        self.say(&format!("set {words}")).map(drop)
    }

    /// What it is like, and what went through it, as text.
    ///
    /// # Errors
    /// It is not up.
    pub fn stat(&self) -> Result<String> {
        self.say("stat")
    }

    /// Counts from zero again.
    ///
    /// # Errors
    /// It is not up.
    pub fn reset(&self) -> Result<()> {
        self.say("reset").map(drop)
    }

    /// A program at one of the ends.
    pub fn command(&self, end: End, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(end)]).arg(program.as_ref());
        command
    }

    /// Takes it down: what runs at its ends is ended, and everything that was made is gone.
    ///
    /// # Errors
    /// A namespace that cannot be deleted.
    pub fn down(&self) -> Result<()> {
        let _ = self.say("end");
        for end in [End::A, End::B] {
            let namespace = self.namespace(end);
            let _ = fs::remove_dir_all(Path::new(NAMES).join(&namespace));
            if !Path::new("/run/netns").join(&namespace).exists() {
                continue;
            }
            for signal in ["-TERM", "-KILL"] {
                let gone = || {
                    let pids = Command::new("ip").args(["netns", "pids", &namespace]).output();
                    let pids = pids
                        .map(|pids| String::from_utf8_lossy(&pids.stdout).into_owned())
                        .unwrap_or_default();
                    for pid in pids.split_whitespace() {
                        let _ = Command::new("kill").args([signal, pid]).stderr(Stdio::null()).status();
                    }
                    pids.trim().is_empty()
                };
                if poll_until(Duration::from_secs(2), gone) {
                    break;
                }
            }
            ip(&["netns", "del", &namespace])?;
        }
        // Unless somebody else has something there.
        let _ = fs::remove_dir(NAMES);
        if let Ok(before) = fs::read_to_string(self.folder().join("allowed")) {
            let _ = fs::write(ALLOWED, before);
        }
        match fs::remove_dir_all(self.folder()) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::Io { what: format!("removing {}", self.folder().display()), source: error })
            }
            _ => Ok(()),
        }
    }
}

/// A namespace may only use a congestion control that the machine allows to all: one that is not is allowed until the link is
/// taken down.
fn allow(wanted: &str, folder: &Path) -> Result<()> {
    let path = Path::new(ALLOWED);
    let before = fs::read_to_string(path).map_err(Error::io("reading", path))?;
    if before.split_whitespace().any(|known| known == wanted) {
        return Ok(());
    }
    fs::write(path, format!("{} {wanted}", before.trim()))
        .map_err(Error::io("allowing a congestion control in", path))?;
    let kept = folder.join("allowed");
    fs::write(&kept, before).map_err(Error::io("writing", &kept))
}

fn ip(args: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(args).output();
    let output = output.map_err(|source| Error::Io { what: "starting ip".into(), source })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Program {
        what: format!("ip {}", args.join(" ")),
        status: output.status.to_string(),
        output: String::from_utf8_lossy(&output.stderr).into_owned(),
    })
}
