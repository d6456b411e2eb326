//! What the C headers say with preprocessor macros, written out in Rust under the same names.
//!
//! Macros with a plain number or string as their value are bound by bindgen and are not here. What never belongs here:
//! anything that is no macro in C, and any decision of a Rust interface's own.

mod addresses;
mod callback;
mod gssapi;
mod time;

pub use addresses::*;
pub use callback::*;
pub use gssapi::*;
pub use time::*;
