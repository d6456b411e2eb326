//! Every function and static that is bound is exported by one of the libraries: this program would not link otherwise.

#![allow(clippy::fn_to_numeric_cast_any)]

use globus_sys::*;

/// Written by the build script beside the bindings.
static SYMBOLS: Symbols = Symbols(include!(concat!(env!("OUT_DIR"), "/symbols.rs")));

struct Symbols(&'static [(&'static str, *const ())]);

// SAFETY: the addresses are compared with null and never followed.
unsafe impl Sync for Symbols {}

#[test]
fn every_bound_symbol_has_an_address() {
    let missing: Vec<_> =
        SYMBOLS.0.iter().filter(|(_, address)| address.is_null()).map(|(name, _)| name).collect();
    assert!(missing.is_empty(), "bound, but not there: {missing:?}");
}

#[test]
fn the_list_is_that_of_the_libraries() {
    let has = |name: &str| SYMBOLS.0.iter().any(|(symbol, _)| *symbol == name);
    for name in [
        "globus_module_activate",
        "globus_thread_set_model",
        "globus_callback_space_poll",
        "globus_error_print_friendly",
        "globus_xio_register_read",
        "globus_io_tcp_register_connect",
        "globus_ftp_control_data_connect_read",
        "globus_ftp_control_data_force_close",
        "globus_error_gssapi_get_major_status",
        "globus_gsi_cred_read_proxy",
        "gss_init_sec_context",
        "gss_import_cred",
        "GSS_C_NT_HOSTBASED_SERVICE",
        "globus_i_ftp_control_module",
    ] {
        assert!(has(name), "{name} is not bound");
    }
    assert_eq!(has("globus_ftp_client_get"), cfg!(feature = "ftp-client"));
    assert_eq!(has("globus_ftp_client_restart_plugin_init"), cfg!(feature = "ftp-client"));
    // About 1,110 without globus_ftp_client, about 1,480 with it: far fewer means that a header was not read.
    assert!(SYMBOLS.0.len() > 1000, "only {} symbols are bound", SYMBOLS.0.len());
}
