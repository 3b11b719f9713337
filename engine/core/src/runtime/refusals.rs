//! Requests for memory, and those that a GPU's driver refused.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

/// Values that an error names.
const NAMED: usize = 5;

/// What is about to be made: more than there was before, and of what it consists.
pub(crate) struct MemoryRequest<'a> {
    /// Bytes beside those that are held already.
    pub more: u64,
    /// Bytes of the largest value.
    pub largest: u64,
    /// What needs them.
    pub during: &'a dyn Fn() -> String,
    /// All values that are alive where it is the most, with their bytes.
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
    pub fn of(request: &MemoryRequest, needed: u64) -> Demand {
        let mut biggest = (request.alive)();
        biggest.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        biggest.truncate(NAMED);
        Demand {
            needed,
            during: (request.during)(),
            biggest,
        }
    }
}

/// What a GPU's driver refused, which nobody learns before something is read, and the heaviest that was asked of it.
#[derive(Default)]
pub(super) struct Refusals {
    pub refused: AtomicBool,
    heaviest: Mutex<Demand>,
}

impl Refusals {
    /// The driver had no memory.
    pub fn note(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    pub fn watch(&self, request: &MemoryRequest, needed: u64) {
        let mut heaviest = self.heaviest.lock().unwrap_or_else(PoisonError::into_inner);
        // Names cost time: only what is clearly heavier gets them.
        if needed > heaviest.needed + heaviest.needed / 16 {
            *heaviest = Demand::of(request, needed);
        }
    }

    pub fn heaviest(&self) -> Demand {
        let heaviest = self.heaviest.lock().unwrap_or_else(PoisonError::into_inner);
        heaviest.clone()
    }
}
