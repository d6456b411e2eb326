//! The modules start, stop, and their errors can be read.
//!
//! One test in a program of its own: with the thread model `none` only one thread of a process may be inside Globus.

use core::ffi::CStr;
use core::ptr;
use globus_sys::*;

#[test]
fn modules_start_and_errors_can_be_read() {
    let modules = [
        GLOBUS_COMMON_MODULE,
        GLOBUS_XIO_MODULE,
        GLOBUS_IO_MODULE,
        GLOBUS_GSI_GSSAPI_MODULE,
        GLOBUS_FTP_CONTROL_MODULE,
    ];
    // SAFETY: this is the only test of the program, so one thread makes all calls; the name is a constant of the library.
    unsafe {
        assert_eq!(globus_thread_set_model(GLOBUS_THREAD_MODEL_NONE.as_ptr()), 0);
        for module in modules {
            assert_eq!(globus_module_activate(module), 0);
        }
        // The poll has nothing to do and must come back.
        globus_poll_nonblocking();
    }
    the_words_of_an_error_are_not_read_as_a_format();
    a_name_of_the_host_ip_type_is_understood();
    // SAFETY: as above; nothing of the modules is in use any more.
    unsafe {
        for module in modules.into_iter().rev() {
            assert_eq!(globus_module_deactivate(module), 0);
        }
    }
}

fn the_words_of_an_error_are_not_read_as_a_format() {
    // SAFETY: the modules are active, on this thread alone; the words are NUL-terminated; the string that is printed
    // is malloc'd and freed once, the object is freed once.
    unsafe {
        let error = globus_sys_error_construct_string(
            GLOBUS_COMMON_MODULE,
            ptr::null_mut(),
            c"no %s such file %n".as_ptr(),
        );
        assert!(!error.is_null());
        assert_eq!(
            globus_object_type_match(globus_object_get_type(error), GLOBUS_ERROR_TYPE_STRING),
            GLOBUS_TRUE
        );
        let printed = globus_error_print_friendly(error);
        assert_eq!(CStr::from_ptr(printed).to_bytes(), b"no %s such file %n\n");
        libc::free(printed.cast());
        globus_object_free(error);
    }
}

fn a_name_of_the_host_ip_type_is_understood() {
    let text = c"localhost/127.0.0.1";
    let mut input = gss_buffer_desc { length: text.count_bytes(), value: text.as_ptr().cast_mut().cast() };
    let mut minor = 0;
    let mut name = GSS_C_NO_NAME;
    // SAFETY: GLOBUS_GSI_GSSAPI_MODULE is active; the input is only read; the outputs are ours; the name is released once.
    unsafe {
        let major = gss_import_name(&raw mut minor, &raw mut input, GLOBUS_GSS_C_NT_HOST_IP, &raw mut name);
        assert_eq!(GSS_ERROR(major), 0, "major {major:#x}, minor {minor:#x}");
        assert_ne!(name, GSS_C_NO_NAME);
        assert_eq!(GSS_ERROR(gss_release_name(&raw mut minor, &raw mut name)), 0);
    }
    assert_eq!(GSS_ROUTINE_ERROR(GSS_S_BAD_NAMETYPE | GSS_S_CONTINUE_NEEDED), GSS_S_BAD_NAMETYPE);
    assert_eq!(GSS_SUPPLEMENTARY_INFO(GSS_S_BAD_NAMETYPE | GSS_S_CONTINUE_NEEDED), GSS_S_CONTINUE_NEEDED);
}
