//! The folder of a run. Every file is written atomically, so a crash never leaves an incomplete file.
//!
//! ```text
//! config.toml                     all settings, the version and the device
//! scores.safetensors              saliency score of every prunable weight
//! mask.safetensors                1 for kept weights, 0 for removed weights
//! pruning.json                    the mask's origin, and kept weights by layer
//! metrics.csv                     one row per epoch
//! checkpoints/last.safetensors    the state of training; previous.safetensors is the checkpoint before
//! checkpoints/best.safetensors    the weights with the highest test accuracy so far
//! model.safetensors               the weights after training, with the names that PyTorch's load_state_dict expects
//! results.json                    the results
//! collapsed.json                  in a comparison, instead of all files after pruning: the layer that would have kept no weight
//! report.html                     the report on the results
//! ```

use std::fmt::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::config::{Settings, merge};
use crate::optim::SgdState;
use crate::results::EpochRow;
use crate::train::{LossScale, Seen, TrainState};
use crate::{Device, Params, TensorFile, write_atomically};

/// A folder that holds a run or a comparison.
#[derive(Clone, Debug)]
pub struct RunFolder {
    root: PathBuf,
}

/// The state of a run that resumes with the same bits as if it had never stopped.
#[derive(Clone)]
pub struct Checkpoint {
    /// Weights, running statistics, momentum and counters.
    pub train: TrainState,
    /// Times and metrics of the run so far.
    pub log: Log,
}

/// Times and metrics in a checkpoint.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Log {
    /// Seconds up to the end of the last complete epoch.
    pub seconds: f64,
    /// Seconds of training in the unfinished epoch.
    pub epoch_seconds: f64,
    /// Seconds of the unfinished epoch that were spent waiting for data.
    #[serde(default)]
    pub epoch_waited: f64,
    /// The complete epochs.
    pub history: Vec<EpochRow>,
}

/// The metadata of a checkpoint file, as TOML.
#[derive(Serialize, Deserialize)]
struct Header {
    step: usize,
    epoch: usize,
    seen: Seen,
    #[serde(default)]
    loss_scale: LossScale,
    log: Log,
}

impl RunFolder {
    /// Creates a folder with its `config.toml`.
    ///
    /// # Errors
    /// If the folder already contains a run, or cannot be created or written to.
    pub fn create(root: &Path, config_toml: &str) -> anyhow::Result<RunFolder> {
        let folder = RunFolder { root: root.into() };
        if folder.holds_a_run() {
            bail!(
                "{} holds a run already; continue it with `--resume`, or choose another folder with `--out`",
                root.display()
            );
        }
        let written = std::fs::create_dir_all(root).map_err(anyhow::Error::from);
        let written = written.and_then(|()| folder.write("config.toml", config_toml));
        written.with_context(|| {
            let root = root.display();
            format!("{root} cannot be written to; choose another folder with `--out`")
        })?;
        Ok(folder)
    }

    /// Opens the folder of a run that was started earlier.
    ///
    /// # Errors
    /// If the folder holds no run.
    pub fn open(root: &Path) -> anyhow::Result<RunFolder> {
        let folder = RunFolder { root: root.into() };
        if !folder.holds_a_run() {
            bail!("{} holds no run: it has no config.toml", root.display());
        }
        Ok(folder)
    }

    fn holds_a_run(&self) -> bool {
        self.path("config.toml").exists()
    }

    /// Path of the folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Path of a file in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Writes a text file.
    ///
    /// # Errors
    /// If the file cannot be written: full disk, missing permission.
    pub fn write(&self, name: &str, text: &str) -> anyhow::Result<()> {
        Ok(write_atomically(&self.path(name), text.as_bytes())?)
    }

    /// The settings with which the run was started.
    ///
    /// # Errors
    /// If `config.toml` is damaged.
    pub fn config<T: Settings>(&self) -> anyhow::Result<T> {
        merge::from_file(&self.path("config.toml"))
    }

