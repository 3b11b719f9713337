//! Random pruning: the comparison that every method must beat.

use prospr_engine::{DType, Device, Params, Tree};

use crate::scores::{Pruner, Task, prunable};
use crate::{Error, Result};

/// Uniform random scores, so that every set of weights of the right size is equally likely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Random;

impl Pruner for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let mut layer = 0;
        let scores = prunable(task.params).map_leaves(|w| {
            layer += 1;
            task.key
                .fold_in(layer)
                .uniform(w.shape(), DType::F32, &Device::cpu())
        });
        scores.eval_leaves().map_err(Error::from)?;
        Ok(scores)
    }
}
