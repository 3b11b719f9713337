//! ProsPr: Alizadeh et al., "Prospect Pruning: Finding Trainable Weights at Initialization using
//! Meta-Gradients", ICLR 2022.

use prospr_engine::nn::{Batch, Mode, Net, cross_entropy};
use prospr_engine::optim::{Optimizer, Sgd, SgdState};
use prospr_engine::{
    Params, Policy, Tensor, Tree, UnrollOptions, grad, tree_dot, try_value_and_grad, unroll,
    value_and_grad,
};

use crate::scores::{Pruner, Task, prunable};
use crate::{Error, Result};

/// How far the derivative reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaGradient {
    /// Through all inner steps, equation 12: exact.
    Exact,
    /// `∂L(w_M)/∂w_M ⊙ w_init`, equation 17: the inner steps' Jacobians are taken for the identity.
    FirstOrder,
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

    /// The batches of the inner steps and the one of the meta-loss.
    fn batches(&self, task: &mut Task<'_>) -> Result<(Vec<Batch>, Batch)> {
        let needed = if self.new_data { self.steps + 1 } else { 1 };
        let mut batches: Vec<Batch> = task.batches.take(needed).collect();
        if batches.len() < needed {
            return Err(Error::TooFewBatches {
                needed,
                found: batches.len(),
            });
        }
        if !self.new_data {
            batches = vec![batches.remove(0); self.steps + 1];
        }
        let last = batches.pop().expect("one more than steps");
        Ok((batches, last))
    }
}

type Inner = (Params, SgdState<Params>);

impl Pruner for ProsPr {
    fn name(&self) -> &'static str {
        match (self.steps, self.meta_gradient) {
            (0, _) => "snip",
            (_, MetaGradient::Exact) => "prospr",
            (_, MetaGradient::FirstOrder) => "prospr-first-order",
        }
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let (batches, last) = self.batches(task)?;
        let (optimizer, weights, params) =
            (self.optimizer, prunable(task.params), task.params.clone());
        let loss = loss_of(task.net.clone(), task.state.clone(), task.key);
        let step = {
            let loss = loss.clone();
            move |(w, state): &Inner, batch: &Batch| {
                let (value, grads) = value_and_grad(|w: &Params| loss(w, batch))(w);
                (optimizer.update(w, &grads, state), value)
            }
        };
        let gradient = match self.meta_gradient {
            MetaGradient::Exact => {
                let meta = |masks: &Params| {
                    let w = params.with(&masks.zip_leaves(&weights, |c, w| c * w));
                    let init = (w.clone(), optimizer.init(&w));
                    let ((w, _), _) = unroll(step.clone(), &init, &batches, self.unroll)?;
                    Ok::<_, prospr_engine::Error>((loss(&w, &last), ()))
                };
                try_value_and_grad(meta)(&weights.map_leaves(Tensor::ones_like))?.1
            }
            MetaGradient::FirstOrder => {
                let init = (params.clone(), optimizer.init(&params));
                let ((w, _), _) = unroll(step, &init, &batches, self.unroll)?;
                let grads = grad(|w: &Params| loss(w, &last))(&w);
                prunable(&grads).zip_leaves(&weights, |g, w| g * w)
            }
        };
        let magnitude = gradient.map_leaves(Tensor::abs);
        let total = tree_dot(&magnitude, &magnitude.map_leaves(Tensor::ones_like));
        let scores = magnitude.map_leaves(|s| s / &total);
        scores.eval_leaves()?;
        Ok(scores)
    }
}

/// The training loss as a function of parameters and a batch.
fn loss_of(
    net: Net,
    state: Params,
    key: prospr_engine::Key,
) -> impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static {
    move |params, batch| {
        let (logits, _) = net.apply(params, &state, &batch.images, Mode::Train(key));
        cross_entropy(&logits, &batch.labels)
    }
}
