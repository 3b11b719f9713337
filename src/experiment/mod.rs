//! One experiment: prunes a network at initialization, trains the kept weights, and tests it.

mod forecast;
mod probe;
mod pruning;

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context;

use crate::config::{RunConfig, to_toml};
use crate::datasets::{Augment, ImageSet, Loader, Skipped};
use crate::nn::{Net, Summary};
use crate::pruners::Mask;
use crate::results::{EpochRow, LayerResult, Results};
use crate::run_folder::{Checkpoint, Log, RunFolder, state_dict};
use crate::train::{Metrics, TrainState, Trainer, evaluate};
use crate::{DType, Device, Key, Params, Precision, TensorFile, models};

pub use probe::{Probe, ProbeRow};
pub use pruning::{Origin, Pruned};

/// An experiment that is ready to run: its settings with the data set, network and device that they name.
pub struct Experiment {
    /// The settings.
    pub config: RunConfig,
    /// The device on which everything runs.
    pub device: Device,
    /// The data set.
    pub data: ImageSet,
    /// The network.
    pub net: Net,
    /// Counter of damaged images that were left out. There is none if the settings do not allow to leave out images.
    pub skipped: Option<Arc<Skipped>>,
    /// Path of the mask of the same run without its check, if that mask exists already.
    pub unchecked_mask: Option<PathBuf>,
}

/// Values of a network before training.
pub struct Initial {
    /// Parameters.
    pub params: Params,
    /// Running statistics.
    pub state: Params,
}

/// Outcome of a call that runs an experiment.
pub enum Outcome {
    /// All epochs are done.
    Finished(Box<Results>),
    /// The watcher stopped the run, and a checkpoint is saved.
    Stopped {
        /// Number of completed epochs.
        epochs: usize,
        /// Number of completed training steps.
        steps: usize,
    },
}

/// An observer of a run.
pub trait Watch {
    /// Called with messages for the user.
    fn note(&mut self, text: &str);
    /// Called when the mask is ready.
    fn pruned(&mut self, pruned: &Pruned);
    /// Called after every step, with the number of batches in an epoch and the images per second in this epoch.
    /// Returning `Break` stops the run.
    fn step(&mut self, now: &TrainState, batches: usize, images_per_second: f64)
    -> ControlFlow<()>;
    /// Called after every epoch.
    fn epoch(&mut self, row: &EpochRow);
}

/// An observer that ignores everything.
pub struct Unwatched;

impl Watch for Unwatched {
    fn note(&mut self, _: &str) {}
    fn pruned(&mut self, _: &Pruned) {}
    fn step(&mut self, _: &TrainState, _: usize, _: f64) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
    fn epoch(&mut self, _: &EpochRow) {}
}

impl Experiment {
    /// Reads the data and builds the network.
    ///
    /// # Errors
    /// If a setting is out of range, or a file cannot be read or has another format.
    pub fn new(config: RunConfig, device: &Device) -> anyhow::Result<Experiment> {
        config.check()?;
        let network = &config.common.network;
        let mut data = crate::datasets::load(&network.data, network.data_dir.as_deref())?;
        if let Some(cache) = &network.data_cache {
            data = data.packed(cache)?;
        }
        let skipped = network.skip_bad.then(Arc::default);
        let net = models::by_name(&network.model, data.train.shape, data.classes)?;
        let Summary { output, .. } = Summary::of(&*net, data.train.shape, &Device::cpu());
        let expected = data.logits();
        anyhow::ensure!(
            output == expected,
            "{} gives logits of shape {output:?} for an image, but {} needs {expected:?}; choose another `model`",
            network.model,
            data.name
        );
        let prune = &config.common.prune;
        let pruning = match prune.prune_per_class {
            Some(_) => 0,
            None => prune.prune_batch_size,
        };
        for (name, size) in
            [("batch_size", config.common.train.batch_size), ("prune_batch_size", pruning)]
        {
            let images = data.train.len();
            anyhow::ensure!(
                size <= images,
                "`{name}` is {size}, but {} has {images} images to train with",
                data.name
            );
        }
        Ok(Experiment { config, device: device.clone(), data, net, skipped, unchecked_mask: None })
    }

    /// Random keys derived from the seed, for initial weights, pruning batches, training and checks.
    fn keys(&self) -> [Key; 4] {
        Key::new(self.config.seed).split()
    }

    /// Training data without augmentation, for pruners.
    fn pruning_data(&self) -> Loader {
        Loader {
            split: self.data.train.clone(),
            normalization: self.data.normalization.clone(),
            batch_size: self.config.common.prune.prune_batch_size,
            augment: Augment::default(),
            skipped: self.skipped.clone(),
            device: self.device.clone(),
            dtype: DType::F32,
        }
    }

