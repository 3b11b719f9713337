//! SNIP: Lee, Ajanthan and Torr, "SNIP: Single-shot network pruning based on connection sensitivity", ICLR 2019.

use prospr_engine::{Params, Tree};

use crate::Result;
use crate::scores::{NormMode, Pruner, Task, loss_of, normalised, prunable, summed_gradient};

/// Scores `|w ⊙ ∂L/∂w| / Σ|w ⊙ ∂L/∂w|` (equations 5 and 6), where `L` is the cross-entropy summed over mini-batches
/// and `|·|` comes after the sum.
///
/// The paper's program prunes biases too and has batch norm in inference mode. Here weights alone are pruned, and
/// [`NormMode`] is an option. The variant that sums `|·|` of each mini-batch is not offered.
///
/// ```
/// use prospr_pruners::{NormMode, Snip};
/// assert_eq!(Snip::default(), Snip { batches: 1, mode: NormMode::Train });
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Snip {
    /// How many mini-batches the gradient is summed over, at least one.
    pub batches: usize,
    /// What batch norm normalises with.
    pub mode: NormMode,
}

impl Default for Snip {
    /// One batch, batch norm as in training.
    fn default() -> Snip {
        Snip {
            batches: 1,
            mode: NormMode::default(),
        }
    }
}

impl Pruner for Snip {
    fn name(&self) -> &'static str {
        "snip"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let batches = task.take(self.batches.max(1))?;
        let weights = prunable(task.params);
        let gradient = summed_gradient(loss_of(task, self.mode, 1.0), &weights, &batches)?;
        normalised(&gradient.zip_leaves(&weights, |g, w| (g * w).abs()))
    }
}
