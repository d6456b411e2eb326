//! Where it is measured: servers, a client's environment, a link if one is asked for, and a folder in memory, to measure the
//! programs and not the disk.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use gridftp_lab::wan::{Conditions, End, Make, Wan};
use gridftp_lab::{Pki, Server, Tree, packages, percent_encode, sha256_file, write_random};

use super::figures::whole;
use super::measure;
use crate::step;

/// What is to be there.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Plan<'a> {
    pub(crate) gsi: bool,
    /// Like `rtt=50ms rate=1gbit`; loopback, if `None`.
    pub(crate) wan: Option<&'a str>,
    /// Data nodes of a striped server.
    pub(crate) nodes: usize,
    /// A second server.
    pub(crate) two: bool,
}

/// Servers, a client's environment and a folder in memory.
pub(crate) struct Lab {
    // Dropped first, as they may still write to the folder.
    server: Server,
    second: Option<Server>,
    link: Option<Link>,
    pki: Option<Pki>,
    shm: tempfile::TempDir,
}

impl Lab {
    pub(crate) fn new(plan: Plan<'_>) -> Result<Self> {
        let shm = tempfile::Builder::new()
            .prefix("gridftp-bench-")
            .tempdir_in("/dev/shm")
            .context("making a folder in /dev/shm, where the files are to be")?;
        let pki = if plan.gsi { Some(Pki::try_new()?) } else { None };
        let link = plan.wan.map(Link::up).transpose()?;
        let start = || -> Result<Server> {
            let builder = pki.as_ref().map_or_else(Server::anonymous, Server::gsi);
            let builder = match &link {
                Some(Link(wan)) => builder.across(wan),
                None => builder,
            };
            // As in production: no line for each connection.
            Ok(builder.striped(plan.nodes).log_level("ERROR").try_start()?)
        };
        let (server, second) = (start()?, plan.two.then(start).transpose()?);
        Ok(Self { server, second, link, pki, shm })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.shm.path().join(name)
    }

    pub(crate) fn url(&self, name: &str) -> String {
        self.server.url(self.path(name))
    }

    /// At the second server.
    pub(crate) fn second_url(&self, name: &str) -> Result<String> {
        let second = self.second.as_ref().context("there is one server only")?;
        Ok(second.url(self.path(name)))
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// A program as a client, at the near end of the link if there is one.
    pub(crate) fn command<A: AsRef<str>>(&self, program: &Path, args: &[A]) -> Command {
        let mut command = match &self.link {
            Some(Link(wan)) => wan.command(End::A, program),
            None => Command::new(program),
        };
        command.args(args.iter().map(AsRef::as_ref));
        if let Some(pki) = &self.pki {
            command.envs(pki.env());
        }
        command
    }

    /// Changes the link.
    pub(crate) fn set_link(&self, words: &str) -> Result<()> {
        match &self.link {
            Some(Link(wan)) => Ok(wan.set(words)?),
            None => bail!("there is no link"),
        }
    }

    pub(crate) fn free(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(self.shm.path()).context("asking how much room /dev/shm has")?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }

    pub(crate) fn require_space(&self, bytes: u64) -> Result<()> {
        let free = self.free()?;
        if free < bytes {
            bail!(
                "/dev/shm has {:.0} MB free and {:.0} MB are needed",
                step::megabytes(free),
                step::megabytes(bytes)
            );
        }
        Ok(())
    }

    /// A large file to copy from, with room for a copy and for what one side leaves while the other's is being removed.
    pub(crate) fn file(&self, name: &str, bytes: u64) -> Result<Original> {
        self.require_space(bytes.saturating_mul(2).saturating_add(64 << 20))?;
        self.original(name, bytes)
    }

    /// The same, where nobody needs room for copies.
    pub(crate) fn original(&self, name: &str, bytes: u64) -> Result<Original> {
        let hash = write_random(&self.path(name), 1, bytes)?;
        Ok(Original { bytes, hash })
    }

    /// `f0`, `f1`, … in folders of so many.
    pub(crate) fn tree(&self, name: &str, count: u64, bytes: u64, in_a_folder: u64) -> Result<Tree> {
        let path = |number: u64| match in_a_folder {
            0 => format!("f{number}"),
            each => format!("d{}/f{number}", number / each),
        };
        let files = (0..count).map(|number| (path(number), bytes));
        Ok(Tree::create(self.path(name), 1, files)?)
    }
}

/// A large file, as it should arrive.
#[derive(Debug)]
pub(crate) struct Original {
    pub(crate) bytes: u64,
    hash: String,
}

impl Original {
    pub(crate) fn check(&self, copy: &Path) -> Result<()> {
        if sha256_file(copy)? != self.hash {
            bail!("the copy differs from its original");
        }
        Ok(())
    }
}

/// Whether a copy of a tree has what it should.
pub(crate) fn check_tree(tree: &Tree, copy: &Path) -> Result<()> {
    let differences = tree.differences(copy);
    match differences.first() {
        Some(first) => bail!("{} files differ: {first}", differences.len()),
        None => Ok(()),
    }
}

pub(crate) fn file_url(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt as _;
    format!("file://{}", percent_encode(path.as_os_str().as_bytes()))
}

/// Why no link can be had here, if that is so.
pub(crate) fn why_no_link() -> Option<&'static str> {
    if !rustix::process::geteuid().is_root() {
        return Some("network namespaces and TUN devices need root");
    }
    let tun = std::fs::OpenOptions::new().read(true).write(true).open("/dev/net/tun");
    if tun.is_err() {
        return Some("there is no /dev/net/tun that can be opened");
    }
    // Root of a container may be root of nothing else.
    let network =
        packages::UNSHARE.program().map(|unshare| Command::new(unshare).args(["--net", "true"]).output());
    let made = network.is_ok_and(|output| output.is_ok_and(|output| output.status.success()));
    (!made).then_some("this root may not make network namespaces")
}

/// A link that is taken down at the end.
struct Link(Wan);

impl Link {
    /// Its name has this process in it, so that two benchmarks do not take each other's link down.
    fn up(words: &str) -> Result<Self> {
        take_down_orphans();
        let conditions = Conditions::default().changed(words).map_err(anyhow::Error::msg)?;
        let wan = Wan::named(&format!("b{}", std::process::id() % 10_000_000))?;
        wan.up(&conditions, &Make::default(), &mut crate::wan::router())?;
        Ok(Self(wan))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Err(error) = self.0.down() {
            eprintln!("the link cannot be taken down: {error}");
        }
    }
}

/// What benchmarks that were killed have left.
fn take_down_orphans() {
    let links = std::fs::read_dir("/run").into_iter().flatten().flatten();
    for link in links {
        let name = link.file_name();
        let Some(name) = name.to_str().and_then(|name| name.strip_prefix("gridftp-wan-")) else { continue };
        let Some(pid) = name.strip_prefix('b').and_then(|pid| pid.parse::<u32>().ok()) else { continue };
        if !Path::new("/proc").join(pid.to_string()).exists() {
            let _ = Wan::named(name).map(|wan| wan.down());
        }
    }
}

/// So many bytes or files, scaled so that a run at this rate takes about `seconds`.
pub(crate) fn scaled(per_second: f64, seconds: f64, least: u64, most: u64) -> u64 {
    whole(per_second * seconds).clamp(least, most)
}

/// Removes a copy.
pub(crate) fn clear(copy: &Path) -> Result<()> {
    measure::remove(copy)
}
