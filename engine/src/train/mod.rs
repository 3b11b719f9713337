//! Training with a mask: pruned weights are zero before the first step and after every step.

use crate::nn::{Batch, Mode, Net, cross_entropy};
use crate::optim::{Optimizer, Schedule, Sgd, SgdState};
use crate::{Error, Key, Params, Result, Tensor, Tree, value_and_grad_aux};

/// What training changes.
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
}

crate::impl_tree!(TrainState { params, state, optimizer; step });

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
}

/// How well a network does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Metrics {
    /// Mean cross-entropy.
    pub loss: f64,
    /// Share of images whose largest logit is at the label.
    pub top1: f64,
    /// Share of images whose label is among the five largest logits.
    pub top5: f64,
}

impl Trainer {
    /// The state before the first step: masked parameters, no momentum.
    pub fn start(&self, params: &Params, state: &Params) -> TrainState {
        let params = self.masked(params);
        TrainState {
            optimizer: self.optimizer.init(&params),
            params,
            state: state.clone(),
            step: 0,
        }
    }

    fn masked(&self, params: &Params) -> Params {
        let mut masked = params.clone();
        for (name, _, mask) in self.mask.iter() {
            let role = params
                .role(name)
                .unwrap_or_else(|| panic!("the mask names `{name}`, which the network lacks"));
            masked.insert(name, role, &params[name] * mask);
        }
        masked
    }

    /// One epoch: the new state and the mean loss over its batches.
    ///
    /// # Errors
    /// [`Error::NonFinite`] names the first step whose loss is not finite; [`Error::Device`]; what the batches fail with.
    pub fn epoch<E: From<Error>>(
        &self,
        start: TrainState,
        epoch: usize,
        batches: impl Iterator<Item = Result<Batch, E>>,
    ) -> Result<(TrainState, f64), E> {
        let optimizer = self
            .optimizer
            .with_lr(self.optimizer.lr * self.schedule.factor(epoch));
        let (mut now, mut losses) = (start, Vec::new());
        for batch in batches {
            let (next, loss) = self.step(&now, &batch?, &optimizer);
            let mut leaves = next.leaves();
            leaves.push(loss.clone());
            crate::eval(&leaves)?;
            let loss = loss.item()?;
            if !loss.is_finite() {
                return Err(Error::NonFinite {
                    step: now.step,
                    what: "training loss".into(),
                }
                .into());
            }
            losses.push(loss);
            now = next;
        }
        Ok((now, losses.iter().sum::<f64>() / losses.len().max(1) as f64))
    }

    fn step(&self, now: &TrainState, batch: &Batch, optimizer: &Sgd) -> (TrainState, Tensor) {
        let mode = Mode::Train(self.key.fold_in(now.step as u64));
        let loss = |params: &Params| {
            let (logits, state) = self.net.apply(params, &now.state, &batch.images, mode);
            (cross_entropy(&logits, &batch.labels), state)
        };
        let ((loss, state), grads) = value_and_grad_aux(loss)(&now.params);
        let (params, momentum) = optimizer.update(&now.params, &grads, &now.optimizer);
        let next = TrainState {
            params: self.masked(&params),
            state,
            optimizer: momentum,
            step: now.step + 1,
        };
        (next, loss)
    }

    /// Loss and accuracies over all batches.
    ///
    /// # Errors
    /// [`Error::Device`]; what the batches fail with.
    pub fn evaluate<E: From<Error>>(
        &self,
        at: &TrainState,
        batches: impl Iterator<Item = Result<Batch, E>>,
    ) -> Result<Metrics, E> {
        let (mut count, mut loss, mut top1, mut top5) = (0.0, 0.0, 0.0, 0.0);
        for batch in batches {
            let batch = batch?;
            let n = batch.labels.numel() as f64;
            let (logits, _) = self
                .net
                .apply(&at.params, &at.state, &batch.images, Mode::Eval);
            count += n;
            loss += n * cross_entropy(&logits, &batch.labels).item()?;
            // The label's rank: how many logits are larger.
            let own = logits.gather(1, &batch.labels.reshape(&[batch.labels.numel(), 1]));
            let rank = logits
                .gt(&own)
                .to_dtype(logits.dtype())
                .sum_axes(&[1], false)
                .to_f64s()?;
            top1 += rank.iter().filter(|&&larger| larger < 1.0).count() as f64;
            top5 += rank.iter().filter(|&&larger| larger < 5.0).count() as f64;
        }
        Ok(Metrics {
            loss: loss / count,
            top1: top1 / count,
            top5: top5 / count,
        })
    }
}
