//! Credentials and security contexts, seen from outside the engine.

use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use tokio::sync::oneshot;

use super::command::{Command, Id};
use super::failure::Failure;
use super::thread::Engine;
use crate::error::Result;

/// An imported credential; released on the engine thread when the last clone is gone.
#[derive(Debug, Clone)]
pub(crate) struct CredentialHandle(Arc<Held>);

#[derive(Debug)]
struct Held {
    engine: Engine,
    id: Id,
    subject: String,
    expires: SystemTime,
}

impl CredentialHandle {
    pub(super) fn new(engine: Engine, id: Id, subject: String, expires: SystemTime) -> Self {
        Self(Arc::new(Held { engine, id, subject, expires }))
    }

    pub(super) fn id(&self) -> Id {
        self.0.id
    }

    /// The subject's distinguished name, `/O=…/CN=…`.
    pub(crate) fn subject(&self) -> &str {
        &self.0.subject
    }

    /// When the first certificate of the chain ends.
    pub(crate) fn expires(&self) -> SystemTime {
        self.0.expires
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.engine.push(Command::ReleaseCredential { credential: self.id });
    }
}

/// Whom the server has to prove to be.
#[derive(Debug, Clone)]
pub(crate) enum TargetName {
    /// The host name of the URL, compared with the names in the certificate.
    Host(String),
    /// An exact distinguished name.
    Subject(String),
}

/// What one round of the handshake gives.
#[derive(Debug)]
pub(crate) struct Step {
    /// To be sent to the server, if not empty.
    pub(crate) token: Bytes,
    /// The context is established: the server is who it should be, and messages can be kept secret.
    pub(crate) complete: bool,
}

/// One initiator's security context; deleted on the engine thread when dropped.
#[derive(Debug)]
pub(crate) struct GssContext {
    engine: Engine,
    id: Id,
}

impl GssContext {
    pub(super) fn new(engine: Engine, id: Id) -> Self {
        Self { engine, id }
    }

    /// One round: the server's token in (empty the first time), ours out.
    pub(crate) async fn step(&mut self, token: Bytes) -> Result<Step> {
        let context = self.id;
        Ok(self.engine.ask(|answer| Command::StepContext { context, token, answer }).await?)
    }

    /// Protects messages, in order, with confidentiality.
    pub(crate) async fn wrap(&mut self, messages: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let context = self.id;
        Ok(self.engine.ask(|answer| Command::Wrap { context, messages, answer }).await?)
    }

    /// Opens tokens, in wire order; a token that fails its check ends the context.
    pub(crate) async fn unwrap(&mut self, tokens: Vec<Bytes>) -> Result<Vec<Bytes>> {
        let context = self.id;
        Ok(self.engine.ask(|answer| Command::Unwrap { context, tokens, answer }).await?)
    }
}

impl Drop for GssContext {
    fn drop(&mut self) {
        self.engine.push(Command::DropContext { context: self.id });
    }
}

impl Engine {
    /// Posts a command and waits for its answer. Dropping the wait drops the answer, and with it what it owns.
    pub(super) async fn ask<T>(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<T, Failure>>) -> Command,
    ) -> Result<T, Failure> {
        let (answer, wait) = oneshot::channel();
        self.push(command(answer));
        wait.await.unwrap_or_else(|_gone| Err(Failure::gone()))
    }

    /// Imports a credential from PEM text: a certificate, its private key, and the rest of its chain.
    pub(crate) async fn import_credential(&self, pem: Bytes) -> Result<CredentialHandle> {
        Ok(self.ask(|answer| Command::ImportCredential { pem, answer }).await?)
    }

    /// A new initiator's context; no token has been made yet.
    pub(crate) async fn gss_context(
        &self,
        credential: &CredentialHandle,
        target: TargetName,
        delegate: bool,
    ) -> Result<GssContext> {
        let credential = credential.clone();
        Ok(self.ask(|answer| Command::NewContext { credential, target, delegate, answer }).await?)
    }
}
