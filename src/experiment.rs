//! One experiment: prune a network at initialization, train what is left, test it.

use std::sync::Arc;
use std::time::Instant;

use crate::datasets::{Augment, ImageSet, Loader};
use crate::models::LeNet5;
use crate::nn::{Batch, Net};
use crate::optim::{Schedule, Sgd};
use crate::pruners::{Mask, MaskOptions, ProsPr, Pruner, Random, Sparsity, Task};
use crate::train::{Metrics, Trainer};
use crate::{DType, Device, Key, Params};

/// A pruning method by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Method {
    /// No pruning.
    Dense,
    /// Meta-gradients through the first steps of training (Alizadeh et al., 2022).
    Prospr,
    /// ProsPr without inner steps (Lee et al., 2019).
    Snip,
    /// ProsPr's first-order approximation.
    ProsprFirstOrder,
    /// Uniformly at random.
    Random,
}

impl Method {
    /// The method with its usual options; none for a dense network.
    pub fn pruner(self, steps: usize, inner: Sgd) -> Option<Box<dyn Pruner>> {
        match self {
            Method::Dense => None,
            Method::Prospr => Some(Box::new(ProsPr::new(steps, inner))),
            Method::Snip => Some(Box::new(ProsPr::new(0, inner))),
            Method::ProsprFirstOrder => Some(Box::new(ProsPr::new(steps, inner).first_order())),
            Method::Random => Some(Box::new(Random)),
        }
    }
}

/// What is run.
#[derive(Clone, Debug)]
pub struct Experiment {
    /// The method.
    pub method: Method,
    /// The fraction of weights to remove.
    pub sparsity: f64,
    /// Draws the initial weights, the pruning batches and the order of training.
    pub seed: u64,
    /// Passes over the training data.
    pub epochs: usize,
    /// Images a batch, in pruning and in training.
    pub batch_size: usize,
    /// The update rule of training.
    pub optimizer: Sgd,
    /// Its learning rate by epoch.
    pub schedule: Schedule,
    /// Inner steps of ProsPr.
    pub steps: usize,
    /// The update rule of ProsPr's inner steps.
    pub inner: Sgd,
    /// How many weights each layer keeps in any case.
    pub min_per_layer: usize,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The fraction of weights that was removed.
    pub sparsity: f64,
    /// Prunable weights, and how many of them stayed.
    pub weights: (usize, usize),
    /// On the test data, after training.
    pub test: Metrics,
    /// Seconds for scores and mask.
    pub prune_seconds: f64,
    /// Seconds for training and testing.
    pub train_seconds: f64,
}

impl Experiment {
    /// Runs it; `progress` hears of every epoch: its number, mean training loss and test metrics.
    ///
    /// # Errors
    /// Those of the pruner, the data and the engine.
    pub fn run(
        &self,
        data: &ImageSet,
        device: &Device,
        progress: &mut dyn FnMut(usize, f64, &Metrics),
    ) -> anyhow::Result<Outcome> {
        let [init_key, prune_key, train_key] = Key::new(self.seed).split();
        let net: Net = Arc::new(LeNet5 {
            classes: data.classes,
        });
        let (params, state) = net.init(init_key, DType::F32, device);
        let loader = |train: bool| Loader {
            split: if train {
                data.train.clone()
            } else {
                data.test.clone()
            },
            normalization: data.normalization.clone(),
            batch_size: if train { self.batch_size } else { 500 },
            augment: Augment::default(),
            device: device.clone(),
            dtype: DType::F32,
        };
        let train = loader(true);

        let start = Instant::now();
        let weights = crate::pruners::prunable(&params).numel();
        let mut mask = Params::new();
        let mut kept = weights;
        if let Some(pruner) = self.method.pruner(self.steps, self.inner) {
            let mut failed = None;
            let mut batches = train
                .epoch(prune_key)
                .map_while(|batch| batch.map_err(|e| failed = Some(e)).ok());
            let batches: &mut dyn Iterator<Item = Batch> = &mut batches;
            let mut task = Task {
                net: &net,
                params: &params,
                state: &state,
                batches,
                key: prune_key,
            };
            let scores = pruner.scores(&mut task);
            if let Some(error) = failed {
                return Err(error.into());
            }
            let options = MaskOptions {
                min_per_layer: self.min_per_layer,
            };
            let chosen = Mask::global(&scores?, Sparsity::new(self.sparsity)?, options)?;
            kept = chosen.kept();
            mask = chosen.tensors(DType::F32, device)?;
        }
        let prune_seconds = start.elapsed().as_secs_f64();

        let start = Instant::now();
        let trainer = Trainer {
            net,
            optimizer: self.optimizer,
            schedule: self.schedule.clone(),
            mask,
            key: train_key,
        };
        let mut now = trainer.start(&params, &state);
        let mut test = Metrics {
            loss: f64::NAN,
            top1: f64::NAN,
            top5: f64::NAN,
        };
        for epoch in 0..self.epochs {
            let batches = train
                .epoch(train_key.fold_in(epoch as u64))
                .map(|b| b.map_err(anyhow::Error::from));
            let (next, loss) = trainer.epoch(now, epoch, batches)?;
            now = next;
            test = trainer.evaluate(
                &now,
                loader(false)
                    .in_order()
                    .map(|b| b.map_err(anyhow::Error::from)),
            )?;
            progress(epoch, loss, &test);
        }
        let train_seconds = start.elapsed().as_secs_f64();
        let sparsity = 1.0 - kept as f64 / weights as f64;
        Ok(Outcome {
            sparsity,
            weights: (weights, kept),
            test,
            prune_seconds,
            train_seconds,
        })
    }
}
