//! A GridFTP client.
