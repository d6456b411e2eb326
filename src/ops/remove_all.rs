//! Removing a folder with everything in it.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;

use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::completed;
use super::listing::ListFormat;
use super::listing::choices::Choices;
use super::walk::{Folder, Left, NotEntered, Running, Walk, WalkEntry};
use crate::client::{Client, Repeat};
use crate::error::{Error, ErrorKind, Phase, Result, Side};
use crate::options::TransferMode;
use crate::protocol::command::Command;
use crate::protocol::listing::{Decoder, Form};
use crate::protocol::mlsx::parse_mlst;
use crate::types::EntryKind;
use crate::url::{IntoUrl, Url};

/// Commands that are under way at once.
const UNDER_WAY: usize = 256;

/// Failures that a report names. All of them are counted.
const NAMED: usize = 1000;

/// Bytes of a listing that are looked through for links that lead nowhere.
const MAX_LOOKED_THROUGH: usize = 16 << 20;

/// What [`Client::remove_dir_all`] has done, and what it could not do.
#[derive(Debug, Clone, Default)]
#[must_use = "what could not be removed is told by the report"]
pub struct RemoveReport {
    removed_files: u64,
    removed_dirs: u64,
    failures: u64,
    named: Vec<NotRemoved>,
}

/// Something that is still there, or may be.
#[derive(Debug, Clone)]
pub struct NotRemoved {
    url: Url,
    error: Error,
}

impl NotRemoved {
    /// What it is. Of a name that cannot be sent to a server, the folder it is in.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// Why it is still there.
    pub fn error(&self) -> &Error {
        &self.error
    }
}

impl fmt::Display for NotRemoved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl RemoveReport {
    /// Files and links that were removed.
    pub fn removed_files(&self) -> u64 {
        self.removed_files
    }

    /// Folders that were removed, the root among them.
    pub fn removed_dirs(&self) -> u64 {
        self.removed_dirs
    }

    /// How many things could not be removed. Folders that are still there only because something in them is are not
    /// counted.
    pub fn failures(&self) -> u64 {
        self.failures
    }

    /// The first 1,000 things that could not be removed.
    pub fn not_removed(&self) -> &[NotRemoved] {
        &self.named
    }

    /// Whether everything is gone.
    pub fn is_complete(&self) -> bool {
        self.failures == 0
    }

    fn failed(&mut self, url: Url, error: Error) {
        self.failures += 1;
        if self.named.len() < NAMED {
            self.named.push(NotRemoved { url, error });
        }
    }
}

impl Client {
    /// Removes a folder with everything in it.
    ///
    /// Walks the tree as [`Client::walk`] does, in stream mode, and sends `DELE` and `RMD`, up to 256 at once, on sessions of
    /// the pool. Links are removed and never followed; if the root is a link, the link is removed. As some servers show a
    /// link as what it leads to, each folder is asked to be removed as a file first: a link goes, a folder refuses. Links that
    /// lead nowhere are not in listings of globus-gridftp-server: where a folder turns out not to be empty, they are looked
    /// for by `MLSR`. Who can change the tree at the same time can still put a link where a folder was: FTP has no
    /// safeguard against that.
    ///
    /// What is gone already, because somebody else removes the same tree, is as good as removed: the call can be repeated.
    /// What cannot be removed does not keep the rest from going, and is told by the report. Memory is bounded as for a walk;
    /// folders more than 1,024 levels below the root stay, and are told as [`Unsupported`](crate::ErrorKind::Unsupported).
    ///
    /// # Errors
    /// [`NotFound`](crate::ErrorKind::NotFound) when there is no such folder,
    /// [`NotADirectory`](crate::ErrorKind::NotADirectory) when it is a file;
    /// [`InvalidInput`](crate::ErrorKind::InvalidInput) for `/`, for a home folder, and for a path with `..` in it, which
    /// might be one; and what keeps the root from being listed. Everything else is in the report.
    ///
    /// # Cancel safety
    /// Not cancel safe in the strict sense: if the future is dropped, what was removed is gone, and commands under way are
    /// carried out.
    ///
    /// # Examples
    /// ```no_run
    /// # async fn example(client: gridftp::Client) -> gridftp::Result<()> {
    /// let report = client.remove_dir_all("gsiftp://data.example.org/run/2025").await?;
    /// for left in report.not_removed() {
    ///     eprintln!("{left}");
    /// }
    /// println!("{} files, {} folders", report.removed_files(), report.removed_dirs());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Corresponds to nothing in C, which removes one thing at a time: `globus_ftp_client_delete`, `globus_ftp_client_rmdir`.
    pub async fn remove_dir_all(&self, url: impl IntoUrl) -> Result<RemoveReport> {
        let url = removable(&url.into_url()?)?;
        self.limited("remove_dir_all", &url, self.remove_tree(&url)).await
    }

