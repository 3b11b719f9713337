//! Training of a masked network: pruned weights are zero before the first step and after every step.

mod evaluation;
mod scale;
#[cfg(test)]
pub(crate) mod tests;

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::nn::{Batch, Mode, Net, cross_entropy, label_ranks};
use crate::optim::{Optimizer, Schedule, Sgd};
use prospr_engine::{
    DType, Error, Explanation, JitCache, Key, Params, Precision, Result, Tensor, Tree, explain,
    value_and_grad_aux,
};

pub use evaluation::{Metrics, Seen, evaluate, explain_evaluation};
pub use scale::LossScale;

/// Complete state of a training run: a run that is resumed from it gives the same results as one that never stopped.
#[derive(Clone)]
pub struct TrainState<O: Optimizer = Sgd> {
    /// Parameters.
    pub params: Params,
    /// Running statistics.
    pub state: Params,
    /// State of the optimiser, such as momentum.
    pub optimizer: O::State<Params>,
    /// Number of finished steps.
    pub step: usize,
    /// Number of finished epochs.
    pub epoch: usize,
    /// Sums over the batches of the unfinished epoch.
    pub seen: Seen,
    /// Loss scale of mixed precision.
    pub loss_scale: LossScale,
}

/// Training on the cross-entropy of a network whose masked weights stay zero, by any optimiser.
#[derive(Clone)]
pub struct Trainer<O: Optimizer = Sgd> {
    net: Net,
    /// The optimiser; its learning rate is the base of the schedule.
    pub optimizer: O,
    /// Factor of the learning rate by epoch.
    pub schedule: Schedule,
    /// Zeros and ones by the names of pruned weights; empty for a dense network.
    pub mask: Params,
    /// Random key of dropout.
    pub key: Key,
    /// Numeric precision of the convolutions and matrix products in training steps. Evaluation is in f32.
    pub precision: Precision,
    /// Compiled steps of this network.
    compiled: Arc<JitCache<StepOutput<O>>>,
}

/// Everything that a training step depends on, except the network and the random key.
#[derive(Clone, Tree)]
struct StepInput<O: Optimizer> {
    params: Params,
    /// Running statistics.
    state: Params,
    optimizer: O::State<Params>,
    mask: Params,
    batch: Batch,
    /// Factor of the loss in mixed precision.
    factor: Option<Tensor>,
    /// The optimiser at the learning rate of this step.
    rule: O,
}

/// Results of a training step.
#[derive(Clone, Tree)]
struct StepOutput<O: Optimizer> {
    params: Params,
    /// Running statistics.
    state: Params,
    optimizer: O::State<Params>,
    loss: Tensor,
    /// Ranks of the labels among the logits.
    ranks: Tensor,
    /// Nonzero if all scaled gradients are finite; in mixed precision only.
    finite: Option<Tensor>,
}

impl<O: Optimizer> Trainer<O> {
    /// A trainer of a dense network at a constant learning rate.
    pub fn new(net: &Net, optimizer: O) -> Trainer<O> {
        Trainer {
            net: net.clone(),
            optimizer,
            schedule: Schedule::Constant,
            mask: Params::new(),
            key: Key::new(0),
            precision: Precision::F32,
            compiled: Arc::default(),
        }
    }

    /// Sets the mask, whose zeros are the weights that stay zero.
    pub fn mask(self, mask: Params) -> Trainer<O> {
        Trainer { mask, ..self }
    }

    /// Sets the factor of the learning rate by epoch.
    pub fn schedule(self, schedule: Schedule) -> Trainer<O> {
        Trainer { schedule, ..self }
    }

    /// Sets the random key of dropout.
    pub fn key(self, key: Key) -> Trainer<O> {
        Trainer { key, ..self }
    }

    /// Sets the numeric precision of training steps.
    pub fn precision(self, precision: Precision) -> Trainer<O> {
        Trainer { precision, ..self }
    }

    /// The learning rate of an epoch, counted from 0.
    pub fn lr(&self, epoch: usize) -> f64 {
        self.optimizer.lr() * self.schedule.factor(epoch)
    }

