//! ProsPr: Alizadeh et al., "Prospect Pruning: Finding Trainable Weights at Initialization using
//! Meta-Gradients", ICLR 2022.

use prospr_engine::nn::Batch;
use prospr_engine::optim::{Optimizer, Sgd, SgdState};
use prospr_engine::{
    Params, Policy, Tensor, Tree, UnrollOptions, grad, try_value_and_grad, unroll, value_and_grad,
};

use crate::Result;
use crate::scores::{NormMode, Pruner, Task, loss_of, normalised, prunable};

/// How far the derivative reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaGradient {
    /// Through all inner steps, equation 12: exact.
    Exact,
    /// `∂L(w_M)/∂w_M ⊙ w_init`, equation 17: the inner steps' Jacobians are taken for the identity.
    FirstOrder,
}

/// What a mask's element multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// One weight, of convolutions and linear layers.
    Weight,
    /// All weights of one output channel, of convolutions only: masks and scores have shape `[out, 1, 1, 1]`.
    Channel,
}

impl Granularity {
    /// A mask of ones for each layer that has one.
    fn masks(self, weights: &Params) -> Params {
        match self {
            Granularity::Weight => weights.map_leaves(Tensor::ones_like),
            Granularity::Channel => weights
                .filter(|name, _| weights[name].rank() == 4)
                .map_leaves(|w| Tensor::ones(&[w.shape()[0], 1, 1, 1], w.dtype(), w.device())),
        }
    }
}

/// Scores `|∂L(w_M, D_M)/∂c| / Σ|∂L(w_M, D_M)/∂c|` (equation 11), where `w₀ = c ⊙ w_init` with a mask `c` of ones
/// makes `M` optimiser steps on batches `D₀ … D_{M−1}` (algorithm 1). All parameters move; weights alone have masks.
/// Batch norm is in training mode. With no steps this is SNIP.
///
/// ```
/// use prospr_engine::optim::Sgd;
/// use prospr_pruners::ProsPr;
/// let paper = ProsPr::new(3, Sgd::new(0.1));
/// let imagenet = ProsPr::new(1024, Sgd::new(0.1)).first_order();
/// # assert_ne!(paper, imagenet);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ProsPr {
    /// The number `M` of inner steps.
    pub steps: usize,
    /// The inner update rule.
    pub optimizer: Sgd,
    /// Exact or first-order.
    pub meta_gradient: MetaGradient,
    /// Whether every step sees new data (the paper's text), or all see the first batch (the default of its code).
    pub new_data: bool,
    /// Whether weights or channels are scored.
    pub granularity: Granularity,
    /// What is kept for the reverse sweep.
    pub unroll: UnrollOptions,
}

impl ProsPr {
    /// `M` steps of an update rule, exact, with a new batch for each, in the memory of one step.
    pub fn new(steps: usize, optimizer: Sgd) -> ProsPr {
        ProsPr {
            steps,
            optimizer,
            meta_gradient: MetaGradient::Exact,
            new_data: true,
            granularity: Granularity::Weight,
            unroll: Policy::PerStep.into(),
        }
    }

    /// With the first-order approximation.
    pub fn first_order(self) -> ProsPr {
        ProsPr {
            meta_gradient: MetaGradient::FirstOrder,
            ..self
        }
    }

    /// With one batch for all steps.
    pub fn same_batch(self) -> ProsPr {
        ProsPr {
            new_data: false,
            ..self
        }
    }

    /// With one score for each output channel of a convolution.
    pub fn structured(self) -> ProsPr {
        ProsPr {
            granularity: Granularity::Channel,
            ..self
        }
    }

    /// The batches of the inner steps and the one of the meta-loss.
    fn batches(&self, task: &mut Task<'_>) -> Result<(Vec<Batch>, Batch)> {
        let mut batches = match self.new_data {
            true => task.take(self.steps + 1)?,
            false => vec![task.take(1)?.remove(0); self.steps + 1],
        };
        let last = batches.pop().expect("one more than steps");
        Ok((batches, last))
    }

    /// An inner step: the next parameters and momentum, and the loss before.
    pub(crate) fn step(
        &self,
        loss: impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static,
    ) -> impl Fn(&Inner, &Batch) -> (Inner, Tensor) + Clone + Send + Sync + 'static {
        let optimizer = self.optimizer;
        move |(w, state), batch| {
            let (value, grads) = value_and_grad(|w: &Params| loss(w, batch))(w);
            (optimizer.update(w, &grads, state), value)
        }
    }

    /// `|∂L(w_M, D_M)/∂c|`: the scores before they are divided by their sum.
    ///
    /// # Errors
    /// As [`Pruner::scores`].
    pub fn magnitudes(&self, task: &mut Task<'_>) -> Result<Params> {
        let (batches, last) = self.batches(task)?;
        let (optimizer, params) = (self.optimizer, task.params.clone());
        let masks = self.granularity.masks(&prunable(&params));
        let weights = params.filter(|name, _| masks.get(name).is_some());
        let loss = loss_of(task, NormMode::Train, 1.0);
        let step = self.step(loss.clone());
        let gradient = match self.meta_gradient {
            MetaGradient::Exact => {
                let meta = |masks: &Params| {
                    let w = params.with(&masks.zip_leaves(&weights, |c, w| c * w));
                    let init = (w.clone(), optimizer.init(&w));
                    let ((w, _), _) = unroll(step.clone(), &init, &batches, self.unroll)?;
                    Ok::<_, prospr_engine::Error>((loss(&w, &last), ()))
                };
                try_value_and_grad(meta)(&masks)?.1
            }
            MetaGradient::FirstOrder => {
                let init = (params.clone(), optimizer.init(&params));
                let ((w, _), _) = unroll(step, &init, &batches, self.unroll)?;
                let grads = grad(|w: &Params| loss(w, &last))(&w);
                let grads = grads.filter(|name, _| masks.get(name).is_some());
                let products = grads.zip_leaves(&weights, |g, w| g * w);
                products.zip_leaves(&masks, |p, mask| p.sum_to(mask.shape()))
            }
        };
        let magnitudes = gradient.map_leaves(Tensor::abs);
        magnitudes.eval_leaves()?;
        Ok(magnitudes)
    }
}

/// Parameters and momentum.
pub(crate) type Inner = (Params, SgdState<Params>);

impl Pruner for ProsPr {
    fn name(&self) -> &'static str {
        match (self.steps, self.meta_gradient) {
            (0, _) => "snip",
            (_, MetaGradient::Exact) => "prospr",
            (_, MetaGradient::FirstOrder) => "prospr-first-order",
        }
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        normalised(&self.magnitudes(task)?)
    }
}
