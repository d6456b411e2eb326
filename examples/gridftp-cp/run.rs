//! Runs the tasks: several at a time, each by a transfer of the library's or by `stream`, until all are done or a signal comes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gridftp::options::{SshOptions, TransferMode};
use gridftp::transfer::{Concurrency, Overwrite, Stage, TransferReport, Verify};
use gridftp::{Client, Error, TransferBuilder};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::args::{Login, Settings};
use crate::exit::Code;
use crate::failure::{End, Failure};
use crate::location::Location;
use crate::progress::Board;
use crate::signals::Signals;
use crate::stream::target::{Target, local, remote};
use crate::stream::{Meter, Order, pump};
use crate::tasks::{Kind, Task};

/// Tasks at the same time, where nobody says how many.
const TASKS: usize = 4;

/// How long the end may be put off once a signal has come.
const GRACE: Duration = Duration::from_millis(1800);

/// How a task ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) number: usize,
    pub(crate) result: Result<Done, Failure>,
}

/// What was done.
#[derive(Debug)]
pub(crate) enum Done {
    Transfer(Box<TransferReport>),
    /// So many bytes of a stream.
    Stream(u64),
    /// The source of a stream is not there, and need not be.
    Missing,
}

/// What all tasks share.
#[derive(Debug)]
pub(crate) struct Run {
    settings: Arc<Settings>,
    client: Client,
    /// With the identities of the two ends.
    from: Client,
    to: Client,
    pub(crate) board: Arc<Board>,
    signals: Arc<Signals>,
    tasks: usize,
}

impl Run {
    pub(crate) fn new(
        settings: &Arc<Settings>,
        signals: &Arc<Signals>,
        board: &Arc<Board>,
        tasks: usize,
    ) -> Result<Self, Failure> {
        let mut ssh = SshOptions::new();
        // What globus-url-copy would run at the other end.
        if let Some(command) = std::env::var("GLOBUS_REMOTE_SSHFTP").ok().filter(|text| !text.is_empty()) {
            ssh = ssh.remote_command(command);
        }
        let client = Client::builder()
            .application("gridftp-cp", env!("CARGO_PKG_VERSION"))
            .timeouts(settings.timeouts)
            .rfc1738_paths(settings.relative_paths)
            .ssh(ssh)
            .data_address(data_address()?)
            // How many there are is decided by each transfer, which never waits for another one's then.
            .sessions_per_endpoint(256)
            .build()
            .map_err(|error| Failure::remote(None, error))?;
        let view = |end: End, login: &Login| {
            let mut view = client.clone();
            if let Some(credential) = &login.credential {
                view = view.with_credential(credential.clone());
            }
            if let Some(assertion) = &login.assertion {
                view =
                    view.with_authz_assertion(&assertion.0).map_err(|error| Failure::remote(end, error))?;
            }
            match &login.subject {
                Some(subject) => view.with_subject(subject).map_err(|error| Failure::remote(end, error)),
                None => Ok(view),
            }
        };
        let (from, to) = (view(End::Source, &settings.source)?, view(End::Destination, &settings.dest)?);
        Ok(Self {
            settings: Arc::clone(settings),
            client,
            from,
            to,
            board: Arc::clone(board),
            signals: Arc::clone(signals),
            tasks,
        })
    }

    pub(crate) fn source_client(&self) -> &Client {
        &self.from
    }

    /// Runs all of them; `ended` hears of each as it ends. Returns when all have, or a moment after a signal.
    pub(crate) async fn all(self: &Arc<Self>, tasks: &Arc<[Task]>, mut ended: impl FnMut(Ended) + Send) {
        let places = match self.settings.concurrency {
            Concurrency::Fixed(sessions) => usize::from(sessions),
            _ => TASKS,
        };
        let room = Arc::new(Semaphore::new(places.max(1)));
        let mut running = JoinSet::new();
        let mut next = 0;
        let mut last_moment = std::pin::pin!(async {
            self.signals.caught().await;
            tokio::time::sleep(GRACE).await;
        });
        loop {
            while next < tasks.len() && running.len() < 2 * places && self.signals.now().is_none() {
                let (run, tasks, room) = (Arc::clone(self), Arc::clone(tasks), Arc::clone(&room));
                let number = next;
                running.spawn(async move {
                    // It is never closed.
                    let _place = room.acquire_owned().await;
                    let result = run.one(number, &tasks[number]).await;
                    Ended { number, result }
                });
                next += 1;
            }
            tokio::select! {
                biased;
                () = &mut last_moment => {
                    running.abort_all();
                    return;
                }
                done = running.join_next() => match done {
                    Some(Ok(done)) => ended(done),
                    Some(Err(error)) => {
                        let failure = Failure::internal(format!("a task of this program ended: {error}"));
                        ended(Ended { number: usize::MAX, result: Err(failure) });
                    }
                    None => return,
                },
            }
        }
    }

