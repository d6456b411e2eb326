//! The data-channel callbacks, and the events they leave for the loop.

use std::cell::RefCell;
use std::ffi::c_void;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use globus_sys as sys;

use super::command::Id;
use super::convert;
use super::failure::Failure;
use super::security::CredentialHandle;

/// Which way data goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// From the server.
    Read,
    /// To the server.
    Write,
}

/// What a data port is set to; fixed for its life.
#[derive(Debug, Clone)]
pub(crate) struct PortSettings {
    /// MODE E (GFD.20); else stream mode.
    pub(crate) extended_block: bool,
    /// Connections to make, per stripe, when we send in extended block mode.
    pub(crate) parallelism: u16,
    /// Socket buffers (`SO_SNDBUF`, `SO_RCVBUF`); none leaves it to the kernel.
    pub(crate) tcp_buffer_bytes: Option<u32>,
    /// Whether IPv6 addresses are used.
    pub(crate) ipv6: bool,
    /// Which stripe of several carries what we send.
    pub(crate) layout: Layout,
    pub(crate) security: PortSecurity,
    /// Who may connect to our listener: everybody else's data is refused. None where DCAU proves the peer.
    pub(crate) allowed_peers: Option<Vec<IpAddr>>,
}

/// Data channel authentication (DCAU, GFD.20) and protection (PROT, RFC 2228).
#[derive(Debug, Clone)]
pub(crate) enum PortSecurity {
    /// DCAU N: nobody is authenticated, nothing is protected.
    None,
    /// DCAU A and S: we show the credential, and the peer has to show the same identity, or the subject if there is one.
    Proven { credential: CredentialHandle, subject: Option<String>, protection: Protection },
}

/// Which stripe carries which bytes of a put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    /// Block after block, as they come, each on the next stripe.
    Turns,
    /// Blocks of this many bytes, by their place in the file. Never 0.
    Blocks(u64),
    /// A contiguous part of the file for each stripe.
    Parts { size: u64 },
}

/// PROT levels that the data half knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protection {
    /// PROT C.
    Clear,
    /// PROT S: integrity.
    Safe,
    /// PROT P: integrity and confidentiality.
    Private,
}

/// What a callback left behind.
#[derive(Debug)]
pub(super) enum Event {
    /// The wake pipe was read.
    Woken,
    /// A port's connection is there, or its connecting failed; one per stripe.
    Connected { port: Id, failure: Option<Failure> },
    /// A registered read or write is back.
    Moved { operation: Id, failure: Option<Failure>, length: usize, offset: i64, eof: bool },
    /// A force_close is done.
    Closed { port: Id },
}

thread_local! {
    /// Events since the loop last looked. Only the engine thread has any.
    static EVENTS: RefCell<Vec<Event>> = const { RefCell::new(Vec::new()) };
}

/// Panics stopped at the C border, for the counter: the callbacks have no state to reach it by.
pub(super) static PANICS: AtomicU64 = AtomicU64::new(0);

/// Takes the events, leaving `empty` in their place.
pub(super) fn take_events(empty: &mut Vec<Event>) {
    EVENTS.with_borrow_mut(|events| std::mem::swap(events, empty));
}

/// Records what `make` returns and ends the running poll; no panic gets out.
pub(super) fn record(make: impl FnOnce() -> Event) {
    let recorded = catch_unwind(AssertUnwindSafe(|| {
        let event = make();
        // The borrow is as short as this line: `make` has returned, and nothing here calls C.
        EVENTS.with_borrow_mut(|events| events.push(event));
    }));
    if recorded.is_err() {
        PANICS.fetch_add(1, Ordering::Relaxed);
    }
    #[cfg(test)]
    if crate::hooks::without("1.5") {
        return;
    }
    // SAFETY: called from a callback, so on the engine thread; sets a flag in the running poll and nothing else.
    unsafe { sys::globus_callback_signal_poll() };
}

/// The error of a callback as an owned value.
///
/// # Safety
/// `error` is NULL or valid for the length of the callback.
unsafe fn failure_of(error: *mut sys::globus_object_t) -> Option<Failure> {
    // SAFETY: the caller's promise.
    (!error.is_null()).then(|| unsafe { convert::describe(error) })
}

/// `globus_ftp_control_data_connect_callback_t`
pub(super) unsafe extern "C" fn connected(
    user_arg: *mut c_void,
    _handle: *mut sys::globus_ftp_control_handle_t,
    _stripe: std::ffi::c_uint,
    _reused: sys::globus_bool_t,
    error: *mut sys::globus_object_t,
) {
    record(|| {
        // SAFETY: C lends the error object for the length of this callback.
        let failure = unsafe { failure_of(error) };
        Event::Connected { port: user_arg.addr() as Id, failure }
    });
}

/// Undoes what C does to the state of a set that is being torn down while a write of its is on the way (C9).
///
/// A write that fails puts the state "end of file" over "closing", and the next connection that comes up meets a state that
/// C asserts on. As "closing", which it is, the state has that connection closed like the others.
///
/// # Safety
/// `handle` is the one of a callback, on the engine thread.
unsafe fn keep_closing(handle: *mut sys::globus_ftp_control_handle_t) {
    use sys::globus_ftp_data_connection_state_t as State;
    #[cfg(test)]
    if crate::hooks::without("C9, state") {
        return;
    }
    // SAFETY: C hands the callback a handle that is alive, and waits for its end; no other thread touches it, and no lock is
    // taken in thread model "none". The fields are public; the pointer is compared, not followed.
    unsafe {
        let data = &raw mut (*handle).dc_handle;
        if (*data).transfer_handle.is_null() && (*data).state == State::GLOBUS_FTP_DATA_STATE_EOF {
            (*data).state = State::GLOBUS_FTP_DATA_STATE_CLOSING;
        }
    }
}

/// `globus_ftp_control_data_callback_t`
pub(super) unsafe extern "C" fn moved(
    user_arg: *mut c_void,
    handle: *mut sys::globus_ftp_control_handle_t,
    error: *mut sys::globus_object_t,
    _buffer: *mut sys::globus_byte_t,
    length: sys::globus_size_t,
    offset: sys::globus_off_t,
    eof: sys::globus_bool_t,
) {
    // SAFETY: this is the callback.
    unsafe { keep_closing(handle) };
    record(|| {
        // SAFETY: C lends the error object for the length of this callback.
        let failure = unsafe { failure_of(error) };
        Event::Moved { operation: user_arg.addr() as Id, failure, length, offset, eof: eof != 0 }
    });
}

/// `globus_ftp_control_callback_t`
pub(super) unsafe extern "C" fn closed(
    user_arg: *mut c_void,
    _handle: *mut sys::globus_ftp_control_handle_t,
    _error: *mut sys::globus_object_t,
) {
    record(|| Event::Closed { port: user_arg.addr() as Id });
}
