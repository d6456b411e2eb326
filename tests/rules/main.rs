//! The rules that C's habits and hostile peers impose on this crate: each has a test, and each check is shown to bite where
//! that can be shown. `table.md` lists them; this program sees to it that the list is whole and true.
//!
//! Checks of ours are switched off one at a time in child processes of the unit tests (`src/hooks.rs`). What is not a check of
//! ours but a part of C that we do not use bites `globus-url-copy`, which does use it (`url_copy`).
#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

mod hooks;
mod table;
mod url_copy;
