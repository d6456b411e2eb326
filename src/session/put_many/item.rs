//! What is to be stored, and what is said about it.

use bytes::Bytes;

use super::{Done, Manner};
use crate::error::{Error, Result};
use crate::protocol::command::Command;
use crate::session::Session;
use crate::types::Checksum;

/// What a caller keeps with a file, and what it knows of its name.
pub(crate) trait Keeper: Send {
    /// Whether nobody else stores under the name by now, so that what is there may be deleted.
    fn may_delete(&self) -> bool;
}

/// One file to be stored.
#[derive(Debug)]
pub(crate) struct Item<K> {
    keeper: K,
    /// The path as the server takes it.
    pub(super) path: Bytes,
    pub(super) contents: Bytes,
    /// Permission bits.
    mode: Option<u32>,
    /// When it was changed, as commands say it.
    modified: Option<String>,
    pub(super) checksum: Option<Checksum>,
    pub(super) tries: usize,
    /// An earlier session may have given it its name.
    renamed: bool,
}

impl<K> Item<K> {
    pub(crate) fn new(keeper: K, path: Bytes, contents: Bytes) -> Self {
        Self { keeper, path, contents, mode: None, modified: None, checksum: None, tries: 0, renamed: false }
    }

    pub(crate) fn with_attributes(self, mode: Option<u32>, modified: Option<String>) -> Self {
        Self { mode, modified, ..self }
    }

    pub(crate) fn with_checksum(self, checksum: Option<Checksum>) -> Self {
        Self { checksum, ..self }
    }

    /// The same, once a session was lost that had been told its name.
    pub(super) fn perhaps_renamed(self) -> Self {
        Self { renamed: true, ..self }
    }

    pub(super) fn length(&self) -> u64 {
        u64::try_from(self.contents.len()).unwrap_or(u64::MAX)
    }

    pub(super) fn failed(self, error: Error, touched: bool) -> Done<K> {
        let touched = touched || self.renamed;
        let error = if self.renamed { error.with_may_have_applied() } else { error };
        Done { keeper: self.keeper, result: Err(error), attributes: Ok(()), touched }
    }

    pub(super) fn stored(self, attributes: Result<()>) -> Done<K> {
        let bytes = self.length();
        Done { keeper: self.keeper, result: Ok(bytes), attributes, touched: true }
    }
}

impl<K: Keeper> Item<K> {
    pub(super) fn may_delete(&self) -> bool {
        self.keeper.may_delete()
    }
}

/// What is asked behind a STOR.
#[derive(Debug, Clone, Copy)]
pub(super) enum Question {
    Size,
    Checksum,
    /// What it does, for an error's message.
    Attribute(&'static str),
}

/// STOR and what goes with it, if the server can be told all names of the file. One that cannot be said would take the
/// commands that go along with it.
pub(super) fn commands_of<K>(
    session: &Session,
    item: &Item<K>,
    temporary: &Bytes,
    manner: &Manner,
) -> Result<(Vec<Command>, Vec<Question>)> {
    let said = |verb, argument: &[u8]| {
        let command = Command::with(verb, argument)?;
        session.control.speakable(&command).map(|()| command)
    };
    said("RNTO", &item.path)?;
    let (mut commands, mut questions) = (vec![said("STOR", temporary)?], Vec::new());
    let about = |words: &str| [words.as_bytes(), b" ", temporary].concat();
    if session.features.size() {
        commands.push(said("SIZE", temporary)?);
        questions.push(Question::Size);
    }
    if let (Some(algorithm), Some(_)) = (&manner.checksum, &item.checksum) {
        commands.push(said("CKSM", &about(&format!("{algorithm} 0 -1")))?);
        questions.push(Question::Checksum);
    }
    // Last: they may take away the right to read.
    if let Some(mode) = item.mode {
        commands.push(said("SITE CHMOD", &about(&format!("{mode:04o}")))?);
        questions.push(Question::Attribute("setting the permissions"));
    }
    if let Some(modified) = &item.modified {
        let verb = if session.features.mfmt() { "MFMT" } else { "SITE UTIME" };
        commands.push(said(verb, &about(modified))?);
        questions.push(Question::Attribute("setting the time"));
    }
    Ok((commands, questions))
}
