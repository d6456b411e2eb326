//! Commands and replies inside GSSAPI tokens (RFC 2228 §7, §8.3, §9).
//!
//! Tokens are made and opened in the order of the wire: the layer below numbers its records, and one that is left out
//! breaks all that follow.

use bytes::Bytes;

use crate::engine::GssContext;
use crate::error::{Error, ErrorKind, Phase, Reply, Result, Side};
use crate::protocol::command::Command;
use crate::protocol::reply::parse_complete;
use crate::session::base64;

/// Longest token taken from one line, in bytes; a line of the protected parser is bounded as well.
const MAX_TOKEN: usize = 1024 * 1024;

/// An established security context, used for one control connection.
#[derive(Debug)]
pub(super) struct Protection {
    context: GssContext,
}

impl Protection {
    pub(super) fn new(context: GssContext) -> Self {
        Self { context }
    }

    /// The lines, line ends included, that carry the commands with confidentiality.
    pub(super) async fn wrap(&mut self, commands: Vec<Command>) -> Result<Vec<Vec<u8>>> {
        let count = commands.len();
        let plain = commands.iter().map(|command| [command.as_bytes(), b"\r\n"].concat().into()).collect();
        let tokens = self.context.wrap(plain).await?;
        if tokens.len() != count {
            return Err(Error::new(ErrorKind::Internal, Phase::Command, "not one token for each command"));
        }
        Ok(tokens
            .iter()
            .map(|token| {
                let mut line = b"ENC ".to_vec();
                base64::encode(token, &mut line);
                line.extend_from_slice(b"\r\n");
                line
            })
            .collect())
    }

    /// The replies inside replies 631, 632 and 633.
    pub(super) async fn unwrap(&mut self, wrapped: Vec<Reply>) -> Result<Vec<Reply>> {
        let mut tokens = Vec::with_capacity(wrapped.len());
        for reply in &wrapped {
            for line in reply.lines() {
                tokens.push(token(line).ok_or_else(|| violation(format!("not a base64 token: {reply}")))?);
            }
        }
        let count = tokens.len();
        let mut opened = self.context.unwrap(tokens).await.map_err(tampered)?.into_iter();
        if opened.len() != count {
            return Err(Error::new(ErrorKind::Internal, Phase::Command, "not one message for each token"));
        }
        let mut replies = Vec::with_capacity(wrapped.len());
        for reply in &wrapped {
            let plain: Vec<Bytes> = opened.by_ref().take(reply.lines().len()).collect();
            let inner = parse_complete(&plain.concat())?;
            if inner.iter().any(|reply| reply.code() >= 600) {
                return Err(violation("a protected reply inside a protected reply".to_owned()));
            }
            replies.extend(inner);
        }
        Ok(replies)
    }
}

/// The token in a line of a reply; blanks around it are let through.
pub(super) fn token(line: &[u8]) -> Option<Bytes> {
    let text = line.trim_ascii();
    if text.is_empty() || text.len() > MAX_TOKEN / 3 * 4 {
        return None;
    }
    base64::decode(text).map(Bytes::from)
}

/// A token that does not open was changed, repeated or left out on its way.
fn tampered(error: Error) -> Error {
    if error.kind() != ErrorKind::Authentication {
        return error;
    }
    violation(
        "a reply failed its integrity check: somebody changed, repeated or removed what the server sent"
            .to_owned(),
    )
    .with_source(error)
}

fn violation(message: String) -> Error {
    Error::new(ErrorKind::Protocol, Phase::Command, message).with_side(Side::Server)
}
