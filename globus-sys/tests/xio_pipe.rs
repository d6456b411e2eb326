//! A pipe under XIO's file driver wakes the poll: the typed shim around `globus_xio_attr_cntl`, and the limit of `select()`.
//!
//! One test in a program of its own: with the thread model `none` only one thread of a process may be inside Globus.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use core::ffi::c_void;
use core::ptr;
use globus_sys::*;
use std::io::{Write as _, pipe};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::time::{Duration, Instant};

globus_sys::large_fd!();

const LIMIT: Duration = Duration::from_secs(20);

#[test]
fn a_byte_in_a_pipe_wakes_the_poll() {
    // Before the activation, at which XIO allocates its sets for as many descriptors as may be open.
    let limit = raise_descriptor_limit();

    // SAFETY: this is the only test of the program, so one thread makes all calls of Globus.
    unsafe {
        assert_eq!(globus_thread_set_model(GLOBUS_THREAD_MODEL_NONE.as_ptr()), 0);
        assert_eq!(globus_module_activate(GLOBUS_XIO_MODULE), 0);
    }
    wake_by_a_descriptor_of_at_least(0);
    // One beyond C's fd_set, where the process would be aborted without `large_fd!`, and the last there is.
    wake_by_a_descriptor_of_at_least(1024);
    wake_by_a_descriptor_of_at_least(limit - 1);
    // SAFETY: as above; all handles are closed.
    unsafe { assert_eq!(globus_module_deactivate(GLOBUS_XIO_MODULE), 0) };
}

/// Raises the soft limit to 4096 or the hard limit, and tells it.
fn raise_descriptor_limit() -> i32 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: both calls only read or write the structure.
    unsafe {
        assert_eq!(libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit), 0);
        limit.rlim_cur = limit.rlim_max.min(4096);
        assert_eq!(libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit), 0);
    }
    assert!(
        limit.rlim_cur > 1025,
        "this test needs a hard limit of more than 1025 descriptors, not {}",
        limit.rlim_cur
    );
    i32::try_from(limit.rlim_cur).unwrap()
}

fn wake_by_a_descriptor_of_at_least(lowest: i32) {
    let (reader, mut writer) = pipe().unwrap();
    // SAFETY: F_DUPFD only makes a descriptor, which nobody else owns.
    let reader = unsafe {
        let descriptor = libc::fcntl(reader.as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest);
        assert!(
            descriptor >= lowest,
            "no descriptor of {lowest} or more: {}",
            std::io::Error::last_os_error()
        );
        OwnedFd::from_raw_fd(descriptor)
    };

    let mut outcome = Outcome { calls: 0, result: GLOBUS_SUCCESS, length: 0 };
    let mut byte = [0_u8];
    // SAFETY: the module is active and this is the only thread that calls Globus. `byte` and `outcome` outlive the read: the
    // loop ends with its callback, or with a panic, after which nothing polls any more. The descriptor is closed
    // (when `reader` is dropped) after the handle that uses it.
    unsafe {
        let mut driver = ptr::null_mut();
        let mut stack = ptr::null_mut();
        let mut attr = ptr::null_mut();
        let mut handle = ptr::null_mut();
        assert_eq!(globus_xio_driver_load(c"file".as_ptr(), &raw mut driver), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_stack_init(&raw mut stack, ptr::null_mut()), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_stack_push_driver(stack, driver), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_attr_init(&raw mut attr), GLOBUS_SUCCESS);
        assert_eq!(globus_sys_xio_attr_set_file_handle(attr, driver, reader.as_raw_fd()), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_handle_create(&raw mut handle, stack), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_open(handle, ptr::null(), attr), GLOBUS_SUCCESS);
        let registered = globus_xio_register_read(
            handle,
            byte.as_mut_ptr(),
            byte.len(),
            1,
            ptr::null_mut(),
            Some(on_read),
            (&raw mut outcome).cast(),
        );
        assert_eq!(registered, GLOBUS_SUCCESS);

        // The pipe is empty: a poll that does not wait has nothing to do, and select() has seen the descriptor.
        globus_poll_nonblocking();
        assert_eq!((&raw const outcome.calls).read(), 0);

        writer.write_all(b"w").unwrap();
        let start = Instant::now();
        while (&raw const outcome.calls).read() == 0 {
            assert!(start.elapsed() < LIMIT, "the byte did not arrive");
            let until = globus_abstime_after(LIMIT);
            globus_callback_poll(&raw const until);
        }
        assert_eq!(globus_xio_close(handle, ptr::null_mut()), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_attr_destroy(attr), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_stack_destroy(stack), GLOBUS_SUCCESS);
        assert_eq!(globus_xio_driver_unload(driver), GLOBUS_SUCCESS);
    }
    assert_eq!((outcome.calls, outcome.result, outcome.length), (1, GLOBUS_SUCCESS, 1));
    assert_eq!(byte, *b"w");
}

struct Outcome {
    calls: u32,
    result: globus_result_t,
    length: usize,
}

unsafe extern "C" fn on_read(
    _handle: globus_xio_handle_t,
    result: globus_result_t,
    _buffer: *mut globus_byte_t,
    _asked: globus_size_t,
    length: globus_size_t,
    _description: globus_xio_data_descriptor_t,
    user_arg: *mut c_void,
) {
    // SAFETY: `user_arg` is the address of the `outcome` of the test that polls at this moment.
    let outcome = unsafe { &mut *user_arg.cast::<Outcome>() };
    outcome.calls += 1;
    outcome.result = result;
    outcome.length = length;
    // SAFETY: the module is active. Without this the poll would go on to the end of its time.
    unsafe { globus_signal_poll() };
}
