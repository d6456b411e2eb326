//! GSSAPI on the engine thread: credentials imported from memory, initiator contexts, message protection.
//!
//! No function here does I/O on a network: tokens come from and go to the session. The library reads the directory of
//! trusted certificates (`X509_CERT_DIR`) while it checks the server's.

use std::collections::HashMap;
use std::ffi::CString;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use globus_sys as sys;

use super::command::Id;
use super::convert::{self, take_gss_buffer};
use super::counters::Counters;
use super::failure::{Failure, FailureKind};
use super::security::{CredentialHandle, GssContext, Step, TargetName};
use super::thread::Engine;

/// Largest credential text that is imported, in bytes.
const PEM_LIMIT: usize = 1 << 20;

/// The credentials that are in use.
#[derive(Debug)]
pub(super) struct Credentials {
    held: HashMap<Id, sys::gss_cred_id_t>,
    counters: Arc<Counters>,
}

/// The security contexts that are in use.
#[derive(Debug)]
pub(super) struct Contexts {
    held: HashMap<Id, Context>,
    counters: Arc<Counters>,
}

#[derive(Debug)]
struct Context {
    raw: sys::gss_ctx_id_t,
    target: sys::gss_name_t,
    /// Kept for as long as the context may look at it.
    credential: CredentialHandle,
    delegate: bool,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Handshake,
    Complete,
    /// A call failed: the library's state is not to be trusted any more.
    Dead,
}

fn buffer_of(bytes: &[u8]) -> sys::gss_buffer_desc {
    sys::gss_buffer_desc { length: bytes.len(), value: bytes.as_ptr().cast_mut().cast() }
}

fn empty_buffer() -> sys::gss_buffer_desc {
    sys::gss_buffer_desc { length: 0, value: ptr::null_mut() }
}

fn is_error(major: sys::OM_uint32) -> bool {
    sys::GSS_ERROR(major) != 0
}

/// When a credential ends of which GSI says that it has `seconds` left.
///
/// RFC 2744 wants 0 for an expired one; GSI hands out the difference as it is, so that an expired credential shows a
/// negative number in an unsigned one's clothes: how long ago it ended. (No certificate lives for 68 years.)
fn moment(seconds: sys::OM_uint32) -> SystemTime {
    let left = seconds.cast_signed();
    let distance = Duration::from_secs(u64::from(left.unsigned_abs()));
    let now = SystemTime::now();
    if left >= 0 { now + distance } else { now - distance }
}

/// The failure behind a pair of GSS status codes.
fn failure(major: sys::OM_uint32, minor: sys::OM_uint32) -> Failure {
    // GSI's minor status is a `globus_result_t`: the error object behind it has the whole story.
    let mut failure = convert::take_failure(minor);
    failure.kind = FailureKind::Gss(major);
    failure
}

impl Credentials {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { held: HashMap::new(), counters }
    }

    pub(super) fn raw(&self, handle: &CredentialHandle) -> Result<sys::gss_cred_id_t, Failure> {
        self.held.get(&handle.id()).copied().ok_or_else(Failure::gone)
    }

    pub(super) fn import(&mut self, engine: &Engine, pem: &[u8]) -> Result<CredentialHandle, Failure> {
        if pem.len() > PEM_LIMIT {
            return Err(Failure::new(FailureKind::Other, "the credential is larger than 1 MiB"));
        }
        let mut text = buffer_of(pem);
        let mut raw: sys::gss_cred_id_t = ptr::null_mut();
        let (mut minor, mut received_seconds) = (0, 0);
        // SAFETY: `text` describes `pem`, which outlives the call and is only read; option 0 says that it holds PEM text; the
        // out-parameters are locals.
        let major = unsafe {
            sys::gss_import_cred(
                &raw mut minor,
                &raw mut raw,
                ptr::null_mut(),
                0,
                &raw mut text,
                0,
                &raw mut received_seconds,
            )
        };
        if is_error(major) || raw.is_null() {
            return Err(failure(major, minor));
        }
        let id = engine.next_id();
        self.held.insert(id, raw);
        self.counters.credentials.add(1);
        let (subject, seconds) = Self::inquire(raw).inspect_err(|_| self.release(id))?;
        let expires = moment(seconds);
        Ok(CredentialHandle::new(engine.clone(), id, subject, expires))
    }

    fn inquire(raw: sys::gss_cred_id_t) -> Result<(String, u32), Failure> {
        let mut name: sys::gss_name_t = ptr::null_mut();
        let (mut minor, mut seconds) = (0, 0);
        // SAFETY: an imported credential; out-parameters are locals or NULL for what is not wanted.
        let major = unsafe {
            sys::gss_inquire_cred(
                &raw mut minor,
                raw,
                &raw mut name,
                &raw mut seconds,
                ptr::null_mut(),
                ptr::null_mut(),
            )
        };
        if is_error(major) {
            return Err(failure(major, minor));
        }
        let mut text = empty_buffer();
        // SAFETY: `name` was made by the call above, is displayed into a local buffer and released once.
        let subject = unsafe {
            let major = sys::gss_display_name(&raw mut minor, name, &raw mut text, ptr::null_mut());
            let shown =
                if is_error(major) { Err(failure(major, minor)) } else { Ok(take_gss_buffer(&mut text)) };
            sys::gss_release_name(&raw mut minor, &raw mut name);
            shown?
        };
        let subject = String::from_utf8_lossy(&subject).trim_end_matches('\0').to_owned();
        Ok((subject, seconds))
    }

    pub(super) fn release(&mut self, id: Id) {
        let Some(mut raw) = self.held.remove(&id) else { return };
        self.counters.credentials.sub(1);
        let mut minor = 0;
        // SAFETY: imported here, released once: the entry is gone. Whatever borrowed it (contexts, ports) holds a
        // `CredentialHandle`, and the release is posted when the last of those is dropped; or there is no context and no
        // port any more, and there will be none (`release_all`).
        unsafe { sys::gss_release_cred(&raw mut minor, &raw mut raw) };
    }

    /// Releases all, at the end of the engine: no context and no port is left that could have borrowed one.
    pub(super) fn release_all(&mut self) {
        for id in self.held.keys().copied().collect::<Vec<_>>() {
            self.release(id);
        }
    }
}

