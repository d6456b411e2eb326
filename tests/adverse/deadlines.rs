//! A server that falls silent, at every step of every operation: each wait ends by its deadline.
