//! The versions of the libraries of the Globus Toolkit that this process runs with.

use globus_sys as sys;

/// Name and version of each library that the engine uses.
pub(crate) fn library_versions() -> Vec<(&'static str, String)> {
    let modules = [
        ("globus_common", sys::GLOBUS_COMMON_MODULE),
        ("globus_xio", sys::GLOBUS_XIO_MODULE),
        ("globus_gssapi_gsi", sys::GLOBUS_GSI_GSSAPI_MODULE),
        ("globus_ftp_control", sys::GLOBUS_FTP_CONTROL_MODULE),
    ];
    let mut versions = Vec::new();
    for (name, module) in modules {
        // SAFETY: a module descriptor is a static of its library, and so is the version that it points to; both are written
        // by the compiler only. A null pointer is not looked through.
        let version = unsafe { module.as_ref().and_then(|module| module.version.as_ref()) };
        if let Some(version) = version {
            versions.push((name, format!("{}.{}", version.major, version.minor)));
        }
    }
    versions
}
