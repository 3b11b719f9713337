//! The trait of pruners, their task, and functions that several of them use.

use prospr_engine::{Key, Params, Role, Tensor, Tree, tree_dot};
use prospr_nn::nn::{Batch, Mode, Net, cross_entropy, negative_logit};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

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
    /// Key for methods that draw random numbers.
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

    /// The next batch; the error says that the method has `found` of the `needed` ones.
    pub(crate) fn next(&mut self, found: usize, needed: usize) -> Result<Batch> {
        let batch = self.batches.next();
        batch.ok_or(Error::TooFewBatches { needed, found })
    }
}

/// A pruning method: a score for every prunable weight, the higher the more worth keeping.
pub trait Pruner {
    /// Name of the algorithm.
    fn name(&self) -> &'static str;

    /// Scores by the names of the weights, each in its weight's shape, or in one that broadcasts to it where
    /// several weights share a score.
    ///
    /// # Errors
    /// [`Error::TooFewBatches`](crate::Error::TooFewBatches), or the engine's errors.
    fn scores(&self, task: &mut Task<'_>) -> Result<Params>;

    /// Predicted peak of tensor memory on the device while [`Pruner::scores`] runs, in bytes; none if there is no
    /// prediction. Of the tensors only shapes, types and devices count, and nothing is computed.
    ///
    /// # Errors
    /// The engine's.
    fn predicted_peak(&self, _: &Net, _: &Params, _: &Params, _: &Batch) -> Result<Option<u64>> {
        Ok(None)
    }
}

/// Statistics that batch norm normalises with while weights are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NormMode {
    /// The statistics of each batch, as in training.
    #[default]
    Train,
    /// The running statistics; at initialization mean 0 and variance 1.
    Eval,
}

impl NormMode {
    pub(crate) fn with(self, key: Key) -> Mode {
        match self {
            NormMode::Train => Mode::Train(key),
            NormMode::Eval => Mode::Eval,
        }
    }
}

/// The weights that can be pruned: all of convolutions and linear layers, no biases, no norms.
pub fn prunable(params: &Params) -> Params {
    params.filter(|_, role| role == Role::Weight)
}

/// The loss whose gradient makes scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// Cross-entropy, `−ln softmax(z)_y`.
    #[default]
    CrossEntropy,
    /// `−z_y`, as the published code of FORCE has it.
    RawLogit,
}

impl Loss {
    /// The mean over a batch.
    pub(crate) fn of(self, logits: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Loss::CrossEntropy => cross_entropy(logits, labels),
            Loss::RawLogit => negative_logit(logits, labels),
        }
    }
}

/// The logits as a function of a batch and of some or all parameters; the others have the task's values.
pub(crate) fn logits_of(
    task: &Task<'_>,
    mode: NormMode,
) -> impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static + use<> {
    let (net, all, state) = (task.net.clone(), task.params.clone(), task.state.clone());
    let mode = mode.with(task.key);
    move |params, batch| net.apply(&all.with(params), &state, &batch.images, mode).0
}

/// The cross-entropy of [`logits_of`].
pub(crate) fn loss_of(
    task: &Task<'_>,
    mode: NormMode,
) -> impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static + use<> {
    let logits = logits_of(task, mode);
    move |params, batch| cross_entropy(&logits(params, batch), &batch.labels)
}

/// The sum of a function over the next batches, evaluated batch by batch: none is kept.
///
/// # Errors
/// [`Error::TooFewBatches`], or the engine's.
pub(crate) fn summed(
    task: &mut Task<'_>,
    count: usize,
    f: impl Fn(&Batch) -> Params,
) -> Result<Params> {
    let mut total = None;
    for found in 0..count {
        add(&mut total, f(&task.next(found, count)?))?;
    }
    total.ok_or(Error::TooFewBatches {
        needed: 1,
        found: 0,
    })
}

/// Adds `one` to a sum and evaluates it.
pub(crate) fn add(total: &mut Option<Params>, one: Params) -> Result<()> {
    let sum = match total.take() {
        None => one,
        Some(total) => total.zip_leaves(&one, |a, b| a + b),
    };
    sum.eval_leaves()?;
    *total = Some(sum);
    Ok(())
}

/// The sum of all values.
pub(crate) fn total(params: &Params) -> Tensor {
    tree_dot(params, &params.map_leaves(Tensor::ones_like))
}

/// Magnitudes divided by their sum, evaluated.
pub(crate) fn normalised(magnitudes: &Params) -> Result<Params> {
    let total = total(magnitudes);
    let scores = magnitudes.map_leaves(|s| s / &total);
    scores.eval_leaves()?;
    Ok(scores)
}