    /// The state before the first step: masked parameters, no momentum.
    ///
    /// # Panics
    /// If the mask names a parameter that the network lacks.
    pub fn start(&self, params: &Params, state: &Params) -> TrainState<O> {
        let params = masked(params, &self.mask);
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

    /// The function that a training step computes; `key` is for dropout.
    fn function(&self, key: Key) -> impl Fn(&StepInput<O>) -> StepOutput<O> {
        let net = self.net.clone();
        move |input| {
            let loss = |params: &Params| {
                let images = &input.batch.images;
                let (logits, state) = net.apply(params, &input.state, images, Mode::Train(key));
                let loss = cross_entropy(&logits, &input.batch.labels);
                let scaled = match &input.factor {
                    Some(factor) => &loss * factor,
                    None => loss.clone(),
                };
                (scaled, (loss, state, logits))
            };
            let ((_, (loss, state, logits)), mut grads) = value_and_grad_aux(loss)(&input.params);
            let mut finite = None;
            if let Some(factor) = &input.factor {
                let all = grads.leaves().iter().map(Tensor::all_finite).reduce(|a, b| a.and(&b));
                finite = all;
                grads = grads.map_leaves(|g| g / factor);
            }
            let ranks = label_ranks(&logits, &input.batch.labels);
            let (params, optimizer) = input.rule.update(&input.params, &grads, &input.optimizer);
            StepOutput {
                params: masked(&params, &input.mask),
                state,
                optimizer,
                loss,
                ranks,
                finite,
            }
        }
    }

    /// The input of a training step, and its random key.
    fn input(&self, now: &TrainState<O>, batch: &Batch) -> (StepInput<O>, Key) {
        let factor = || Tensor::full(now.loss_scale.factor, &[], DType::F32, batch.images.device());
        let input = StepInput {
            params: now.params.clone(),
            state: now.state.clone(),
            optimizer: now.optimizer.clone(),
            mask: self.mask.clone(),
            batch: batch.clone(),
            factor: (self.precision == Precision::Mixed).then(factor),
            rule: self.optimizer.with_lr(self.lr(now.epoch)),
        };
        (input, self.key.fold_in(now.step as u64))
    }

    /// The plan of a [`step`](Trainer::step). Nothing is computed; the plan depends only on shapes, types and
    /// devices of the tensors.
    ///
    /// # Errors
    /// Those of [`explain`](prospr_engine::explain()).
    pub fn explain(&self, now: &TrainState<O>, batch: &Batch) -> Result<Explanation> {
        let (input, key) = self.input(now, batch);
        explain(self.function(key), &input)
    }

    /// Runs one step and waits for its results. Steps that draw no random numbers are compiled once for each
    /// batch size,
    /// each learning rate and each static field of the optimiser's state.
    ///
    /// # Errors
    /// [`Error::NonFinite`] if the loss before the step is not finite, or if in mixed precision the gradients are finite at
    /// no [scale](LossScale); [`Error::Device`].
    pub fn step(&self, now: &TrainState<O>, batch: &Batch) -> Result<TrainState<O>> {
        let (input, key) = self.input(now, batch);
        let output = self.compiled.call(self.precision, self.function(key), &input)?;
        let not_finite = |what: &str| Error::NonFinite { step: now.step, what: what.into() };
        let loss = output.loss.item()?;
        if !loss.is_finite() {
            return Err(not_finite("training loss"));
        }
        let mut next = TrainState { step: now.step + 1, ..now.clone() };
        let mut good = true;
        if let Some(finite) = output.finite {
            good = finite.item()? != 0.0;
            let scale = now.loss_scale.after(good);
            next.loss_scale = scale.ok_or_else(|| not_finite("gradients in f16"))?;
        }
        if good {
            next.params = output.params;
            next.state = output.state;
            next.optimizer = output.optimizer;
        }
        next.seen.add(batch, loss, &output.ranks.to_f64s()?);
        Ok(next)
    }

    /// Trains for the rest of an epoch; `batches` must begin at batch `now.seen.batches` of the epoch. `watch` gets the
    /// state after every step and may stop the epoch. Returns the new state, and the training metrics of the
    /// epoch if it
    /// finished (`None` if `watch` stopped it).
    ///
    /// # Errors
    /// Those of [`Trainer::step`], and errors of the batches.
    pub fn epoch<E: From<Error>>(
        &self,
        mut now: TrainState<O>,
        batches: impl IntoIterator<Item = Result<Batch, E>>,
        mut watch: impl FnMut(&TrainState<O>) -> ControlFlow<()>,
    ) -> Result<(TrainState<O>, Option<Metrics>), E> {
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

    /// Trains from the first step for some epochs; `batches` makes the batches of an epoch, counted from 0.
    ///
    /// # Errors
    /// Those of [`Trainer::step`], and errors of the batches.
    pub fn fit<E: From<Error>, I: IntoIterator<Item = Result<Batch, E>>>(
        &self,
        params: &Params,
        state: &Params,
        epochs: usize,
        mut batches: impl FnMut(usize) -> I,
    ) -> Result<TrainState<O>, E> {
        let mut now = self.start(params, state);
        for epoch in 0..epochs {
            (now, _) = self.epoch(now, batches(epoch), |_| ControlFlow::Continue(()))?;
        }
        Ok(now)
    }

    /// Loss and accuracies over all batches, in evaluation mode.
    ///
    /// # Errors
    /// [`Error::Device`], and errors of the batches.
    pub fn evaluate<E: From<Error>>(
        &self,
        at: &TrainState<O>,
        batches: impl IntoIterator<Item = Result<Batch, E>>,
    ) -> Result<Metrics, E> {
        evaluate(&self.net, &at.params, &at.state, batches)
    }
}

/// Returns the parameters, each multiplied by its mask if it has one.
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
