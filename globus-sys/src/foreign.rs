//! Types of other libraries that the Globus headers mention.
//!
//! bindgen does not follow the headers into libc or OpenSSL: libc's types are those of the crate `libc`, OpenSSL's are
//! opaque (this crate never looks into one; cast the pointer to use it with `openssl-sys`).

#![allow(non_camel_case_types)]

pub use libc::{
    DIR, FILE, addrinfo, dirent, hostent, iovec, pthread_attr_t, pthread_cond_t, pthread_condattr_t,
    pthread_key_t, pthread_mutex_t, pthread_mutexattr_t, pthread_once_t, pthread_t, sigset_t, sockaddr,
    sockaddr_storage, socklen_t, time_t, timespec, timeval, tm, uid_t,
};

/// C's `uint_least32_t`, which RFC 2744 asks for under `gss_uint32`.
pub type uint_least32_t = u32;

macro_rules! opaque {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[repr(C)]
        #[derive(Debug)]
        pub struct $name {
            _private: [u8; 0],
            // Neither Send nor Sync, and not movable by value: only C knows what is there.
            _marker: core::marker::PhantomData<(*mut u8, core::marker::PhantomPinned)>,
        }
    )*};
}

opaque! {
    /// OpenSSL's `ASN1_UTCTIME`.
    ASN1_UTCTIME
    /// OpenSSL's `BIO`.
    BIO
    /// OpenSSL's `EVP_PKEY`.
    EVP_PKEY
    /// OpenSSL's `X509`.
    X509
    /// OpenSSL's `X509_EXTENSION`.
    X509_EXTENSION
    /// OpenSSL's `X509_NAME`.
    X509_NAME
    /// OpenSSL's `X509_STORE_CTX`.
    X509_STORE_CTX
    /// OpenSSL's `STACK_OF(ASN1_INTEGER)`.
    stack_st_ASN1_INTEGER
    /// OpenSSL's `STACK_OF(ASN1_OBJECT)`.
    stack_st_ASN1_OBJECT
    /// OpenSSL's `STACK_OF(OPENSSL_STRING)`.
    stack_st_OPENSSL_STRING
    /// OpenSSL's `STACK_OF(X509)`.
    stack_st_X509
    /// What `globus_netlogger_handle_t` points to; NetLogger support is no longer in the toolkit.
    blah_s
}
