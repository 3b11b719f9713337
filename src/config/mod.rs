//! What a run is made of. Every setting has one name, on the command line, in a TOML or JSON file and in the
//! `config.toml` of a run folder; its documentation is the command line's help.

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

/// One run.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct RunConfig {
    /// How weights are chosen.
    #[arg(long, default_value = "prospr", value_parser = values::method(), help_heading = "Pruning")]
    pub pruner: Method,
    /// The fraction of weights to remove.
    #[arg(long, default_value_t = 0.98, help_heading = "Pruning")]
    pub sparsity: f64,
    /// Train with this mask instead of choosing one.
    #[arg(long, value_name = "FILE", help_heading = "Pruning")]
    pub mask: Option<PathBuf>,
    /// A sanity check: shuffle the mask within layers, draw new weights for training, or invert the scores.
    #[arg(long, value_enum, help_heading = "Pruning")]
    pub check: Option<Check>,
    /// Draws the initial weights, the pruning batches and the order of training.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    /// What comparisons share.
    pub common: Common,
}

/// Several pruners, sparsities and seeds.
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
    /// Seeds, one run each.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    pub seeds: Vec<u64>,
    /// Sanity checks: for each pruned run also one with its mask shuffled within layers, with new weights, or with
    /// inverted scores.
    #[arg(long, value_enum, value_delimiter = ',')]
    pub checks: Vec<Check>,
    /// The sparsities with checks; without it, all.
    #[arg(long, value_delimiter = ',')]
    pub check_sparsities: Option<Vec<f64>>,
    #[command(flatten)]
    #[serde(flatten)]
    /// What comparisons share.
    pub common: Common,
}

impl CompareConfig {
    /// Every run of the comparison, checks after the runs that they are of. A dense network has no sparsity to vary and
    /// no checks.
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

/// What runs and comparisons share.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct Common {
    #[command(flatten)]
    #[serde(flatten)]
    /// The network, its data and where it runs.
    pub network: NetworkSettings,
    #[command(flatten)]
    #[serde(flatten)]
    /// How the pruners work.
    pub prune: PruneSettings,
    #[command(flatten)]
    #[serde(flatten)]
    /// How the network is trained.
    pub train: TrainSettings,
}

/// The network, its data and where it runs.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct NetworkSettings {
    /// The network: a name that `prospr models` lists, such as resnet-20 or vgg:64,M,128.
    #[arg(long, default_value = "lenet-5")]
    pub model: String,
    /// Initial weights from a file instead of drawn ones: safetensors, or PyTorch's .pt.
    #[arg(long, value_name = "FILE")]
    pub init: Option<PathBuf>,
    /// The data set; `prospr data list` names them.
    #[arg(long, default_value = "mnist-5k")]
    pub data: String,
    /// The folder of the data set's files.
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// A folder for a packed copy of a data set of image files, which is read faster; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub data_cache: Option<PathBuf>,
    /// Leave out damaged images and count them, instead of stopping at the first.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub skip_bad: bool,
    /// auto, cpu, gpu, gpu:INDEX or gpu:NAME.
    #[arg(long, default_value = "auto")]
    pub device: String,
}

/// How the network is trained.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
#[command(next_help_heading = "Training")]
pub struct TrainSettings {
    /// Passes over the training data.
    #[arg(long, default_value_t = 10)]
    pub epochs: usize,
    /// Images a batch in training.
    #[arg(long, default_value_t = 128)]
    pub batch_size: usize,
    /// f32, or mixed: convolutions and matrix products of f16 operands with f32 sums, where the device can.
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
    /// Epochs after which the learning rate drops; without it, half and three quarters of all.
    #[arg(long, value_delimiter = ',', value_name = "EPOCH")]
    pub milestones: Option<Vec<usize>>,
    /// Factor of each drop of the learning rate.
    #[arg(long, default_value_t = 0.1)]
    pub gamma: f64,
    /// Zeros put around an image before a crop of its own size is taken at random; without it, what is usual for the
    /// data set.
    #[arg(long)]
    pub crop_padding: Option<usize>,
    /// Mirror training images at random; without it, what is usual for the data set.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub flip: Option<bool>,
}

impl TrainSettings {
    /// The update rule.
    pub fn optimizer(&self) -> Sgd {
        let sgd = Sgd::new(self.lr)
            .momentum(self.momentum)
            .weight_decay(self.weight_decay);
        if self.nesterov { sgd.nesterov() } else { sgd }
    }

    /// The learning rate by epoch.
    pub fn schedule(&self) -> Schedule {
        Schedule::Milestones {
            at: self.drops(),
            gamma: self.gamma,
        }
    }

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
    /// The run's name among others.
    pub fn label(&self) -> String {
        let what = match self.pruner {
            _ if self.mask.is_some() => "mask".into(),
            method if method == Method::DENSE => method.name.into(),
            method => format!("{}-{}", method.name, self.sparsity),
        };
        let check = self.check.map(|check| format!("-{}", check.name()));
        format!("{what}{}-s{}", check.unwrap_or_default(), self.seed)
    }

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

/// # Errors
/// If one of these settings is 0.
fn positive(settings: &[(&str, usize)]) -> anyhow::Result<()> {
    for (name, value) in settings {
        anyhow::ensure!(*value > 0, "`{name}` must be 1 or more, found 0");
    }
    Ok(())
}

/// # Errors
/// If one of these settings is no number that is 0 or more.
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

/// A run is to find its files from any folder.
fn complete_path(path: &mut Option<PathBuf>) -> std::io::Result<()> {
    if let Some(path) = path {
        *path = std::path::absolute(&*path)?;
    }
    Ok(())
}
