//! The account of live tensor memory, one for each device.

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

#[derive(Debug, Default)]
pub(crate) struct Meter {
    live: AtomicU64,
    peak: AtomicU64,
}

impl Meter {
    pub fn read(&self) -> MemoryUse {
        MemoryUse {
            live: self.live.load(Ordering::Relaxed),
            peak: self.peak.load(Ordering::Relaxed),
        }
    }

    pub fn reset_peak(&self) {
        self.peak
            .store(self.live.load(Ordering::Relaxed), Ordering::Relaxed);
    }
}

/// One allocation on an account; the last clone to go takes it off.
#[derive(Clone)]
pub(crate) struct Charge {
    _entry: Option<Arc<Entry>>,
}

struct Entry {
    meter: Arc<Meter>,
    bytes: u64,
}

impl Charge {
    pub fn none() -> Charge {
        Charge { _entry: None }
    }

    pub fn new(meter: &Arc<Meter>, bytes: u64) -> Charge {
        let live = meter.live.fetch_add(bytes, Ordering::Relaxed) + bytes;
        meter.peak.fetch_max(live, Ordering::Relaxed);
        let entry = Entry {
            meter: meter.clone(),
            bytes,
        };
        Charge {
            _entry: Some(Arc::new(entry)),
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.meter.live.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
