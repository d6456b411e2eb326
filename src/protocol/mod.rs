//! The language of FTP and GridFTP, as pure functions from bytes to values and back.
//!
//! Here live the forms of commands, replies, facts, features, addresses and times (RFC 959, 2228, 2389, 2428, 3659,
//! GFD.20 and 47). What comes from a server is not trusted: every parser is bounded, linear and free of panics, and says
//! `Protocol` with an escaped excerpt when it is given something else. What goes to a server is checked when it is made.
//!
//! Never here: sockets, files, clocks, threads, Globus, and any decision about what to do with an answer.

pub(crate) mod classify;
pub(crate) mod command;
pub(crate) mod reply;
