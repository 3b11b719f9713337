//! The trait of pruners, their task, and functions that several of them use.

use prospr_engine::{Key, Params, Role, Tensor, Tree, tree_dot};
use prospr_nn::nn::{Batch, Mode, Net, cross_entropy, negative_logit};
use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Input of a pruning method: the network with its initial values, batches of training data, and a random key.
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
    /// Makes a task from its parts.
    pub fn new(
        net: &'a Net,
        params: &'a Params,
        state: &'a Params,
        batches: &'a mut dyn Iterator<Item = Batch>,
        key: Key,
    ) -> Task<'a> {
        Task { net, params, state, batches, key }
    }

    /// Takes the next batch. `found` and `needed`, the numbers of batches taken so far and in all, are for the error
    /// message.
    pub(crate) fn next(&mut self, found: usize, needed: usize) -> Result<Batch> {
        let batch = self.batches.next();
        batch.ok_or(Error::TooFewBatches { needed, found })
    }
}

/// A pruning method: a score for every prunable weight, the higher the more worth keeping.
pub trait Pruner {
    /// Name of the algorithm.
    fn name(&self) -> &'static str;

    /// Computes the scores, under the names of the weights. The scores of a weight tensor have its shape, or one that
    /// broadcasts to it where several weights share a score.
    ///
    /// # Errors
    /// [`Error::TooFewBatches`](crate::Error::TooFewBatches), or the engine's errors.
    fn scores(&self, task: &mut Task<'_>) -> Result<Params>;

    /// Predicts the peak of tensor memory on the device, in bytes, while [`Pruner::scores`] runs. Returns none if the
    /// method has no prediction. It computes nothing, and depends only on the shapes, types and devices of the tensors.
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
    /// Mode of the network's layers; `key` is for those that draw random numbers in training.
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
    /// Computes the mean loss of a batch.
    pub(crate) fn of(self, logits: &Tensor, labels: &Tensor) -> Tensor {
        match self {
            Loss::CrossEntropy => cross_entropy(logits, labels),
            Loss::RawLogit => negative_logit(logits, labels),
        }
    }
}

/// Makes a function that computes the logits of a batch from parameters. Parameters that it is not given have the
/// task's values.
pub(crate) fn logits_of(
    task: &Task<'_>,
    mode: NormMode,
) -> impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static + use<> {
    let (net, all, state) = (task.net.clone(), task.params.clone(), task.state.clone());
    let mode = mode.with(task.key);
    move |params, batch| net.apply(&all.with(params), &state, &batch.images, mode).0
}

/// Makes a function that computes the cross-entropy of [`logits_of`].
pub(crate) fn loss_of(
    task: &Task<'_>,
    mode: NormMode,
) -> impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static + use<> {
    let logits = logits_of(task, mode);
    move |params, batch| cross_entropy(&logits(params, batch), &batch.labels)
}

/// Sums a function over the next `count` batches. Each batch is evaluated and dropped before the next one is taken.
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
    total.ok_or(Error::TooFewBatches { needed: 1, found: 0 })
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

/// Sums all values, to a scalar.
pub(crate) fn total(params: &Params) -> Tensor {
    tree_dot(params, &params.map_leaves(Tensor::ones_like))
}

/// Divides magnitudes by their sum, and evaluates the result.
pub(crate) fn normalised(magnitudes: &Params) -> Result<Params> {
    let total = total(magnitudes);
    let scores = magnitudes.map_leaves(|s| s / &total);
    scores.eval_leaves()?;
    Ok(scores)
}
