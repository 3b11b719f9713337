//! NTK-SAP: Wang, Li and Sun, "NTK-SAP: Improving neural network pruning by aligning training dynamics", ICLR 2023.

use prospr_engine::{Key, Params, Tensor, Tree, grad};
use prospr_nn::nn::{BATCH_NORM_MOMENTUM, Mode};

use crate::rounds::{Removed, Rounds};
use crate::scores::{NormMode, Pruner, Task, add, prunable};
use crate::{Error, Method, Result, Sparsity};

/// In each of the [`Rounds`], with the mask `m` of the one before, scores
///
/// `|∂/∂m Σ ‖f(z; m ⊙ θ) − f(z; m ⊙ (θ + ε Δθ))‖²|`
///
/// (algorithm 1), which stands for the nuclear norm of the fixed-weight NTK `J Jᵀ`: over Gaussian `Δθ` the expectation is
/// `ε² ‖J‖²` to first order. The sum is over the images of the batches. For each batch the input `z` is Gaussian noise in the
/// shape of the data, `θ` are weights drawn anew as the network draws its initial ones, and `Δθ` is drawn anew
/// ("new input, new weight"). What is gone stays gone.
///
/// Batch norm: with [`NormMode::Train`] both outputs are normalised with the statistics that the unperturbed, masked
/// network has on `z`, as constants, as in the published code. With [`NormMode::Eval`] it is the initial running
/// statistics.
///
/// As in the published code, weights alone are perturbed, all with the same `ε`; biases are drawn anew with the weights, where
/// the published code keeps them. A unit that is dead in all draws of a round has scores of 0: networks without batch norm need
/// several draws. For a network whose initial values
/// are constants, only inputs and perturbations differ between draws.
#[derive(Clone, Debug, PartialEq)]
pub struct NtkSap {
    /// Rounds.
    pub rounds: Rounds,
    /// Standard deviation `ε` of the perturbations.
    pub perturbation: f64,
    /// Number of draws of inputs and weights over which each round sums, at least one.
    pub batches: usize,
    /// Statistics that batch norm normalises with.
    pub mode: NormMode,
}

impl NtkSap {
    /// 100 rounds of one batch to this sparsity, `ε` = 0.01 as in the published code.
    pub fn new(sparsity: Sparsity) -> NtkSap {
        NtkSap {
            rounds: Rounds::new(100, sparsity),
            perturbation: 0.01,
            batches: 1,
            mode: NormMode::default(),
        }
    }

    /// The gradient of the distance for one draw.
    fn gradient(&self, task: &Task<'_>, like: &Tensor, mask: &Params, key: Key) -> Params {
        let [init, input, noise, mode] = key.split();
        let image = &like.shape()[1..];
        let (params, state) = task.net.init(init, image, like.dtype(), like.device());
        let images = input.normal(like.shape(), like.dtype(), like.device());
        let weights = prunable(&params);
        let mut layer = 0;
        let perturbed = weights.map_leaves(|w| {
            layer += 1;
            let noise = noise.fold_in(layer).normal(w.shape(), w.dtype(), w.device());
            w + noise * self.perturbation
        });
        let masked =
            |weights: &Params, mask: &Params| params.with(&weights.zip_leaves(mask, |w, m| w * m));
        let state = match self.mode {
            NormMode::Eval => state,
            // From zeros the running statistics become this share of the batch's.
            NormMode::Train => {
                let zeros = state.map_leaves(Tensor::zeros_like);
                let params = masked(&weights, mask);
                let (_, next) = task.net.apply(&params, &zeros, &images, Mode::Train(mode));
                next.map_leaves(|s| s / BATCH_NORM_MOMENTUM)
            }
        };
        let distance = |mask: &Params| {
            let f = |weights: &Params| {
                let params = masked(weights, mask);
                task.net.apply(&params, &state, &images, Mode::Eval).0
            };
            (f(&weights) - f(&perturbed)).square().sum()
        };
        grad(distance)(mask)
    }
}

/// NTK-SAP in the registry.
pub(crate) const METHODS: &[Method] = &[Method {
    name: "ntk-sap",
    summary: "Weights that keep the neural tangent kernel's trace, on noise, in many iterations (Wang et al., 2023)",
    score: "`|∂/∂c Σ‖f(z; c⊙θ) − f(z; c⊙(θ + εΔθ))‖²|`; noise `z`, `Δθ` and new `θ` for each draw",
    allocation: None,
    pruner: |settings| {
        Ok(Box::new(NtkSap {
            rounds: settings.rounds(100)?,
            perturbation: settings.get("perturbation")?,
            batches: settings.batches(1)?,
            mode: settings.get("prune_norm")?,
        }))
    },
}];

impl Pruner for NtkSap {
    fn name(&self) -> &'static str {
        "ntk-sap"
    }

    /// Takes one batch of the task, for its shape.
    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let like = task.next(0, 1)?.images;
        let weights = prunable(task.params);
        self.rounds.run(&weights, Removed::ForGood, |mask, round| {
            let mut total = None;
            for batch in 0..self.batches.max(1) {
                let key = task.key.fold_in(round as u64).fold_in(batch as u64);
                add(&mut total, self.gradient(task, &like, mask, key))?;
            }
            let total = total.ok_or(Error::TooFewBatches { needed: 1, found: 0 })?;
            Ok(total.map_leaves(Tensor::abs))
        })
    }
}
