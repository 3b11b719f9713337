//! ProsPr: Alizadeh et al., "Prospect Pruning: Finding Trainable Weights at Initialization using
//! Meta-Gradients", ICLR 2022.

use prospr_engine::{
    Params, Policy, Tensor, Tree, UnrollOptions, grad, stream, tree_dot, try_value_and_grad,
    unroll, value_and_grad,
};
use prospr_nn::nn::{Batch, Net};
use prospr_nn::optim::{Adam, Optimizer, RuleState, Sgd, UpdateRule};

use crate::scores::{NormMode, Pruner, Task, loss_of, normalised, prunable};
use crate::{Error, Method, Result, Settings};

/// Meta-gradient of ProsPr: exact or approximate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetaGradient {
    /// Exact derivative, through all inner steps (equation 12).
    Exact,
    /// First-order approximation `∂L(w_M)/∂w_M ⊙ w_init` (equation 17), which replaces the Jacobians of the inner steps
    /// by the identity.
    FirstOrder,
}

/// Granularity of the mask: the weights that one element of the mask multiplies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Granularity {
    /// One weight, of convolutions and linear layers.
    Weight,
    /// All weights of one output channel, of convolutions only: masks and scores have shape `[out, 1, 1, 1]`.
    Channel,
}

impl Granularity {
    /// Makes a mask of ones for each weight that gets scores: for all weights, or for those of convolutions only.
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
/// With no steps this is SNIP. The first-order approximation takes its batches one by one and keeps no states, so that
/// the number of steps does not change its memory.
///
/// A rate that is too high for the steps, or many steps, let meta-gradients explode; [`ProsPr::clip`] and
/// [`ProsPr::inner_decay`] are against that. The paper has neither.
///
/// ```
/// use prospr_nn::optim::Sgd;
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
    pub optimizer: UpdateRule,
    /// The inner learning rate's factor from step to step: that of step `i`, counted from 0, is `lr · inner_decayⁱ`.
    pub inner_decay: f64,
    /// Gradients `g` of all parameters become `g · min(1, clip/‖g‖)` before an inner step, which is differentiated
    /// through.
    pub clip: Option<f64>,
    /// Statistics that batch norm normalises with. The running statistics stay unchanged in the inner steps.
    pub mode: NormMode,
    /// Exact or first-order.
    pub meta_gradient: MetaGradient,
    /// True if each step takes a new batch (the paper's text), false if all take the first one (the default of its
    /// code).
    pub new_data: bool,
    /// Unit that gets a score: a weight or a channel.
    pub granularity: Granularity,
    /// Options for the values that the unroll keeps for its reverse sweep.
    pub unroll: UnrollOptions,
}

impl ProsPr {
    /// ProsPr with the exact meta-gradient of `steps` steps of an update rule, each with a new batch. The reverse sweep
    /// computes each step again, so that memory holds one step's graph and a state for each step.
    pub fn new(steps: usize, optimizer: impl Into<UpdateRule>) -> ProsPr {
        ProsPr {
            steps,
            optimizer: optimizer.into(),
            inner_decay: 1.0,
            clip: None,
            mode: NormMode::Train,
            meta_gradient: MetaGradient::Exact,
            new_data: true,
            granularity: Granularity::Weight,
            unroll: Policy::PerStep.into(),
        }
    }

    /// Selects the first-order approximation, [`MetaGradient::FirstOrder`].
    pub fn first_order(self) -> ProsPr {
        ProsPr { meta_gradient: MetaGradient::FirstOrder, ..self }
    }

    /// Uses one batch for all inner steps and the meta-loss.
    pub fn same_batch(self) -> ProsPr {
        ProsPr { new_data: false, ..self }
    }

    /// Scores output channels of convolutions instead of weights: [`Granularity::Channel`].
    pub fn structured(self) -> ProsPr {
        ProsPr { granularity: Granularity::Channel, ..self }
    }

