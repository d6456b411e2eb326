//! Children made by `fork`: they have no engine thread, locks that nobody will open, and sockets that are the parent's too.
//!
//! So a child that goes on without `exec` is told so by everything it asks for, at once, and what it drops touches nothing
//! that the parent uses.

use std::any::Any;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, Once, PoisonError};

use super::failure::{Failure, FailureKind};
use crate::error::{Error, ErrorKind, Phase, Side};

const MESSAGE: &str =
    "this process was forked from one that uses this library; a child has to exec before it uses it too";

/// This process is a child of one that uses the library. A flag, as asking for the process's number would be a system call
/// each time.
static CHILD: AtomicBool = AtomicBool::new(false);

/// Notices forks from now on. Called before anything is made that a child must not touch.
pub(crate) fn watch() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler only stores to an atomic, which is allowed in the child of a process with threads. Where it
        // cannot be registered (no memory), a child is not told, as it was before.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

extern "C" fn in_child() {
    CHILD.store(true, Ordering::Relaxed);
}

/// Whether this process is a child that has not exec'ed.
pub(crate) fn is_child() -> bool {
    CHILD.load(Ordering::Relaxed)
}

/// Refuses whatever a child asks for.
///
/// # Errors
/// `InvalidInput` in a child.
pub(crate) fn check() -> Result<(), Error> {
    if is_child() { Err(refusal()) } else { Ok(()) }
}

/// What a child is told.
pub(crate) fn refusal() -> Error {
    Error::new(ErrorKind::InvalidInput, Phase::Input, MESSAGE).with_side(Side::Local)
}

/// The same from the engine.
pub(crate) fn check_engine() -> Result<(), Failure> {
    if is_child() { Err(Failure::new(FailureKind::Forked, MESSAGE)) } else { Ok(()) }
}

/// Keeps a thing of the parent's for the rest of the child's life: dropping it would be felt by the parent, which has the
/// same socket and the same epoll set.
pub(crate) fn keep(thing: Box<dyn Any + Send>) {
    static KEPT: Mutex<Vec<Box<dyn Any + Send>>> = Mutex::new(Vec::new());
    // Only children come here, so no fork can have found it locked by a thread that the child does not have.
    KEPT.lock().unwrap_or_else(PoisonError::into_inner).push(thing);
}
