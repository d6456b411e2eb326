//! The arithmetic on times of `globus_time.h`.
//!
//! `globus_abstime_t` is libc's `timespec` on the wall clock, `globus_reltime_t` is libc's `timeval`.

use crate::*;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// A relative time of this length, cut to microseconds; lengths beyond what C can hold become the longest there is.
pub fn globus_reltime_from(length: Duration) -> globus_reltime_t {
    globus_reltime_t {
        tv_sec: time_t::try_from(length.as_secs()).unwrap_or(time_t::MAX),
        tv_usec: length.subsec_micros().into(),
    }
}

/// The moment that lies `length` after now, for functions such as [`globus_callback_poll`] and `globus_cond_timedwait`.
///
/// Absolute times of Globus are read off the wall clock, so a clock that is set while one waits moves the moment.
pub fn globus_abstime_after(length: Duration) -> globus_abstime_t {
    let since_epoch =
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).saturating_add(length);
    globus_abstime_t {
        tv_sec: time_t::try_from(since_epoch.as_secs()).unwrap_or(time_t::MAX),
        tv_nsec: since_epoch.subsec_nanos().into(),
    }
}
