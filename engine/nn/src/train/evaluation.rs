//! Metrics of a network: loss and accuracies over batches, in training and in evaluation mode.

use crate::nn::{Batch, Mode, Net, cross_entropy, label_ranks};
use prospr_engine::{Error, Explanation, Params, Result, Tensor, explain, jit};

/// Sums of metrics over batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Seen {
    /// Number of batches.
    pub batches: usize,
    /// Number of images.
    pub images: usize,
    /// Number of labels: one for each image, or one for each pixel.
    pub labels: usize,
    /// Cross-entropy, summed over the labels.
    pub loss: f64,
    /// Number of labels whose logit is the largest.
    pub top1: usize,
    /// Number of labels whose logit is among the five largest.
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

    /// Means over the labels. Without labels they are NaN.
    pub fn metrics(&self) -> Metrics {
        let n = self.labels as f64;
        Metrics { loss: self.loss / n, top1: self.top1 as f64 / n, top5: self.top5 as f64 / n }
    }
}

/// Loss and accuracies of a network.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Metrics {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Top-1 accuracy: fraction of images (or pixels, if these have labels) whose largest logit is that of the label.
    pub top1: f64,
    /// Top-5 accuracy: fraction of images (or pixels) whose five largest logits include that of the label.
    pub top5: f64,
}

/// Parameters, running statistics, batch.
type Forward = (Params, Params, Batch);

/// Returns a function that computes the loss and the ranks of the labels, in evaluation mode.
fn forward(net: &Net) -> impl Fn(&Forward) -> (Tensor, Tensor) + Send + Sync {
    let net = net.clone();
    move |(params, state, batch)| {
        let (logits, _) = net.apply(params, state, &batch.images, Mode::Eval);
        (cross_entropy(&logits, &batch.labels), label_ranks(&logits, &batch.labels))
    }
}

/// The plan by which [`evaluate`] computes a batch. Nothing is computed; the plan depends only on shapes, types and
/// devices of the tensors.
///
/// # Errors
/// Those of [`explain`](prospr_engine::explain()).
pub fn explain_evaluation(
    net: &Net,
    params: &Params,
    state: &Params,
    batch: &Batch,
) -> Result<Explanation> {
    explain(forward(net), &(params.clone(), state.clone(), batch.clone()))
}

/// Loss and accuracies of a network over all batches, in evaluation mode.
///
/// # Errors
/// [`Error::Device`], and errors of the batches.
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
