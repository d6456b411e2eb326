//! The libraries that this program is linked with are those whose headers were bound.
use globus_sys::*;

#[test]
fn activates() {
    // SAFETY: no other thread of this process is inside a Globus function.
    unsafe {
        assert_eq!(globus_thread_set_model(GLOBUS_THREAD_MODEL_NONE.as_ptr()), 0);
        for module in [GLOBUS_COMMON_MODULE, GLOBUS_XIO_MODULE, GLOBUS_IO_MODULE, GLOBUS_FTP_CONTROL_MODULE, GLOBUS_GSI_GSSAPI_MODULE] {
            assert_eq!(globus_module_activate(module), 0);
        }
    }
    assert_eq!(size_of::<globus_ftp_control_handle_t>(), 8976);
}
