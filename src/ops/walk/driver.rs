//! The walk itself: hands folders to those who list them, and judges what they find.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tracing::Instrument as _;

use super::super::completed;
use super::super::listing::{choices::Choices, is_dot_entry};
use super::entry::{NotEntered, WalkEntry};
use super::lister::{Checked, Job, Lister, Report};
use super::plan::{Folder, Left, Plan, Task};
use crate::client::{Client, Exclusive, Repeat};
use crate::error::{Error, ErrorKind, Escaped, Phase, Result, Side};
use crate::options::TransferMode;
use crate::protocol::command::Command;
use crate::protocol::mlsx::parse_mlst;
use crate::session::watch::{died, too_long};
use crate::types::{Entry, EntryKind};
use crate::url::Url;

/// Folders that are asked for ahead of the one that is listed, over one pipeline.
const AHEAD: usize = 128;

/// Folders that wait, beyond which only one at a time is listed: then no more of them than one folder's are added for
/// each level of the tree.
const MANY_WAITING: usize = 32 * 1024;

/// As deep as a walk goes unless told otherwise.
const DEFAULT_DEPTH: usize = 256;

/// Reports of listers that wait to be looked at.
const REPORTS: usize = 4;

/// How a tree is walked.
#[derive(Debug, Clone)]
pub(crate) struct Walk {
    pub(crate) choices: Choices,
    pub(crate) follow_links: bool,
    pub(crate) max_depth: Option<usize>,
    pub(crate) sessions: usize,
    /// For removing: what looks like a folder is entered only after the server has refused to remove it as a file, and
    /// everything that is left for good is told.
    pub(crate) removing: bool,
    /// The root was asked about just now: it is a folder, which the server knows by that mark, if by any.
    pub(crate) known: Option<Option<Box<[u8]>>>,
}

pub(super) type Batch = Vec<Result<WalkEntry>>;

/// A walk under way.
struct Driver {
    walk: Walk,
    plan: Plan,
    under_way: HashMap<usize, Task>,
    next_index: usize,
    /// How many folders may be under way.
    ahead: usize,
    jobs: mpsc::UnboundedSender<Job>,
    lister: Lister,
    listers: JoinSet<()>,
    out: mpsc::Sender<Batch>,
}

impl Walk {
    /// Walks, and says what was found; ends when everything was said, or nobody listens.
    pub(super) async fn run(mut self, out: mpsc::Sender<Batch>, left: Option<mpsc::UnboundedSender<Left>>) {
        let deadline = self.choices.deadline();
        let work = async {
            match self.start().await {
                Ok((url, unique, lease)) => self.drive(url, unique, lease, out.clone(), left).await,
                Err(error) => drop(out.send(vec![Err(error)]).await),
            }
        };
        let Some(deadline) = deadline else { return work.await };
        if tokio::time::timeout_at(deadline, work).await.is_err() {
            let url = self.choices.url.ok();
            let error = url.iter().fold(too_long(), Error::with_url);
            drop(out.send(vec![Err(error)]).await);
        }
    }

    /// The first session, and what it has to say about the root.
    async fn start(&mut self) -> Result<(Url, Option<Box<[u8]>>, Exclusive)> {
        let url = self.choices.checked()?;
        if !(1..=64).contains(&self.sessions) {
            let message = format!("{} sessions for a walk; expected 1 to 64", self.sessions);
            return Err(Error::invalid(message).with_url(&url));
        }
        let check = async {
            loop {
                let lease = self.choices.client.exclusive(&url, &self.choices.session).await?;
                if let Some(unique) = self.known.take() {
                    return Ok((unique, lease));
                }
                match self.check_root(&url, &lease).await {
                    Ok(unique) => return Ok((unique, lease)),
                    Err(error) if lease.is_reused() && died(&error) => {
                        tracing::debug!(%error, "a session of the pool was dead, trying another one");
                    }
                    Err(error) => return Err(error),
                }
            }
        };
        let (unique, lease) = check.await.map_err(|error| error.with_url(&url))?;
        Ok((url, unique, lease))
    }

