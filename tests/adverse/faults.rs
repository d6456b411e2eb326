//! Connections that are cut, reset, stalled or black-holed at any byte, through a proxy before a real server.
