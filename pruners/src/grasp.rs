//! GraSP: Wang, Zhang and Grosse, "Picking winning tickets before training by preserving gradient flow", ICLR 2020.

use prospr_engine::{Params, Tree, hvp};

use crate::Result;
use crate::scores::{NormMode, Pruner, Task, loss_of, prunable, summed, summed_gradient, total};

/// Scores `w ⊙ Hg / (|Σ w ⊙ Hg| + 10⁻¹⁰)` with the gradient `g` and the Hessian `H` of the cross-entropy of `logits/T`
/// (equation 8; algorithm 1), both with respect to the prunable weights and summed over mini-batches.
///
/// **Sign.** The paper's score is `−w ⊙ Hg`, and it removes the highest: weights without which the gradient's norm is
/// larger. Scores here are its negative, so that the highest are kept, as every [`Pruner`]'s. They may be negative.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grasp {
    /// How many mini-batches `g` and `Hg` are summed over, at least one.
    pub batches: usize,
    /// The temperature `T`.
    pub temperature: f64,
    /// What batch norm normalises with.
    pub mode: NormMode,
}

impl Default for Grasp {
    /// One batch, temperature 200 (the paper's program), batch norm as in training.
    fn default() -> Grasp {
        Grasp {
            batches: 1,
            temperature: 200.0,
            mode: NormMode::default(),
        }
    }
}

impl Pruner for Grasp {
    fn name(&self) -> &'static str {
        "grasp"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let batches = task.take(self.batches.max(1))?;
        let weights = prunable(task.params);
        let loss = loss_of(task, self.mode, self.temperature);
        let g = summed_gradient(&loss, &weights, &batches)?;
        let hg = summed(&batches, |batch| {
            hvp(|w: &Params| loss(w, batch), &weights, &g)
        })?;
        let scores = weights.zip_leaves(&hg, |w, hg| w * hg);
        let scale = total(&scores).abs() + 1e-10;
        let scores = scores.map_leaves(|s| s / &scale);
        scores.eval_leaves()?;
        Ok(scores)
    }
}