    /// Servers list a file as if it were in itself. Tells what the server knows the root by: a link to it may come in its
    /// listing before it shows itself there.
    async fn check_root(&self, url: &Url, lease: &Exclusive) -> Result<Option<Box<[u8]>>> {
        if !lease.features.mlst() {
            return Ok(None);
        }
        let reply =
            lease.control.command(Command::with("MLST", self.choices.client.server_path(url))?).await?;
        let entry = match completed(reply, "asking for the facts").and_then(|reply| parse_mlst(&reply)) {
            Ok(entry) => entry,
            // MLSD will tell.
            Err(error) if matches!(error.kind(), ErrorKind::Unsupported | ErrorKind::Protocol) => {
                return Ok(None);
            }
            Err(error) => return Err(error),
        };
        if entry.is_file() {
            let message = "the root of a walk is a file; expected a folder";
            return Err(Error::new(ErrorKind::NotADirectory, Phase::Command, message).with_side(Side::Server));
        }
        Ok(entry.unique().map(Into::into))
    }

    async fn drive(
        &self,
        url: Url,
        unique: Option<Box<[u8]>>,
        lease: Exclusive,
        out: mpsc::Sender<Batch>,
        left: Option<mpsc::UnboundedSender<Left>>,
    ) {
        let root = Folder::root(url.clone(), left);
        if let Some(unique) = unique {
            // The first time.
            let _ = root.unique.set(unique);
        }
        let (jobs, receiver) = mpsc::unbounded_channel();
        let (reports, mut heard) = mpsc::channel(REPORTS);
        let lister = Lister { choices: self.choices.clone(), jobs: Arc::new(Mutex::new(receiver)), reports };
        let mut driver = Driver {
            walk: self.clone(),
            plan: Plan::new(root),
            under_way: HashMap::new(),
            next_index: 0,
            ahead: 1,
            jobs,
            lister,
            listers: JoinSet::new(),
            out,
        };
        driver.start_listers(url, lease);
        driver.run(&mut heard).await;
        let Driver { jobs, lister, mut listers, .. } = driver;
        // Without jobs the listers give their sessions back: whoever sees the end finds them in the pool.
        drop((jobs, lister, heard));
        while listers.join_next().await.is_some() {}
    }
}

impl Driver {
    fn start_listers(&mut self, url: Url, lease: Exclusive) {
        let mode = self.walk.choices.options.mode;
        // Whoever has these is a GridFTP server, and lists over extended blocks.
        let gridftp = lease.features.mlst() && (lease.features.parallel() || lease.features.eret());
        let queued = match mode {
            TransferMode::Stream => false,
            TransferMode::ExtendedBlock => true,
            TransferMode::Auto => gridftp,
        };
        if !queued {
            drop(lease);
            self.start_one_by_one();
            return;
        }
        self.ahead = AHEAD;
        let mut options = self.walk.choices.options.clone();
        options.mode = TransferMode::ExtendedBlock;
        let fall_back = mode == TransferMode::Auto;
        let lister = self.lister.clone().queued(url, lease, options, fall_back);
        self.listers.spawn(lister.in_current_span());
    }

    fn start_one_by_one(&mut self) {
        // One more waits for each, so that nobody waits for the next.
        self.ahead = self.walk.sessions * 2;
        for _ in 0..self.walk.sessions {
            self.listers.spawn(self.lister.clone().one_by_one().in_current_span());
        }
    }

    async fn run(&mut self, heard: &mut mpsc::Receiver<Report>) {
        loop {
            let ahead = if self.plan.waiting() > MANY_WAITING { 1 } else { self.ahead };
            while self.under_way.len() < ahead {
                let Some(task) = self.plan.next() else { break };
                self.begin(task);
            }
            if self.under_way.is_empty() {
                return;
            }
            let report = tokio::select! {
                report = heard.recv() => report,
                Some(ended) = self.listers.join_next() => match ended {
                    Ok(()) => continue,
                    // It has panicked: what it was about to list is lost.
                    Err(_) => None,
                },
            };
            let Some(report) = report else { break };
            if !self.hear(report).await {
                return;
            }
        }
        let lost: Vec<_> = self.under_way.drain().map(|(_, task)| task).collect();
        for task in lost {
            let error = Error::new(ErrorKind::Internal, Phase::Data, "a task of a walk has ended too early");
            task.folder.keep();
            drop(self.out.send(vec![Err(error.with_url(&task.folder.url))]).await);
        }
    }

