//! Polling and registering in the global callback space (`globus_callback.h`).

use crate::*;
use core::ffi::c_void;

/// Runs the events of the global callback space as they become due, until `timestop` (absolute, by the wall clock).
///
/// It returns before that only if a callback that it runs calls [`globus_signal_poll`]: a loop that waits for something
/// wants its callback to do so.
///
/// # Safety
/// `GLOBUS_COMMON_MODULE` is active and `timestop` is valid for reads. With the thread model `none` only one thread of the
/// process may be inside any Globus function; the callbacks that run here must be sound to call now, on this thread.
pub unsafe fn globus_callback_poll(timestop: *const globus_abstime_t) {
    // SAFETY: the caller keeps this function's contract, which is that of the function called; -2 is the global space.
    unsafe { globus_callback_space_poll(timestop, GLOBUS_CALLBACK_GLOBAL_SPACE) }
}

/// Runs the events of the global callback space as they become due, until one of them calls [`globus_signal_poll`].
///
/// # Safety
/// As for [`globus_callback_poll`].
pub unsafe fn globus_poll_blocking() {
    // SAFETY: the caller's contract; the time is a constant of the library.
    unsafe { globus_callback_poll(&raw const globus_i_abstime_infinity) }
}

/// Runs events of the global callback space that are due, without waiting for any.
///
/// # Safety
/// As for [`globus_callback_poll`].
pub unsafe fn globus_poll_nonblocking() {
    // SAFETY: the caller's contract; the time is a constant of the library.
    unsafe { globus_callback_poll(&raw const globus_i_abstime_zero) }
}

/// The same as [`globus_poll_nonblocking`].
///
/// # Safety
/// As for [`globus_callback_poll`].
pub unsafe fn globus_poll() {
    // SAFETY: the caller's contract.
    unsafe { globus_poll_nonblocking() }
}

/// Makes the poll that runs the present callback return when this callback is done.
///
/// With the thread model `none` it sets a flag and no more: called on another thread, or by a signal handler, it does not
/// wake a poll that waits.
///
/// # Safety
/// `GLOBUS_COMMON_MODULE` is active.
pub unsafe fn globus_signal_poll() {
    // SAFETY: the caller's contract.
    unsafe { globus_callback_signal_poll() }
}

/// Registers a function to be called once, after `delay_time` (null: at once), from a poll of the global space.
///
/// # Safety
/// `GLOBUS_COMMON_MODULE` is active; `callback_handle` is null or valid for a write; `delay_time` is null or valid for reads;
/// `callback_func` is sound to call with `callback_user_arg` when it comes.
pub unsafe fn globus_callback_register_oneshot(
    callback_handle: *mut globus_callback_handle_t,
    delay_time: *const globus_reltime_t,
    callback_func: globus_callback_func_t,
    callback_user_arg: *mut c_void,
) -> globus_result_t {
    // SAFETY: the caller keeps this function's contract, which is that of the function called; -2 is the global space.
    unsafe {
        globus_callback_space_register_oneshot(
            callback_handle,
            delay_time,
            callback_func,
            callback_user_arg,
            GLOBUS_CALLBACK_GLOBAL_SPACE,
        )
    }
}

/// Registers a function to be called every `period`, first after `delay_time`, from a poll of the global space.
///
/// # Safety
/// As for [`globus_callback_register_oneshot`], for every call until it is unregistered; `period` is valid for reads.
pub unsafe fn globus_callback_register_periodic(
    callback_handle: *mut globus_callback_handle_t,
    delay_time: *const globus_reltime_t,
    period: *const globus_reltime_t,
    callback_func: globus_callback_func_t,
    callback_user_arg: *mut c_void,
) -> globus_result_t {
    // SAFETY: the caller keeps this function's contract, which is that of the function called; -2 is the global space.
    unsafe {
        globus_callback_space_register_periodic(
            callback_handle,
            delay_time,
            period,
            callback_func,
            callback_user_arg,
            GLOBUS_CALLBACK_GLOBAL_SPACE,
        )
    }
}
