//! Training with a mask: pruned weights are zero before the first step and after every step.

mod evaluation;
mod scale;
#[cfg(test)]
pub(crate) mod tests;

use std::ops::ControlFlow;
use std::sync::{Arc, Mutex};

use crate::nn::{Batch, Mode, Net, cross_entropy, label_ranks};
use crate::optim::{Optimizer, Schedule, Sgd, SgdState};
use prospr_engine::{
    Compiled, DType, Error, Explanation, Key, Params, Precision, Result, Tensor, Tree, explain,
    value_and_grad_aux,
};

pub use evaluation::{Metrics, Seen, evaluate, explain_evaluation};
pub use scale::LossScale;

/// What training changes: all of it, so that a run which starts again from here goes on as if never stopped.
#[derive(Clone)]
pub struct TrainState {
    /// Parameters.
    pub params: Params,
    /// Running statistics.
    pub state: Params,
    /// Momentum.
    pub optimizer: SgdState<Params>,
    /// Steps done.
    pub step: usize,
    /// Epochs done.
    pub epoch: usize,
    /// What the unfinished epoch has seen.
    pub seen: Seen,
    /// Of mixed precision.
    pub loss_scale: LossScale,
}

prospr_engine::impl_tree!(TrainState { params, state, optimizer; step, epoch, seen, loss_scale });

/// Stochastic gradient descent on the cross-entropy of a network whose masked weights stay zero.
#[derive(Clone)]
pub struct Trainer {
    /// The network.
    pub net: Net,
    /// The update rule; its learning rate is the base of the schedule.
    pub optimizer: Sgd,
    /// The learning rate's factor by epoch.
    pub schedule: Schedule,
    /// Zeros and ones by the names of pruned weights; empty for a dense network.
    pub mask: Params,
    /// For dropout.
    pub key: Key,
    /// In what steps multiply. Tests are in f32.
    pub precision: Precision,
    /// Steps that were compiled, by what they depend on beside tensors; the last ones.
    plans: Arc<Mutex<Vec<Plan>>>,
}

/// Parameters, running statistics, momentum, mask, batch, factor of the loss in mixed precision.
type StepIn = (
    Params,
    Params,
    SgdState<Params>,
    Params,
    Batch,
    Option<Tensor>,
);
/// Parameters, running statistics, momentum, loss, ranks of the labels, whether scaled gradients are finite.
type StepOut = (
    Params,
    Params,
    SgdState<Params>,
    Tensor,
    Tensor,
    Option<Tensor>,
);

/// A compiled step, and what it depends on beside tensors.
struct Plan {
    net: Net,
    rule: Sgd,
    precision: Precision,
    step: Arc<Compiled<StepOut>>,
}

/// Compiled steps that a trainer keeps: for a few sizes of batches at one learning rate.
const PLANS: usize = 4;

impl Trainer {
    /// A dense network at a constant learning rate.
    pub fn new(net: &Net, optimizer: Sgd) -> Trainer {
        Trainer {
            net: net.clone(),
            optimizer,
            schedule: Schedule::Constant,
            mask: Params::new(),
            key: Key::new(0),
            precision: Precision::F32,
            plans: Arc::default(),
        }
    }

    /// With these weights at zero.
    pub fn mask(self, mask: Params) -> Trainer {
        Trainer { mask, ..self }
    }

    /// With another learning rate by epoch.
    pub fn schedule(self, schedule: Schedule) -> Trainer {
        Trainer { schedule, ..self }
    }

    /// With other random numbers.
    pub fn key(self, key: Key) -> Trainer {
        Trainer { key, ..self }
    }

    /// In another precision.
    pub fn precision(self, precision: Precision) -> Trainer {
        Trainer { precision, ..self }
    }

    /// The learning rate of an epoch, counted from 0.
    pub fn lr(&self, epoch: usize) -> f64 {
        self.optimizer.lr * self.schedule.factor(epoch)
    }

    /// The state before the first step: masked parameters, no momentum.
    ///
    /// # Panics
    /// If the mask names a parameter that the network lacks.
    pub fn start(&self, params: &Params, state: &Params) -> TrainState {
        let params = self.masked(params);
        TrainState {
            optimizer: self.optimizer.init(&params),
            params,
            state: state.clone(),
            step: 0,
            epoch: 0,
            seen: Seen::default(),
            loss_scale: LossScale::default(),
        }
    }

    fn masked(&self, params: &Params) -> Params {
        masked(params, &self.mask)
    }

    /// What a step computes.
    fn function(&self, rule: Sgd, key: Key) -> impl Fn(&StepIn) -> StepOut {
        let net = self.net.clone();
        move |(params, state, momentum, mask, batch, factor)| {
            let loss = |params: &Params| {
                let (logits, state) = net.apply(params, state, &batch.images, Mode::Train(key));
                let loss = cross_entropy(&logits, &batch.labels);
                let scaled = match factor {
                    Some(factor) => &loss * factor,
                    None => loss.clone(),
                };
                (scaled, (loss, state, logits))
            };
            let ((_, (loss, state, logits)), mut grads) = value_and_grad_aux(loss)(params);
            let mut finite = None;
            if let Some(factor) = factor {
                let all = grads
                    .leaves()
                    .iter()
                    .map(Tensor::all_finite)
                    .reduce(|a, b| a.and(&b));
                finite = all;
                grads = grads.map_leaves(|g| g / factor);
            }
            let ranks = label_ranks(&logits, &batch.labels);
            let (params, momentum) = rule.update(params, &grads, momentum);
            (masked(&params, mask), state, momentum, loss, ranks, finite)
        }
    }

