//! Macros of `gssapi.h` (RFC 2744), and object identifiers that the GSI library compares by value.

use crate::*;
use core::ffi::c_void;
use core::ptr;

/// No name given.
pub const GSS_C_NO_NAME: gss_name_t = ptr::null_mut();
/// No buffer given.
pub const GSS_C_NO_BUFFER: gss_buffer_t = ptr::null_mut();
/// No set of buffers given.
pub const GSS_C_NO_BUFFER_SET: gss_buffer_set_t = ptr::null_mut();
/// No object identifier given: the default mechanism or name type.
pub const GSS_C_NO_OID: gss_OID = ptr::null_mut();
/// No set of object identifiers given.
pub const GSS_C_NO_OID_SET: gss_OID_set = ptr::null_mut();
/// The value of a context that is not yet begun.
pub const GSS_C_NO_CONTEXT: gss_ctx_id_t = ptr::null_mut();
/// No credential given: the default one.
pub const GSS_C_NO_CREDENTIAL: gss_cred_id_t = ptr::null_mut();
/// No channel bindings given.
pub const GSS_C_NO_CHANNEL_BINDINGS: gss_channel_bindings_t = ptr::null_mut();
/// A buffer that holds nothing and owns nothing.
pub const GSS_C_EMPTY_BUFFER: gss_buffer_desc = gss_buffer_desc { length: 0, value: ptr::null_mut() };

/// The calling-error field of a major status, in its place; 0 if there is none.
pub const fn GSS_CALLING_ERROR(major: OM_uint32) -> OM_uint32 {
    major & (GSS_C_CALLING_ERROR_MASK << GSS_C_CALLING_ERROR_OFFSET)
}

/// The routine-error field of a major status, in its place (compare with `GSS_S_…`); 0 if there is none.
pub const fn GSS_ROUTINE_ERROR(major: OM_uint32) -> OM_uint32 {
    major & (GSS_C_ROUTINE_ERROR_MASK << GSS_C_ROUTINE_ERROR_OFFSET)
}

/// The supplementary bits of a major status, such as [`GSS_S_CONTINUE_NEEDED`].
pub const fn GSS_SUPPLEMENTARY_INFO(major: OM_uint32) -> OM_uint32 {
    major & (GSS_C_SUPPLEMENTARY_MASK << GSS_C_SUPPLEMENTARY_OFFSET)
}

/// Not 0 if a major status tells of an error.
pub const fn GSS_ERROR(major: OM_uint32) -> OM_uint32 {
    GSS_CALLING_ERROR(major) | GSS_ROUTINE_ERROR(major)
}

/// An object identifier in static memory.
struct StaticOid(gss_OID_desc);

// SAFETY: it points to bytes of static memory that nobody writes: the library only compares and copies object
// identifiers that it is given, and `gss_release_oid` leaves those alone that it did not allocate.
unsafe impl Sync for StaticOid {}

const fn static_oid(elements: &'static [u8], length: OM_uint32) -> StaticOid {
    StaticOid(gss_OID_desc { length, elements: ptr::from_ref(elements).cast::<c_void>().cast_mut() })
}

static NT_HOST_IP: StaticOid = static_oid(b"\x2b\x06\x01\x04\x01\x9b\x50\x01\x01\x02", 10);
static MECH_GSI: StaticOid = static_oid(b"\x2b\x06\x01\x04\x01\x9b\x50\x01\x01", 9);
static X509_CERT_CHAIN: StaticOid = static_oid(b"\x2b\x06\x01\x04\x01\x9b\x50\x01\x01\x01\x08", 11);

/// Name type of a host name with its address, `host/ip`, to import a name that is checked against a server's certificate.
///
/// The library has it in a header of its own that is not installed; callers (`globus_ftp_control` too) bring a copy.
pub const GLOBUS_GSS_C_NT_HOST_IP: gss_OID = (&raw const NT_HOST_IP.0).cast_mut();

/// The GSI mechanism, `gss_mech_globus_gssapi_openssl`, whose declaration is not installed either.
pub const GLOBUS_GSS_MECH_OPENSSL: gss_OID = (&raw const MECH_GSI.0).cast_mut();

/// For `gss_inquire_sec_context_by_oid`: the peer's certificates, one DER buffer each, the peer's own first.
/// The library calls it `gss_ext_x509_cert_chain_oid` and installs no declaration.
pub const GLOBUS_GSS_EXT_X509_CERT_CHAIN: gss_OID = (&raw const X509_CERT_CHAIN.0).cast_mut();
