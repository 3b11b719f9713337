//! SNIP: Lee, Ajanthan and Torr, "SNIP: Single-shot network pruning based on connection sensitivity", ICLR 2019.

use prospr_engine::{Params, Tensor, Tree, grad};

use crate::scores::{NormMode, Pruner, Task, loss_of, normalised, prunable, summed};
use crate::{Method, Result, Settings};

/// Scores `|w ⊙ ∂L/∂w| / Σ|w ⊙ ∂L/∂w|` (equations 5 and 6), where `L` is the cross-entropy summed over mini-batches
/// and `|·|` comes after the sum.
///
/// SNIP-MB (de Jorge et al., 2021, table 1) takes `|·|` of each mini-batch and averages after that. The paper's program
/// prunes biases too and has batch norm in inference mode. Here weights alone are pruned, and [`NormMode`] is an option.
///
/// ```
/// use prospr_pruners::{NormMode, Snip};
/// let snip = Snip { batches: 1, abs_per_batch: false, mode: NormMode::Train };
/// assert_eq!(Snip::default(), snip);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snip {
    /// Number of mini-batches summed over, at least one. They are processed one by one.
    pub batches: usize,
    /// True if magnitudes are taken of each mini-batch and then averaged: SNIP-MB.
    pub abs_per_batch: bool,
    /// Statistics that batch norm normalises with.
    pub mode: NormMode,
}

impl Default for Snip {
    /// One batch, batch norm as in training.
    fn default() -> Snip {
        Snip { batches: 1, abs_per_batch: false, mode: NormMode::default() }
    }
}

/// SNIP in the registry.
pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "snip",
        summary: "Effect of each weight on the loss, by the gradient (Lee et al., 2019): ProsPr without inner steps",
        score: "`|w ⊙ Σ g|` over batches",
        allocation: None,
        pruner: |settings| Ok(Box::new(Snip::configured(settings, 1, false)?)),
    },
    Method {
        name: "snip-mb",
        summary: "SNIP's magnitudes averaged over many batches (de Jorge et al., 2021)",
        score: "`Σ |w ⊙ g|` over batches",
        allocation: None,
        pruner: |settings| Ok(Box::new(Snip::configured(settings, 10, true)?)),
    },
];

impl Snip {
    fn configured(settings: &Settings<'_>, batches: usize, abs_per_batch: bool) -> Result<Snip> {
        Ok(Snip {
            batches: settings.batches(batches)?,
            abs_per_batch,
            mode: settings.get("prune_norm")?,
        })
    }
}

impl Pruner for Snip {
    fn name(&self) -> &'static str {
        match self.abs_per_batch {
            true => "snip-mb",
            false => "snip",
        }
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let weights = prunable(task.params);
        let loss = loss_of(task, self.mode);
        let total = summed(task, self.batches.max(1), |batch| {
            let gradient = grad(|w: &Params| loss(w, batch))(&weights);
            let products = gradient.zip_leaves(&weights, |g, w| g * w);
            match self.abs_per_batch {
                true => products.map_leaves(Tensor::abs),
                false => products,
            }
        })?;
        normalised(&total.map_leaves(Tensor::abs))
    }
}