    /// Training data with augmentation, for training.
    pub fn training_data(&self) -> Loader {
        let (train, usual) = (&self.config.common.train, self.data.augment);
        Loader {
            batch_size: train.batch_size,
            augment: Augment {
                crop_padding: train.crop_padding.unwrap_or(usual.crop_padding),
                flip: train.flip.unwrap_or(usual.flip),
                ..usual
            },
            ..self.pruning_data()
        }
    }

    /// Test data.
    fn test_data(&self) -> Loader {
        Loader {
            split: self.data.test.clone(),
            batch_size: 500.min(self.data.test.len()),
            ..self.pruning_data()
        }
    }

    /// The network's initial values: drawn from the seed, or read from the file that the setting `init` names.
    ///
    /// # Errors
    /// If that file is damaged or belongs to another network.
    pub fn initial(&self) -> anyhow::Result<Initial> {
        let Initial { mut params, mut state } = self.draw(self.keys()[0]);
        if let Some(path) = &self.config.common.network.init {
            let file = TensorFile::read(path)?;
            params = file.params_like("", &params, &self.device)?;
            state = file.params_like("", &state, &self.device)?;
        }
        Ok(Initial { params, state })
    }

    /// Initial values drawn from a key.
    fn draw(&self, key: Key) -> Initial {
        let image = self.data.train.shape;
        let (params, state) = self.net.init(key, &image, DType::F32, &self.device);
        Initial { params, state }
    }

    /// A trainer with the settings' optimizer and schedule; it keeps removed weights at zero.
    ///
    /// # Errors
    /// If the mask cannot be copied to the device.
    pub fn trainer(&self, mask: Option<&Mask>) -> anyhow::Result<Trainer> {
        let train = &self.config.common.train;
        let mask = match mask {
            Some(mask) => mask.tensors(DType::F32, &self.device)?,
            None => Params::new(),
        };
        Ok(Trainer::new(&self.net, train.optimizer())
            .schedule(train.schedule())
            .mask(mask)
            .precision(train.precision)
            .key(self.keys()[2]))
    }

    /// Loss and accuracies on the test data.
    ///
    /// # Errors
    /// If an image cannot be read, or the computation fails.
    pub fn evaluate(&self, params: &Params, state: &Params) -> anyhow::Result<Metrics> {
        let batches = self.test_data().in_order();
        evaluate(&self.net, params, state, batches.map(|b| Ok(b?)))
    }

    /// Prunes, trains and tests. If the folder holds an unfinished run, that run is continued.
    ///
    /// # Errors
    /// If pruning fails, an image cannot be read, a training loss is not finite, the computation fails, or a file of
    /// the folder cannot be read or written.
    pub fn run(&self, folder: &RunFolder, watch: &mut dyn Watch) -> anyhow::Result<Outcome> {
        if let Some(results) = folder.json("results.json")? {
            watch.note("this run is finished");
            return Ok(Outcome::Finished(results));
        }
        let initial = self.initial()?;
        let masked = folder.path("mask.safetensors").exists() || self.config.mask.is_some();
        watch.note(&self.forecast(!masked)?);
        if self.config.common.train.precision == Precision::Mixed {
            let (Ok(how) | Err(how)) = self.device.mixed_precision();
            watch.note(&format!("training in mixed precision: {how}"));
        }
        let pruned = self.prune(folder, &initial)?;
        if pruned.origin.seed != self.config.seed {
            watch.note(&format!(
                "the mask was made for the initial weights of seed {}, but seed {} is trained",
                pruned.origin.seed, self.config.seed
            ));
        }
        watch.pruned(&pruned);
        let trainer = self.trainer(pruned.mask.as_ref())?;
        let Initial { params, state } = &self.training_start(initial);
        let mut at = match folder.checkpoint(params, state, &self.device)? {
            Some(at) => {
                watch.note(&format!(
                    "continuing after {} epochs and {} steps",
                    at.train.epoch, at.train.step
                ));
                at
            }
            None => Checkpoint { train: trainer.start(params, state), log: Log::default() },
        };
        while at.train.epoch < self.config.common.train.epochs {
            let (next, whole) = self.epoch(&trainer, at, watch)?;
            at = next;
            let row = at.log.history.last().filter(|_| whole).copied();
            if let Some(row) = &row {
                let earlier = &at.log.history[..at.log.history.len() - 1];
                if earlier.iter().all(|e| e.test_top1 < row.test_top1) {
                    let TrainState { params, state, step, .. } = &at.train;
                    folder.save_best(&state_dict(params, state, *step)?)?;
                }
            }
            folder.save(&at)?;
            if let Some(note) = self.skip_note() {
                watch.note(&note);
            }
            match &row {
                Some(row) => watch.epoch(row),
                None => {
                    return Ok(Outcome::Stopped { epochs: at.train.epoch, steps: at.train.step });
                }
            }
        }
        let TrainState { params, state, step, .. } = &at.train;
        state_dict(params, state, *step)?.write(&folder.path("model.safetensors"))?;
        let results = self.results(&pruned, params, &at.log.history);
        folder.write_json("results.json", &results)?;
        Ok(Outcome::Finished(Box::new(results)))
    }

