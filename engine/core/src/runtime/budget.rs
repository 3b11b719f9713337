//! Memory limits: a computation that needs too much memory fails before it starts.

use std::sync::atomic::Ordering;

use burn_wgpu::Wgpu;

use super::backend::Backed;
use super::device::{Device, DeviceKind};
use super::memory::{Limit, available};
use super::refusals::{Demand, MemoryRequest};
use crate::{DType, Error, Result};

/// Bytes below which the CPU's free memory is not checked, because the check would take longer than the computation.
const SMALL: u64 = 16 << 20;

impl Device {
    /// Returns the bytes of an element on this device.
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

    /// Returns the memory limit that applies when this device's tensors need `needed` bytes in total.
    fn limit(&self, needed: u64) -> Limit {
        let highest = self.meter().highest();
        let own = match self.kind() {
            _ if needed <= highest => None,
            DeviceKind::Cpu if needed - self.memory().live.min(needed) < SMALL => None,
            // The allocator may have kept the memory of freed tensors.
            DeviceKind::Cpu => available()
                .map(|free| Limit { bytes: free + highest, what: "the machine's free memory" }),
            DeviceKind::Gpu(_) => {
                self.info().memory.map(|bytes| Limit { bytes, what: "the device's memory" })
            }
        };
        Limit::budget().or(own)
    }

    /// Checks that a request fits into memory.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if it does not, or if the driver refused memory since the last call.
    pub(crate) fn check_memory(&self, request: &MemoryRequest) -> Result<()> {
        self.refused()?;
        let largest = self
            .info()
            .largest_buffer
            .map(|bytes| Limit { bytes, what: "a single tensor's limit on this device" });
        if let Some(limit) = largest.filter(|limit| request.largest > limit.bytes) {
            return Err(self.refuse(&Demand::of(request, request.largest), Some(limit)));
        }
        let needed = self.memory().live + request.more;
        let limit = self.limit(needed);
        if needed > limit.bytes {
            return Err(self.refuse(&Demand::of(request, needed), Some(limit)));
        }
        if let DeviceKind::Gpu(gpu) = self.kind() {
            gpu.refusals.watch(request, needed);
        }
        Ok(())
    }

    /// Reports memory that the driver refused.
    ///
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

    /// Returns the error of a demand that exceeds a limit, or that the driver refused (no limit).
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