    /// Iterates over the inputs of the inner steps, and then that of the meta-loss.
    fn inputs<'a>(&'a self, task: &'a mut Task<'_>) -> impl Iterator<Item = Result<StepInput>> {
        let mut only: Option<Batch> = None;
        (0..=self.steps).map(move |i| {
            let batch = match &only {
                Some(batch) => batch.clone(),
                None if self.new_data => task.next(i, self.steps + 1)?,
                None => only.insert(task.next(0, 1)?).clone(),
            };
            let decays = self.inner_decay != 1.0;
            let lr = decays.then(|| self.optimizer.lr() * self.inner_decay.powi(i as i32));
            Ok(StepInput { batch, lr })
        })
    }

    /// Makes the inner step: a function that returns the next parameters and optimiser state, and the loss before the
    /// step.
    pub(crate) fn step(
        &self,
        loss: impl Fn(&Params, &Batch) -> Tensor + Clone + Send + Sync + 'static,
    ) -> impl Fn(&Inner, &StepInput) -> (Inner, Tensor) + Clone + Send + Sync + 'static {
        let (optimizer, clip) = (self.optimizer, self.clip);
        move |(w, state), StepInput { batch, lr }| {
            let (value, mut grads) = value_and_grad(|w: &Params| loss(w, batch))(w);
            if let Some(most) = clip {
                grads = clipped(&grads, most);
            }
            let optimizer = lr.map_or(optimizer, |lr| optimizer.with_lr(lr));
            (optimizer.update(w, &grads, state), value)
        }
    }

    /// `|∂L(w_M, D_M)/∂c|`: the scores before they are divided by their sum.
    ///
    /// # Errors
    /// As [`Pruner::scores`].
    pub fn magnitudes(&self, task: &mut Task<'_>) -> Result<Params> {
        let (optimizer, params) = (self.optimizer, task.params.clone());
        let masks = self.granularity.masks(&prunable(&params));
        let weights = params.filter(|name, _| masks.get(name).is_some());
        let loss = loss_of(task, self.mode);
        let step = self.step(loss.clone());
        let mut inputs = self.inputs(task);
        let gradient = match self.meta_gradient {
            MetaGradient::Exact => {
                let steps = inputs.by_ref().take(self.steps);
                let steps = steps.collect::<Result<Vec<_>>>()?;
                let last = last_of(inputs)?;
                let meta = |masks: &Params| {
                    let w = params.with(&masks.zip_leaves(&weights, |c, w| c * w));
                    let init = (w.clone(), optimizer.init(&w));
                    let ((w, _), _) = unroll(step.clone(), &init, &steps, self.unroll)?;
                    Ok::<_, prospr_engine::Error>((loss(&w, &last), ()))
                };
                try_value_and_grad(meta)(&masks)?.1
            }
            MetaGradient::FirstOrder => {
                let init = (params.clone(), optimizer.init(&params));
                let ((w, _), _) = stream(step, &init, inputs.by_ref().take(self.steps))?;
                let last = last_of(inputs)?;
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

/// Takes the batch of the meta-loss, the last input.
fn last_of(mut inputs: impl Iterator<Item = Result<StepInput>>) -> Result<Batch> {
    let last = inputs.next().expect("one more than steps")?;
    Ok(last.batch)
}

/// Clips gradients to `g · min(1, most/‖g‖)`, where the norm is that of all gradients together.
fn clipped(grads: &Params, most: f64) -> Params {
    let squares = tree_dot(grads, grads);
    let one = squares.ones_like();
    let large = squares.gt(&squares.full_like(most * most));
    let factor = large.where_(&(large.where_(&squares, &one).powf(-0.5) * most), &one);
    grads.map_leaves(|g| g * &factor)
}

/// State of the inner steps: parameters, and state of the optimiser.
pub(crate) type Inner = (Params, RuleState<Params>);

/// Input of an inner step.
#[derive(Clone, Debug, Tree)]
pub(crate) struct StepInput {
    /// Batch of images and labels.
    pub batch: Batch,
    /// Learning rate of the step, if that is not the rule's.
    #[tree(static)]
    pub lr: Option<f64>,
}

/// ProsPr's two methods, for the registry.
pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "prospr",
        summary: "Meta-gradients through the first steps of training (Alizadeh et al., 2022)",
        score: "`|∂L(w_M)/∂c|` through `M` steps from `w₀ = c ⊙ w`",
        allocation: None,
        pruner: |settings| Ok(Box::new(ProsPr::configured(settings)?)),
    },
    Method {
        name: "prospr-first-order",
        summary: "ProsPr's first-order approximation (Alizadeh et al., 2022)",
        score: "`|∂L(w_M)/∂w_M ⊙ w₀|`; memory of one step for any `M`",
        allocation: None,
        pruner: |settings| Ok(Box::new(ProsPr::first_steps(settings)?.first_order())),
    },
];

impl ProsPr {
    /// Builds ProsPr with the exact meta-gradient from settings.
    ///
    /// # Errors
    /// [`Error::Setting`] if a setting has no such value, or does not go with another.
    pub fn configured(settings: &Settings<'_>) -> Result<ProsPr> {
        let policy: String = settings.get("policy")?;
        let policy = policy.parse::<Policy>();
        Ok(ProsPr {
            unroll: UnrollOptions {
                policy: policy
                    .map_err(|reason| setting("policy", &format!("is wrong: {reason}")))?,
                host_offload: settings.get("host_offload")?,
            },
            ..ProsPr::first_steps(settings)?
        })
    }

    /// Builds ProsPr from the settings that both variants read.
    fn first_steps(settings: &Settings<'_>) -> Result<ProsPr> {
        settings.images()?;
        let steps = settings.get("steps")?;
        Ok(ProsPr {
            inner_decay: settings.get("inner_decay")?,
            clip: settings.get("inner_clip")?,
            mode: settings.get("prune_norm")?,
            new_data: !settings.get::<bool>("same_batch")?,
            ..ProsPr::new(steps, inner_rule(settings)?)
        })
    }
}

/// Builds the update rule of the inner steps from settings.
fn inner_rule(settings: &Settings<'_>) -> Result<UpdateRule> {
    let rule: String = settings.get("inner_optimizer")?;
    let lr = settings.get("inner_lr")?;
    let momentum = settings.get("inner_momentum")?;
    let nesterov: bool = settings.get("inner_nesterov")?;
    let weight_decay = settings.get("inner_weight_decay")?;
    if nesterov && (rule != "sgd" || momentum <= 0.0) {
        let reason = "needs `inner_optimizer` sgd and an `inner_momentum` above 0";
        return Err(setting("inner_nesterov", reason));
    }
    let sgd = Sgd::new(lr).momentum(momentum).weight_decay(weight_decay);
    match &rule[..] {
        "sgd" if nesterov => Ok(sgd.nesterov().into()),
        "sgd" => Ok(sgd.into()),
        "adam" if momentum != 0.0 => {
            let reason = "is for `inner_optimizer` sgd; Adam has its own";
            Err(setting("inner_momentum", reason))
        }
        "adam" => Ok(UpdateRule::Adam(Adam { weight_decay, ..Adam::new(lr) })),
        other => {
            let reason = format!("is `{other}`; write sgd or adam");
            Err(setting("inner_optimizer", &reason))
        }
    }
}

fn setting(name: &'static str, reason: &str) -> Error {
    Error::Setting { name, reason: reason.into() }
}

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

    fn predicted_peak(
        &self,
        net: &Net,
        params: &Params,
        state: &Params,
        batch: &Batch,
    ) -> Result<Option<u64>> {
        self.peak(net, params, state, batch)
    }
}
