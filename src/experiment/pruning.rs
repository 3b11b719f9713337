//! Pruning, the first half of a run: scores and mask.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Experiment, Initial};
use crate::config::Check;
use crate::datasets::Loader;
use crate::nn::Batch;
use crate::pruners::{self, Mask, Method, Sparsity, Statistics, Task, inverted, prunable};
use crate::results::LayerResult;
use crate::run_folder::RunFolder;
use crate::{Key, TensorFile};

/// A mask, its origin and its statistics.
pub struct Pruned {
    /// The mask; none for a dense network.
    pub mask: Option<Mask>,
    /// Method, network and seed with which the mask was made.
    pub origin: Origin,
    /// Seconds spent on scores and mask; 0 for a mask that another run made.
    pub seconds: f64,
    /// The prunable layers; all weights of a dense network count as kept.
    pub layers: Vec<LayerResult>,
    /// Statistics of the mask; none for a dense network.
    pub statistics: Option<Statistics>,
}

/// Contents of `pruning.json`.
#[derive(Serialize, Deserialize)]
struct PruningFile {
    #[serde(flatten)]
    origin: Origin,
    prune_seconds: f64,
    #[serde(default)]
    effective_sparsity: Option<f64>,
    #[serde(default)]
    flops_kept: Option<f64>,
    layers: Vec<LayerResult>,
}

/// Origin of a mask; TOML in the metadata of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// Name of the pruning method.
    pub pruner: String,
    /// The sanity check that changed the mask, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Name of the network.
    pub model: String,
    /// Channels, height and width of its images.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<[usize; 3]>,
    /// Number of classes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classes: Option<usize>,
    /// Requested fraction of weights to remove.
    pub sparsity_requested: f64,
    /// Seed of the initial weights.
    pub seed: u64,
}

impl Experiment {
    /// Computes scores and mask with the settings, or reads the mask if the folder or the setting `mask` has one.
    ///
    /// # Errors
    /// If the method fails, an image cannot be read, the mask belongs to another network, or a file of the folder
    /// cannot be read or written.
    pub fn prune(&self, folder: &RunFolder, initial: &Initial) -> anyhow::Result<Pruned> {
        let config = &self.config;
        let weights = prunable(&initial.params);
        let mut origin = Origin {
            pruner: config.pruner.name.into(),
            check: config.check,
            model: config.common.network.model.clone(),
            image: Some(self.data.train.shape),
            classes: Some(self.data.classes),
            sparsity_requested: config.sparsity,
            seed: config.seed,
        };
        let own = folder.path("mask.safetensors");
        let given = if own.exists() { Some(&own) } else { config.mask.as_ref() };
        if let Some(path) = given {
            let (mask, text) = Mask::load(path, &weights)?;
            // Masks written by other programs do not tell their origin.
            origin = toml::from_str(&text).unwrap_or_else(|_| Origin {
                pruner: "mask".into(),
                sparsity_requested: mask.sparsity(),
                ..origin
            });
            let known = folder.json::<PruningFile>("pruning.json")?;
            let seconds = known.map_or(0.0, |file| file.prune_seconds);
            let pruned = self.pruned(Some(mask), origin, seconds, initial)?;
            if path != &own {
                pruned.save(folder)?;
            }
            return Ok(pruned);
        }
        if config.pruner == Method::DENSE {
            return self.pruned(None, origin, 0.0, initial);
        }
        let start = Instant::now();
        let mask = match (&self.unchecked_mask, config.check) {
            (Some(path), Some(Check::Shuffle | Check::Reinit)) => Mask::load(path, &weights)?.0,
            _ => self.chosen(folder, initial)?,
        };
        let mask = match config.check {
            Some(Check::Shuffle) => mask.shuffled(self.keys()[3]),
            _ => mask,
        };
        let seconds = start.elapsed().as_secs_f64();
        let pruned = self.pruned(Some(mask), origin, seconds, initial)?;
        pruned.save(folder)?;
        Ok(pruned)
    }

    /// Computes and saves the scores, and returns their mask.
    fn chosen(&self, folder: &RunFolder, initial: &Initial) -> anyhow::Result<Mask> {
        let config = &self.config;
        let mut settings = config.common.prune.clone();
        let inverts = config.check == Some(Check::Invert);
        if inverts {
            // Later iterations score only weights that earlier ones kept, so their lowest scores are removed weights.
            settings.iterations = Some(1);
        }
        let setup = settings.setup(config.pruner, config.sparsity)?;
        let loader = self.pruning_data();
        let scores = self.with_task(initial, loader, |task| setup.pruner.scores(task))?;
        let ranked = match inverts {
            true => &inverted(&scores),
            false => &scores,
        };
        let mask = Mask::new(ranked, Sparsity::new(config.sparsity)?, &setup.mask)?;
        let mut file = TensorFile::new(String::new());
        file.insert_all("", &scores)?;
        file.write(&folder.path("scores.safetensors"))?;
        Ok(mask)
    }

