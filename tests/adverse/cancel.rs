//! Futures and streams that are dropped at any point, runtimes and processes that end: everything comes back.
