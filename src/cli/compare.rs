//! `prospr compare`, also the command without arguments.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;

use super::common::{CommonArgs, Prepared, catch_stops};
use super::progress::Progress;
use super::run::{report_line, tell_stopped};
use crate::comparison::{Collapse, Comparison};
use crate::config::{CompareConfig, RunConfig, to_toml};
use crate::experiment::{Experiment, Outcome, Watch};
use crate::report::{ComparedRun, ComparisonReport, Table};
use crate::run_folder::RunFolder;
use crate::run_report::report_run;

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    settings: CompareConfig,
}

pub fn run(args: &Args, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let Some(settings) = common.settings::<CompareConfig>(matches)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let Prepared { config, device, folder } =
        common.prepare(settings, "compare", |config| &config.common.network.device)?;
    catch_stops()?;
    let mut runs: Vec<ComparedRun> = Vec::new();
    let mut collapsed: Vec<Collapse> = Vec::new();
    for run in config.runs() {
        let label = run.label();
        let root = folder.path(&label);
        let mut experiment = Experiment::new(run, &device)?;
        experiment.unchecked_mask = unchecked_mask(&experiment.config, &folder);
        // An interrupted comparison may have started this run.
        let own = if root.join("config.toml").exists() {
            RunFolder::open(&root)?
        } else {
            RunFolder::create(&root, &experiment.toml()?)?
        };
        if let Some(known) = own.json("collapsed.json")? {
            collapsed.push(known);
            continue;
        }
        let mut progress = Progress::new(label, config.common.train.epochs, common.quiet);
        match experiment.run(&own, &mut progress) {
            Ok(Outcome::Finished(results)) => runs.push(report_run(&experiment, &own, &results)?),
            Ok(stopped) => return Ok(tell_stopped(common, &stopped, &folder)),
            Err(error) => {
                let Some(collapse) = Collapse::of(&error, &experiment.config) else {
                    return Err(error);
                };
                progress.note(&format!("not trained: {error}"));
                own.write_json("collapsed.json", &collapse)?;
                collapsed.push(collapse);
            }
        }
    }
    let comparison = Comparison {
        version: env!("CARGO_PKG_VERSION").into(),
        runs: runs.iter().map(|run| run.results.clone()).collect(),
        collapsed,
    };
    folder.write_json("results.json", &comparison)?;
    let report = ComparisonReport {
        runs: &runs,
        comparison: &comparison,
        config_toml: &to_toml(&config, Some(&device.to_string()))?,
    };
    report.write(folder.root())?;
    common.show(&comparison, || Table::of(&comparison).text() + &report_line(&folder))?;
    Ok(ExitCode::SUCCESS)
}

/// The mask of the same run without its check.
fn unchecked_mask(config: &RunConfig, folder: &RunFolder) -> Option<PathBuf> {
    let unchecked = RunConfig { check: None, ..config.clone() };
    let mask = folder.path(&unchecked.label()).join("mask.safetensors");
    (config.check.is_some() && mask.exists()).then_some(mask)
}
