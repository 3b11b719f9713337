//! The numbers that a run writes: `results.json` and the rows of `metrics.csv`.

use serde::{Deserialize, Serialize};

use crate::config::Check;

/// One epoch of training: a row of `metrics.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Number of the epoch, counted from 1.
    pub epoch: usize,
    /// Learning rate of the epoch's steps.
    pub lr: f64,
    /// Mean cross-entropy over the epoch's training batches, each computed before its update.
    pub train_loss: f64,
    /// Fraction of those images that were classified correctly.
    pub train_top1: f64,
    /// Mean cross-entropy on the test data, after the epoch.
    pub test_loss: f64,
    /// Fraction of test images whose largest logit is at the label.
    pub test_top1: f64,
    /// Fraction of test images whose label is among the five largest logits.
    pub test_top5: f64,
    /// Training images per second; the time includes waiting for data but not testing.
    pub images_per_second: f64,
    /// Fraction of the training time that was spent waiting for data.
    #[serde(default)]
    pub data_wait: f64,
    /// Seconds of training and testing from the beginning of the first epoch, summed over all sessions of the run.
    pub seconds: f64,
}

/// Numbers of one prunable layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerResult {
    /// Name of the weight tensor.
    pub name: String,
    /// Number of weights.
    pub weights: usize,
    /// Number of weights kept.
    pub kept: usize,
    /// Fraction of weights removed.
    pub sparsity: f64,
}

/// Contents of `results.json` of one run. Fractions are between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Version of prospr.
    pub version: String,
    /// Name of the pruning method on the command line.
    pub pruner: String,
    /// The sanity check that the run belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data: String,
    /// Requested fraction of prunable weights to remove.
    pub sparsity_requested: f64,
    /// Fraction of prunable weights that was removed.
    pub sparsity: f64,
    /// Top-1 accuracy on the test data after the last epoch.
    pub test_top1: f64,
    /// Top-5 accuracy on the test data after the last epoch.
    pub test_top5: f64,
    /// Mean cross-entropy on the test data after the last epoch.
    pub test_loss: f64,
    /// Highest top-1 test accuracy of all epochs; `checkpoints/best.safetensors` holds its weights.
    pub best_test_top1: f64,
    /// Epoch with that accuracy, counted from 1.
    pub best_epoch: usize,
    /// Number of epochs trained.
    pub epochs: usize,
    /// Number of parameters of the network.
    pub params: usize,
    /// Number of parameters that were not removed.
    pub params_kept: usize,
    /// Number of prunable weights.
    pub weights: usize,
    /// Number of prunable weights that were not removed.
    pub weights_kept: usize,
    /// Effective sparsity: fraction of prunable weights that was removed or lies on no path from the input to the output.
    #[serde(default)]
    pub effective_sparsity: Option<f64>,
    /// Fraction of the FLOPs of the prunable layers that the kept weights need.
    #[serde(default)]
    pub flops_kept: Option<f64>,
    /// The prunable layers, first layer first.
    pub layers: Vec<LayerResult>,
    /// Seconds spent on scores and mask.
    pub prune_seconds: f64,
    /// Seconds spent on training and testing.
    pub train_seconds: f64,
    /// Device of the run.
    pub device: String,
    /// Seed of the initial weights, the pruning batches and the order of training.
    pub seed: u64,
}
