//! What a hostile server plays: the files it holds, and what it does instead of its duty at which step.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use super::files::{Files, normal};

/// A moment in a session at which a server can misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Instead of the `220` that greets a new connection.
    Greeting,
    /// Instead of the reply to this command, in capitals (`"PASV"`, `"SITE"`). For a command that moves data this is
    /// before anything is done for it: a [`Act::Reply`] here refuses the transfer.
    Command(&'static str),
    /// Instead of the `150` or `125`, when the data connections are there.
    Accepted,
    /// Before a data connection is accepted or made.
    DataConnect,
    /// When so many bytes of a transfer's contents have been sent or received.
    Data {
        /// How many bytes went before.
        after: u64,
    },
    /// When all contents went, before the end of the data is told.
    DataEnd,
    /// Instead of the `226` (or of the `426` after a data connection that broke).
    Final,
}

/// What is done at a [`Step`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// Nothing happens any more on this connection and its data connections, and nothing is closed.
    Silence,
    /// On a control channel: it is closed. On data: all data connections of the transfer are closed, without the end that
    /// the mode asks for, and the final reply is said as if nothing had happened.
    Close,
    /// As [`Act::Close`], by a reset.
    Reset,
    /// These bytes are said instead. At a step of the data: the data connections are closed, and this is the final reply.
    Reply(Vec<u8>),
    /// These bytes are said on the control channel, and then what is usual.
    Before(Vec<u8>),
    /// What is usual, and then these bytes.
    After(Vec<u8>),
    /// These bytes are said instead, and the control channel is closed.
    ReplyThenClose(Vec<u8>),
    /// Nothing is said, but all goes on.
    Nothing,
    /// Half of what is usual, then silence. On data in extended block mode: half a header.
    Half,
    /// A kilobyte of noise instead; then all goes on.
    Noise,
    /// One line (on data: contents) without an end, until the client has enough.
    Endless,
    /// One reply with lines without an end.
    EndlessLines,
    /// What is usual, later.
    Delay(Duration),
    /// What is usual, one byte after each of these.
    Drip(Duration),
    /// At a step of the data: the end is told here as if this were all, and the final reply is usual.
    End,
    /// At a step of the data: the end is not told, nothing is closed, and the final reply is usual.
    NoEnd,
    /// At a step of the data: these bytes as they are, on one connection, instead of the rest and its end. The
    /// connections stay open, and the final reply is usual.
    Wire(Vec<u8>),
    /// As [`Act::Wire`], for each connection.
    Wires(Vec<Vec<u8>>),
    /// As [`Act::Wire`], and the connections are closed in order behind it.
    WireThenClose(Vec<u8>),
    /// At a step of the data: these bytes as they are, on one connection; then all goes on.
    Insert(Vec<u8>),
    /// At a step of the data: the control channel is closed; the data goes on and ends well.
    CloseControl,
    /// The control channel is reset, and with it everything of this session ends.
    ResetControl,
}

impl Act {
    /// [`Act::Reply`] of one line, or several with their own line ends between them.
    pub fn reply(text: impl AsRef<str>) -> Self {
        Self::Reply(line(text.as_ref()))
    }

    /// [`Act::Before`] of whole lines.
    pub fn before(text: impl AsRef<str>) -> Self {
        Self::Before(line(text.as_ref()))
    }

    /// [`Act::After`] of whole lines.
    pub fn after(text: impl AsRef<str>) -> Self {
        Self::After(line(text.as_ref()))
    }

    /// [`Act::ReplyThenClose`] of whole lines.
    pub fn last_words(text: impl AsRef<str>) -> Self {
        Self::ReplyThenClose(line(text.as_ref()))
    }
}

fn line(text: &str) -> Vec<u8> {
    format!("{text}\r\n").into_bytes()
}

/// One thing that is not as it should be.
#[derive(Debug, Clone)]
struct Rule {
    step: Step,
    act: Act,
    /// How often it still happens.
    left: u32,
    /// How often it is passed over first.
    skip: u32,
    from_connection: usize,
    path: Option<Vec<u8>>,
}

/// What a [`Hostile`](super::Hostile) server is like. A new one is a complete and well-behaved GridFTP server with no files.
///
/// `.at` adds a misdeed; `.times`, `.skip`, `.from_connection` and `.on` narrow the one that was added last.
///
/// ```
/// use gridftp_lab::hostile::{Act, Hostile, Play, Step};
///
/// let play = Play::new()
///     .file("/data/f", "contents")
///     .at(Step::Command("SIZE"), Act::reply("213 3"))
///     .times(1);
/// let server = Hostile::start(play);
/// println!("{}", server.url("/data/f"));
/// ```
#[derive(Debug, Clone, Default)]
#[must_use = "nothing runs before `Hostile::start`"]
pub struct Play {
    pub(super) files: Files,
    pub(super) password: Option<(String, String)>,
    pub(super) stripes: usize,
    pub(super) greeting: Option<String>,
    pub(super) missing: Vec<String>,
    pub(super) ipv6: bool,
    pub(super) listings: BTreeMap<Vec<u8>, Vec<u8>>,
    pub(super) queues_commands: bool,
    rules: Vec<Rule>,
}