    /// Reads a JSON file; returns `None` if it does not exist.
    ///
    /// # Errors
    /// If it is damaged or cannot be read.
    pub fn json<T: DeserializeOwned>(&self, name: &str) -> anyhow::Result<Option<T>> {
        let path = self.path(name);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| {
                format!("{} is damaged; delete it and resume", path.display())
            })?)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e).with_context(|| path.display().to_string()),
        }
    }

    /// Writes a JSON file.
    ///
    /// # Errors
    /// If the file cannot be written: full disk, missing permission.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> anyhow::Result<()> {
        self.write(name, &(serde_json::to_string_pretty(value)? + "\n"))
    }

    /// Writes a new last checkpoint and `metrics.csv`; the old last checkpoint becomes the previous one.
    ///
    /// # Errors
    /// If a file cannot be written, for example on a full disk; existing checkpoints are kept.
    pub fn save(&self, at: &Checkpoint) -> anyhow::Result<()> {
        let train = &at.train;
        let header = Header {
            step: train.step,
            epoch: train.epoch,
            seen: train.seen,
            loss_scale: train.loss_scale,
            log: at.log.clone(),
        };
        let mut file = TensorFile::new(toml::to_string(&header)?);
        file.insert_all("params.", &train.params)?;
        file.insert_all("state.", &train.state)?;
        if let Some(momentum) = &train.optimizer.buffers {
            file.insert_all("momentum.", momentum)?;
        }
        let [next, last, previous] =
            ["next", "last", "previous"].map(|name| self.checkpoint_path(name));
        self.checkpoints()?;
        let saved = file.write(&next).map_err(anyhow::Error::from).and_then(|()| {
            if last.exists() {
                std::fs::rename(&last, &previous)?;
            }
            Ok(std::fs::rename(&next, &last)?)
        });
        saved.with_context(|| self.unsaved())?;
        self.write("metrics.csv", &csv(&at.log.history)).with_context(|| self.unsaved())
    }

    /// Writes the best weights.
    ///
    /// # Errors
    /// If the file cannot be written, for example on a full disk; the old best weights are kept.
    pub fn save_best(&self, weights: &TensorFile) -> anyhow::Result<()> {
        self.checkpoints()?;
        weights.write(&self.checkpoint_path("best")).with_context(|| self.unsaved())
    }

    fn checkpoint_path(&self, name: &str) -> PathBuf {
        self.path(&format!("checkpoints/{name}.safetensors"))
    }

    fn checkpoints(&self) -> anyhow::Result<()> {
        std::fs::create_dir_all(self.path("checkpoints")).with_context(|| self.unsaved())
    }

    fn unsaved(&self) -> String {
        format!(
            "training could not be saved; the last good checkpoint is untouched: make room, then continue with `--resume --out {}`",
            self.root.display()
        )
    }

    /// The complete epochs, from the last checkpoint.
    ///
    /// # Errors
    /// If it is missing or damaged.
    pub fn history(&self) -> anyhow::Result<Vec<EpochRow>> {
        let path = self.checkpoint_path("last");
        Ok(header(&path, &TensorFile::read(&path)?)?.log.history)
    }

    /// Reads the last checkpoint of a network with these parameters and state; returns `None` if there is no
    /// checkpoint.
    ///
    /// # Errors
    /// If it is damaged or belongs to another network; the message says if the previous checkpoint is intact.
    pub fn checkpoint(
        &self,
        params: &Params,
        state: &Params,
        device: &Device,
    ) -> anyhow::Result<Option<Checkpoint>> {
        let [last, previous] =
            ["last", "previous"].map(|name| self.path(&format!("checkpoints/{name}.safetensors")));
        let read = |path: &Path| read_checkpoint(path, params, state, device);
        // After a crash between the two renames of `save`, only the previous checkpoint exists.
        let path = if last.exists() { &last } else { &previous };
        if !path.exists() {
            return Ok(None);
        }
        match read(path) {
            Ok(checkpoint) => Ok(Some(checkpoint)),
            Err(error) if *path == last && previous.exists() => match read(&previous) {
                Ok(good) => Err(error.context(format!(
                    "the last checkpoint is damaged; the previous one is complete, after {} epochs and {} steps: delete {} and run again with `--resume`",
                    good.train.epoch,
                    good.train.step,
                    last.display()
                ))),
                Err(_) => Err(error),
            },
            Err(error) => Err(error),
        }
    }
}

fn header(path: &Path, file: &TensorFile) -> anyhow::Result<Header> {
    toml::from_str(file.text()).with_context(|| format!("{} is not a checkpoint", path.display()))
}

fn read_checkpoint(
    path: &Path,
    params: &Params,
    state: &Params,
    device: &Device,
) -> anyhow::Result<Checkpoint> {
    let file = TensorFile::read(path)?;
    let header = header(path, &file)?;
    let momentum = file.names().any(|name| name.starts_with("momentum."));
    let buffers = momentum.then(|| file.params_like("momentum.", params, device)).transpose()?;
    Ok(Checkpoint {
        train: TrainState {
            params: file.params_like("params.", params, device)?,
            state: file.params_like("state.", state, device)?,
            optimizer: SgdState { buffers },
            step: header.step,
            epoch: header.epoch,
            seen: header.seen,
            loss_scale: header.loss_scale,
        },
        log: header.log,
    })
}

/// Parameters and running statistics with the names of PyTorch's `state_dict`, including `num_batches_tracked` of
/// each batch norm, which is set to `steps`.
///
/// # Errors
/// If a tensor cannot be read from its device.
pub fn state_dict(params: &Params, state: &Params, steps: usize) -> crate::Result<TensorFile> {
    let mut file = TensorFile::new(String::new());
    file.insert_all("", params)?;
    file.insert_all("", state)?;
    for (name, ..) in state.iter() {
        if let Some(norm) = name.strip_suffix("running_mean") {
            file.insert_i64(format!("{norm}num_batches_tracked"), steps as i64);
        }
    }
    Ok(file)
}

fn csv(history: &[EpochRow]) -> String {
    let mut text = String::from(
        "epoch,lr,train_loss,train_top1,test_loss,test_top1,test_top5,images_per_second,seconds,data_wait\n",
    );
    for r in history {
        writeln!(
            text,
            "{},{},{},{},{},{},{},{:.1},{:.3},{:.4}",
            r.epoch,
            r.lr,
            r.train_loss,
            r.train_top1,
            r.test_loss,
            r.test_top1,
            r.test_top5,
            r.images_per_second,
            r.seconds,
            r.data_wait
        )
        .expect("writing to a string cannot fail");
    }
    text
}
