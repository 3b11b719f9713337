//! Record of requests for memory, and of requests that a GPU's driver refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Largest number of values that an error message lists.
const NAMED: usize = 5;

/// A request for memory before a computation.
pub(crate) struct MemoryRequest<'a> {
    /// Bytes in addition to those in use.
    pub more: u64,
    /// Bytes of the largest value.
    pub largest: u64,
    /// Returns the name of the computation.
    pub during: &'a dyn Fn() -> String,
    /// Returns the values in memory at the peak, with their bytes.
    pub alive: &'a dyn Fn() -> Vec<(String, u64)>,
}

/// A memory request as text, for error messages.
#[derive(Clone, Default)]
pub(super) struct Demand {
    pub needed: u64,
    pub during: String,
    pub biggest: Vec<(String, u64)>,
}

impl Demand {
    /// Describes a request that needs `needed` bytes in total.
    pub fn of(request: &MemoryRequest, needed: u64) -> Demand {
        let mut biggest = (request.alive)();
        biggest.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        biggest.truncate(NAMED);
        Demand { needed, during: (request.during)(), biggest }
    }
}

/// Record of memory that a GPU's driver refused, and of the largest request. Drivers refuse asynchronously, so the
/// error can only be reported later.
#[derive(Default)]
pub(super) struct Refusals {
    pub refused: AtomicBool,
    heaviest: Mutex<Demand>,
}

impl Refusals {
    /// Records that the driver ran out of memory.
    pub fn note(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    /// Records a request if it is the largest.
    pub fn watch(&self, request: &MemoryRequest, needed: u64) {
        let mut heaviest = self.heaviest.lock().unwrap_or_else(PoisonError::into_inner);
        // Listing names takes time, so a request replaces another only if it is clearly larger.
        if needed > heaviest.needed + heaviest.needed / 16 {
            *heaviest = Demand::of(request, needed);
        }
    }

    /// The largest request.
    pub fn heaviest(&self) -> Demand {
        let heaviest = self.heaviest.lock().unwrap_or_else(PoisonError::into_inner);
        heaviest.clone()
    }
}
