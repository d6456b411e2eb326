//! The wait that other threads can end: a pipe, read through XIO's file driver, so that its readiness is one of the things
//! that `globus_callback_space_poll` waits for.

use std::ffi::c_void;
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr;

use globus_sys as sys;

use super::convert::{Memory, check};
use super::failure::Failure;

/// The read end of the wake pipe, as an XIO handle. Never closed: it lives as long as the thread.
#[derive(Debug)]
pub(super) struct Wake {
    handle: sys::globus_xio_handle_t,
    /// Used by the handle, which does not own it.
    _pipe: OwnedFd,
    /// Where the bytes of the pipe go: C writes to it while a read is registered.
    sink: Memory,
}

impl Wake {
    /// Takes the read end over.
    pub(super) fn new(pipe: OwnedFd) -> Result<Self, Failure> {
        let mut driver = ptr::null_mut();
        let mut stack = ptr::null_mut();
        let mut attr = ptr::null_mut();
        let mut handle = ptr::null_mut();
        // SAFETY: XIO is activated and this is the engine thread; each out-parameter is a local that is filled before the call
        // returns; the strings are static. The descriptor stays open as long as the handle: `_pipe` keeps it.
        unsafe {
            check(sys::globus_xio_driver_load(c"file".as_ptr().cast_mut(), &raw mut driver))?;
            check(sys::globus_xio_stack_init(&raw mut stack, ptr::null_mut()))?;
            check(sys::globus_xio_stack_push_driver(stack, driver))?;
            check(sys::globus_xio_attr_init(&raw mut attr))?;
            check(sys::globus_sys_xio_attr_set_file_handle(attr, driver, pipe.as_raw_fd()))?;
            check(sys::globus_xio_handle_create(&raw mut handle, stack))?;
            check(sys::globus_xio_open(handle, ptr::null(), attr))?;
        }
        Ok(Self { handle, _pipe: pipe, sink: Memory::new(64) })
    }

    /// Registers the read that the next byte ends. Called when none is registered.
    pub(super) fn arm(&mut self) -> Result<(), Failure> {
        // SAFETY: an open handle; `sink` stays at its address for as long as this struct lives, and this struct lives as long as the thread
        // that runs callbacks; nothing else touches it.
        check(unsafe {
            sys::globus_xio_register_read(
                self.handle,
                self.sink.as_mut_ptr(),
                self.sink.len(),
                1,
                ptr::null_mut(),
                Some(woken),
                ptr::null_mut(),
            )
        })
    }
}

/// `globus_xio_data_callback_t`
unsafe extern "C" fn woken(
    _handle: sys::globus_xio_handle_t,
    _result: sys::globus_result_t,
    _buffer: *mut sys::globus_byte_t,
    _length: sys::globus_size_t,
    _read: sys::globus_size_t,
    _descriptor: sys::globus_xio_data_descriptor_t,
    _user_arg: *mut c_void,
) {
    super::data::record(|| super::data::Event::Woken);
}
