//! Macros that stand for the address of a static: modules to activate, and error types to compare with.
//!
//! A module's descriptor is written by the library when it is activated, so it is never to be read or borrowed from Rust;
//! the address is all that the functions which take one need.

use crate::*;

macro_rules! modules {
    ($($(#[$attr:meta])* $name:ident = $static:ident;)*) => {$(
        $(#[$attr])*
        pub const $name: *mut globus_module_descriptor_t = &raw mut $static;
    )*};
}

macro_rules! error_types {
    ($($(#[$attr:meta])* $name:ident = $static:ident;)*) => {$(
        $(#[$attr])*
        pub const $name: *const globus_object_type_t = &raw const $static;
    )*};
}

modules! {
    /// The module of `globus_object`.
    GLOBUS_OBJECT_MODULE = globus_i_object_module;
    /// The module of `globus_thread`.
    GLOBUS_THREAD_MODULE = globus_i_thread_module;
    /// The module of `globus_error`.
    GLOBUS_ERROR_MODULE = globus_i_error_module;
    /// The module of `globus_thread_pool`.
    GLOBUS_THREAD_POOL_MODULE = globus_i_thread_pool_module;
    /// The module of `globus_callback`.
    GLOBUS_CALLBACK_MODULE = globus_i_callback_module;
    /// The module of `globus_thread_common`.
    GLOBUS_THREAD_COMMON_MODULE = globus_i_thread_common_module;
    /// The module of `globus_extension`.
    GLOBUS_EXTENSION_MODULE = globus_i_extension_module;
    /// The module of `globus_common`; activates what nearly every other module needs.
    GLOBUS_COMMON_MODULE = globus_i_common_module;
    /// The module of `globus_xio`.
    GLOBUS_XIO_MODULE = globus_i_xio_module;
    /// The module of `globus_xio_system`.
    GLOBUS_XIO_SYSTEM_MODULE = globus_i_xio_system_module;
    /// The module of the GSI GSSAPI mechanism.
    GLOBUS_GSI_GSSAPI_MODULE = globus_i_gsi_gssapi_module;
    /// The module of `globus_io`.
    GLOBUS_IO_MODULE = globus_l_io_module;
    /// The module of `globus_gsi_gss_assist`.
    GLOBUS_GSI_GSS_ASSIST_MODULE = globus_i_gsi_gss_assist_module;
    /// The module of `globus_ftp_control`; activates `globus_io`, `globus_xio` and the GSSAPI modules with it.
    GLOBUS_FTP_CONTROL_MODULE = globus_i_ftp_control_module;
    /// The module of `globus_gsi_openssl_error`.
    GLOBUS_GSI_OPENSSL_ERROR_MODULE = globus_i_gsi_openssl_error_module;
    /// The module of `globus_gsi_cert_utils`.
    GLOBUS_GSI_CERT_UTILS_MODULE = globus_i_gsi_cert_utils_module;
    /// The module of `globus_gsi_callback`.
    GLOBUS_GSI_CALLBACK_MODULE = globus_i_gsi_callback_module;
    /// The module of `globus_gsi_credential`.
    GLOBUS_GSI_CREDENTIAL_MODULE = globus_i_gsi_credential_module;
    /// The module of `globus_gsi_sysconfig`.
    GLOBUS_GSI_SYSCONFIG_MODULE = globus_i_gsi_sysconfig_module;
    /// The module of `globus_ftp_client`.
    #[cfg(feature = "ftp-client")]
    GLOBUS_FTP_CLIENT_MODULE = globus_i_ftp_client_module;
    /// The module of globus_ftp_client's plugin `debug`.
    #[cfg(feature = "ftp-client")]
    GLOBUS_FTP_CLIENT_DEBUG_PLUGIN_MODULE = globus_i_ftp_client_debug_plugin_module;
    /// The module of globus_ftp_client's plugin `perf`.
    #[cfg(feature = "ftp-client")]
    GLOBUS_FTP_CLIENT_PERF_PLUGIN_MODULE = globus_i_ftp_client_perf_plugin_module;
    /// The module of globus_ftp_client's plugin `restart`.
    #[cfg(feature = "ftp-client")]
    GLOBUS_FTP_CLIENT_RESTART_PLUGIN_MODULE = globus_i_ftp_client_restart_plugin_module;
    /// The module of globus_ftp_client's plugin `restart_marker`.
    #[cfg(feature = "ftp-client")]
    GLOBUS_FTP_CLIENT_RESTART_MARKER_PLUGIN_MODULE = globus_i_ftp_client_restart_marker_plugin_module;
    /// The module of globus_ftp_client's plugin `throughput`.
    #[cfg(feature = "ftp-client")]
    GLOBUS_FTP_CLIENT_THROUGHPUT_PLUGIN_MODULE = globus_i_ftp_client_throughput_plugin_module;
}

error_types! {
    /// The type of errors made by `globus_error_construct_error`: a number, a source line and words (nearly all of today).
    GLOBUS_ERROR_TYPE_GLOBUS = GLOBUS_ERROR_TYPE_GLOBUS_DEFINITION;
    /// The type of several errors as one.
    GLOBUS_ERROR_TYPE_MULTIPLE = GLOBUS_ERROR_TYPE_MULTIPLE_DEFINITION;
    /// The type of every error: the root of the hierarchy.
    GLOBUS_ERROR_TYPE_BASE = GLOBUS_ERROR_TYPE_BASE_DEFINITION;
    /// The type of errors of the class "no authentication".
    GLOBUS_ERROR_TYPE_NO_AUTHENTICATION = GLOBUS_ERROR_TYPE_NO_AUTHENTICATION_DEFINITION;
    /// The type of errors of the class "no credentials".
    GLOBUS_ERROR_TYPE_NO_CREDENTIALS = GLOBUS_ERROR_TYPE_NO_CREDENTIALS_DEFINITION;
    /// The type of errors of the class "no trust".
    GLOBUS_ERROR_TYPE_NO_TRUST = GLOBUS_ERROR_TYPE_NO_TRUST_DEFINITION;
    /// The type of errors of the class "invalid credentials".
    GLOBUS_ERROR_TYPE_INVALID_CREDENTIALS = GLOBUS_ERROR_TYPE_INVALID_CREDENTIALS_DEFINITION;
    /// The type of errors of the class "access failed".
    GLOBUS_ERROR_TYPE_ACCESS_FAILED = GLOBUS_ERROR_TYPE_ACCESS_FAILED_DEFINITION;
    /// The type of errors of the class "no authorization".
    GLOBUS_ERROR_TYPE_NO_AUTHORIZATION = GLOBUS_ERROR_TYPE_NO_AUTHORIZATION_DEFINITION;
    /// The type of errors of the class "not available".
    GLOBUS_ERROR_TYPE_NOT_AVAILABLE = GLOBUS_ERROR_TYPE_NOT_AVAILABLE_DEFINITION;
    /// The type of errors of the class "depleted".
    GLOBUS_ERROR_TYPE_DEPLETED = GLOBUS_ERROR_TYPE_DEPLETED_DEFINITION;
    /// The type of errors of the class "quota depleted".
    GLOBUS_ERROR_TYPE_QUOTA_DEPLETED = GLOBUS_ERROR_TYPE_QUOTA_DEPLETED_DEFINITION;
    /// The type of errors of the class "offline".
    GLOBUS_ERROR_TYPE_OFFLINE = GLOBUS_ERROR_TYPE_OFFLINE_DEFINITION;
    /// The type of errors of the class "aborted".
    GLOBUS_ERROR_TYPE_ABORTED = GLOBUS_ERROR_TYPE_ABORTED_DEFINITION;
    /// The type of errors of the class "user cancelled".
    GLOBUS_ERROR_TYPE_USER_CANCELLED = GLOBUS_ERROR_TYPE_USER_CANCELLED_DEFINITION;
    /// The type of errors of the class "internal error".
    GLOBUS_ERROR_TYPE_INTERNAL_ERROR = GLOBUS_ERROR_TYPE_INTERNAL_ERROR_DEFINITION;
    /// The type of errors of the class "system aborted".
    GLOBUS_ERROR_TYPE_SYSTEM_ABORTED = GLOBUS_ERROR_TYPE_SYSTEM_ABORTED_DEFINITION;
    /// The type of errors of the class "bad data".
    GLOBUS_ERROR_TYPE_BAD_DATA = GLOBUS_ERROR_TYPE_BAD_DATA_DEFINITION;
    /// The type of errors of the class "null reference".
    GLOBUS_ERROR_TYPE_NULL_REFERENCE = GLOBUS_ERROR_TYPE_NULL_REFERENCE_DEFINITION;
    /// The type of errors of the class "type mismatch".
    GLOBUS_ERROR_TYPE_TYPE_MISMATCH = GLOBUS_ERROR_TYPE_TYPE_MISMATCH_DEFINITION;
    /// The type of errors of the class "bad format".
    GLOBUS_ERROR_TYPE_BAD_FORMAT = GLOBUS_ERROR_TYPE_BAD_FORMAT_DEFINITION;
    /// The type of errors of the class "name unknown".
    GLOBUS_ERROR_TYPE_NAME_UNKNOWN = GLOBUS_ERROR_TYPE_NAME_UNKNOWN_DEFINITION;
    /// The type of errors of the class "out of range".
    GLOBUS_ERROR_TYPE_OUT_OF_RANGE = GLOBUS_ERROR_TYPE_OUT_OF_RANGE_DEFINITION;
    /// The type of errors of the class "too large".
    GLOBUS_ERROR_TYPE_TOO_LARGE = GLOBUS_ERROR_TYPE_TOO_LARGE_DEFINITION;
    /// The type of errors of the class "too small".
    GLOBUS_ERROR_TYPE_TOO_SMALL = GLOBUS_ERROR_TYPE_TOO_SMALL_DEFINITION;
    /// The type of errors of the class "communication failed".
    GLOBUS_ERROR_TYPE_COMMUNICATION_FAILED = GLOBUS_ERROR_TYPE_COMMUNICATION_FAILED_DEFINITION;
    /// The type of errors of the class "unreachable".
    GLOBUS_ERROR_TYPE_UNREACHABLE = GLOBUS_ERROR_TYPE_UNREACHABLE_DEFINITION;
    /// The type of errors of the class "protocol mismatch".
    GLOBUS_ERROR_TYPE_PROTOCOL_MISMATCH = GLOBUS_ERROR_TYPE_PROTOCOL_MISMATCH_DEFINITION;
    /// The type of errors of the class "protocol violated".
    GLOBUS_ERROR_TYPE_PROTOCOL_VIOLATED = GLOBUS_ERROR_TYPE_PROTOCOL_VIOLATED_DEFINITION;
    /// The type of errors of the class "invalid use".
    GLOBUS_ERROR_TYPE_INVALID_USE = GLOBUS_ERROR_TYPE_INVALID_USE_DEFINITION;
    /// The type of errors of the class "already done".
    GLOBUS_ERROR_TYPE_ALREADY_DONE = GLOBUS_ERROR_TYPE_ALREADY_DONE_DEFINITION;
    /// The type of errors of the class "already registered".
    GLOBUS_ERROR_TYPE_ALREADY_REGISTERED = GLOBUS_ERROR_TYPE_ALREADY_REGISTERED_DEFINITION;
    /// The type of errors of the class "already cancelled".
    GLOBUS_ERROR_TYPE_ALREADY_CANCELLED = GLOBUS_ERROR_TYPE_ALREADY_CANCELLED_DEFINITION;
    /// The type of errors of the class "not initialized".
    GLOBUS_ERROR_TYPE_NOT_INITIALIZED = GLOBUS_ERROR_TYPE_NOT_INITIALIZED_DEFINITION;
    /// The type of errors that hold an `errno`.
    GLOBUS_ERROR_TYPE_ERRNO = GLOBUS_ERROR_TYPE_ERRNO_DEFINITION;
    /// The type of errors that hold words only.
    GLOBUS_ERROR_TYPE_STRING = GLOBUS_ERROR_TYPE_STRING_DEFINITION;
    /// The type of errors that hold the major and minor status of a `gss_*` call.
    GLOBUS_ERROR_TYPE_GSSAPI = GLOBUS_ERROR_TYPE_GSSAPI_DEFINITION;
    /// The type of errors that hold OpenSSL's error.
    GLOBUS_ERROR_TYPE_OPENSSL = GLOBUS_ERROR_TYPE_OPENSSL_DEFINITION;
    /// The type of errors that hold a reply of an FTP server.
    #[cfg(feature = "ftp-client")]
    GLOBUS_ERROR_TYPE_FTP = GLOBUS_ERROR_TYPE_FTP_DEFINITION;
    /// The type of errors of `globus_io` of the class "security failed".
    GLOBUS_IO_ERROR_TYPE_SECURITY_FAILED = GLOBUS_IO_ERROR_TYPE_SECURITY_FAILED_DEFINITION;
    /// The type of errors of `globus_io` of the class "authentication failed".
    GLOBUS_IO_ERROR_TYPE_AUTHENTICATION_FAILED = GLOBUS_IO_ERROR_TYPE_AUTHENTICATION_FAILED_DEFINITION;
    /// The type of errors of `globus_io` of the class "authorization failed".
    GLOBUS_IO_ERROR_TYPE_AUTHORIZATION_FAILED = GLOBUS_IO_ERROR_TYPE_AUTHORIZATION_FAILED_DEFINITION;
    /// The type of errors of `globus_io` of the class "unauthorized identity".
    GLOBUS_IO_ERROR_TYPE_UNAUTHORIZED_IDENTITY = GLOBUS_IO_ERROR_TYPE_UNAUTHORIZED_IDENTITY_DEFINITION;
    /// The type of errors of `globus_io` of the class "bad protection".
    GLOBUS_IO_ERROR_TYPE_BAD_PROTECTION = GLOBUS_IO_ERROR_TYPE_BAD_PROTECTION_DEFINITION;
    /// The type of errors of `globus_io` of the class "no sec context".
    GLOBUS_IO_ERROR_TYPE_NO_SEC_CONTEXT = GLOBUS_IO_ERROR_TYPE_NO_SEC_CONTEXT_DEFINITION;
    /// The type of errors of `globus_io` of the class "context expired".
    GLOBUS_IO_ERROR_TYPE_CONTEXT_EXPIRED = GLOBUS_IO_ERROR_TYPE_CONTEXT_EXPIRED_DEFINITION;
    /// The type of errors of `globus_io` of the class "credentials expired".
    GLOBUS_IO_ERROR_TYPE_CREDENTIALS_EXPIRED = GLOBUS_IO_ERROR_TYPE_CREDENTIALS_EXPIRED_DEFINITION;
    /// The type of errors of `globus_io` of the class "no credentials".
    GLOBUS_IO_ERROR_TYPE_NO_CREDENTIALS = GLOBUS_IO_ERROR_TYPE_NO_CREDENTIALS_DEFINITION;
    /// The type of errors of `globus_io` of the class "invalid credentials".
    GLOBUS_IO_ERROR_TYPE_INVALID_CREDENTIALS = GLOBUS_IO_ERROR_TYPE_INVALID_CREDENTIALS_DEFINITION;
    /// The type of errors of `globus_io` of the class "io failed".
    GLOBUS_IO_ERROR_TYPE_IO_FAILED = GLOBUS_IO_ERROR_TYPE_IO_FAILED_DEFINITION;
    /// The type of errors of `globus_io` of the class "system failure".
    GLOBUS_IO_ERROR_TYPE_SYSTEM_FAILURE = GLOBUS_IO_ERROR_TYPE_SYSTEM_FAILURE_DEFINITION;
    /// The type of errors of `globus_io` of the class "eof".
    GLOBUS_IO_ERROR_TYPE_EOF = GLOBUS_IO_ERROR_TYPE_EOF_DEFINITION;
    /// The type of errors of `globus_io` of the class "io cancelled".
    GLOBUS_IO_ERROR_TYPE_IO_CANCELLED = GLOBUS_IO_ERROR_TYPE_IO_CANCELLED_DEFINITION;
    /// The type of errors of `globus_io` of the class "bad parameter".
    GLOBUS_IO_ERROR_TYPE_BAD_PARAMETER = GLOBUS_IO_ERROR_TYPE_BAD_PARAMETER_DEFINITION;
    /// The type of errors of `globus_io` of the class "bad pointer".
    GLOBUS_IO_ERROR_TYPE_BAD_POINTER = GLOBUS_IO_ERROR_TYPE_BAD_POINTER_DEFINITION;
    /// The type of errors of `globus_io` of the class "null parameter".
    GLOBUS_IO_ERROR_TYPE_NULL_PARAMETER = GLOBUS_IO_ERROR_TYPE_NULL_PARAMETER_DEFINITION;
    /// The type of errors of `globus_io` of the class "invalid type".
    GLOBUS_IO_ERROR_TYPE_INVALID_TYPE = GLOBUS_IO_ERROR_TYPE_INVALID_TYPE_DEFINITION;
    /// The type of errors of `globus_io` of the class "immutable attribute".
    GLOBUS_IO_ERROR_TYPE_IMMUTABLE_ATTRIBUTE = GLOBUS_IO_ERROR_TYPE_IMMUTABLE_ATTRIBUTE_DEFINITION;
    /// The type of errors of `globus_io` of the class "attribute mismatch".
    GLOBUS_IO_ERROR_TYPE_ATTRIBUTE_MISMATCH = GLOBUS_IO_ERROR_TYPE_ATTRIBUTE_MISMATCH_DEFINITION;
    /// The type of errors of `globus_io` of the class "invalid name".
    GLOBUS_IO_ERROR_TYPE_INVALID_NAME = GLOBUS_IO_ERROR_TYPE_INVALID_NAME_DEFINITION;
    /// The type of errors of `globus_io` of the class "host not found".
    GLOBUS_IO_ERROR_TYPE_HOST_NOT_FOUND = GLOBUS_IO_ERROR_TYPE_HOST_NOT_FOUND_DEFINITION;
    /// The type of errors of `globus_io` of the class "invalid port".
    GLOBUS_IO_ERROR_TYPE_INVALID_PORT = GLOBUS_IO_ERROR_TYPE_INVALID_PORT_DEFINITION;
    /// The type of errors of `globus_io` of the class "restricted port".
    GLOBUS_IO_ERROR_TYPE_RESTRICTED_PORT = GLOBUS_IO_ERROR_TYPE_RESTRICTED_PORT_DEFINITION;
    /// The type of errors of `globus_io` of the class "port in use".
    GLOBUS_IO_ERROR_TYPE_PORT_IN_USE = GLOBUS_IO_ERROR_TYPE_PORT_IN_USE_DEFINITION;
    /// The type of errors of `globus_io` of the class "not initialized".
    GLOBUS_IO_ERROR_TYPE_NOT_INITIALIZED = GLOBUS_IO_ERROR_TYPE_NOT_INITIALIZED_DEFINITION;
    /// The type of errors of `globus_io` of the class "registration error".
    GLOBUS_IO_ERROR_TYPE_REGISTRATION_ERROR = GLOBUS_IO_ERROR_TYPE_REGISTRATION_ERROR_DEFINITION;
    /// The type of errors of `globus_io` of the class "read already registered".
    GLOBUS_IO_ERROR_TYPE_READ_ALREADY_REGISTERED = GLOBUS_IO_ERROR_TYPE_READ_ALREADY_REGISTERED_DEFINITION;
    /// The type of errors of `globus_io` of the class "write already registered".
    GLOBUS_IO_ERROR_TYPE_WRITE_ALREADY_REGISTERED = GLOBUS_IO_ERROR_TYPE_WRITE_ALREADY_REGISTERED_DEFINITION;
    /// The type of errors of `globus_io` of the class "except already registered".
    GLOBUS_IO_ERROR_TYPE_EXCEPT_ALREADY_REGISTERED = GLOBUS_IO_ERROR_TYPE_EXCEPT_ALREADY_REGISTERED_DEFINITION;
    /// The type of errors of `globus_io` of the class "close already registered".
    GLOBUS_IO_ERROR_TYPE_CLOSE_ALREADY_REGISTERED = GLOBUS_IO_ERROR_TYPE_CLOSE_ALREADY_REGISTERED_DEFINITION;
    /// The type of errors of `globus_io` of the class "internal error".
    GLOBUS_IO_ERROR_TYPE_INTERNAL_ERROR = GLOBUS_IO_ERROR_TYPE_INTERNAL_ERROR_DEFINITION;
}
