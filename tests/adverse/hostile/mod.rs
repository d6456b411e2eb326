//! Servers that mean harm: by name, with globus-url-copy beside us.
//!
//! `behaved` shows that the hostile server is a good one as long as nobody asks for harm, so that each case of the table
//! fails for the reason in its name.

mod behaved;
mod cases;
mod guc;
mod ours;
mod table;
