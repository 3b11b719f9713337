//! What a run leaves behind as numbers: `results.json` and `metrics.csv`.

use serde::{Deserialize, Serialize};

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

/// `results.json` of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of the program.
    pub version: String,
    /// One for each pruner, sparsity and seed.
    pub runs: Vec<Results>,
}

/// A mean over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// The mean.
    pub mean: f64,
    /// The sample standard deviation (n − 1), if there are two values or more.
    pub deviation: Option<f64>,
}

impl Mean {
    /// The mean of at least one value.
    pub fn of(values: &[f64]) -> Mean {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let deviation = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Mean { mean, deviation }
    }
}

/// The runs of one pruner at one sparsity.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The method's name.
    pub pruner: String,
    /// The fraction that was to be removed.
    pub sparsity_requested: f64,
    /// The fraction that was removed.
    pub sparsity: f64,
    /// Prunable weights.
    pub weights: usize,
    /// Those that were not removed.
    pub weights_kept: usize,
    /// How many seeds there are.
    pub seeds: usize,
    /// Test accuracy after the last epoch.
    pub test_top1: Mean,
    /// Mean seconds for scores and mask.
    pub prune_seconds: f64,
    /// Mean seconds for training and testing.
    pub train_seconds: f64,
}

impl Comparison {
    /// A row for each pruner and sparsity, in the order of the first runs.
    pub fn summaries(&self) -> Vec<Summary> {
        let mut groups: Vec<Vec<&Results>> = Vec::new();
        for run in &self.runs {
            let same = |g: &&mut Vec<&Results>| {
                g[0].pruner == run.pruner && g[0].sparsity_requested == run.sparsity_requested
            };
            match groups.iter_mut().find(same) {
                Some(group) => group.push(run),
                None => groups.push(vec![run]),
            }
        }
        let summary = |group: &Vec<&Results>| {
            let of = |f: fn(&Results) -> f64| -> Mean {
                Mean::of(&group.iter().map(|run| f(run)).collect::<Vec<_>>())
            };
            let first = group[0];
            Summary {
                pruner: first.pruner.clone(),
                sparsity_requested: first.sparsity_requested,
                sparsity: first.sparsity,
                weights: first.weights,
                weights_kept: first.weights_kept,
                seeds: group.len(),
                test_top1: of(|run| run.test_top1),
                prune_seconds: of(|run| run.prune_seconds).mean,
                train_seconds: of(|run| run.train_seconds).mean,
            }
        };
        groups.iter().map(summary).collect()
    }
}