    /// Calls a function with the network and an endless iterator of batches. An error of a batch ends the iterator and
    /// is returned.
    pub(super) fn with_task<T>(
        &self,
        Initial { params, state }: &Initial,
        loader: Loader,
        f: impl FnOnce(&mut Task<'_>) -> pruners::Result<T>,
    ) -> anyhow::Result<T> {
        let key = self.keys()[1];
        let mut failed = None;
        let mut batches = self
            .pruning_batches(loader, key)?
            .map_while(|batch| batch.map_err(|e| failed = Some(e)).ok());
        let batches: &mut dyn Iterator<Item = Batch> = &mut batches;
        let found = f(&mut Task::new(&self.net, params, state, batches, key));
        match failed {
            Some(error) => Err(error.into()),
            None => Ok(found?),
        }
    }

    /// Number of images in a batch of pruning.
    pub(super) fn pruning_batch_size(&self) -> usize {
        let prune = &self.config.common.prune;
        let balanced = prune.prune_per_class.map(|k| k * self.data.classes);
        balanced.unwrap_or(prune.prune_batch_size)
    }

    /// An endless iterator of batches. Each pass over the data has another order, which the key determines.
    fn pruning_batches(
        &self,
        loader: Loader,
        key: Key,
    ) -> anyhow::Result<impl Iterator<Item = crate::datasets::Result<Batch>> + use<>> {
        let balanced = match self.config.common.prune.prune_per_class {
            Some(k) => Some(loader.balanced(self.data.classes, k)?),
            None => None,
        };
        let pass = move |key| match &balanced {
            Some(balanced) => balanced.epoch(key),
            None => loader.epoch(key),
        };
        let keys = std::iter::once(key).chain((1..).map(move |number| key.fold_in(number)));
        Ok(keys.flat_map(pass))
    }

    /// The network with which training starts: the scored one, or a newly drawn one for [`Check::Reinit`].
    pub fn training_start(&self, scored: Initial) -> Initial {
        if self.config.check != Some(Check::Reinit) {
            return scored;
        }
        self.draw(self.keys()[3])
    }

    fn pruned(
        &self,
        mask: Option<Mask>,
        origin: Origin,
        seconds: f64,
        initial: &Initial,
    ) -> anyhow::Result<Pruned> {
        let Initial { params, state } = initial;
        let statistics = match &mask {
            Some(mask) => {
                let image = self.data.train.shape;
                Some(Statistics::of(&*self.net, params, state, mask, image)?)
            }
            None => None,
        };
        let layer = |name: &str, weights: usize, kept: usize| LayerResult {
            name: name.into(),
            weights,
            kept,
            sparsity: 1.0 - kept as f64 / weights as f64,
        };
        let layers = match &mask {
            Some(mask) => {
                let layers = mask.layers().iter();
                layers.map(|l| layer(&l.name, l.keep.len(), l.kept())).collect()
            }
            None => {
                let weights = prunable(params);
                let weights = weights.iter();
                weights.map(|(name, _, w)| layer(name, w.numel(), w.numel())).collect()
            }
        };
        Ok(Pruned { mask, origin, seconds, layers, statistics })
    }
}

impl Pruned {
    /// Fraction of prunable weights that are removed or lie on no path from the input to the output.
    pub fn effective_sparsity(&self) -> f64 {
        let statistics = self.statistics.as_ref();
        statistics.map_or(0.0, Statistics::effective_sparsity)
    }

    /// Fraction of the prunable layers' FLOPs that the kept weights need.
    pub fn flops_kept(&self) -> f64 {
        self.statistics.as_ref().map_or(1.0, Statistics::flops_kept)
    }

    /// A warning if some layers lie on no path from the input to the output.
    pub fn collapse_note(&self) -> Option<String> {
        let collapsed: Vec<String> = self
            .statistics
            .iter()
            .flat_map(Statistics::collapsed)
            .map(|layer| {
                format!("`{}` ({} of {} weights kept)", layer.name, layer.kept, layer.weights)
            })
            .collect();
        let note = "layer collapse: no path from the input to the output passes";
        (!collapsed.is_empty()).then(|| format!("{note} {}", collapsed.join(", ")))
    }

    /// Writes the statistics, then the mask. An existing mask means that pruning is complete, so it comes last.
    fn save(&self, folder: &RunFolder) -> anyhow::Result<()> {
        let statistics = PruningFile {
            origin: self.origin.clone(),
            prune_seconds: self.seconds,
            effective_sparsity: Some(self.effective_sparsity()),
            flops_kept: Some(self.flops_kept()),
            layers: self.layers.clone(),
        };
        folder.write_json("pruning.json", &statistics)?;
        if let Some(mask) = &self.mask {
            mask.save(&folder.path("mask.safetensors"), &toml::to_string(&self.origin)?)?;
        }
        Ok(())
    }
}
