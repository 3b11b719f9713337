//! Magnitude pruning at initialization, a baseline of Frankle et al., "Pruning neural networks at initialization: why are
//! we missing the mark?", ICLR 2021.

use prospr_engine::{Params, Tensor, Tree};

use crate::scores::{Pruner, Task, prunable};
use crate::{Method, Result};

/// Scores `|w|` of the initial weights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Magnitude;

/// Magnitude pruning in the registry.
pub(crate) const METHODS: &[Method] = &[Method {
    name: "magnitude",
    summary: "Magnitudes of the initial weights (Frankle et al., 2021)",
    score: "`|w|`",
    allocation: None,
    pruner: |_| Ok(Box::new(Magnitude)),
}];

impl Pruner for Magnitude {
    fn name(&self) -> &'static str {
        "magnitude"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let scores = prunable(task.params).map_leaves(Tensor::abs);
        scores.eval_leaves()?;
        Ok(scores)
    }
}