    async fn one(&self, number: usize, task: &Task) -> Result<Done, Failure> {
        if let Some(caught) = self.signals.now() {
            return Err(Failure::signal(caught));
        }
        if task.kind != Kind::One {
            return self.transfer(number, task, &task.to).await;
        }
        let order = Arc::new(self.order(task));
        if self.settings.dry_run || self.settings.dump_only.is_some() {
            let to = self.signals.until(self.in_folder(task)).await?;
            return self.transfer(number, task, &to).await;
        }
        let target = self.signals.until(pump::examine(&self.to, &order)).await?;
        let whole = match &target {
            Target::Stdout => None,
            Target::Local(target) => match target.way {
                local::Way::Rename { .. } => Some(Location::Local(target.path.clone())),
                // There is nothing to compare with or to go on from, which `stream` says.
                local::Way::Discard if self.goes_nowhere_whole() => {
                    Some(Location::Local(target.path.clone()))
                }
                _ => None,
            },
            Target::Remote(target) => match target.way {
                remote::Way::Rename => Some(Location::Remote(target.url.clone())),
                remote::Way::InPlace | remote::Way::Handed => None,
            },
        };
        match whole.filter(|_| !self.only_streams(&order)) {
            Some(to) => self.transfer(number, task, &to).await,
            None => self.stream(number, &order, target).await,
        }
    }

    /// Whether nothing was asked for that needs what was there before.
    fn goes_nowhere_whole(&self) -> bool {
        let settings = &self.settings;
        matches!(settings.overwrite, Overwrite::Always) && !settings.resume && settings.journal.is_none()
    }

    /// Where a file goes: into the destination if that is a folder.
    async fn in_folder(&self, task: &Task) -> Result<Location, Failure> {
        let is_folder = match &task.to {
            Location::Stdio => false,
            to if to.names_a_folder() => true,
            Location::Local(path) => path.is_dir(),
            Location::Remote(url) => self.to.stat(url).await.is_ok_and(|entry| entry.is_dir()),
        };
        match task.from.file_name() {
            Some(name) if is_folder => task.to.join(name),
            _ => Ok(task.to.clone()),
        }
    }

    /// Whether the source is one that only `stream` reads, or something was chosen that only it has.
    fn only_streams(&self, order: &Order) -> bool {
        let channels = &order.channels;
        let special = channels.ascii
            || channels.source.program
            || channels.dest.program
            || channels.source.module.is_some()
            || channels.dest.module.is_some()
            || order.part.partial;
        let source = match &order.source {
            Location::Stdio => true,
            Location::Remote(_) => false,
            // Files of /proc say that they are empty, and hold something.
            Location::Local(path) => std::fs::metadata(path).is_ok_and(|found| {
                !found.is_file() && !found.is_dir()
                    || found.is_file() && found.len() == 0 && path.starts_with("/proc")
            }),
        };
        special || source
    }

    fn order(&self, task: &Task) -> Order {
        let settings = &self.settings;
        Order {
            source: task.from.clone(),
            dest: task.to.clone(),
            part: task.part,
            create_folders: settings.create_folders,
            fsync: settings.fsync,
            replace: true,
            channels: settings.channels.clone(),
            rate_limit: settings.rate_limit.clone(),
            meter: Arc::new(Meter::default()),
        }
    }

    async fn stream(&self, number: usize, order: &Arc<Order>, target: Target) -> Result<Done, Failure> {
        let settings = &self.settings;
        if settings.verify != Verify::Size {
            return Err(Failure::usage(format!(
                "{} to {}: checksums are compared of whole files; expected no --verify for a stream, a part, a pipe or text",
                order.source, order.dest
            )));
        }
        if !matches!(settings.overwrite, Overwrite::Always) {
            return Err(Failure::usage(format!(
                "{} to {}: --sync and --overwrite go with whole files; expected neither for a stream, a part, a pipe or text",
                order.source, order.dest
            )));
        }
        if settings.resume || settings.journal.is_some() {
            return Err(Failure::usage(format!(
                "{} to {}: only whole files can be gone on with; expected no --resume for a stream, a part, a pipe or text",
                order.source, order.dest
            )));
        }
        if settings.show.explain {
            return Err(Failure::usage(format!(
                "{} to {}: only copies of whole files are explained; expected no --explain for a stream, a part, a pipe or text",
                order.source, order.dest
            )));
        }
        self.board.stream(number, &order.meter);
        let result = pump::run(order, (&self.from, &self.to), target, &self.signals).await;
        self.board.ended(number);
        match result {
            Err(failure)
                if settings.optional
                    && failure.code() == Code::NotFound
                    && failure.side() == Some("source") =>
            {
                Ok(Done::Missing)
            }
            result => result.map(Done::Stream),
        }
    }

