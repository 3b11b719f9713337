//! The first half of a run: scores and mask.

use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::{Experiment, Initial};
use crate::nn::Batch;
use crate::pruners::{Mask, Sparsity, Task, prunable};
use crate::results::LayerResult;
use crate::run_folder::RunFolder;
use crate::{Key, Params, TensorFile};

/// Which weights stay, and how that came.
pub struct Pruned {
    /// None for a dense network.
    pub mask: Option<Mask>,
    /// What is known of its making.
    pub origin: Origin,
    /// Seconds for scores and mask; none for a mask that was given.
    pub seconds: f64,
    /// The prunable layers, whole for a dense network.
    pub layers: Vec<LayerResult>,
}

/// `pruning.json`
#[derive(Serialize, Deserialize)]
struct PruningFile {
    #[serde(flatten)]
    origin: Origin,
    prune_seconds: f64,
    layers: Vec<LayerResult>,
}

/// The text beside a mask in its file, as TOML.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Origin {
    /// The method's name.
    pub pruner: String,
    /// The network's name.
    pub model: String,
    /// The fraction of weights that was to be removed.
    pub sparsity_requested: f64,
    /// The seed of the initial weights.
    pub seed: u64,
}

impl Experiment {
    /// Scores and mask, as the configuration says; a mask that the folder has is taken as it is.
    ///
    /// # Errors
    /// Those of the pruner, the data, the engine and the folder.
    pub fn prune(&self, folder: &RunFolder, initial: &Initial) -> anyhow::Result<Pruned> {
        let config = &self.config;
        let weights = prunable(&initial.params);
        let mut origin = Origin {
            pruner: config.pruner.name(),
            model: config.common.network.model.clone(),
            sparsity_requested: config.sparsity,
            seed: config.seed,
        };
        let own = folder.path("mask.safetensors");
        let given = if own.exists() {
            Some(&own)
        } else {
            config.mask.as_ref()
        };
        if let Some(path) = given {
            let (mask, text) = Mask::load(path, &weights)?;
            // A mask of other makers tells nothing of its origin.
            origin = toml::from_str(&text).unwrap_or_else(|_| Origin {
                pruner: "mask".into(),
                sparsity_requested: mask.sparsity(),
                ..origin
            });
            let known = folder.json::<PruningFile>("pruning.json")?;
            let seconds = known.map_or(0.0, |file| file.prune_seconds);
            let pruned = Pruned::new(Some(mask), origin, seconds, &weights);
            if path != &own {
                pruned.save(folder)?;
            }
            return Ok(pruned);
        }
        let start = Instant::now();
        let Some(pruner) = config
            .pruner
            .pruner(&config.common.prune, config.sparsity)?
        else {
            return Ok(Pruned::new(None, origin, 0.0, &weights));
        };
        let key = self.keys()[1];
        let mut failed = None;
        let mut batches = self
            .pruning_batches(key)?
            .map_while(|batch| batch.map_err(|e| failed = Some(e)).ok());
        let batches: &mut dyn Iterator<Item = Batch> = &mut batches;
        let Initial { params, state } = initial;
        let mut task = Task::new(&self.net, params, state, batches, key);
        let scores = pruner.scores(&mut task);
        if let Some(error) = failed {
            return Err(error.into());
        }
        let scores = scores?;
        let options = config.pruner.mask(&config.common.prune);
        let mask = Mask::new(&scores, Sparsity::new(config.sparsity)?, &options)?;
        let seconds = start.elapsed().as_secs_f64();
        let mut file = TensorFile::new(String::new());
        file.insert_all("", &scores)?;
        file.write(&folder.path("scores.safetensors"))?;
        let pruned = Pruned::new(Some(mask), origin, seconds, &weights);
        pruned.save(folder)?;
        Ok(pruned)
    }
}

impl Experiment {
    /// Images of a batch in pruning.
    pub(super) fn pruning_batch_size(&self) -> usize {
        let prune = &self.config.common.prune;
        let balanced = prune.prune_per_class.map(|k| k * self.data.classes);
        balanced.unwrap_or(prune.prune_batch_size)
    }

    /// Batches without end: one pass over the data in the order of the key, and others in other orders.
    fn pruning_batches(
        &self,
        key: Key,
    ) -> anyhow::Result<impl Iterator<Item = crate::datasets::Result<Batch>> + use<>> {
        let loader = self.pruning_data();
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
}

impl Pruned {
    fn new(mask: Option<Mask>, origin: Origin, seconds: f64, weights: &Params) -> Pruned {
        let layer = |name: &str, weights: usize, kept: usize| LayerResult {
            name: name.into(),
            weights,
            kept,
            sparsity: 1.0 - kept as f64 / weights as f64,
        };
        let layers = match &mask {
            Some(mask) => {
                let layers = mask.layers().iter();
                layers
                    .map(|l| layer(&l.name, l.keep.len(), l.kept()))
                    .collect()
            }
            None => {
                let weights = weights.iter();
                weights
                    .map(|(name, _, w)| layer(name, w.numel(), w.numel()))
                    .collect()
            }
        };
        Pruned {
            mask,
            origin,
            seconds,
            layers,
        }
    }

    /// Writes the statistics and then the mask, which shows that pruning is done.
    fn save(&self, folder: &RunFolder) -> anyhow::Result<()> {
        let statistics = PruningFile {
            origin: self.origin.clone(),
            prune_seconds: self.seconds,
            layers: self.layers.clone(),
        };
        folder.write_json("pruning.json", &statistics)?;
        if let Some(mask) = &self.mask {
            mask.save(
                &folder.path("mask.safetensors"),
                &toml::to_string(&self.origin)?,
            )?;
        }
        Ok(())
    }
}
