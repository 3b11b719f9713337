//! The account of live tensor memory, one for each device, and what it may come to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of tensor values on a device; kernels' scratch memory and allocator slack are not in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Held now.
    pub live: u64,
    /// The most held since the start or the last [`reset_peak_memory`](crate::Device::reset_peak_memory).
    pub peak: u64,
}

static BUDGET: AtomicU64 = AtomicU64::new(u64::MAX);

/// Sets how many bytes of tensors each device of this process may hold; with `None`, as many as fit. What would
/// need more fails with [`Error::OutOfMemory`](crate::Error::OutOfMemory) before it is computed.
pub fn limit_memory(bytes: Option<u64>) {
    BUDGET.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// The most bytes that tensors may take, and what says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub bytes: u64,
    pub what: &'static str,
}

impl Limit {
    /// What [`limit_memory`] set.
    pub fn budget() -> Limit {
        Limit {
            bytes: BUDGET.load(Ordering::Relaxed),
            what: "the memory budget",
        }
    }

    /// The lower of two.
    pub fn or(self, other: Option<Limit>) -> Limit {
        match other {
            Some(other) if other.bytes < self.bytes => other,
            _ => self,
        }
    }
}

/// Bytes of memory that the system could still give to this process, where it tells.
pub(crate) fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    live: AtomicU64,
    peak: AtomicU64,
    /// The most ever: it has fitted once, and allocators keep what they got.
    highest: AtomicU64,
}

impl Meter {
    pub fn read(&self) -> MemoryUse {
        MemoryUse {
            live: self.live.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
        }
    }

    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    pub fn reset_peak(&self) {
        self.peak
            .store(self.live.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// One allocation on an account; the last clone to go takes it off.
#[derive(Clone)]
pub(crate) struct Charge {
    entry: Option<Arc<Entry>>,
}

struct Entry {
    meter: Arc<Meter>,
    bytes: u64,
}

impl Charge {
    pub fn none() -> Charge {
        Charge { entry: None }
    }

    pub fn new(meter: &Arc<Meter>, bytes: u64) -> Charge {
        let live = meter.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        meter.peak.fetch_max(live, Ordering::Relaxed);
        meter.highest.fetch_max(live, Ordering::Relaxed);
        let entry = Entry {
            meter: meter.clone(),
            bytes,
        };
        Charge {
            entry: Some(Arc::new(entry)),
        }
    }

    /// The bytes that go when this goes: none if others hold them too.
    pub fn own_bytes(&self) -> u64 {
        match &self.entry {
            Some(entry) if Arc::strong_count(entry) == 1 => entry.bytes,
            _ => 0,
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.meter.live.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
