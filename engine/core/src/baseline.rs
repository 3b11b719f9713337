//! Baselines for benchmarks: Burn's own kernels on the engine's tensors, and a plain copy of memory.
//!
//! The engine computes some operations with its own kernels; a baseline always uses Burn's.

pub use crate::runtime::baseline::{BareCopy, Baseline, Direction};

use crate::runtime::Meta;
use crate::runtime::baseline::run_baseline;
use crate::{Result, Tensor};

impl Baseline {
    /// Launches Burn's kernels on evaluated tensors of one device; it does not wait for them.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    ///
    /// # Panics
    /// If number, shapes or types of the tensors do not fit the operation.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let device = inputs[0].device();
        let values = inputs.iter().map(Tensor::value).collect::<Result<_>>()?;
        let metas: Vec<Meta> = inputs.iter().map(Tensor::meta).collect();
        let results = run_baseline(self, &metas.iter().collect::<Vec<_>>(), values, device);
        let tensor = |(shape, dtype, value): (Vec<usize>, _, _)| {
            Tensor::from_buffer(value, &shape, dtype, device)
        };
        Ok(results.into_iter().map(tensor).collect())
    }
}
