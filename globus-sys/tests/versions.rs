//! The libraries that this program runs with are those whose headers were bound.

#![allow(clippy::unwrap_used)] // a test that cannot go on has failed

use core::mem::MaybeUninit;
use globus_sys::*;

/// Name and version of each library by pkg-config, when the bindings were made.
fn bound() -> Vec<(&'static str, &'static str)> {
    env!("GLOBUS_SYS_VERSIONS").split(',').map(|entry| entry.split_once(' ').unwrap()).collect()
}

/// `major.minor` out of the library that is loaded.
fn loaded(module: *mut globus_module_descriptor_t) -> String {
    let mut version = MaybeUninit::<globus_version_t>::zeroed();
    // SAFETY: the address is a module descriptor's; the function only copies its version, active or not.
    let code = unsafe { globus_module_get_version(module, version.as_mut_ptr()) };
    assert_eq!(code, 0, "the module tells no version");
    // SAFETY: a structure of integers, zeroed before C wrote to it.
    let version = unsafe { version.assume_init() };
    format!("{}.{}", version.major, version.minor)
}

#[test]
fn the_loaded_libraries_are_those_that_were_bound() {
    let modules = [
        ("common", GLOBUS_COMMON_MODULE),
        ("xio", GLOBUS_XIO_MODULE),
        ("io", GLOBUS_IO_MODULE),
        ("ftp-control", GLOBUS_FTP_CONTROL_MODULE),
        ("gssapi-gsi", GLOBUS_GSI_GSSAPI_MODULE),
        ("gss-assist", GLOBUS_GSI_GSS_ASSIST_MODULE),
        ("gsi-openssl-error", GLOBUS_GSI_OPENSSL_ERROR_MODULE),
        ("gsi-cert-utils", GLOBUS_GSI_CERT_UTILS_MODULE),
        ("gsi-callback", GLOBUS_GSI_CALLBACK_MODULE),
        ("gsi-credential", GLOBUS_GSI_CREDENTIAL_MODULE),
        ("gsi-sysconfig", GLOBUS_GSI_SYSCONFIG_MODULE),
        #[cfg(feature = "ftp-client")]
        ("ftp-client", GLOBUS_FTP_CLIENT_MODULE),
    ];
    for (name, version) in bound() {
        // globus-gssapi-error has no module of its own.
        if name == "gssapi-error" {
            continue;
        }
        let (_, module) = modules.iter().find(|(module, _)| *module == name).unwrap();
        assert_eq!(loaded(*module), version, "globus-{name}: loaded, and bound");
    }
}