impl Play {
    /// A server that does all it should.
    pub fn new() -> Self {
        Self { stripes: 1, queues_commands: true, ..Self::default() }
    }

    /// Adds a file, and the folders above it.
    pub fn file(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        self.files.put(&normal(path.as_bytes()), bytes.into());
        self
    }

    /// Adds an empty folder, and the folders above it.
    pub fn folder(mut self, path: &str) -> Self {
        self.files.make_folder(&normal(path.as_bytes()));
        self
    }

    /// What MLSD, LIST and NLST send for this folder, whatever is in it.
    pub fn listing(mut self, path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        let path = normal(path.as_bytes());
        self.files.make_folder(&path);
        self.listings.insert(path, bytes.into());
        self
    }

    /// Below this folder there is a file `f` and two folders `a` and `b` in every folder, without an end.
    pub fn endless_tree(mut self, path: &str) -> Self {
        let path = normal(path.as_bytes());
        self.files.make_folder(&path);
        self.files.endless = Some(path);
        self
    }

    /// Only this user may log in, with this password.
    pub fn password(mut self, user: &str, password: &str) -> Self {
        self.password = Some((user.into(), password.into()));
        self
    }

    /// How many data nodes it pretends to have: SPAS names so many addresses. At least one.
    pub fn stripes(mut self, count: usize) -> Self {
        self.stripes = count.max(1);
        self
    }

    /// The text behind the `220`. The usual one names GridFTP.
    pub fn greeting(mut self, text: &str) -> Self {
        self.greeting = Some(text.into());
        self
    }

    /// Commands that the server does not know (500) and does not list.
    pub fn without(mut self, commands: &[&str]) -> Self {
        self.missing.extend(commands.iter().map(|&command| command.to_owned()));
        self
    }

    /// Drops what was sent behind a command before its reply, as servers do that read one line at a time.
    pub fn drops_queued_commands(mut self) -> Self {
        self.queues_commands = false;
        self
    }

    /// Listens on `::1` instead of 127.0.0.1.
    pub fn ipv6(mut self) -> Self {
        self.ipv6 = true;
        self
    }

    /// Does this at that step, each time.
    pub fn at(mut self, step: Step, act: Act) -> Self {
        self.rules.push(Rule { step, act, left: u32::MAX, skip: 0, from_connection: 0, path: None });
        self
    }

    fn last(&mut self) -> &mut Rule {
        self.rules.last_mut().unwrap_or_else(|| panic!("`at` comes first"))
    }

    /// The last misdeed happens so often, and then no more.
    pub fn times(mut self, times: u32) -> Self {
        self.last().left = times;
        self
    }

    /// The last misdeed is left out the first times.
    pub fn skip(mut self, times: u32) -> Self {
        self.last().skip = times;
        self
    }

    /// The last misdeed happens from this control connection on; the first is 1.
    pub fn from_connection(mut self, number: usize) -> Self {
        self.last().from_connection = number;
        self
    }

    /// The last misdeed happens only where this path is meant.
    pub fn on(mut self, path: &str) -> Self {
        self.last().path = Some(normal(path.as_bytes()));
        self
    }
}

/// The misdeeds that are left.
#[derive(Debug)]
pub(super) struct Rules(Mutex<Vec<Rule>>);

impl Rules {
    pub(super) fn of(play: &mut Play) -> Self {
        Self(Mutex::new(std::mem::take(&mut play.rules)))
    }

    /// What is done at this step, if something is.
    pub(super) fn take(&self, step: Step, connection: usize, path: Option<&[u8]>) -> Option<Act> {
        self.find(connection, path, |rule| rule == step).map(|(_, act)| act)
    }

    /// The next point of a transfer's data, from `from` on, at which something is done. It is used up by this.
    pub(super) fn take_data(&self, from: u64, connection: usize, path: Option<&[u8]>) -> Option<(u64, Act)> {
        // The earliest first, whatever the order they were added in.
        let mut rules = super::lock(&self.0);
        let at = |rule: &Rule| match rule.step {
            Step::Data { after } if after >= from && rule.applies(connection, path) => Some(after),
            _ => None,
        };
        let (after, found) =
            rules.iter_mut().filter_map(|rule| Some((at(rule)?, rule))).min_by_key(|it| it.0)?;
        found.fire().map(|act| (after, act))
    }

    fn find(
        &self,
        connection: usize,
        path: Option<&[u8]>,
        fits: impl Fn(Step) -> bool,
    ) -> Option<(Step, Act)> {
        super::lock(&self.0)
            .iter_mut()
            .filter(|rule| fits(rule.step) && rule.applies(connection, path))
            .find_map(|rule| Some((rule.step, rule.fire()?)))
    }
}

impl Rule {
    fn applies(&self, connection: usize, path: Option<&[u8]>) -> bool {
        self.left > 0
            && connection >= self.from_connection
            && self.path.as_deref().is_none_or(|wanted| path == Some(wanted))
    }

    fn fire(&mut self) -> Option<Act> {
        if self.skip > 0 {
            self.skip -= 1;
            return None;
        }
        self.left -= 1;
        Some(self.act.clone())
    }
}
