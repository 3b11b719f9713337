//! Accounting of tensor memory per device, and its limit.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Bytes of tensor values on a device, without kernels' scratch memory and allocator overhead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryUse {
    /// Bytes in use now.
    pub live: u64,
    /// Most bytes in use since the start or the last [`reset_peak_memory`](crate::Device::reset_peak_memory).
    pub peak: u64,
}

static BUDGET: AtomicU64 = AtomicU64::new(u64::MAX);

/// Limits the bytes of tensors on each device of this process; `None` removes the limit. A computation that needs more
/// fails with [`Error::OutOfMemory`](crate::Error::OutOfMemory) before it starts.
pub fn limit_memory(bytes: Option<u64>) {
    BUDGET.store(bytes.unwrap_or(u64::MAX), Ordering::Relaxed);
}

/// A limit of the memory of tensors, and the reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub bytes: u64,
    pub what: &'static str,
}

impl Limit {
    /// Returns the limit that [`limit_memory`] set.
    pub fn budget() -> Limit {
        Limit { bytes: BUDGET.load(Ordering::Relaxed), what: "the memory budget" }
    }

    /// Returns the lower of two limits.
    pub fn or(self, other: Option<Limit>) -> Limit {
        match other {
            Some(other) if other.bytes < self.bytes => other,
            _ => self,
        }
    }
}

/// Returns the bytes of memory that the system can still give to this process, if it reports them.
pub(crate) fn available() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kib: u64 = line.trim().trim_end_matches(" kB").parse().ok()?;
    Some(kib * 1024)
}

/// Counters of a device's tensor memory.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    live: AtomicU64,
    peak: AtomicU64,
    /// Most bytes ever in use. As many will fit again, because allocators keep memory once they have it.
    highest: AtomicU64,
}

impl Meter {
    /// Returns the memory in use and its peak.
    pub fn read(&self) -> MemoryUse {
        MemoryUse {
            live: self.live.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
        }
    }

    /// Returns the most bytes that were ever in use, whether or not the peak was reset.
    pub fn highest(&self) -> u64 {
        self.highest.load(Ordering::Relaxed)
    }

    /// Sets the peak to the memory in use now.
    pub fn reset_peak(&self) {
        self.peak.store(self.live.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// An allocation that a [`Meter`] counts until the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Charge {
    charged: Option<Arc<ChargedBytes>>,
}

struct ChargedBytes {
    meter: Arc<Meter>,
    bytes: u64,
}

impl Charge {
    /// Makes a charge of no memory, for values that take none.
    pub fn none() -> Charge {
        Charge { charged: None }
    }

    /// Counts an allocation.
    pub fn new(meter: &Arc<Meter>, bytes: u64) -> Charge {
        let live = meter.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        meter.peak.fetch_max(live, Ordering::Relaxed);
        meter.highest.fetch_max(live, Ordering::Relaxed);
        let charged = ChargedBytes { meter: meter.clone(), bytes };
        Charge { charged: Some(Arc::new(charged)) }
    }

    /// Returns the bytes that dropping this frees: 0 while there are clones.
    pub fn own_bytes(&self) -> u64 {
        match &self.charged {
            Some(charged) if Arc::strong_count(charged) == 1 => charged.bytes,
            _ => 0,
        }
    }
}

impl Drop for ChargedBytes {
    fn drop(&mut self) {
        self.meter.live.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
