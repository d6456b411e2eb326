//! Servers that mean harm: by name, with globus-url-copy beside us.
