//! SynFlow: Tanaka, Kunin, Yamins and Ganguli, "Pruning neural networks without any data by iteratively conserving
//! synaptic flow", NeurIPS 2020.

use prospr_engine::nn::Mode;
use prospr_engine::{Params, Tensor, Tree, grad};

use crate::scores::{Pruner, Task, prunable};
use crate::{Error, Mask, MaskOptions, Result, Sparsity};

/// Scores `|θ ⊙ ∂R/∂θ|` (equation 4) of the network whose parameters and running statistics are replaced by their
/// absolute values, where `R` is the sum of its outputs for an input of ones and batch norm is in evaluation mode.
///
/// In iteration `t = 1 … T` the density falls to `ρ^(t/T)` with the final density `ρ = 1 − sparsity` (algorithm 1).
/// The scores returned are those of the last iteration, in which weights that earlier ones removed have score 0. So
/// [`Mask::global`] at the same sparsity and options makes the last removal; at a lower sparsity it would bring
/// removed weights back in the order of their places.
///
/// The scores are products over all layers and span many orders of magnitude: about 10²⁵ for VGG-19 at 32×32 pixels.
/// Where they leave the range of the parameters' type, there is an error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SynFlow {
    /// The number of iterations `T`.
    pub iterations: usize,
    /// The sparsity that the iterations end at.
    pub sparsity: Sparsity,
    /// How each iteration's mask is made.
    pub options: MaskOptions,
    /// Channels, height and width of the input. With none, those of a batch of the task.
    pub input: Option<[usize; 3]>,
}

impl SynFlow {
    /// 100 iterations to this sparsity, with the input shape of the task's data.
    pub fn new(sparsity: Sparsity) -> SynFlow {
        SynFlow {
            iterations: 100,
            sparsity,
            options: MaskOptions::default(),
            input: None,
        }
    }

    /// The sparsity after iteration `t`.
    fn sparsity_after(&self, t: usize) -> Result<Sparsity> {
        let density = 1.0 - self.sparsity.fraction();
        Sparsity::new(1.0 - density.powf(t as f64 / self.iterations as f64))
    }
}

impl Pruner for SynFlow {
    fn name(&self) -> &'static str {
        "synflow"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let [c, h, w] = match self.input {
            Some(shape) => shape,
            None => {
                let images = &task.take(1)?[0].images;
                [1, 2, 3].map(|axis| images.size(axis))
            }
        };
        let (params, state) = (
            task.params.map_leaves(Tensor::abs),
            task.state.map_leaves(Tensor::abs),
        );
        let mut weights = prunable(&params);
        let like = weights.leaves().swap_remove(0);
        let ones = Tensor::ones(&[1, c, h, w], like.dtype(), like.device());
        let flow = |weights: &Params| {
            let (outputs, _) = task
                .net
                .apply(&params.with(weights), &state, &ones, Mode::Eval);
            outputs.sum()
        };
        let mut t = 1;
        loop {
            let scores = weights.zip_leaves(&grad(flow)(&weights), |w, g| (w * g).abs());
            scores.eval_leaves()?;
            for (name, _, score) in scores.iter() {
                if score.all_finite().item()? == 0.0 {
                    return Err(Error::Range {
                        layer: name.into(),
                        dtype: score.dtype(),
                    });
                }
            }
            if t >= self.iterations {
                return Ok(scores);
            }
            let mask = Mask::global(&scores, self.sparsity_after(t)?, self.options)?;
            let mask = mask.tensors(like.dtype(), like.device())?;
            weights = weights.zip_leaves(&mask, |w, m| w * m);
            weights.eval_leaves()?;
            t += 1;
        }
    }
}
