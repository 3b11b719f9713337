//! What a run leaves behind as numbers: `results.json` and `metrics.csv`.

use serde::{Deserialize, Serialize};

use crate::config::Check;

/// One epoch of training: a row of `metrics.csv`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Counted from 1.
    pub epoch: usize,
    /// Learning rate of its steps.
    pub lr: f64,
    /// Mean cross-entropy over the epoch's training batches, each before its update.
    pub train_loss: f64,
    /// Share of those images that were classified rightly.
    pub train_top1: f64,
    /// Mean cross-entropy on the test data, after the epoch.
    pub test_loss: f64,
    /// Share of test images whose largest logit is at the label.
    pub test_top1: f64,
    /// Share of test images whose label is among the five largest logits.
    pub test_top5: f64,
    /// Training images a second, waiting for data included, testing not.
    pub images_per_second: f64,
    /// Share of the training's time that went by waiting for data.
    #[serde(default)]
    pub data_wait: f64,
    /// Seconds of training and testing since the first epoch began, over all sessions of the run.
    pub seconds: f64,
}

/// One prunable layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LayerResult {
    /// The weight's name.
    pub name: String,
    /// Its size.
    pub weights: usize,
    /// How many stayed.
    pub kept: usize,
    /// The fraction that was removed.
    pub sparsity: f64,
}

/// `results.json` of one run. Fractions are between 0 and 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Results {
    /// Version of the program.
    pub version: String,
    /// The method's name on the command line.
    pub pruner: String,
    /// What was changed about it, if it is a sanity check.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// The network's name.
    pub model: String,
    /// The data set's name.
    pub data: String,
    /// The fraction of prunable weights that was to be removed.
    pub sparsity_requested: f64,
    /// The fraction of prunable weights that was removed.
    pub sparsity: f64,
    /// After the last epoch, on the test data.
    pub test_top1: f64,
    /// After the last epoch, on the test data.
    pub test_top5: f64,
    /// After the last epoch, on the test data.
    pub test_loss: f64,
    /// The highest top-1 of all epochs, which `checkpoints/best.safetensors` has.
    pub best_test_top1: f64,
    /// Its epoch, counted from 1.
    pub best_epoch: usize,
    /// Epochs trained.
    pub epochs: usize,
    /// All parameters of the network.
    pub params: usize,
    /// Those that were not removed.
    pub params_kept: usize,
    /// Prunable weights.
    pub weights: usize,
    /// Those that were not removed.
    pub weights_kept: usize,
    /// The fraction of prunable weights that was removed or lies on no path from the input to the output.
    #[serde(default)]
    pub effective_sparsity: Option<f64>,
    /// The share of the FLOPs of the prunable layers that is left.
    #[serde(default)]
    pub flops_kept: Option<f64>,
    /// Layer by layer.
    pub layers: Vec<LayerResult>,
    /// Seconds for scores and mask.
    pub prune_seconds: f64,
    /// Seconds for training and testing.
    pub train_seconds: f64,
    /// Where it ran.
    pub device: String,
    /// The seed of the initial weights, the pruning batches and the order of training.
    pub seed: u64,
}
