//! `prospr run` and its halves, `prospr prune` and `prospr train`.

use std::fmt::Write;
use std::process::ExitCode;

use clap::ArgMatches;

use super::common::{CommonArgs, Prepared, catch_stops};
use super::progress::Progress;
use crate::config::{Layered, RunConfig};
use crate::experiment::{Experiment, Outcome, Watch};
use crate::pruners::Method;
use crate::results::{LayerResult, Results};
use crate::run_folder::{RunFolder, state_dict};
use crate::run_report::report_run;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    settings: RunConfig,
}

#[derive(clap::Args)]
#[command(mut_arg("mask", |arg| arg.hide(true)))]
pub struct PruneArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    settings: RunConfig,
}

#[derive(clap::Args)]
#[command(mut_arg("pruner", |arg| arg.hide(true)), mut_arg("sparsity", |arg| arg.hide(true)))]
#[command(mut_arg("check", |arg| arg.hide(true)))]
pub struct TrainArgs {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    settings: RunConfig,
}

pub fn run(args: &Args, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    match args.common.settings(matches)? {
        Some(settings) => whole(&args.common, settings),
        None => Ok(ExitCode::SUCCESS),
    }
}

pub fn train(args: &TrainArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let Some(mut settings) = args.common.settings::<RunConfig>(matches)? else {
        return Ok(ExitCode::SUCCESS);
    };
    if settings.config.mask.is_none() {
        anyhow::ensure!(
            !settings.given.contains("pruner"),
            "`prospr train` does not prune: give it a mask with `--mask`, or use `prospr run`"
        );
        settings.config.pruner = Method::DENSE;
        settings.config.sparsity = 0.0;
    }
    whole(&args.common, settings)
}

fn whole(common: &CommonArgs, settings: Layered<RunConfig>) -> anyhow::Result<ExitCode> {
    let prepared = prepare(common, settings)?;
    let experiment = Experiment::new(prepared.config, &prepared.device)?;
    let label = experiment.config.label();
    catch_stops()?;
    let mut progress = Progress::new(label, experiment.config.common.train.epochs, common.quiet);
    match experiment.run(&prepared.folder, &mut progress)? {
        Outcome::Finished(results) => {
            report_run(&experiment, &prepared.folder, &results)?;
            let text = || summary(&results) + &report_line(&prepared.folder);
            common.show(&results, text)?;
            Ok(ExitCode::SUCCESS)
        }
        stopped => Ok(tell_stopped(common, &stopped, &prepared.folder)),
    }
}

fn prepare(
    common: &CommonArgs,
    settings: Layered<RunConfig>,
) -> anyhow::Result<Prepared<RunConfig>> {
    let name = format!("{}-{}", settings.config.common.network.model, settings.config.label());
    common.prepare(settings, &name, |config| &config.common.network.device)
}

/// Names the report file.
pub fn report_line(folder: &RunFolder) -> String {
    format!("report: {}\n", folder.path("report.html").display())
}

/// Prints how to continue; the exit code is that of an interrupted program.
pub fn tell_stopped(common: &CommonArgs, outcome: &Outcome, folder: &RunFolder) -> ExitCode {
    if let Outcome::Stopped { epochs, steps } = outcome {
        common.say(&format!(
            "stopped after {epochs} epochs and {steps} steps, which are saved; go on with `--resume --out {}`",
            folder.root().display()
        ));
    }
    ExitCode::from(130)
}

pub fn prune(args: &PruneArgs, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let Some(settings) = common.settings::<RunConfig>(matches)? else {
        return Ok(ExitCode::SUCCESS);
    };
    anyhow::ensure!(
        settings.config.pruner != Method::DENSE,
        "`dense` prunes nothing: choose another `--pruner`"
    );
    let Prepared { config, device, folder } = prepare(common, settings)?;
    let experiment = Experiment::new(config, &device)?;
    let initial = experiment.initial()?;
    let pruned = experiment.prune(&folder, &initial)?;
    Progress::new(experiment.config.label(), 0, common.quiet).pruned(&pruned);
    if let Some(note) = experiment.skip_note() {
        common.say(&note);
    }
    let start = experiment.training_start(initial);
    let file = state_dict(&start.params, &start.state, 0)?;
    file.write(&folder.path("init.safetensors"))?;
    let statistics: Option<serde_json::Value> = folder.json("pruning.json")?;
    common.show(&statistics, || table(&pruned.layers))?;
    let mask = folder.path("mask.safetensors");
    common
        .say(&format!("train with `prospr train --mask {}` and the same settings", mask.display()));
    Ok(ExitCode::SUCCESS)
}

/// Table of kept weights by layer and in total.
fn table(layers: &[LayerResult]) -> String {
    let width = layers.iter().map(|l| l.name.len()).max().unwrap_or(0).max(5);
    let mut text =
        format!("{:<width$} {:>12} {:>12} {:>10}\n", "layer", "weights", "kept", "sparsity");
    let mut row = |name: &str, weights: usize, kept: usize| {
        let sparsity = 100.0 * (1.0 - kept as f64 / weights as f64);
        writeln!(text, "{name:<width$} {weights:>12} {kept:>12} {sparsity:>8.2} %")
            .expect("strings take all");
    };
    for layer in layers {
        row(&layer.name, layer.weights, layer.kept);
    }
    let sum = |f: fn(&LayerResult) -> usize| layers.iter().map(f).sum();
    row("all", sum(|l| l.weights), sum(|l| l.kept));
    text
}

fn summary(results: &Results) -> String {
    format!(
        "{}\n{} on {}: {:.2} % top-1 after {} epochs (best {:.2} % in epoch {}), {} of {} weights\n",
        table(&results.layers),
        results.pruner,
        results.data,
        100.0 * results.test_top1,
        results.epochs,
        100.0 * results.best_test_top1,
        results.best_epoch,
        results.weights_kept,
        results.weights
    )
}