    async fn remove_tree(&self, url: &Url) -> Result<RemoveReport> {
        let mut report = RemoveReport::default();
        if self.is_link(url).await? {
            self.delete(url).await?;
            report.removed_files = 1;
            return Ok(report);
        }
        let mut choices = Choices::new(self, url);
        // Removing must not end with the process, and a hostile server can bring that about in extended block mode.
        choices.options.mode = TransferMode::Stream;
        let walk = Walk {
            choices,
            follow_links: false,
            max_depth: Some(MAX_DEPTH),
            sessions: 4,
            removing: true,
            known: None,
        };
        let (sender, left) = mpsc::unbounded_channel();
        let walk = Running::start(walk, Some(sender))?;
        let removal =
            Removal { client: self.clone(), root: url.clone(), report, work: JoinSet::new(), first: None };
        removal.run(walk, left).await
    }

    /// Whether the root is a link.
    async fn is_link(&self, url: &Url) -> Result<bool> {
        let Some(reply) = self.facts(url).await? else { return self.is_link_by_listing(url).await };
        let entry = parse_mlst(&reply).map_err(|error| error.with_url(url))?;
        if entry.is_file() && !entry.is_symlink() {
            return Err(not_a_folder(url));
        }
        Ok(entry.is_symlink())
    }

    /// The same, of a server without MLST: by the folder above.
    async fn is_link_by_listing(&self, url: &Url) -> Result<bool> {
        let (Some(parent), Some(name)) = (url.parent(), url.file_name()) else { return Ok(false) };
        let mut listing = self.list(&parent);
        let mut found = None;
        loop {
            match listing.next_entry().await {
                Ok(Some(entry)) if entry.name() == name => found = Some(entry),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(error) if listing.is_over() => return Err(error),
                Err(_) => {}
            }
        }
        match found {
            Some(entry) if entry.is_symlink() => Ok(true),
            Some(entry) if entry.is_dir() => Ok(false),
            Some(_) => Err(not_a_folder(url)),
            None => {
                let message = "there is no such folder in the listing of the one above";
                Err(Error::new(ErrorKind::NotFound, Phase::Command, message).with_url(url))
            }
        }
    }

    async fn remove_empty(&self, url: &Url) -> Result<()> {
        let command = Command::with("RMD", self.server_path(url))?;
        let reply = self.operation(url, Repeat::Harmless).reply(command).await?;
        completed(reply, "removing the folder").map(drop).map_err(|error| error.with_url(url))
    }

    /// Removes a folder that everything is gone from, as far as listings tell. Tells how many files and folders went.
    async fn remove_left(&self, url: &Url) -> Result<(u64, u64)> {
        let error = match self.remove_empty(url).await {
            Ok(()) => return Ok((0, 1)),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok((0, 0)),
            Err(error) => error,
        };
        if error.kind() != ErrorKind::NotEmpty {
            return Err(error);
        }
        let hidden = self.hidden_links(url).await.unwrap_or_default();
        if hidden.is_empty() {
            return Err(error);
        }
        let mut removed = 0;
        for link in &hidden {
            self.delete(link).await?;
            removed += 1;
        }
        self.remove_empty(url).await.map(|()| (removed, 1))
    }

    /// The links in a folder that MLSR knows: those that lead nowhere are not in other listings.
    async fn hidden_links(&self, url: &Url) -> Result<Vec<Url>> {
        let mut listing = self.list_raw_stream(url, ListFormat::Recursive);
        let mut decoder = Decoder::new(Form::Facts);
        let (mut seen, mut found, mut over) = (0, Vec::new(), false);
        while !over {
            match listing.next_piece().await? {
                Some(piece) => {
                    seen += piece.len();
                    over = seen > MAX_LOOKED_THROUGH;
                    decoder.push(piece);
                }
                None => {
                    over = true;
                    decoder.finish();
                }
            }
            while let Some(entry) = decoder.next()? {
                if let Ok(entry) = entry
                    && entry.kind() == &EntryKind::Symlink
                    && entry.is_safe_child()
                {
                    found.push(url.join(entry.name())?);
                }
            }
        }
        Ok(found)
    }
}

/// As deep as folders are removed. Each level of the tree is remembered with its whole path: this is what bounds it.
const MAX_DEPTH: usize = 1024;

/// The URL without slashes at its end (behind one, a link is what it leads to), if it may be removed at all.
fn removable(url: &Url) -> Result<Url> {
    let refused = |what: &str| {
        let message = format!("{url} is {what}; expected a folder below, by its plain path");
        Error::invalid(message).with_url(url)
    };
    let dots = |segment: &[u8]| matches!(segment, b"." | b"..");
    if url.path().split(|&byte| byte == b'/').any(dots) {
        return Err(refused("a path with \".\" or \"..\" in it"));
    }
    if url.file_name().is_none() {
        return Err(refused("the root or a home folder"));
    }
    let end = url.path().iter().rposition(|&byte| byte != b'/').map_or(0, |last| last + 1);
    url.with_path(&url.path()[..end])
}

