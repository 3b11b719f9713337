//! What all pruners share.

use prospr_engine::nn::{Batch, Net};
use prospr_engine::{Key, Params, Role};

use crate::Result;

/// The network to prune, at its initial values, with data and randomness.
pub struct Task<'a> {
    /// The network.
    pub net: &'a Net,
    /// Initial parameters.
    pub params: &'a Params,
    /// Initial running statistics.
    pub state: &'a Params,
    /// Batches of training data, as many as the method takes.
    pub batches: &'a mut dyn Iterator<Item = Batch>,
    /// For methods that draw.
    pub key: Key,
}

impl<'a> Task<'a> {
    /// A task of these parts.
    pub fn new(
        net: &'a Net,
        params: &'a Params,
        state: &'a Params,
        batches: &'a mut dyn Iterator<Item = Batch>,
        key: Key,
    ) -> Task<'a> {
        Task {
            net,
            params,
            state,
            batches,
            key,
        }
    }
}

/// A pruning method: a score for every prunable weight, the higher the more worth keeping.
pub trait Pruner {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Scores by the names of the weights, each in its weight's shape.
    ///
    /// # Errors
    /// [`Error::TooFewBatches`](crate::Error::TooFewBatches), or the engine's errors.
    fn scores(&self, task: &mut Task<'_>) -> Result<Params>;
}

/// The weights that are pruned: all of convolutions and linear layers, no biases, no norms.
pub fn prunable(params: &Params) -> Params {
    params.filter(|_, role| role == Role::Weight)
}
