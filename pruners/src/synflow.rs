//! SynFlow: Tanaka, Kunin, Yamins and Ganguli, "Pruning neural networks without any data by iteratively conserving
//! synaptic flow", NeurIPS 2020.

use prospr_engine::{Params, Role, Tensor, Tree, try_value_and_grad};
use prospr_nn::nn::Mode;

use crate::rescale::rescaled;
use crate::rounds::{Removed, Rounds};
use crate::scores::{Pruner, Task, prunable};
use crate::{Error, Method, Result, Sparsity};

/// Scores `|θ ⊙ ∂R/∂θ|` (equation 4) of the network whose parameters and running statistics are replaced by their
/// absolute values, where `R` is the sum of its outputs for an input of ones and batch norm is in evaluation mode, in
/// [`Rounds`] (algorithm 1). What is gone stays gone.
///
/// The scores are products over all layers and span many orders of magnitude: about 10²⁵ for VGG-19 at 32×32 pixels, and
/// for ResNet-50 at 224×224 more than f32 holds. Where they leave the range of the parameters' type, this round and the
/// following compute them with the flow rescaled on its way, by [`rescaled`], so that all scores of a round are divided by
/// one power of two: their order is the same. Where that does not help, there is an error.
#[derive(Clone, Debug, PartialEq)]
pub struct SynFlow {
    /// Rounds; 100 in the paper.
    pub rounds: Rounds,
    /// Channels, height and width of the input. With none, those of a batch of the task.
    pub input: Option<[usize; 3]>,
}

impl SynFlow {
    /// 100 rounds to this sparsity, with the input shape of the task's data.
    pub fn new(sparsity: Sparsity) -> SynFlow {
        SynFlow { rounds: Rounds::new(100, sparsity), input: None }
    }
}

/// SynFlow in the registry.
pub(crate) const METHODS: &[Method] = &[Method {
    name: "synflow",
    summary: "Synaptic flow, without data, in many iterations (Tanaka et al., 2020)",
    score: "`|θ ⊙ ∂R/∂θ|` of the network of magnitudes, `R` the sum of its outputs for ones",
    allocation: None,
    pruner: |settings| Ok(Box::new(SynFlow { rounds: settings.rounds(100)?, input: None })),
}];

impl Pruner for SynFlow {
    fn name(&self) -> &'static str {
        "synflow"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let [c, h, w] = match self.input {
            Some(shape) => shape,
            None => {
                let images = &task.next(0, 1)?.images;
                [1, 2, 3].map(|axis| images.size(axis))
            }
        };
        let absolute = |params: &Params| params.map_leaves(Tensor::abs);
        let (params, state) = (absolute(task.params), absolute(task.state));
        (params.clone(), state.clone()).eval_leaves()?;
        let weights = prunable(&params);
        let like = weights.leaves().swap_remove(0);
        let ones = Tensor::ones(&[1, c, h, w], like.dtype(), like.device());
        let additive = additive(&params, &state);
        let flow = |weights: &Params, rescale: bool| {
            let params = params.with(weights);
            let (outputs, _) = task.net.apply(&params, &state, &ones, Mode::Eval);
            let total = outputs.sum();
            match rescale {
                true => rescaled(&total, &ones, &additive).map(|(total, _)| total),
                false => Ok(total),
            }
        };
        let mut rescale = false;
        self.rounds.run(&weights, Removed::ForGood, |mask, _| {
            let weights = weights.zip_leaves(mask, |w, m| w * m);
            weights.eval_leaves()?;
            loop {
                let flow = |w: &Params| Ok::<_, prospr_engine::Error>((flow(w, rescale)?, ()));
                let (_, gradient) = try_value_and_grad(flow)(&weights)?;
                let scores = weights.zip_leaves(&gradient, |w, g| (w * g).abs());
                scores.eval_leaves()?;
                match beyond_range(&scores)? {
                    None => return Ok(scores),
                    Some(_) if !rescale => rescale = true,
                    Some(error) => return Err(error),
                }
            }
        })
    }
}

/// Returns the tensors that are added to the flow: biases, shifts and running means of batch norms.
fn additive(params: &Params, state: &Params) -> Vec<Tensor> {
    let adds = |role| matches!(role, Role::Bias | Role::NormShift);
    let shifts = params.iter().filter(|(_, role, _)| adds(*role));
    let means = state.iter().filter(|(name, ..)| name.ends_with("running_mean"));
    shifts.chain(means).map(|(.., t)| t.clone()).collect()
}

/// The error for scores that are infinite or NaN.
fn beyond_range(scores: &Params) -> Result<Option<Error>> {
    for (name, _, score) in scores.iter() {
        if score.all_finite().item()? == 0.0 {
            let (layer, dtype) = (name.into(), score.dtype());
            return Ok(Some(Error::Range { layer, dtype }));
        }
    }
    Ok(None)
}
