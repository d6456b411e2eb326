//! Connections that are cut, reset, stalled or black-holed at any byte, through a proxy before a real server.

mod named;
mod random;

use gridftp_lab::proxy::{Passed, Where};

/// What kind of connection it is, for people.
fn name(connection: Where) -> String {
    match connection {
        Where::Control(n) => format!("control {n}"),
        Where::Data(n) => format!("data {n}"),
        other => format!("{other:?}"),
    }
}

/// The data connections among all.
fn data_connections(passed: &[Passed]) -> usize {
    passed.iter().filter(|passed| matches!(passed.connection, Where::Data(_))).count()
}
