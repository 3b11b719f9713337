//! Rounds of the iterative methods: each removes weights, and the next scores the remaining ones.

use prospr_engine::{Params, Tensor, Tree};

use crate::{Mask, MaskOptions, Result, Sparsity};

/// Rounds `t = 1 … T` of scoring and removing, after which the density is `ρ^(t/T) = exp((t/T)·ln ρ)` with the final
/// density `ρ = 1 − sparsity` (Tanaka et al., 2020, algorithm 1; de Jorge et al., 2021, exponential schedule).
///
/// The scores of the last round are the method's: [`Mask::new`] with the same sparsity and options removes the last
/// weights. With a lower sparsity it would restore weights that earlier rounds removed for good.
#[derive(Clone, Debug, PartialEq)]
pub struct Rounds {
    /// The number of rounds `T`, at least one.
    pub iterations: usize,
    /// Sparsity after the last round.
    pub sparsity: Sparsity,
    /// Options of each round's mask.
    pub options: MaskOptions,
}

/// Treatment of the weights that a round removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Removed {
    /// They stay removed: their score is 0, and that of all others at least the smallest positive number.
    ForGood,
    /// They are scored like the others and may be kept again.
    ForNow,
}

impl Rounds {
    /// Rounds that end at this sparsity, with one threshold for all layers.
    pub fn new(iterations: usize, sparsity: Sparsity) -> Rounds {
        Rounds { iterations, sparsity, options: MaskOptions::default() }
    }

    /// The sparsity after round `t`.
    fn sparsity_after(&self, t: usize) -> Result<Sparsity> {
        let density = 1.0 - self.sparsity.fraction();
        Sparsity::new(1.0 - density.powf(t as f64 / self.iterations as f64))
    }

    /// The scores of the last round. `score` computes those of one round from its mask of ones and zeros and its number,
    /// counted from 0.
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
