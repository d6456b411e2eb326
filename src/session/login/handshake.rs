//! The GSSAPI handshake on a control connection (RFC 2228 §3): AUTH, then tokens to and fro in ADAT.

use bytes::Bytes;

use super::Attempt;
use crate::engine::GssContext;
use crate::error::{ErrorKind, Reply, Result};
use crate::protocol::command::Command;
use crate::session::{base64, protect};

/// Rounds of a GSSAPI handshake; three or four are normal.
const MAX_ROUNDS: usize = 16;

/// A security context with the token that opens its handshake.
pub(super) struct Handshake {
    pub(super) context: GssContext,
    pub(super) token: Bytes,
}

impl Attempt<'_> {
    /// AUTH and as many ADAT as it takes (RFC 2228 §3): ends with a context that both sides have completed, and with the
    /// connection protected by it.
    pub(super) async fn authenticate(&self, handshake: Handshake) -> Result<()> {
        let login = self.login;
        let Handshake { mut context, token: first } = handshake;
        let auth = Command::with("AUTH", "GSSAPI")?;
        let (mut auth, ahead) = if self.sequential {
            (self.control.send(auth), None)
        } else {
            let mut both = self.control.send_all(Vec::from([auth, adat(&first)?])).into_iter();
            match (both.next(), both.next()) {
                (Some(auth), adat) => (auth, adat),
                (None, _) => return Err(login.violation("no reply to AUTH")),
            }
        };
        let reply = auth.last().await?;
        if reply.code() != 334 {
            let kind = match reply.code() {
                // Also a server that knows the command and has no certificate of its own.
                500.. => ErrorKind::Unsupported,
                400.. => ErrorKind::Authentication,
                _ => ErrorKind::Protocol,
            };
            return Err(login.refused(
                reply,
                kind,
                "the server does not begin a GSI handshake (AUTH GSSAPI)",
            ));
        }
        let mut pending = match ahead {
            Some(adat) => adat,
            None => self.control.send(adat(&first)?),
        };
        let mut complete = false;
        for _ in 0..MAX_ROUNDS {
            let reply = pending.last().await?;
            let token = self.token_of(&reply)?;
            match (reply.code(), token) {
                (335, Some(token)) if !complete => {
                    let step = context.step(token).await?;
                    complete = step.complete;
                    if step.token.is_empty() {
                        return Err(login
                            .violation("the server waits for a token although there is none left to send"));
                    }
                    pending = self.control.send(adat(&step.token)?);
                }
                (235, Some(token)) if !complete => {
                    let step = context.step(token).await?;
                    if step.complete && step.token.is_empty() {
                        self.control.protect(context);
                        return Ok(());
                    }
                    return Err(login.violation("the server said 235 before the handshake was over"));
                }
                (235, None) if complete => {
                    self.control.protect(context);
                    return Ok(());
                }
                (235, _) => return Err(login.violation("the server said 235 before the handshake was over")),
                (335, None) => return Err(login.violation(&format!("a reply without its token: {reply}"))),
                (335, Some(_)) => {
                    return Err(login.violation("the server goes on after the handshake was over"));
                }
                (400.., _) => {
                    let what =
                        "the server refused the GSI handshake; it may not trust this credential's authority";
                    return Err(login.refused(reply, ErrorKind::Authentication, what));
                }
                _ => {
                    return Err(
                        login.violation(&format!("expected 335 or 235 to ADAT, the server sent {reply}"))
                    );
                }
            }
        }
        Err(login.violation(&format!("the handshake was not over after {MAX_ROUNDS} rounds")))
    }

    /// What follows `ADAT=` in a reply.
    fn token_of(&self, reply: &Reply) -> Result<Option<Bytes>> {
        if !matches!(reply.code(), 235 | 335) {
            return Ok(None);
        }
        let mut lines = reply.lines();
        let (Some(line), None) = (lines.next(), lines.next()) else {
            return Err(self.login.violation("a reply to ADAT has more than one line"));
        };
        let Some(text) = line.strip_prefix(b"ADAT=") else {
            return Ok(None);
        };
        if text.trim_ascii().is_empty() {
            return Ok(None);
        }
        match protect::token(text) {
            Some(token) => Ok(Some(token)),
            None => Err(self.login.violation("the token in a reply to ADAT is not base64")),
        }
    }
}

fn adat(token: &[u8]) -> Result<Command> {
    let mut text = Vec::new();
    base64::encode(token, &mut text);
    Ok(Command::with("ADAT", text)?.secret())
}
