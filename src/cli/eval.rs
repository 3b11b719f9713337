//! `prospr eval`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;

use super::common::CommonArgs;
use crate::TensorFile;
use crate::config::RunConfig;
use crate::experiment::{Experiment, Initial};
use crate::run_folder::RunFolder;

#[derive(clap::Args)]
#[command(mut_arg("out", |arg| arg.hide(true)), mut_arg("resume", |arg| arg.hide(true)))]
pub struct Args {
    /// A run folder, whose settings are used, or a file of weights (safetensors, or PyTorch's .pt).
    path: PathBuf,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    settings: RunConfig,
}

pub fn run(args: &Args, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let Some(settings) = common.settings::<RunConfig>(matches)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let (config, file) = if args.path.is_dir() {
        let folder = RunFolder::open(&args.path)?;
        let config = settings.agree_with(
            &folder.config()?,
            &["device", "data", "data_dir", "data_cache", "skip_bad"],
        )?;
        (config, folder.path("model.safetensors"))
    } else {
        (settings.config, args.path.clone())
    };
    let device = common.device(&config.common.network.device)?;
    let experiment = Experiment::new(config, &device)?;
    let Initial { params, state } = experiment.initial()?;
    let file = TensorFile::read(&file)?;
    let params = file.params_like("", &params, &device)?;
    let state = file.params_like("", &state, &device)?;
    let metrics = experiment.evaluate(&params, &state)?;
    if let Some(note) = experiment.skip_note() {
        common.say(&note);
    }
    common.show(&metrics, || {
        format!(
            "{}: top-1 {:.2} %, top-5 {:.2} %, loss {:.4}\n",
            experiment.data.name,
            100.0 * metrics.top1,
            100.0 * metrics.top5,
            metrics.loss
        )
    })?;
    Ok(ExitCode::SUCCESS)
}
