//! Raw bindings of the Globus (Grid Community) Toolkit's C libraries.

#![allow(non_camel_case_types, non_snake_case, non_upper_case_globals)] // the names are C's

mod foreign;
mod macros;
mod shim;

pub use foreign::*;
pub use generated::*;
pub use macros::*;
pub use shim::*;

mod generated {
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
