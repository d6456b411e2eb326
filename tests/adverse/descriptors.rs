//! Processes that run out of descriptors, and processes with thousands of connections.