    /// Trains to the end of the epoch and tests, unless the watcher stops the run. Returns the new checkpoint, and true
    /// if the epoch is complete.
    fn epoch(
        &self,
        trainer: &Trainer,
        Checkpoint { train, mut log }: Checkpoint,
        watch: &mut dyn Watch,
    ) -> anyhow::Result<(Checkpoint, bool)> {
        let start = Instant::now();
        let loader = self.training_data();
        let (number, per_epoch) = (train.epoch, loader.batches_per_epoch());
        let mut batches = loader.epoch_from(trainer.key.fold_in(number as u64), train.seen.batches);
        let mut rate = 0.0;
        let (train, metrics) = trainer
            .epoch(train, batches.by_ref().map(|b| anyhow::Ok(b?)), |now| {
                let seconds = log.epoch_seconds + start.elapsed().as_secs_f64();
                rate = now.seen.images as f64 / seconds;
                watch.step(now, per_epoch, rate)
            })
            .with_context(|| format!("training stopped in epoch {}", number + 1))?;
        log.epoch_seconds += start.elapsed().as_secs_f64();
        log.epoch_waited += batches.waited().as_secs_f64();
        let Some(metrics) = metrics else {
            return Ok((Checkpoint { train, log }, false));
        };
        let start = Instant::now();
        let test = self.evaluate(&train.params, &train.state)?;
        log.seconds += log.epoch_seconds + start.elapsed().as_secs_f64();
        let data_wait = log.epoch_waited / log.epoch_seconds;
        (log.epoch_seconds, log.epoch_waited) = (0.0, 0.0);
        log.history.push(EpochRow {
            epoch: number + 1,
            lr: trainer.lr(number),
            train_loss: metrics.loss,
            train_top1: metrics.top1,
            test_loss: test.loss,
            test_top1: test.top1,
            test_top5: test.top5,
            images_per_second: rate,
            data_wait,
            seconds: log.seconds,
        });
        Ok((Checkpoint { train, log }, true))
    }

    /// Collects the results of a finished run.
    fn results(&self, pruned: &Pruned, params: &Params, history: &[EpochRow]) -> Results {
        let last = history.last().expect("there is an epoch");
        // Of several equal epochs, the first one.
        let best = history.iter().rev().max_by(|a, b| a.test_top1.total_cmp(&b.test_top1));
        let best = best.expect("there is an epoch");
        let sum = |f: fn(&LayerResult) -> usize| pruned.layers.iter().map(f).sum::<usize>();
        let (weights, kept) = (sum(|layer| layer.weights), sum(|layer| layer.kept));
        Results {
            version: env!("CARGO_PKG_VERSION").into(),
            pruner: pruned.origin.pruner.clone(),
            check: pruned.origin.check,
            model: self.config.common.network.model.clone(),
            data: self.data.name.clone(),
            sparsity_requested: pruned.origin.sparsity_requested,
            sparsity: 1.0 - kept as f64 / weights as f64,
            test_top1: last.test_top1,
            test_top5: last.test_top5,
            test_loss: last.test_loss,
            best_test_top1: best.test_top1,
            best_epoch: best.epoch,
            epochs: history.len(),
            params: params.numel(),
            params_kept: params.numel() - weights + kept,
            weights,
            weights_kept: kept,
            effective_sparsity: Some(pruned.effective_sparsity()),
            flops_kept: Some(pruned.flops_kept()),
            layers: pruned.layers.clone(),
            prune_seconds: pruned.seconds,
            train_seconds: last.seconds,
            device: self.device.to_string(),
            seed: self.config.seed,
        }
    }

    /// A message about damaged images, if any were left out.
    pub fn skip_note(&self) -> Option<String> {
        let (count, first) = self.skipped.as_ref()?.so_far()?;
        Some(format!(
            "damaged images were left out {count} times so far, the first because of {first}"
        ))
    }

    /// The text of the folder's `config.toml`.
    ///
    /// # Errors
    /// If a path has no text form.
    pub fn toml(&self) -> anyhow::Result<String> {
        to_toml(&self.config, Some(&self.device.to_string()))
    }
}
