//! The one file where ownership crosses the C border, and where C's results become Rust values.
#![allow(clippy::disallowed_methods, reason = "this is the file that the ban points to")]

use std::ffi::{CStr, c_char};
use std::mem::MaybeUninit;
use std::ptr::{self, NonNull};

use globus_sys as sys;

use super::failure::{Failure, FailureKind, TEXT_LIMIT};

/// Zeroed memory for a control handle (its initialisation does not set every field), at an address that stays.
pub(super) fn zeroed_handle() -> NonNull<sys::globus_ftp_control_handle_t> {
    let memory = Box::new(MaybeUninit::<sys::globus_ftp_control_handle_t>::zeroed());
    NonNull::from(Box::leak(memory)).cast()
}

/// Gives back what [`zeroed_handle`] made.
///
/// # Safety
/// `raw` came from `zeroed_handle`, is given back once, and C does not hold its address any more.
pub(super) unsafe fn free_handle(raw: NonNull<sys::globus_ftp_control_handle_t>) {
    // SAFETY: the caller's promise; the cast restores the type that the box was made with.
    drop(unsafe { Box::from_raw(raw.cast::<MaybeUninit<sys::globus_ftp_control_handle_t>>().as_ptr()) });
}

/// A block of memory that C may write to while this value is moved about: kept by its address, since moving a `Box` tells the
/// compiler that nobody else uses its contents.
#[derive(Debug)]
pub(super) struct Memory(NonNull<[u8]>);

// SAFETY: a `Memory` is the one owner of plain bytes, as a `Box<[u8]>` is; C writes to them on the engine thread only, and
// hands them back through a channel or a lock before another thread looks.
unsafe impl Send for Memory {}
// SAFETY: shared access only reads, and nobody writes once a block has been handed to a consumer.
unsafe impl Sync for Memory {}

impl Memory {
    pub(super) fn new(size: usize) -> Self {
        Self(NonNull::from(Box::leak(vec![0_u8; size].into_boxed_slice())))
    }

    /// Memory of no bytes, which costs nothing.
    pub(super) fn none() -> Self {
        Self::new(0)
    }

    pub(super) fn as_mut_ptr(&mut self) -> *mut u8 {
        self.0.as_ptr().cast()
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn as_mut_slice(&mut self) -> &mut [u8] {
        // SAFETY: initialised when it was allocated, alive as long as `self`, which is borrowed exclusively. A block that C may
        // write to lies in the engine's table of operations, which hands out an address and never this.
        unsafe { self.0.as_mut() }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        // SAFETY: initialised when it was allocated, alive as long as `self`; a block is looked at only when C has handed it
        // back, and nothing writes to it then.
        unsafe { self.0.as_ref() }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: made by `Box::leak` in `new`, freed once.
        drop(unsafe { Box::from_raw(self.0.as_ptr()) });
    }
}

/// A C result as a Rust one; a failure's error object is fetched, converted and freed at once.
pub(super) fn check(result: sys::globus_result_t) -> Result<(), Failure> {
    if result == 0 { Ok(()) } else { Err(take_failure(result)) }
}

/// The failure behind a result that is not success.
pub(super) fn take_failure(result: sys::globus_result_t) -> Failure {
    // SAFETY: engine thread; `globus_error_get` hands over the object (or NULL if it has been displaced from the cache).
    unsafe {
        let object = sys::globus_error_get(result);
        let failure = describe(object);
        if !object.is_null() {
            sys::globus_object_free(object);
        }
        failure
    }
}

/// An owned description of an error object that belongs to the library. NULL gives a description that says so.
///
/// # Safety
/// `object` is NULL or a valid error object for the length of the call; engine thread.
pub(super) unsafe fn describe(object: *mut sys::globus_object_t) -> Failure {
    if object.is_null() {
        return Failure::new(FailureKind::Other, "the Globus library gave no reason");
    }
    // SAFETY: a valid object; the text is malloc'ed for us.
    let text = unsafe { take_c_string(sys::globus_error_print_friendly(object)) };
    Failure { kind: classify(object, &text), text }
}

/// What the chain of an error says.
fn classify(object: *mut sys::globus_object_t, text: &str) -> FailureKind {
    let mut link = object;
    // A chain is short; the bound only guards against a loop.
    for _ in 0..64 {
        if link.is_null() {
            break;
        }
        // SAFETY: `link` is an object of the chain, which lives as long as its head; engine thread.
        unsafe {
            let kind = sys::globus_object_get_type(link);
            if ptr::eq(kind, &raw const sys::GLOBUS_ERROR_TYPE_GSSAPI_DEFINITION) {
                let minor = sys::globus_error_gssapi_get_minor_status(link);
                let major = sys::globus_error_gssapi_get_major_status(link);
                let _ = minor;
                return FailureKind::Gss(major);
            }
            link = sys::globus_error_get_cause(link);
        }
    }
    // SAFETY: a valid object; engine thread.
    let errno = unsafe { sys::globus_error_errno_search(object) };
    if errno != 0 {
        return FailureKind::Errno(errno);
    }
    if text.contains("end-of-file") || text.contains("End of file") {
        return FailureKind::EndOfFile;
    }
    if text.contains("force_close") {
        return FailureKind::Closed;
    }
    // Among them "cancelled": what we cancel has failed with our own words before, so this is C's word to a connection of a
    // set in which another one broke.
    FailureKind::Other
}

/// Takes a malloc'ed C string: copies at most [`TEXT_LIMIT`] bytes, frees it.
///
/// # Safety
/// `text` is NULL or a NUL-terminated string allocated with malloc that the caller may free.
pub(super) unsafe fn take_c_string(text: *mut c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    unsafe {
        let bytes = CStr::from_ptr(text).to_bytes();
        let bytes = &bytes[..bytes.len().min(TEXT_LIMIT)];
        let owned = String::from_utf8_lossy(bytes).into_owned();
        libc::free(text.cast());
        owned
    }
}

/// Copies what a GSS buffer holds, and releases it.
///
/// # Safety
/// `buffer` is empty or was filled by a GSSAPI call; engine thread.
pub(super) unsafe fn take_gss_buffer(buffer: &mut sys::gss_buffer_desc) -> bytes::Bytes {
    let bytes = if buffer.value.is_null() || buffer.length == 0 {
        bytes::Bytes::new()
    } else {
        // SAFETY: a filled buffer describes `length` bytes at `value`.
        bytes::Bytes::copy_from_slice(unsafe {
            std::slice::from_raw_parts(buffer.value.cast::<u8>(), buffer.length)
        })
    };
    let mut minor = 0;
    // SAFETY: filled by the library (or empty), and released once: the call clears it.
    unsafe { sys::gss_release_buffer(&raw mut minor, buffer) };
    bytes
}