fn not_a_folder(url: &Url) -> Error {
    let message = "a folder was expected, and it is a file";
    Error::new(ErrorKind::NotADirectory, Phase::Command, message).with_url(url)
}

/// A removal under way.
struct Removal {
    client: Client,
    root: Url,
    report: RemoveReport,
    work: JoinSet<Done>,
    /// What kept the root itself from being listed.
    first: Option<Error>,
}

/// What came of one removal.
struct Done {
    url: Url,
    /// Files and folders that went.
    result: Result<(u64, u64)>,
    /// The folder above, which is not left before this is known.
    above: Option<Arc<Folder>>,
}

impl Removal {
    async fn run(mut self, walk: Running, left: mpsc::UnboundedReceiver<Left>) -> Result<RemoveReport> {
        let (mut walk, mut left) = (Some(walk), Some(left));
        while walk.is_some() || left.is_some() || !self.work.is_empty() {
            let room = self.work.len() < UNDER_WAY;
            tokio::select! {
                biased;
                Some(done) = self.work.join_next() => self.done(done),
                // Folders first: each of them frees memory.
                folder = next_left(&mut left), if room && left.is_some() => match folder {
                    Some(folder) => self.remove_folder(folder),
                    None => left = None,
                },
                found = next_found(&mut walk), if room && walk.is_some() => match found {
                    Some(Ok(found)) => self.remove_file(found),
                    Some(Err(error)) => self.failed(error),
                    None => walk = None,
                },
            }
        }
        match self.first {
            Some(error) if self.report.removed_files == 0 && self.report.removed_dirs == 0 => Err(error),
            _ => Ok(self.report),
        }
    }

    fn failed(&mut self, error: Error) {
        let url = error.url().unwrap_or(&self.root).clone();
        // A name that makes no sense is told with its folder, too.
        let of_a_name = matches!(error.kind(), ErrorKind::Protocol | ErrorKind::Unsupported);
        if url == self.root && !of_a_name && self.first.is_none() {
            self.first = Some(error.clone());
        }
        self.report.failed(url, error);
    }

    fn done(&mut self, done: Result<Done, tokio::task::JoinError>) {
        match done {
            Ok(Done { result: Ok((files, dirs)), .. }) => {
                self.report.removed_files += files;
                self.report.removed_dirs += dirs;
            }
            Ok(Done { url, result: Err(error), above }) => {
                if let Some(above) = above {
                    above.keep();
                }
                self.report.failed(url, error);
            }
            Err(error) => {
                let message = format!("a task that removes a file has ended too early: {error}");
                let error = Error::new(ErrorKind::Internal, Phase::Command, message);
                self.report.failed(self.root.clone(), error.with_url(&self.root));
            }
        }
    }

    fn remove_file(&mut self, found: WalkEntry) {
        if found.entry().kind() == &EntryKind::Dir && found.not_entered().is_none() {
            // The walk enters it, and tells when it is left.
            return;
        }
        let (client, url, above) = (self.client.clone(), found.url().clone(), found.folder());
        if found.not_entered() == Some(NotEntered::TooDeep) {
            let message =
                format!("a folder is more than {MAX_DEPTH} levels below the root; it is not removed");
            above.keep();
            self.report.failed(
                url.clone(),
                Error::new(ErrorKind::Unsupported, Phase::Command, message)
                    .with_side(Side::Local)
                    .with_url(&url),
            );
            return;
        }
        self.work.spawn(async move {
            let result = match client.delete(&url).await {
                Ok(()) => Ok((1, 0)),
                Err(error) if error.kind() == ErrorKind::NotFound => Ok((0, 0)),
                Err(error) => Err(error),
            };
            Done { url, result, above: Some(above) }
        });
    }

    fn remove_folder(&mut self, folder: Left) {
        let Left { url, parent: above, kept, unlinked } = folder;
        if kept {
            // Something is still in it, and was told.
            if let Some(above) = above {
                above.keep();
            }
            return;
        }
        if unlinked {
            self.report.removed_files += 1;
            return;
        }
        let client = self.client.clone();
        self.work.spawn(async move {
            let result = client.remove_left(&url).await;
            Done { url, result, above }
        });
    }
}

async fn next_left(left: &mut Option<mpsc::UnboundedReceiver<Left>>) -> Option<Left> {
    match left {
        Some(left) => left.recv().await,
        None => None,
    }
}

async fn next_found(walk: &mut Option<Running>) -> Option<Result<WalkEntry>> {
    match walk {
        Some(walk) => poll_fn(|cx| walk.poll_next(cx)).await,
        None => None,
    }
}
