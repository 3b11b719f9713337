//! Settings of runs. A setting has one name, on the command line, in TOML and JSON files and in the `config.toml` of
//! run folders; its doc comment is the command line's help.

mod check;
pub(crate) mod merge;
mod probe;
mod prune;
mod values;

use std::path::PathBuf;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::Precision;
use crate::optim::{Schedule, Sgd};
use crate::pruners::{Method, Sparsity};

pub use check::Check;
pub use merge::{Layered, Settings, to_toml};
pub use probe::ProbeConfig;
pub use prune::PruneSettings;
pub use values::method;

/// Settings of one run.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct RunConfig {
    /// Pruning method.
    #[arg(long, default_value = "prospr", value_parser = values::method(), help_heading = "Pruning")]
    pub pruner: Method,
    /// Fraction of weights to remove.
    #[arg(long, default_value_t = 0.98, help_heading = "Pruning")]
    pub sparsity: f64,
    /// Train with this mask instead of choosing one.
    #[arg(long, value_name = "FILE", help_heading = "Pruning")]
    pub mask: Option<PathBuf>,
    /// Sanity check: shuffle the mask within layers, draw new weights for training, or invert the scores.
    #[arg(long, value_enum, help_heading = "Pruning")]
    pub check: Option<Check>,
    /// Seed of the initial weights, the pruning batches and the order of training.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    /// Settings that runs and comparisons share.
    pub common: Common,
}

/// Settings of a comparison of several pruners, sparsities and seeds.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct CompareConfig {
    /// Methods to compare.
    #[arg(
        long,
        value_parser = values::method(),
        value_delimiter = ',',
        default_value = "dense,prospr,random"
    )]
    pub pruners: Vec<Method>,
    /// Fractions of weights to remove.
    #[arg(long, value_delimiter = ',', default_value = "0.98")]
    pub sparsities: Vec<f64>,
    /// Seeds; each gives a run.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// Sanity checks: another run for each pruned one, with its mask shuffled within layers, with new weights, or with
    /// inverted scores.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub checks: Vec<Check>,
    /// Sparsities with checks [default: all].
    #[arg(long, value_delimiter = ',')]
    pub check_sparsities: Option<Vec<f64>>,
    #[command(flatten)]
    #[serde(flatten)]
    /// Settings that runs and comparisons share.
    pub common: Common,
}

impl CompareConfig {
    /// Runs of the comparison, each followed by its checks. A dense network has no sparsity to vary and no checks.
    pub fn runs(&self) -> Vec<RunConfig> {
        let mut runs = Vec::new();
        for &pruner in &self.pruners {
            let sparsities = match pruner == Method::DENSE {
                true => &[0.0][..],
                false => &self.sparsities[..],
            };
            for &sparsity in sparsities {
                let checked = self.check_sparsities.as_ref();
                let checked = pruner != Method::DENSE
                    && checked.is_none_or(|sparsities| sparsities.contains(&sparsity));
                let checks = self.checks.iter().copied().map(Some).filter(|_| checked);
                for check in std::iter::once(None).chain(checks) {
                    runs.extend(self.seeds.iter().map(|&seed| RunConfig {
                        pruner,
                        sparsity,
                        mask: None,
                        check,
                        seed,
                        common: self.common.clone(),
                    }));
                }
            }
        }
        runs
    }
}

/// Settings that runs and comparisons share.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Common {
    #[command(flatten)]
    #[serde(flatten)]
    /// Network, data set and device.
    pub network: NetworkSettings,
    #[command(flatten)]
    #[serde(flatten)]
    /// Settings of the pruning methods.
    pub prune: PruneSettings,
    #[command(flatten)]
    #[serde(flatten)]
    /// Settings of training.
    pub train: TrainSettings,
}

/// Settings of the network, the data set and the device.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// Network, by a name from `prospr models`, such as resnet-20 or vgg:64,M,128.
    #[arg(long, default_value = "lenet-5")]
    pub model: String,
    /// File of initial weights, which are drawn otherwise: safetensors, or PyTorch's .pt.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// Data set, by a name from `prospr data list`.
    #[arg(long, default_value = "mnist-5k")]
    pub data: String,
    /// Folder of the data set's files.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// Folder for a packed copy of a data set of image files, which is read faster; made if missing.
    #[arg(long, value_name = "DIR")]
    pub data_cache: Option<PathBuf>,
    /// Leave out damaged images and count them, instead of stopping at the first.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub skip_bad: bool,
    /// Device: auto, cpu, gpu, gpu:INDEX or gpu:NAME.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// Settings of training.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Training")]
