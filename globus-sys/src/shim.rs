//! The functions of `shim.c`.

use crate::*;
use core::ffi::{c_char, c_void};

unsafe extern "C" {
    /// `globus_xio_attr_cntl(attr, file_driver, GLOBUS_XIO_FILE_SET_HANDLE, fd)`: a handle opened with this attribute works on
    /// the descriptor `fd`, which the driver does not close.
    ///
    /// # Safety
    /// `GLOBUS_XIO_MODULE` is active, `attr` is initialised, `file_driver` is the loaded driver `file`, and `fd` stays open as
    /// long as a handle uses it.
    pub fn globus_sys_xio_attr_set_file_handle(
        attr: globus_xio_attr_t,
        file_driver: globus_xio_driver_t,
        fd: globus_xio_system_file_t,
    ) -> globus_result_t;

    /// `globus_ftp_control_send_command(handle, "%s", callback, callback_arg, command)`: the command, CR LF included, as it
    /// stands.
    ///
    /// # Safety
    /// That of `globus_ftp_control_send_command`; `command` is a NUL-terminated string, copied during the call.
    pub fn globus_sys_ftp_control_send_command(
        handle: *mut globus_ftp_control_handle_t,
        command: *const c_char,
        callback: globus_ftp_control_response_callback_t,
        callback_arg: *mut c_void,
    ) -> globus_result_t;

    /// `globus_error_construct_string(base_source, base_cause, "%s", words)`.
    ///
    /// # Safety
    /// `base_source` is null or a module; `base_cause` is null or an error object, which the new one takes over; `words` is a
    /// NUL-terminated string, copied during the call.
    pub fn globus_sys_error_construct_string(
        base_source: *mut globus_module_descriptor_t,
        base_cause: *mut globus_object_t,
        words: *const c_char,
    ) -> *mut globus_object_t;
}