    fn begin(&mut self, task: Task) {
        let index = self.next_index;
        self.next_index += 1;
        let url = task.folder.url.clone();
        // The root as well: a server without marks for links shows one as the folder that it leads to.
        if self.walk.removing && !task.again {
            let (client, reports) = (self.walk.choices.client.clone(), self.lister.reports.clone());
            self.listers.spawn(async move {
                let verdict = remove_as_file(&client, &url).await;
                // With nobody to hear it the walk is over.
                drop(reports.send(Report::Checked(index, verdict)).await);
            });
        } else {
            // The receiver lives as long as this does.
            drop(self.jobs.send(Job { index, url, spent: Duration::ZERO }));
        }
        self.under_way.insert(index, task);
    }

    /// False when nobody listens.
    async fn hear(&mut self, report: Report) -> bool {
        match report {
            Report::Entries { index, entries, early } => {
                let Some(task) = self.under_way.get_mut(&index) else { return true };
                let judge = |entry| {
                    if !task.told.is_new(&entry) {
                        return None;
                    }
                    if early {
                        task.told.note(&entry);
                    }
                    self.walk.judge(task, entry)
                };
                let batch: Batch = entries.into_iter().filter_map(judge).collect();
                batch.is_empty() || self.out.send(batch).await.is_ok()
            }
            Report::Again(index) => {
                if let Some(task) = self.under_way.get_mut(&index) {
                    task.told.begin_again();
                }
                true
            }
            Report::Ended(index, result) => {
                let Some(task) = self.under_way.remove(&index) else { return true };
                let gone = self.walk.removing && task.folder.depth > 0;
                let said = match result {
                    Ok(()) => true,
                    // Somebody else has removed it.
                    Err(error) if gone && error.kind() == ErrorKind::NotFound => true,
                    Err(error) => {
                        task.folder.keep();
                        self.out.send(vec![Err(error.with_url(&task.folder.url))]).await.is_ok()
                    }
                };
                self.plan.listed(task);
                said
            }
            Report::NoPipeline { indices, error, spent } => {
                tracing::debug!(%error, "folders are listed one by one, over connections of their own");
                self.start_one_by_one();
                for index in indices {
                    if let Some(task) = self.under_way.get_mut(&index) {
                        task.told.begin_again();
                        drop(self.jobs.send(Job { index, url: task.folder.url.clone(), spent }));
                    }
                }
                true
            }
            Report::Checked(index, Checked::Folder) => {
                if let Some(task) = self.under_way.get(&index) {
                    drop(self.jobs.send(Job { index, url: task.folder.url.clone(), spent: Duration::ZERO }));
                }
                true
            }
            Report::Checked(index, checked) => {
                let Some(Task { folder, .. }) = self.under_way.remove(&index) else { return true };
                match checked {
                    Checked::Unlinked => folder.unlink(),
                    Checked::Kept(error) => {
                        folder.keep();
                        return self.out.send(vec![Err(error.with_url(&folder.url))]).await.is_ok();
                    }
                    Checked::Folder | Checked::Gone => {}
                }
                true
            }
        }
    }
}

impl Walk {
    /// What is shown of something that a listing holds; a folder that is to be entered is remembered.
    fn judge(&self, task: &mut Task, entry: Result<Entry>) -> Option<Result<WalkEntry>> {
        let folder = Arc::clone(&task.folder);
        let entry = match entry {
            Ok(entry) => entry,
            // A line that makes no sense was told when the folder was listed first.
            Err(_) if task.again => return None,
            Err(error) => {
                folder.keep();
                return Some(Err(error.with_url(&folder.url)));
            }
        };
        if is_dot_entry(&entry) {
            if entry.kind() == &EntryKind::CurrentDir
                && let Some(unique) = entry.unique()
            {
                // Known already, save for the root.
                let _ = folder.unique.set(unique.into());
            }
            return None;
        }
        let url = match child_url(&folder.url, &entry) {
            Ok(url) => url,
            Err(_) if task.again => return None,
            Err(error) => {
                folder.keep();
                return Some(Err(error.with_url(&folder.url)));
            }
        };
        let not_entered = self.not_entered(&folder, &entry);
        if entry.kind() == &EntryKind::Dir && not_entered.is_none() {
            task.children.add(entry.name(), url.clone(), entry.unique());
        }
        if task.again {
            return None;
        }
        if not_entered == Some(NotEntered::TooDeep) && self.max_depth.is_none() {
            let message = format!("a folder is more than {DEFAULT_DEPTH} levels deep; it is not entered");
            let error = Error::new(ErrorKind::Unsupported, Phase::Data, message).with_side(Side::Local);
            return Some(Err(error.with_url(&url)));
        }
        Some(Ok(WalkEntry { folder, url, entry, not_entered }))
    }

