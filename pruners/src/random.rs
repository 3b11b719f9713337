//! Random pruning: the comparison that every method must beat.

use prospr_engine::{DType, Device, Params, Tree};

use crate::scores::{Pruner, Task, prunable};
use crate::{Allocation, Error, Method, Result};

/// Uniform random scores, so that every set of weights of the right size is equally likely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Random;

/// Random pruning in the registry.
pub(crate) const METHODS: &[Method] = &[
    RANDOM,
    Method {
        name: "random-uniform",
        summary: "At random, with the same density in each layer",
        score: "as `random`, each layer with the density `ρ`",
        allocation: Some(Allocation::Uniform),
        ..RANDOM
    },
    Method {
        name: "random-erk",
        summary: "At random, denser where layers are small (Erdős–Rényi kernel; Evci et al., 2020)",
        score: "as `random`, a layer's density `∝ Σ dims / Π dims`, at most 1",
        allocation: Some(Allocation::Erk),
        ..RANDOM
    },
];

const RANDOM: Method = Method {
    name: "random",
    summary: "Uniformly at random",
    score: "uniform random numbers",
    allocation: None,
    pruner: |_| Ok(Box::new(Random)),
};

impl Pruner for Random {
    fn name(&self) -> &'static str {
        "random"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let mut layer = 0;
        let scores = prunable(task.params).map_leaves(|w| {
            layer += 1;
            task.key.fold_in(layer).uniform(w.shape(), DType::F32, &Device::cpu())
        });
        scores.eval_leaves().map_err(Error::from)?;
        Ok(scores)
    }
}
