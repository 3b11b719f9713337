//! How weights are chosen: the settings of all pruning methods.

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};

use super::{not_negative, positive};
use crate::optim::{Adam, Sgd, UpdateRule};
use crate::pruners::{Allocation, Loss, MaskOptions, NormMode};
use crate::{Policy, UnrollOptions};

/// How the pruners work.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Pruning")]
pub struct PruneSettings {
    /// Inner steps M of ProsPr.
    #[arg(long, default_value_t = 3)]
    pub steps: usize,
    /// Images a batch in pruning.
    #[arg(long, default_value_t = 128)]
    pub prune_batch_size: usize,
    /// Images of each class in a batch in pruning, instead of so many at random.
    #[arg(long, value_name = "K")]
    pub prune_per_class: Option<usize>,
    /// Batches that SNIP, GraSP, FORCE, Iter-SNIP and NTK-SAP sum over; without it 1, and 10 of snip-mb and grasp-mb.
    #[arg(long)]
    pub prune_batches: Option<usize>,
    /// What batch norm normalises with while weights are scored; SynFlow always evaluates.
    #[arg(long, value_enum, default_value = "train")]
    pub prune_norm: Norm,
    /// The loss of FORCE and Iter-SNIP.
    #[arg(long, value_enum, default_value = "cross-entropy")]
    pub prune_loss: PruneLoss,
    /// Iterations of SynFlow, FORCE, Iter-SNIP and NTK-SAP; without it 100, of FORCE and Iter-SNIP 60.
    #[arg(long)]
    pub iterations: Option<usize>,
    /// Standard deviation of NTK-SAP's perturbations of the weights.
    #[arg(long, default_value_t = 0.01)]
    pub perturbation: f64,
    /// Update rule of ProsPr's inner steps.
    #[arg(long, value_enum, default_value = "sgd")]
    pub inner_optimizer: InnerRule,
    /// Learning rate of ProsPr's inner steps.
    #[arg(long, default_value_t = 0.1)]
    pub inner_lr: f64,
    /// Factor of the inner learning rate from step to step.
    #[arg(long, default_value_t = 1.0)]
    pub inner_decay: f64,
    /// Norm of all gradients together to which those of an inner step are clipped.
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
    /// What the unroll keeps for its reverse sweep: keep, per-step, every:K or auto:BYTES.
    #[arg(long, default_value = "per-step")]
    pub policy: String,
    /// Keep the unroll's states in host memory.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub host_offload: bool,
    /// How the weights that stay are shared out among the layers.
    #[arg(long, value_enum, default_value = "global")]
    pub allocation: LayerShares,
    /// How many weights each layer keeps in any case.
    #[arg(long, default_value_t = 0)]
    pub min_per_layer: usize,
    /// Layers that stay whole: first, last, or names such as conv1.
    #[arg(long, value_delimiter = ',', value_name = "LAYER")]
    pub keep: Vec<String>,
    /// Leave the layers of `keep` out of the sparsity's count.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub keep_uncounted: bool,
}

/// What batch norm normalises with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Norm {
    /// The statistics of each batch.
    Train,
    /// The running statistics.
    Eval,
}

/// The update rule of inner steps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InnerRule {
    /// Gradient descent, with or without momentum.
    Sgd,
    /// Adam.
    Adam,
}

/// The loss whose gradient makes scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PruneLoss {
    /// Cross-entropy.
    CrossEntropy,
    /// Minus the logit of the right class, as the published code of FORCE.
    RawLogit,
}

/// How the weights that stay are shared out among the layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerShares {
    /// One threshold of scores for all layers.
    Global,
    /// The same density in each layer.
    Uniform,
    /// Denser where layers are small (Erdős–Rényi kernel).
    Erk,
}

impl PruneSettings {
    /// How scores become a mask.
    pub fn mask(&self) -> MaskOptions {
        MaskOptions {
            allocation: match self.allocation {
                LayerShares::Global => Allocation::Global,
                LayerShares::Uniform => Allocation::Uniform,
                LayerShares::Erk => Allocation::Erk,
            },
            min_per_layer: self.min_per_layer,
            keep: self.keep.clone(),
            keep_uncounted: self.keep_uncounted,
        }
    }

    /// What batch norm normalises with.
    pub fn norm(&self) -> NormMode {
        match self.prune_norm {
            Norm::Train => NormMode::Train,
            Norm::Eval => NormMode::Eval,
        }
    }

    /// The loss of FORCE and Iter-SNIP.
    pub fn loss(&self) -> Loss {
        match self.prune_loss {
            PruneLoss::CrossEntropy => Loss::CrossEntropy,
            PruneLoss::RawLogit => Loss::RawLogit,
        }
    }

    /// The update rule of ProsPr's inner steps.
    pub fn inner(&self) -> UpdateRule {
        let sgd = Sgd::new(self.inner_lr)
            .momentum(self.inner_momentum)
            .weight_decay(self.inner_weight_decay);
        match self.inner_optimizer {
            InnerRule::Sgd if self.inner_nesterov => sgd.nesterov().into(),
            InnerRule::Sgd => sgd.into(),
            InnerRule::Adam => UpdateRule::Adam(Adam {
                weight_decay: self.inner_weight_decay,
                ..Adam::new(self.inner_lr)
            }),
        }
    }

    pub(crate) fn unroll(&self) -> anyhow::Result<UnrollOptions> {
        Ok(UnrollOptions {
            host_offload: self.host_offload,
            ..unroll_policy(&self.policy)?.into()
        })
    }

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
        for (name, value) in [
            ("inner_clip", self.inner_clip.unwrap_or(1.0)),
            ("perturbation", self.perturbation),
        ] {
            anyhow::ensure!(
                value.is_finite() && value > 0.0,
                "`{name}` must be a number above 0, found {value}"
            );
        }
        let sgd = self.inner_optimizer == InnerRule::Sgd;
        anyhow::ensure!(
            !self.inner_nesterov || (sgd && self.inner_momentum > 0.0),
            "`inner_nesterov` needs `inner_optimizer` sgd and an `inner_momentum` above 0"
        );
        anyhow::ensure!(
            sgd || self.inner_momentum == 0.0,
            "`inner_momentum` is for `inner_optimizer` sgd; Adam has its own"
        );
        self.unroll().map(|_| ())
    }
}

/// What an unroll keeps, by its name on the command line.
///
/// # Errors
/// If it is none.
pub fn unroll_policy(text: &str) -> anyhow::Result<Policy> {
    let (name, number) = match text.split_once(':') {
        Some((name, number)) => (name, number.parse::<u64>().ok()),
        None => (text, None),
    };
    Ok(match (name, number) {
        ("keep", None) => Policy::Keep,
        ("per-step", None) => Policy::PerStep,
        ("every", Some(steps)) if steps > 0 => Policy::Every(steps as usize),
        ("auto", Some(bytes)) => Policy::Auto(bytes),
        _ => anyhow::bail!(
            "`{text}` is no unroll policy; write keep, per-step, every:K or auto:BYTES"
        ),
    })
}