    async fn transfer(&self, number: usize, task: &Task, to: &Location) -> Result<Done, Failure> {
        let builder = self.builder(task, to)?;
        let failed = |error: Error| failed(task, error);
        let transfer = builder.start().map_err(failed)?;
        let mut progress = transfer.progress();
        self.board.transfer(number, transfer.progress());
        let over = async {
            // An error is that the transfer is gone, which is an end as well.
            let _ = progress.wait_for(|now| now.stage == Stage::Over).await;
        };
        let ended = tokio::select! {
            biased;
            caught = self.signals.caught() => Err(caught),
            () = over => Ok(()),
        };
        let result = match ended {
            Ok(()) => transfer.join().await,
            Err(_) => transfer.abort().await,
        };
        self.board.ended(number);
        match (result, ended) {
            // Of one file nothing is left to be told of.
            (Ok(report), Err(caught)) if task.kind == Kind::One && !report.is_complete() => {
                Err(Failure::signal(caught))
            }
            (Err(_), Err(caught)) => Err(Failure::signal(caught)),
            (Ok(report), _) => {
                self.forget_journal(task, &report);
                Ok(Done::Transfer(Box::new(report)))
            }
            (Err(error), Ok(())) => Err(failed(error)),
        }
    }

    fn builder(&self, task: &Task, to: &Location) -> Result<TransferBuilder, Failure> {
        let settings = &self.settings;
        let no_stream = || {
            Failure::usage(format!(
                "{} to {to}: standard streams go with single files; expected URLs or paths",
                task.from
            ))
        };
        let (from, to) =
            (task.from.as_transferable().ok_or_else(no_stream)?, to.as_transferable().ok_or_else(no_stream)?);
        let channels = &settings.channels;
        if channels.ascii
            || channels.source.program
            || channels.dest.program
            || channels.source.module.is_some()
            || channels.dest.module.is_some()
        {
            return Err(Failure::usage(format!(
                "{} to {}: text, programs and storage modules of servers go with single files that are not tried again",
                task.from, task.to
            )));
        }
        let sessions = match settings.concurrency {
            // All tasks together have as many.
            Concurrency::Fixed(all) if self.tasks > 1 => {
                let each = usize::from(all) / self.tasks;
                Concurrency::Fixed(u16::try_from(each.max(1)).unwrap_or(1))
            }
            // Several that each look for the best number would look at each other.
            Concurrency::Auto if self.tasks > TASKS && task.kind != Kind::Tree => Concurrency::Fixed(2),
            chosen => chosen,
        };
        let mut builder = self
            .client
            .transfer(from, to)
            .recursive(settings.recursive)
            .glob(task.kind == Kind::Glob)
            .concurrency(sessions)
            .verify(settings.verify.clone())
            .overwrite(settings.overwrite)
            .delete_extras(settings.delete)
            .filter(settings.filter.clone())
            .links(settings.links)
            .preserve(settings.preserve)
            .retry(settings.retry)
            .dry_run(settings.dry_run || settings.dump_only.is_some())
            .explain(settings.show.explain)
            .through_client(settings.through_client)
            // Those of a single file are there already.
            .create_parents(settings.create_folders && task.kind != Kind::One)
            .optional(settings.optional)
            .fsync(settings.fsync)
            .allocate(settings.allocate)
            .mode(channels.mode)
            .parallelism((channels.mode != TransferMode::Auto).then_some(channels.parallelism))
            .protection(channels.protection)
            .dcau(channels.dcau.clone())
            .striped(channels.striped)
            .layout(channels.layout)
            .delayed_passive(channels.delayed_passive);
        for other in task.others.iter().filter_map(Location::as_transferable) {
            builder = builder.or_from(other);
        }
        if let Kind::Paths(paths) = &task.kind {
            builder = builder.paths(paths.iter().cloned());
        }
        if let Some(shard) = task.shard {
            builder = builder.shard(shard);
        }
        if let Some(limit) = &settings.rate_limit {
            builder = builder.rate_limit(limit.clone());
        }
        if let Some(bytes) = channels.tcp_buffer {
            builder = builder.tcp_buffer(bytes);
        }
        if let Some(credential) = &channels.data_credential {
            builder = builder.data_credential(credential.clone());
        }
        let net_stack = match (&channels.source.net_stack, &channels.dest.net_stack) {
            (Some(one), Some(other)) if one != other => {
                return Err(Failure::usage(
                    "different network drivers at the two servers cannot be had; expected the same for both",
                ));
            }
            (one, other) => one.as_ref().or(other.as_ref()),
        };
        if let Some(drivers) = net_stack {
            builder = builder.net_stack(drivers);
        }
        if let (Some(drivers), Location::Remote(_)) = (&channels.source.disk_stack, &task.from) {
            builder = builder.source_disk_stack(drivers);
        }
        if let (Some(drivers), Location::Remote(_)) = (&channels.dest.disk_stack, &task.to) {
            builder = builder.destination_disk_stack(drivers);
        }
        if let Some(path) = self.journal(task)? {
            builder = builder.journal(path);
        }
        let (source, dest) = (&settings.source, &settings.dest);
        if let Some(credential) = &source.credential {
            builder = builder.source_credential(credential.clone());
        }
        if let Some(credential) = &dest.credential {
            builder = builder.destination_credential(credential.clone());
        }
        if let Some(subject) = &source.subject {
            builder = builder.source_subject(subject);
        }
        if let Some(subject) = &dest.subject {
            builder = builder.destination_subject(subject);
        }
        if let Some(assertion) = &source.assertion {
            builder = builder.source_authz_assertion(&assertion.0);
        }
        if let Some(assertion) = &dest.assertion {
            builder = builder.destination_authz_assertion(&assertion.0);
        }
        Ok(builder)
    }