impl Contexts {
    pub(super) fn new(counters: Arc<Counters>) -> Self {
        Self { held: HashMap::new(), counters }
    }

    pub(super) fn open(
        &mut self,
        engine: &Engine,
        credential: CredentialHandle,
        target: &TargetName,
        delegate: bool,
    ) -> Result<GssContext, Failure> {
        let target = import_name(target)?;
        let id = engine.next_id();
        let context = Context { raw: ptr::null_mut(), target, credential, delegate, stage: Stage::Handshake };
        self.held.insert(id, context);
        self.counters.contexts.add(1);
        Ok(GssContext::new(engine.clone(), id))
    }

    pub(super) fn step(&mut self, credentials: &Credentials, id: Id, token: &[u8]) -> Result<Step, Failure> {
        let context = self.held.get_mut(&id).ok_or_else(Failure::gone)?;
        if context.stage != Stage::Handshake {
            return Err(Failure::new(
                FailureKind::Violation,
                "the server went on with a handshake that was over",
            ));
        }
        let credential = credentials.raw(&context.credential)?;
        let mut wanted = sys::GSS_C_MUTUAL_FLAG | sys::GSS_C_CONF_FLAG;
        if context.delegate {
            wanted |= sys::GSS_C_DELEG_FLAG | sys::GSS_C_GLOBUS_LIMITED_DELEG_PROXY_FLAG;
        }
        let mut input = buffer_of(token);
        let mut output = empty_buffer();
        let (mut minor, mut granted) = (0, 0);
        // SAFETY: the credential and the name live in this module's tables; `input` describes `token` for the length of the
        // call; the context is NULL the first time and the library's own afterwards.
        let major = unsafe {
            sys::gss_init_sec_context(
                &raw mut minor,
                credential,
                &raw mut context.raw,
                context.target,
                ptr::null_mut(),
                wanted,
                0,
                ptr::null_mut(),
                if token.is_empty() { ptr::null_mut() } else { &raw mut input },
                ptr::null_mut(),
                &raw mut output,
                &raw mut granted,
                ptr::null_mut(),
            )
        };
        // SAFETY: filled by the call above, or empty: this call also hands out a token (an alert) when it fails, and never frees
        // what it leaves there.
        let token = unsafe { take_gss_buffer(&mut output) };
        if is_error(major) {
            context.stage = Stage::Dead;
            return Err(failure(major, minor));
        }
        let complete = major & sys::GSS_S_CONTINUE_NEEDED == 0;
        if complete {
            let needed = sys::GSS_C_MUTUAL_FLAG | sys::GSS_C_CONF_FLAG;
            if granted & needed != needed {
                return Err(Failure::new(
                    FailureKind::Violation,
                    "the handshake gave no mutual authentication or no confidentiality",
                ));
            }
            context.stage = Stage::Complete;
        }
        Ok(Step { token, complete })
    }

