//! What all pruners share.

use prospr_engine::nn::{Batch, Mode, Net, cross_entropy};
use prospr_engine::{Key, Params, Role, Tensor, Tree, grad, tree_dot};

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

    /// The next `count` batches.
    pub(crate) fn take(&mut self, count: usize) -> Result<Vec<Batch>> {
        let batches: Vec<Batch> = self.batches.take(count).collect();
        match batches.len() {
            found if found < count => Err(Error::TooFewBatches {
                needed: count,
                found,
            }),
            _ => Ok(batches),
        }
    }
}

/// A pruning method: a score for every prunable weight, the higher the more worth keeping.
pub trait Pruner {
    /// Its name on the command line.
    fn name(&self) -> &'static str;

    /// Scores by the names of the weights, each in its weight's shape, or in one that broadcasts to it where
    /// several weights share a score.
    ///
    /// # Errors
    /// [`Error::TooFewBatches`](crate::Error::TooFewBatches), or the engine's errors.
    fn scores(&self, task: &mut Task<'_>) -> Result<Params>;
}

/// What batch norm normalises with while weights are scored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NormMode {
    /// The statistics of each batch, as in training.
    #[default]
    Train,
    /// The running statistics; at initialization mean 0 and variance 1.
    Eval,
}

impl NormMode {
    fn with(self, key: Key) -> Mode {
        match self {
            NormMode::Train => Mode::Train(key),
            NormMode::Eval => Mode::Eval,
        }
    }
}

/// The weights that are pruned: all of convolutions and linear layers, no biases, no norms.
pub fn prunable(params: &Params) -> Params {
    params.filter(|_, role| role == Role::Weight)
}

/// Cross-entropy of the logits over a temperature, as a function of a batch and of some or all parameters; the
/// rest has the task's values.
pub(crate) fn loss_of(
    task: &Task<'_>,
    mode: NormMode,
    temperature: f64,
) -> impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static + use<> {
    let (net, all, state) = (task.net.clone(), task.params.clone(), task.state.clone());
    let mode = mode.with(task.key);
    move |params, batch| {
        let (logits, _) = net.apply(&all.with(params), &state, &batch.images, mode);
        let logits = match temperature {
            1.0 => logits,
            _ => logits / temperature,
        };
        cross_entropy(&logits, &batch.labels)
    }
}

/// The gradient with respect to `weights` of the sum of a loss over batches, one batch at a time.
pub(crate) fn summed_gradient(
    loss: impl Fn(&Params, &Batch) -> Tensor,
    weights: &Params,
    batches: &[Batch],
) -> Result<Params> {
    summed(batches, |batch| grad(|w: &Params| loss(w, batch))(weights))
}

/// The sum of a function over batches, evaluated batch by batch.
///
/// # Panics
/// If there are no batches.
pub(crate) fn summed(batches: &[Batch], f: impl Fn(&Batch) -> Params) -> Result<Params> {
    let mut total: Option<Params> = None;
    for batch in batches {
        let one = f(batch);
        let sum = match &total {
            None => one,
            Some(total) => total.zip_leaves(&one, |a, b| a + b),
        };
        sum.eval_leaves()?;
        total = Some(sum);
    }
    Ok(total.expect("a method that sums over batches has one or more"))
}

/// The sum of all values.
pub(crate) fn total(params: &Params) -> Tensor {
    tree_dot(params, &params.map_leaves(Tensor::ones_like))
}

/// Magnitudes over their sum, evaluated.
pub(crate) fn normalised(magnitudes: &Params) -> Result<Params> {
    let total = total(magnitudes);
    let scores = magnitudes.map_leaves(|s| s / &total);
    scores.eval_leaves()?;
    Ok(scores)
}