    fn not_entered(&self, folder: &Folder, entry: &Entry) -> Option<NotEntered> {
        let is_dir = entry.kind() == &EntryKind::Dir;
        if entry.kind() == &EntryKind::Symlink || is_dir && entry.is_symlink() && !self.follow_links {
            Some(NotEntered::Link)
        } else if !is_dir {
            None
        } else if entry.unique().is_some_and(|unique| folder.is_within(unique)) {
            Some(NotEntered::Loop)
        } else if folder.depth + 1 >= self.max_depth.unwrap_or(DEFAULT_DEPTH) {
            Some(NotEntered::TooDeep)
        } else {
            None
        }
    }
}

/// The URL of what a listing names, if the name can be that of something in the folder.
fn child_url(folder: &Url, entry: &Entry) -> Result<Url> {
    if !entry.is_safe_child() {
        let name = &entry.name()[..entry.name().len().min(200)];
        let message = format!(
            "the server lists \"{}\", which cannot be the name of something in a folder",
            Escaped(name)
        );
        return Err(Error::new(ErrorKind::Protocol, Phase::Data, message).with_side(Side::Server));
    }
    folder.join(entry.name()).map_err(|error| {
        // Its own words name the value.
        let message = "a name in this folder cannot be sent to a server";
        Error::new(ErrorKind::Unsupported, Phase::Data, message).with_side(Side::Local).with_source(error)
    })
}

/// Makes sure that a folder is one and no link to one, by removing it as a file: links go, folders refuse. Listings alone
/// cannot tell: some servers show links as what they lead to, and a file name with a line end in it can look like anything.
async fn remove_as_file(client: &Client, url: &Url) -> Checked {
    let refused = match client.delete(url).await {
        // Or it was a folder, and empty, at a server that does not care: that is as good.
        Ok(()) => return Checked::Unlinked,
        Err(error) => error,
    };
    match refused.kind() {
        ErrorKind::IsADirectory => Checked::Folder,
        ErrorKind::NotFound => Checked::Gone,
        ErrorKind::PermissionDenied | ErrorKind::Refused | ErrorKind::NotEmpty => {
            // It may be a link that must not be removed.
            match client.facts(url).await.and_then(|reply| reply.as_ref().map(parse_mlst).transpose()) {
                Ok(Some(entry)) if entry.is_symlink() => Checked::Kept(refused),
                // A server without a mark for links shows one as what it leads to: nothing tells it from a folder here.
                Ok(Some(_))
                    if refused.kind() == ErrorKind::PermissionDenied && !marks_links(client, url).await =>
                {
                    Checked::Kept(refused)
                }
                // Without MLST, LIST has told links from folders.
                Ok(_) => Checked::Folder,
                Err(error) if error.kind() == ErrorKind::NotFound => Checked::Gone,
                Err(error) => Checked::Kept(error),
            }
        }
        _ => Checked::Kept(refused),
    }
}

/// Whether the server says that it marks links in what it tells by MLST.
async fn marks_links(client: &Client, url: &Url) -> bool {
    let features = client.features(url).await;
    features.is_ok_and(|all| all.mlst_facts().any(|(fact, _)| fact.eq_ignore_ascii_case("UNIX.slink")))
}

impl Client {
    /// Removes a file, or link.
    pub(crate) async fn delete(&self, url: &Url) -> Result<()> {
        let command = Command::with("DELE", self.server_path(url))?;
        let reply = self.operation(url, Repeat::Harmless).reply(command).await?;
        completed(reply, "removing the file").map(drop).map_err(|error| error.with_url(url))
    }
}
