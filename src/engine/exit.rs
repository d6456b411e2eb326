//! The end of the process, while the engine may be in the middle of something.
//!
//! `exit` runs handlers, and OpenSSL's frees what the engine thread is just using: the process then dies of a signal after
//! its work was done well (measured: 3 of 10 processes that end while Globus is being activated). So OpenSSL is asked to
//! have no such handler; and where another library was quicker to set it up, a handler of ours, which runs before, waits
//! until the engine has come to rest.

use std::ffi::{c_int, c_void};
use std::sync::{Condvar, Mutex, Once, PoisonError};
use std::time::Duration;

use super::thread::Engine;

/// How long the end of the process may be held up. A step of the engine takes some milliseconds, activation some tens.
const LIMIT: Duration = Duration::from_secs(2);

/// `OPENSSL_INIT_NO_ATEXIT`: OpenSSL frees nothing when the process ends.
const NO_ATEXIT: u64 = 0x0008_0000;

/// Whether the engine rests for ever.
static RESTS: (Mutex<bool>, Condvar) = (Mutex::new(false), Condvar::new());

/// The request to rest. It counts as heeded when it is dropped, so that an engine that is gone holds nobody up.
#[derive(Debug)]
pub(super) struct Rest(());

impl Drop for Rest {
    fn drop(&mut self) {
        *RESTS.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
        RESTS.1.notify_all();
    }
}

/// Prepares for the end of the process. To be called before the engine thread is started.
pub(super) fn prepare() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        initialise_openssl();
        // SAFETY: the handler takes nothing, returns nothing and does not unwind: it only locks, waits and sends.
        // If the handler cannot be registered, the process may end less well than it could; nothing else depends on it.
        let _ = unsafe { libc::atexit(at_exit) };
    });
}

/// Makes OpenSSL register its handler now, if it has to have one: handlers run in the reverse order.
fn initialise_openssl() {
    // SAFETY: looks a name up among the libraries of the process. (The crate `openssl`, which reads credentials, asks for the
    // same when it is first used: whoever is first decides for the process.)
    let found = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"OPENSSL_init_crypto".as_ptr()) };
    if found.is_null() {
        return;
    }
    // SAFETY: this is the function's type in every OpenSSL from 1.1.0 on, which is when it got this name.
    let initialise = unsafe {
        std::mem::transmute::<*mut c_void, unsafe extern "C" fn(u64, *const c_void) -> c_int>(found)
    };
    // SAFETY: it may be called from any thread and any number of times; no settings are given. A flag that an old version
    // does not know is ignored.
    unsafe { initialise(NO_ATEXIT, std::ptr::null()) };
}

extern "C" fn at_exit() {
    // A forked child has no engine thread, and must not wait for it.
    if Engine::rest(Rest(())) {
        let rests = RESTS.0.lock().unwrap_or_else(PoisonError::into_inner);
        // After the limit the process ends as it would have without us.
        drop(RESTS.1.wait_timeout_while(rests, LIMIT, |rests| !*rests));
    }
}

/// The engine's answer: says that it rests, and never comes back.
pub(super) fn rest_for_ever(rest: Rest) -> ! {
    drop(rest);
    loop {
        std::thread::park();
    }
}