    /// What a step depends on.
    fn input(&self, now: &TrainState, batch: &Batch) -> (StepIn, Sgd, Key) {
        let factor = || {
            Tensor::full(
                now.loss_scale.factor,
                &[],
                DType::F32,
                batch.images.device(),
            )
        };
        let input = (
            now.params.clone(),
            now.state.clone(),
            now.optimizer.clone(),
            self.mask.clone(),
            batch.clone(),
            (self.precision == Precision::Mixed).then(factor),
        );
        let rule = self.optimizer.with_lr(self.lr(now.epoch));
        (input, rule, self.key.fold_in(now.step as u64))
    }

    /// The plan of a [`step`](Trainer::step). Nothing is computed, and of the tensors only shapes, types and devices
    /// count.
    ///
    /// # Errors
    /// Those of [`explain`](prospr_engine::explain()).
    pub fn explain(&self, now: &TrainState, batch: &Batch) -> Result<Explanation> {
        let (input, rule, key) = self.input(now, batch);
        explain(self.function(rule, key), &input)
    }

    /// One step, computed when this returns. Steps are compiled once for each size of a batch, if they draw no
    /// random numbers.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the loss before the step is not finite, or in mixed precision the gradients at no
    /// [scale](LossScale); [`Error::Device`].
    pub fn step(&self, now: &TrainState, batch: &Batch) -> Result<TrainState> {
        let (input, rule, key) = self.input(now, batch);
        let step = self.compiled(rule, key, &input)?;
        let (params, state, optimizer, loss, ranks, finite) = step.call(&input.leaves())?;
        let not_finite = |what: &str| Error::NonFinite {
            step: now.step,
            what: what.into(),
        };
        let loss = loss.item()?;
        if !loss.is_finite() {
            return Err(not_finite("training loss"));
        }
        let mut next = TrainState {
            step: now.step + 1,
            ..now.clone()
        };
        let mut good = true;
        if let Some(finite) = finite {
            good = finite.item()? != 0.0;
            let scale = now.loss_scale.after(good);
            next.loss_scale = scale.ok_or_else(|| not_finite("gradients in f16"))?;
        }
        if good {
            (next.params, next.state, next.optimizer) = (params, state, optimizer);
        }
        next.seen.add(batch, loss, &ranks.to_f64s()?);
        Ok(next)
    }

    fn compiled(&self, rule: Sgd, key: Key, input: &StepIn) -> Result<Arc<Compiled<StepOut>>> {
        let mut plans = self
            .plans
            .lock()
            .unwrap_or_else(|poisoned| poisoned.into_inner());
        let leaves = input.leaves();
        let fits = |plan: &&Plan| {
            Arc::ptr_eq(&plan.net, &self.net)
                && (plan.rule, plan.precision) == (rule, self.precision)
                && plan.step.fits(&leaves)
        };
        if let Some(plan) = plans.iter().find(fits) {
            return Ok(plan.step.clone());
        }
        let step = Compiled::new(self.function(rule, key), input, self.precision)?;
        let step = Arc::new(step.expect("no transform is running"));
        if !step.is_random() {
            if plans.len() == PLANS {
                plans.remove(0);
            }
            plans.push(Plan {
                net: self.net.clone(),
                rule,
                precision: self.precision,
                step: step.clone(),
            });
        }
        Ok(step)
    }

    /// The rest of an epoch: steps on `batches`, which begin at number `now.seen.batches` of the epoch. `watch` sees the
    /// state after every step and may break off. At the end of the batches the epoch counts as done, and its
    /// training metrics come with the state; they are missing where `watch` broke off.
    ///
    /// # Errors
    /// Those of [`Trainer::step`]; what the batches fail with.
    pub fn epoch<E: From<Error>>(
        &self,
        mut now: TrainState,
        batches: impl IntoIterator<Item = Result<Batch, E>>,
        mut watch: impl FnMut(&TrainState) -> ControlFlow<()>,
    ) -> Result<(TrainState, Option<Metrics>), E> {
        for batch in batches {
            now = self.step(&now, &batch?)?;
            if watch(&now).is_break() {
                return Ok((now, None));
            }
        }
        let metrics = now.seen.metrics();
        now.seen = Seen::default();
        now.epoch += 1;
        Ok((now, Some(metrics)))
    }

    /// Whole epochs from the first step on; `batches` gives those of an epoch, counted from 0.
    ///
    /// # Errors
    /// Those of [`Trainer::step`]; what the batches fail with.
    pub fn fit<E: From<Error>, I: IntoIterator<Item = Result<Batch, E>>>(
        &self,
        params: &Params,
        state: &Params,
        epochs: usize,
        mut batches: impl FnMut(usize) -> I,
    ) -> Result<TrainState, E> {
        let mut now = self.start(params, state);
        for epoch in 0..epochs {
            (now, _) = self.epoch(now, batches(epoch), |_| ControlFlow::Continue(()))?;
        }
        Ok(now)
    }

    /// Loss and accuracies over all batches, in evaluation mode.
    ///
    /// # Errors
    /// [`Error::Device`]; what the batches fail with.
    pub fn evaluate<E: From<Error>>(
        &self,
        at: &TrainState,
        batches: impl IntoIterator<Item = Result<Batch, E>>,
    ) -> Result<Metrics, E> {
        evaluate(&self.net, &at.params, &at.state, batches)
    }
}

fn masked(params: &Params, mask: &Params) -> Params {
    let mut masked = params.clone();
    for (name, _, mask) in mask.iter() {
        let role = params
            .role(name)
            .unwrap_or_else(|| panic!("the mask names `{name}`, which the network lacks"));
        masked.insert(name, role, &params[name] * mask);
    }
    masked
}
