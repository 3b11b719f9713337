//! Settings of the pruning methods.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::merge::object;
use super::values::choice;
use super::{not_negative, positive};
use crate::pruners::{self, Allocation, Loss, Method, NormMode, ProsPr, Setup, Sparsity};

/// Settings of the pruning methods. Each method reads some of them: see [`Setup::settings`].
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Pruning")]
pub struct PruneSettings {
    /// Number M of ProsPr's inner steps.
    #[arg(long, default_value_t = 3)]
    pub steps: usize,
    /// Images per batch in pruning.
    #[arg(long, default_value_t = 128)]
    pub prune_batch_size: usize,
    /// Images of each class per batch in pruning, drawn by the seed, instead of `--prune-batch-size` images at random.
    #[arg(long, value_name = "K")]
    pub prune_per_class: Option<usize>,
    /// Batches over which scores are summed, in each round of iterative methods [default: the method's].
    #[arg(long)]
    pub prune_batches: Option<usize>,
    /// Statistics that batch norm normalises with while weights are scored.
    #[arg(long, default_value = "train", value_parser = choice::<NormMode>(NORMS))]
    pub prune_norm: NormMode,
    /// Loss whose gradient makes the scores.
    #[arg(long, default_value = "cross-entropy", value_parser = choice::<Loss>(LOSSES))]
    pub prune_loss: Loss,
    /// Rounds of scoring and removing [default: the method's].
    #[arg(long)]
    pub iterations: Option<usize>,
    /// Standard deviation of NTK-SAP's perturbations of the weights.
    #[arg(long, default_value_t = 0.01)]
    pub perturbation: f64,
    /// Update rule of ProsPr's inner steps.
    #[arg(long, default_value = "sgd", value_parser = ["sgd", "adam"])]
    pub inner_optimizer: String,
    /// Learning rate of ProsPr's inner steps.
    #[arg(long, default_value_t = 0.1)]
    pub inner_lr: f64,
    /// Factor of the inner learning rate after each step.
    #[arg(long, default_value_t = 1.0)]
    pub inner_decay: f64,
    /// Maximum norm of all gradients of an inner step together; larger ones are scaled down to it.
    #[arg(long, value_name = "NORM")]
    pub inner_clip: Option<f64>,
    /// Momentum of ProsPr's inner steps.
    #[arg(long, default_value_t = 0.0)]
    pub inner_momentum: f64,
    /// Nesterov's momentum in ProsPr's inner steps.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub inner_nesterov: bool,
    /// Weight decay of ProsPr's inner steps.
    #[arg(long, default_value_t = 0.0)]
    pub inner_weight_decay: f64,
    /// One batch for all inner steps, instead of a new one for each.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub same_batch: bool,
    /// Values that the unroll keeps for its reverse sweep: keep, per-step, every:K or auto:BYTES.
    #[arg(long, default_value = "per-step")]
    pub policy: String,
    /// Keep the unroll's states in host memory.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub host_offload: bool,
    /// Rule that shares out the kept weights among the layers.
    #[arg(long, default_value = "global", value_parser = choice::<Allocation>(ALLOCATIONS))]
    pub allocation: Allocation,
    /// Minimum number of weights that each layer keeps; with 0, a layer that would empty is an error.
    #[arg(long, default_value_t = 0)]
    pub min_per_layer: usize,
    /// Layers that are not pruned: first, last, or names such as conv1.
    #[arg(long, value_delimiter = ',', value_name = "LAYER")]
    pub keep: Vec<String>,
    /// Count the sparsity over the other layers alone, without those of `--keep`.
    #[arg(long, alias = "keep-uncounted", num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub sparsity_excludes_kept: bool,
}

const NORMS: &[(&str, &str)] =
    &[("train", "The statistics of each batch"), ("eval", "The running statistics")];

const LOSSES: &[(&str, &str)] = &[
    ("cross-entropy", "Minus the log-probability of the right class"),
    ("raw-logit", "Minus the logit of the right class, as in the published code of FORCE"),
];

const ALLOCATIONS: &[(&str, &str)] = &[
    ("global", "One threshold of scores for all layers"),
    ("uniform", "The same density in each layer"),
    ("erk", "Denser where layers are small (Erdős–Rényi kernel)"),
];

impl PruneSettings {
    /// Builds the pruner of a method with these settings, and its mask options.
    ///
    /// # Errors
    /// If the sparsity is out of range, or a setting that the method reads has an invalid value.
    pub fn setup(&self, method: Method, sparsity: f64) -> anyhow::Result<Setup> {
        Ok(method.setup(&object(self)?, Sparsity::new(sparsity)?)?)
    }

    /// Builds ProsPr with these settings.
    ///
    /// # Errors
    /// If a setting that it reads has an invalid value.
    pub fn prospr(&self) -> anyhow::Result<ProsPr> {
        let values = object(self)?;
        let settings = pruners::Settings::new(&values, Sparsity::new(0.0)?);
        Ok(ProsPr::configured(&settings)?)
    }

    /// Checks that the settings are in range that do not depend on the method.
    ///
    /// # Errors
    /// If one is out of range, with its name.
    pub(super) fn check(&self) -> anyhow::Result<()> {
        positive(&[
            ("prune_batch_size", self.prune_batch_size),
            ("prune_per_class", self.prune_per_class.unwrap_or(1)),
            ("prune_batches", self.prune_batches.unwrap_or(1)),
            ("iterations", self.iterations.unwrap_or(1)),
        ])?;
        not_negative(&[
            ("inner_lr", self.inner_lr),
            ("inner_decay", self.inner_decay),
            ("inner_momentum", self.inner_momentum),
            ("inner_weight_decay", self.inner_weight_decay),
        ])?;
        for (name, value) in
            [("inner_clip", self.inner_clip.unwrap_or(1.0)), ("perturbation", self.perturbation)]
        {
            anyhow::ensure!(
                value.is_finite() && value > 0.0,
                "`{name}` must be a number above 0, found {value}"
            );
        }
        Ok(())
    }
}