    /// Where it is remembered what a task has done.
    fn journal(&self, task: &Task) -> Result<Option<PathBuf>, Failure> {
        let settings = &self.settings;
        let made = |folder: &Path| {
            std::fs::create_dir_all(folder).map_err(|error| {
                Failure::local(format!("cannot make the folder {}", folder.display()), error)
            })
        };
        match (&settings.journal, settings.resume) {
            _ if settings.dry_run || settings.dump_only.is_some() => Ok(None),
            (Some(path), _) if self.tasks == 1 => Ok(Some(path.clone())),
            (Some(path), _) => {
                made(path)?;
                Ok(Some(path.join(journal_name(task))))
            }
            (None, true) => {
                let folder = state_folder()?;
                made(&folder)?;
                Ok(Some(folder.join(journal_name(task))))
            }
            (None, false) => Ok(None),
        }
    }

    /// What is complete needs not be remembered, unless somebody wants to look at it.
    fn forget_journal(&self, task: &Task, report: &TransferReport) {
        if self.settings.journal.is_none()
            && self.settings.resume
            && report.is_complete()
            && let Ok(Some(path)) = self.journal(task)
        {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Where servers are to connect to, on a machine behind a gateway.
fn data_address() -> Result<Option<std::net::IpAddr>, Failure> {
    const NAME: &str = "GLOBUS_FTP_CLIENT_DATA_IP";
    let Some(text) = std::env::var(NAME).ok().filter(|text| !text.is_empty()) else { return Ok(None) };
    let wrong = |_| Failure::usage(format!("{NAME} is \"{text}\", expected an IP address"));
    text.parse().map(Some).map_err(wrong)
}

/// One for each pair of places, share and list, so that the same command finds it again.
fn journal_name(task: &Task) -> String {
    let text = format!("{}\n{}\n{:?}\n{:?}", task.from.to_url(), task.to.to_url(), task.kind, task.shard);
    format!("{:016x}.journal", fnv(text.as_bytes()))
}

/// FNV-1a: the same in all versions, unlike the hashes of the standard library.
fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// Where programs keep what is to outlive them (XDG Base Directory Specification).
fn state_folder() -> Result<PathBuf, Failure> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let state = set("XDG_STATE_HOME").or_else(|| Some(set("HOME")?.join(".local/state")));
    state.map(|state| state.join("gridftp-cp")).ok_or_else(|| {
        Failure::usage("--resume has no place to remember in, as HOME is not set; expected --journal FILE")
    })
}

/// Names the side of an error of a transfer: of two ends that are one server and this machine, the one it is about is known.
pub(crate) fn failed(task: &Task, error: Error) -> Failure {
    Failure::remote(end_of(task, &error), error)
}

pub(crate) fn end_of(task: &Task, error: &Error) -> Option<End> {
    use gridftp::Side;
    let remote = |location: &Location| matches!(location, Location::Remote(_));
    match (error.side(), remote(&task.from), remote(&task.to)) {
        (Some(Side::Source), ..) => Some(End::Source),
        (Some(Side::Destination), ..) => Some(End::Destination),
        (Some(Side::Server), true, false) | (Some(Side::Local), false, true) => Some(End::Source),
        (Some(Side::Server), false, true) | (Some(Side::Local), true, false) => Some(End::Destination),
        _ => None,
    }
}
