//! One listing: which command a server is asked by, and what the lines are that come.

use std::time::SystemTime;

use bytes::Bytes;

use crate::error::{Error, ErrorKind, Phase, Result};
use crate::options::DataOptions;
use crate::protocol::command::Command;
use crate::protocol::listing::Form;
use crate::session::Session;
use crate::session::get::ActiveGet;
use crate::session::watch::Limits;

/// What is to be listed.
#[derive(Debug, Clone)]
pub(crate) struct ListRequest {
    /// None is for entries: MLSD where the server has it, else LIST.
    pub(crate) verb: Option<&'static str>,
    /// The path as the server takes it.
    pub(crate) path: Bytes,
    pub(crate) options: DataOptions,
    pub(crate) limits: Limits,
}

impl Session {
    /// Asks for a listing; returns when the server has accepted.
    pub(crate) async fn list(&mut self, request: &ListRequest) -> Result<(ActiveGet, Form)> {
        let ListRequest { verb, path, options, limits } = request;
        if let Some(verb) = *verb {
            let active = self.start_listing(Command::with(verb, path)?, options, *limits).await?;
            return Ok((active, Form::Facts));
        }
        if self.features.mlst() {
            match self.start_listing(Command::with("MLSD", path)?, options, *limits).await {
                Ok(active) => return Ok((active, Form::Facts)),
                Err(error) if !is_unknown_command(&error) => return Err(error),
                Err(error) => tracing::debug!(%error, "no MLSD, though it is listed; LIST is tried"),
            }
        }
        let active = self.start_listing(Command::with("LIST", path)?, options, *limits).await?;
        Ok((active, Form::Verbose { now: SystemTime::now() }))
    }
}

/// Whether a server does not know a command, rather than that something is wrong with the path.
pub(crate) fn is_unknown_command(error: &Error) -> bool {
    error.kind() == ErrorKind::Unsupported
        && error.phase() == Phase::Command
        && error.reply().is_some_and(|reply| matches!(reply.code(), 500..=504))
}