    /// The context for one message; a failure with it ends the context, since its stream of records is out of step then.
    fn on_message(
        &mut self,
        id: Id,
        call: impl FnOnce(sys::gss_ctx_id_t, &mut sys::OM_uint32, &mut sys::gss_buffer_desc) -> sys::OM_uint32,
    ) -> Result<Bytes, Failure> {
        let context = self.held.get_mut(&id).ok_or_else(Failure::gone)?;
        match context.stage {
            Stage::Complete => {}
            Stage::Handshake => {
                return Err(Failure::new(FailureKind::Violation, "the security context is not established"));
            }
            Stage::Dead => {
                return Err(Failure::new(
                    FailureKind::Violation,
                    "the security context was ended by an earlier failure",
                ));
            }
        }
        let mut output = empty_buffer();
        let mut minor = 0;
        let major = call(context.raw, &mut minor, &mut output);
        if is_error(major) {
            // The output is not looked at: `gss_unwrap` frees it on some of its failures and leaves the address in place.
            context.stage = Stage::Dead;
            return Err(failure(major, minor));
        }
        // SAFETY: the call succeeded, so the buffer is empty or filled, and ours to release.
        Ok(unsafe { take_gss_buffer(&mut output) })
    }

    pub(super) fn wrap(&mut self, id: Id, messages: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
        let mut wrap = |message: &Bytes| {
            let mut input = buffer_of(message);
            let mut confidential = 0;
            let token = self.on_message(id, |raw, minor, output| {
                // SAFETY: an established context of this table; `input` describes `message` for the length of the call, the
                // other addresses are locals.
                unsafe {
                    sys::gss_wrap(
                        minor,
                        raw,
                        1,
                        sys::GSS_C_QOP_DEFAULT,
                        &raw mut input,
                        &raw mut confidential,
                        output,
                    )
                }
            })?;
            if confidential == 0 {
                return Err(Failure::new(FailureKind::Violation, "a command could not be kept secret"));
            }
            Ok(token)
        };
        messages.iter().map(&mut wrap).collect()
    }

    pub(super) fn unwrap(&mut self, id: Id, tokens: &[Bytes]) -> Result<Vec<Bytes>, Failure> {
        let mut unwrap = |token: &Bytes| {
            let mut input = buffer_of(token);
            let (mut confidential, mut quality) = (0, 0);
            self.on_message(id, |raw, minor, output| {
                // SAFETY: an established context of this table; `input` describes `token` for the length of the call, the other
                // addresses are locals.
                unsafe {
                    sys::gss_unwrap(
                        minor,
                        raw,
                        &raw mut input,
                        output,
                        &raw mut confidential,
                        &raw mut quality,
                    )
                }
            })
        };
        tokens.iter().map(&mut unwrap).collect()
    }

    pub(super) fn close(&mut self, id: Id) {
        let Some(mut context) = self.held.remove(&id) else { return };
        self.counters.contexts.sub(1);
        let mut minor = 0;
        // SAFETY: the entry is gone, so each is released once; no token for the peer is wanted.
        unsafe {
            if !context.raw.is_null() {
                sys::gss_delete_sec_context(&raw mut minor, &raw mut context.raw, ptr::null_mut());
            }
            sys::gss_release_name(&raw mut minor, &raw mut context.target);
        }
    }

    /// Closes all, at the end of the engine: whoever uses one from then on is told that the engine is gone.
    pub(super) fn close_all(&mut self) {
        for id in self.held.keys().copied().collect::<Vec<_>>() {
            self.close(id);
        }
    }
}

/// Refuses what GSSAPI does not take as a distinguished name.
pub(super) fn check_subject(subject: &str) -> Result<(), Failure> {
    let mut name = import_name(&TargetName::Subject(subject.to_owned()))?;
    let mut minor = 0;
    // SAFETY: the name was imported just now, and is released once.
    unsafe { sys::gss_release_name(&raw mut minor, &raw mut name) };
    Ok(())
}

/// The name that the server's certificate is compared with.
fn import_name(target: &TargetName) -> Result<sys::gss_name_t, Failure> {
    let (text, host) = match target {
        // A host-based service name needs no socket and no name lookup.
        TargetName::Host(host) => (format!("host@{host}"), true),
        TargetName::Subject(subject) => (subject.clone(), false),
    };
    let text = CString::new(text)
        .map_err(|_| Failure::new(FailureKind::Other, "the server's name holds a NUL byte"))?;
    let bytes = if host { text.as_bytes() } else { text.as_bytes_with_nul() };
    let mut buffer = buffer_of(bytes);
    let mut name: sys::gss_name_t = ptr::null_mut();
    let mut minor = 0;
    // SAFETY: `buffer` describes `text` for the length of the call; the name type is one of the library's statics, or none
    // for a distinguished name.
    let major = unsafe {
        let kind = if host { sys::GSS_C_NT_HOSTBASED_SERVICE } else { ptr::null_mut() };
        sys::gss_import_name(&raw mut minor, &raw mut buffer, kind, &raw mut name)
    };
    if is_error(major) { Err(failure(major, minor)) } else { Ok(name) }
}