pub struct TrainSettings {
    /// Passes over the training data.
    #[arg(long, default_value_t = 10)]
    pub epochs: usize,
    /// Images per batch in training.
    #[arg(long, default_value_t = 128)]
    pub batch_size: usize,
    /// Numeric precision: f32, or mixed, which gives convolutions and matrix products f16 operands and f32 sums on
    /// devices that can.
    #[arg(long, default_value_t)]
    pub precision: Precision,
    /// Learning rate.
    #[arg(long, default_value_t = 0.01)]
    pub lr: f64,
    /// Momentum.
    #[arg(long, default_value_t = 0.9)]
    pub momentum: f64,
    /// Nesterov's momentum.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub nesterov: bool,
    /// Weight decay, on all parameters.
    #[arg(long, default_value_t = 5e-4)]
    pub weight_decay: f64,
    /// Epochs after which the learning rate drops [default: half and three quarters of all].
    #[arg(long, value_delimiter = ',', value_name = "EPOCH")]
    pub milestones: Option<Vec<usize>>,
    /// Factor of each drop of the learning rate.
    #[arg(long, default_value_t = 0.1)]
    pub gamma: f64,
    /// Zeros around an image before a crop of its own size is taken at random [default: usual for the data set].
    #[arg(long)]
    pub crop_padding: Option<usize>,
    /// Mirror training images at random [default: usual for the data set].
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub flip: Option<bool>,
}

impl TrainSettings {
    /// Update rule.
    pub fn optimizer(&self) -> Sgd {
        let sgd = Sgd::new(self.lr).momentum(self.momentum).weight_decay(self.weight_decay);
        if self.nesterov { sgd.nesterov() } else { sgd }
    }

    /// Learning rate by epoch.
    pub fn schedule(&self) -> Schedule {
        Schedule::Milestones { at: self.drops(), gamma: self.gamma }
    }

    /// Epochs after which the learning rate drops: `milestones` or, without them, half and three quarters of `epochs`.
    fn drops(&self) -> Vec<usize> {
        let usual = || {
            let mut at = vec![self.epochs / 2, self.epochs * 3 / 4];
            at.dedup();
            at.retain(|&epoch| epoch > 0);
            at
        };
        self.milestones.clone().unwrap_or_else(usual)
    }
}

impl RunConfig {
    /// Name of the run within a comparison.
    pub fn label(&self) -> String {
        let what = match self.pruner {
            _ if self.mask.is_some() => "mask".into(),
            method if method == Method::DENSE => method.name.into(),
            method => format!("{}-{}", method.name, self.sparsity),
        };
        let check = self.check.map(|check| format!("-{}", check.name()));
        format!("{what}{}-s{}", check.unwrap_or_default(), self.seed)
    }

    /// Checks that all settings are in range.
    ///
    /// # Errors
    /// If a setting is out of range, with its name.
    pub fn check(&self) -> anyhow::Result<()> {
        Sparsity::new(self.sparsity)?;
        anyhow::ensure!(
            self.check.is_none() || (self.mask.is_none() && self.pruner != Method::DENSE),
            "`check` changes what a pruner chose; choose a `pruner`, and no `mask`"
        );
        self.common.check()?;
        if self.mask.is_none() && self.pruner != Method::DENSE {
            self.common.prune.setup(self.pruner, self.sparsity)?;
        }
        Ok(())
    }
}

impl NetworkSettings {
    fn complete(&mut self) -> std::io::Result<()> {
        for path in [&mut self.init, &mut self.data_dir, &mut self.data_cache] {
            complete_path(path)?;
        }
        Ok(())
    }
}

impl Common {
    fn complete(&mut self) -> std::io::Result<()> {
        self.train.milestones = Some(self.train.drops());
        self.network.complete()
    }

    fn check(&self) -> anyhow::Result<()> {
        let train = &self.train;
        positive(&[("epochs", train.epochs), ("batch_size", train.batch_size)])?;
        not_negative(&[
            ("lr", train.lr),
            ("momentum", train.momentum),
            ("weight_decay", train.weight_decay),
            ("gamma", train.gamma),
        ])?;
        anyhow::ensure!(
            !train.nesterov || train.momentum > 0.0,
            "`nesterov` needs a `momentum` above 0"
        );
        self.prune.check()
    }
}

/// Checks that settings are 1 or more.
///
/// # Errors
/// If one of them is 0.
fn positive(settings: &[(&str, usize)]) -> anyhow::Result<()> {
    for (name, value) in settings {
        anyhow::ensure!(*value > 0, "`{name}` must be 1 or more, found 0");
    }
    Ok(())
}

/// Checks that settings are finite numbers from 0 on.
///
/// # Errors
/// If one of these settings is not a number of at least 0.
fn not_negative(settings: &[(&str, f64)]) -> anyhow::Result<()> {
    for (name, value) in settings {
        anyhow::ensure!(
            value.is_finite() && *value >= 0.0,
            "`{name}` must be a number that is 0 or more, found {value}"
        );
    }
    Ok(())
}

impl Settings for RunConfig {
    fn complete(&mut self) -> std::io::Result<()> {
        if self.pruner == Method::DENSE && self.mask.is_none() {
            self.sparsity = 0.0;
        }
        complete_path(&mut self.mask)?;
        self.common.complete()
    }

    fn methods(&self) -> Vec<Method> {
        let chosen = self.mask.is_none().then_some(self.pruner);
        chosen.into_iter().collect()
    }
}

impl Settings for CompareConfig {
    fn complete(&mut self) -> std::io::Result<()> {
        self.common.complete()
    }

    fn methods(&self) -> Vec<Method> {
        self.pruners.clone()
    }
}

/// Makes a path absolute, so that a run finds its files from any folder.
fn complete_path(path: &mut Option<PathBuf>) -> std::io::Result<()> {
    if let Some(path) = path {
        *path = std::path::absolute(&*path)?;
    }
    Ok(())
}
