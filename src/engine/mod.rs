//! The Globus thread (being written; these signatures are the contract with `session`).
use crate::error::Result;
use bytes::Bytes;

/// The running engine; cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Engine(());

impl Engine {
    /// The engine, started by the first call.
    pub(crate) async fn get() -> Result<Self> {
        todo!()
    }

    /// Imports a credential from PEM text: certificate, private key, chain (any order Globus takes).
    pub(crate) async fn import_credential(&self, _pem: Bytes) -> Result<CredentialHandle> {
        todo!()
    }

    /// A GSSAPI initiator's context; no token has been made yet.
    pub(crate) async fn gss_context(
        &self,
        _credential: &CredentialHandle,
        _target: TargetName,
        _delegate: bool,
    ) -> Result<GssContext> {
        todo!()
    }
}

/// An imported credential, released on the engine thread with its last clone.
#[derive(Debug, Clone)]
pub(crate) struct CredentialHandle(());

impl CredentialHandle {
    /// The subject's distinguished name, `/O=…/CN=…`.
    pub(crate) fn subject(&self) -> &str {
        todo!()
    }
    /// When it ends.
    pub(crate) fn expires(&self) -> std::time::SystemTime {
        todo!()
    }
}

/// Whom the server has to prove to be.
#[derive(Debug, Clone)]
pub(crate) enum TargetName {
    /// The host name of the URL, compared with the certificate's names (`host@NAME`).
    Host(String),
    /// An exact distinguished name.
    Subject(String),
}

/// One security context; deleted on the engine thread when dropped.
#[derive(Debug)]
pub(crate) struct GssContext(());

/// What one round of the handshake gives.
#[derive(Debug)]
pub(crate) struct Step {
    /// To be sent to the server, if not empty.
    pub(crate) token: Bytes,
    /// The context is established (mutual authentication and confidentiality were checked).
    pub(crate) complete: bool,
}

impl GssContext {
    /// One round: the server's token in (empty the first time), ours out.
    pub(crate) async fn step(&mut self, _token: Bytes) -> Result<Step> {
        todo!()
    }
    /// Protects messages, in order, with confidentiality.
    pub(crate) async fn wrap(&mut self, _messages: Vec<Bytes>) -> Result<Vec<Bytes>> {
        todo!()
    }
    /// Opens tokens, in wire order; an integrity failure is an error and ends the context.
    pub(crate) async fn unwrap(&mut self, _tokens: Vec<Bytes>) -> Result<Vec<Bytes>> {
        todo!()
    }
}
