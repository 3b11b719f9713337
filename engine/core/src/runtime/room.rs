//! Whether there is memory for what is about to be computed.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use burn_wgpu::Wgpu;

use super::memory::{Limit, available};
use super::{Backed, Device, DeviceKind};
use crate::{DType, Error, Result};

/// On the CPU nobody is asked about less than this: it costs more time than it is worth.
const SMALL: u64 = 16 << 20;
/// Values that an error names.
const NAMED: usize = 5;

/// What is about to be made: more than there was before, and of what it consists.
pub(crate) struct Wish<'a> {
    /// Bytes beside those that are held already.
    pub more: u64,
    /// Bytes of the largest value.
    pub largest: u64,
    /// What needs them.
    pub during: &'a dyn Fn() -> String,
    /// All values that are alive where it is the most, with their bytes.
    pub alive: &'a dyn Fn() -> Vec<(String, u64)>,
}

impl Device {
    /// Bytes that an element takes here.
    pub(crate) fn element_bytes(&self, dtype: DType) -> u64 {
        let size = match (self.kind(), dtype) {
            (DeviceKind::Gpu(gpu), DType::Bool) => {
                burn_backend::DType::from(Wgpu::bool_dtype(&gpu.burn)).size()
            }
            (DeviceKind::Gpu(_), DType::U8) => DType::I32.size(),
            _ => dtype.size(),
        };
        size as u64
    }

    /// What the tensors here may take, if they are to take `needed` bytes.
    fn limit(&self, needed: u64) -> Limit {
        let highest = self.meter().highest();
        let own = match self.kind() {
            _ if needed <= highest => None,
            DeviceKind::Cpu if needed - self.memory().live.min(needed) < SMALL => None,
            // What tensors held before may still be this process's.
            DeviceKind::Cpu => available().map(|free| Limit {
                bytes: free + highest,
                what: "the machine's free memory",
            }),
            DeviceKind::Gpu(_) => self.info().memory.map(|bytes| Limit {
                bytes,
                what: "the device's memory",
            }),
        };
        Limit::budget().or(own)
    }

    /// # Errors
    /// [`Error::OutOfMemory`] if there is no room, or was none for what came before.
    pub(crate) fn make_room(&self, wish: &Wish) -> Result<()> {
        self.refused()?;
        let largest = self.info().largest_buffer.map(|bytes| Limit {
            bytes,
            what: "a single tensor's limit on this device",
        });
        if let Some(limit) = largest.filter(|limit| wish.largest > limit.bytes) {
            return Err(self.refuse(&Demand::of(wish, wish.largest), Some(limit)));
        }
        let needed = self.memory().live + wish.more;
        let limit = self.limit(needed);
        if needed > limit.bytes {
            return Err(self.refuse(&Demand::of(wish, needed), Some(limit)));
        }
        if let DeviceKind::Gpu(gpu) = self.kind() {
            gpu.refusals.watch(wish, needed);
        }
        Ok(())
    }

    /// # Errors
    /// [`Error::OutOfMemory`] if the driver refused memory since the last call.
    pub(super) fn refused(&self) -> Result<()> {
        match self.kind() {
            DeviceKind::Gpu(gpu) if gpu.refusals.refused.swap(false, Ordering::Relaxed) => {
                Err(self.refuse(&gpu.refusals.heaviest(), None))
            }
            _ => Ok(()),
        }
    }

    fn refuse(&self, demand: &Demand, limit: Option<Limit>) -> Error {
        Error::OutOfMemory {
            device: self.to_string(),
            during: demand.during.clone(),
            needed: demand.needed,
            available: limit.map(|limit| limit.bytes),
            limit: limit.map_or("the driver", |limit| limit.what).into(),
            biggest: demand.biggest.clone(),
        }
    }
}

/// A wish, written out.
#[derive(Clone, Default)]
struct Demand {
    needed: u64,
    during: String,
    biggest: Vec<(String, u64)>,
}

impl Demand {
    fn of(wish: &Wish, needed: u64) -> Demand {
        let mut biggest = (wish.alive)();
        biggest.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        biggest.truncate(NAMED);
        Demand {
            needed,
            during: (wish.during)(),
            biggest,
        }
    }
}

/// What a GPU's driver refused, which nobody learns before something is read, and the heaviest that was asked of it.
#[derive(Default)]
pub(super) struct Refusals {
    refused: AtomicBool,
    heaviest: Mutex<Demand>,
}

impl Refusals {
    /// The driver had no memory.
    pub fn note(&self) {
        self.refused.store(true, Ordering::Relaxed);
    }

    fn watch(&self, wish: &Wish, needed: u64) {
        let mut heaviest = self.heaviest.lock().unwrap_or_else(PoisonError::into_inner);
        // Names cost time: only what is clearly heavier gets them.
        if needed > heaviest.needed + heaviest.needed / 16 {
            *heaviest = Demand::of(wish, needed);
        }
    }

    fn heaviest(&self) -> Demand {
        let heaviest = self.heaviest.lock().unwrap_or_else(PoisonError::into_inner);
        heaviest.clone()
    }
}
