//! What the iterative methods share: weights go in rounds, and those that are left are scored again.

use prospr_engine::{Params, Tensor, Tree};

use crate::{Mask, MaskOptions, Result, Sparsity};

/// Rounds `t = 1 … T` of scoring and removing, after which the density is `ρ^(t/T) = exp((t/T)·ln ρ)` with the final
/// density `ρ = 1 − sparsity` (Tanaka et al., 2020, algorithm 1; de Jorge et al., 2021, exponential schedule).
///
/// The scores of the last round are the method's: [`Mask::new`] at the same sparsity and options makes the last removal.
/// At a lower sparsity it would bring back what earlier rounds removed for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounds {
    /// The number of rounds `T`, at least one.
    pub iterations: usize,
    /// The sparsity that the rounds end at.
    pub sparsity: Sparsity,
    /// How each round's mask is made.
    pub options: MaskOptions,
}

/// What becomes of a weight that a round removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// It stays out: its score is 0, and that of the others at least the smallest positive number.
    ForGood,
    /// It is scored like the others and may come back.
    ForNow,
}

impl Rounds {
    /// So many rounds to this sparsity, with one threshold for all layers.
    pub fn new(iterations: usize, sparsity: Sparsity) -> Rounds {
        Rounds {
            iterations,
            sparsity,
            options: MaskOptions::default(),
        }
    }

    /// The sparsity after round `t`.
    fn sparsity_after(&self, t: usize) -> Result<Sparsity> {
        let density = 1.0 - self.sparsity.fraction();
        Sparsity::new(1.0 - density.powf(t as f64 / self.iterations as f64))
    }

    /// The scores of the last round. `score` gives those of the weights that a mask leaves, ones and zeros, in the round of
    /// this number, counted from 0.
    pub(crate) fn run(
        &self,
        weights: &Params,
        removed: Removed,
        mut score: impl FnMut(&Params, usize) -> Result<Params>,
    ) -> Result<Params> {
        let mut mask = weights.map_leaves(Tensor::ones_like);
        for t in 0.. {
            let mut scores = score(&mask, t)?;
            if t > 0 && removed == Removed::ForGood {
                scores = scores.zip_leaves(&mask, |score, mask| {
                    let least = score.full_like(f32::MIN_POSITIVE.into());
                    let there = mask.gt(&mask.zeros_like());
                    there.where_(&score.maximum(&least), &score.zeros_like())
                });
            }
            scores.eval_leaves()?;
            if t + 1 >= self.iterations {
                return Ok(scores);
            }
            let next = Mask::new(&scores, self.sparsity_after(t + 1)?, &self.options)?;
            let like = weights.leaves().swap_remove(0);
            mask = next.tensors(like.dtype(), like.device())?;
        }
        unreachable!("the last round returns")
    }
}
