//! How well a network does: loss and accuracies over batches, in training and in evaluation mode.

use crate::nn::{Batch, Mode, Net, cross_entropy, label_ranks};
use prospr_engine::{Error, Explanation, Params, Result, Tensor, explain, jit};

/// Sums over batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// Batches.
    pub batches: usize,
    /// Images.
    pub images: usize,
    /// Labels: as many as images, or as pixels.
    pub labels: usize,
    /// Cross-entropy, summed over the labels.
    pub loss: f64,
    /// Labels at which the largest logit is.
    pub top1: usize,
    /// Labels that are among the five largest logits.
    pub top5: usize,
}

impl Seen {
    pub(super) fn add(&mut self, batch: &Batch, loss: f64, ranks: &[f64]) {
        let below = |k: f64| ranks.iter().filter(|&&rank| rank < k).count();
        self.batches += 1;
        self.images += batch.images.shape()[0];
        self.labels += ranks.len();
        self.loss += loss * ranks.len() as f64;
        self.top1 += below(1.0);
        self.top5 += below(5.0);
    }

    /// Means over the labels; not a number where there were none.
    pub fn metrics(&self) -> Metrics {
        let n = self.labels as f64;
        Metrics {
            loss: self.loss / n,
            top1: self.top1 as f64 / n,
            top5: self.top5 as f64 / n,
        }
    }
}

/// How well a network does.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Metrics {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of images (or pixels, where these have labels) whose largest logit is at the label.
    pub top1: f64,
    /// Share of images (or pixels) whose label is among the five largest logits.
    pub top5: f64,
}

/// Parameters, running statistics, batch.
type Forward = (Params, Params, Batch);

/// Loss and ranks of the labels, in evaluation mode.
fn forward(net: &Net) -> impl Fn(&Forward) -> (Tensor, Tensor) + Send + Sync {
    let net = net.clone();
    move |(params, state, batch)| {
        let (logits, _) = net.apply(params, state, &batch.images, Mode::Eval);
        (
            cross_entropy(&logits, &batch.labels),
            label_ranks(&logits, &batch.labels),
        )
    }
}

/// The plan of what [`evaluate`] does with a batch. Nothing is computed, and of the tensors only shapes, types and
/// devices count.
///
/// # Errors
/// Those of [`explain`](prospr_engine::explain()).
pub fn explain_evaluation(
    net: &Net,
    params: &Params,
    state: &Params,
    batch: &Batch,
) -> Result<Explanation> {
    explain(
        forward(net),
        &(params.clone(), state.clone(), batch.clone()),
    )
}

/// Loss and accuracies of a network over all batches, in evaluation mode.
///
/// # Errors
/// [`Error::Device`]; what the batches fail with.
pub fn evaluate<E: From<Error>>(
    net: &Net,
    params: &Params,
    state: &Params,
    batches: impl IntoIterator<Item = Result<Batch, E>>,
) -> Result<Metrics, E> {
    let mut seen = Seen::default();
    let forward = jit(forward(net));
    for batch in batches {
        let batch = batch?;
        let (loss, ranks) = forward(&(params.clone(), state.clone(), batch.clone()))?;
        seen.add(&batch, loss.item()?, &ranks.to_f64s()?);
    }
    Ok(seen.metrics())
}
