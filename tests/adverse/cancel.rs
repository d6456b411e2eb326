//! Futures and streams that are dropped at any point, runtimes and processes that end: everything comes back.

mod child;
mod drops;
mod exits;
mod late;
mod load;
mod runtimes;
mod shutdown;
mod told;
