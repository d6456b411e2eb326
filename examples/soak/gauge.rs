//! What this process holds: memory and descriptors.

use std::fmt;

/// Memory that may be more at the end, for tables that have grown. The library's pool is filled before anything is measured,
/// and `cargo xtask soak` has the allocator give back what is free; without that it keeps tens of MiB more or less by chance.
const SLACK_KIB: u64 = 8 * 1024;

/// What is held at a moment when nothing is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held {
    pub(crate) memory_kib: u64,
    pub(crate) descriptors: usize,
}

impl Held {
    pub(crate) fn now() -> Self {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
        let memory_kib = line.trim().trim_end_matches(" kB").parse().unwrap_or(0);
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Self { memory_kib, descriptors }
    }

    /// Why `self` is more than `before`, if it is.
    pub(crate) fn grown_since(self, before: Self) -> Option<String> {
        if self.descriptors > before.descriptors {
            return Some(format!("descriptors grew from {} to {}", before.descriptors, self.descriptors));
        }
        let limit = before.memory_kib + SLACK_KIB;
        (self.memory_kib > limit)
            .then(|| format!("memory grew from {} KiB to {} KiB", before.memory_kib, self.memory_kib))
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1} MiB and {} descriptors", self.memory_kib as f64 / 1024.0, self.descriptors)
    }
}
