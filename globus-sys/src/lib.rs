//! Raw bindings of the Globus (Grid Community) Toolkit's C libraries.
//!
//! Everything here is the C interface under its own names, with C's rules: `globus_common` (modules, threads, callbacks,
//! errors), `globus_xio`, `globus_io`, `globus_ftp_control`, GSSAPI with the GSI credential functions, and with the feature
//! `ftp-client` (on by default) `globus_ftp_client` with its plugins. For a GridFTP client in safe Rust use the
//! crate `gridftp`, which is built on this one.
//!
//! What C writes as macros stands here as constants and functions of the same name: [`GLOBUS_COMMON_MODULE`],
//! [`GLOBUS_ERROR_TYPE_GSSAPI`], [`globus_poll_blocking`], [`GSS_ERROR`]. C enums are structures around a number, with
//! their values as associated constants, because C may hand over a value that its header does not list. Functions with `...`
//! can be called as they are; for those that take a printf format there is a twin that takes the text as it stands
//! ([`globus_sys_ftp_control_send_command`], [`globus_sys_error_construct_string`]).
//!
//! Functions that the headers declare and no library exports are not bound, nor are those that take a `va_list`.
//!
//! # The rules that hold for all of it
//!
//! - Call `globus_thread_set_model` with [`GLOBUS_THREAD_MODEL_NONE`] before anything else, then activate modules; then only
//!   one thread of the process may be inside any Globus function, `gss_*` and the printing of errors included, and callbacks
//!   run only inside a poll on that thread. (With `pthread` instead of `none` the library makes threads of its own.)
//! - A handle's address is kept by the library: a handle must not move from its initialisation to its destruction.
//! - Buffers, out-parameters and user arguments belong to the library until the callback that gives them back.
//! - A callback must not unwind. `extern "C"` functions of Rust end the process when they would.
//! - A [`globus_result_t`] other than [`GLOBUS_SUCCESS`] stands for an error object in a table of the library:
//!   `globus_error_get` takes it out, `globus_object_free` frees it. Error objects given to callbacks are borrowed.
//!
//! `examples/raw_get.rs` fetches a file by these rules.
//!
//! # For build scripts
//!
//! A package that depends on this one directly finds in its build script `DEP_GLOBUS_INCLUDE` (the header folders, joined as
//! in `PATH`) and the version of each library: `DEP_GLOBUS_VERSION_COMMON`, `DEP_GLOBUS_VERSION_FTP_CONTROL` and so on.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)] // the names are C's

mod foreign;
mod large_fd;
mod macros;
mod shim;

pub use foreign::*;
pub use generated::*;
#[doc(hidden)]
pub use large_fd::word_of_descriptor;
pub use macros::*;
pub use shim::*;

mod generated {
    // Nobody writes this by hand: the names are C's, and what they mean is in the documentation of the toolkit.
    #![allow(
        missing_docs,
        missing_debug_implementations,
        non_camel_case_types,
        non_snake_case,
        non_upper_case_globals,
        unnameable_types,
        unreachable_pub,
        unused_qualifications,
        clippy::all,
        clippy::undocumented_unsafe_blocks,
        clippy::use_self
    )]
    use crate::foreign::*;

    #[cfg(not(globus_sys_pregenerated))]
    include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
    #[cfg(globus_sys_pregenerated)]
    include!("../bindings/pregenerated.rs");
}
