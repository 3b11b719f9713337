//! `prospr compare`, and what `prospr` does without arguments.

use std::fmt::Write;
use std::process::ExitCode;

use clap::ArgMatches;
use prospr::config::{CompareConfig, to_toml};
use prospr::experiment::{Experiment, Outcome};
use prospr::report::{ComparedRun, ComparisonReport, report_run};
use prospr::results::{Comparison, Summary};
use prospr::run_folder::RunFolder;

use super::call::{Call, Place, catch_stops};
use super::progress::Progress;
use super::run::{report_line, tell_stopped};

#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    call: Call,
    #[command(flatten)]
    settings: CompareConfig,
}

pub fn run(args: &Args, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let call = &args.call;
    let Some(settings) = call.settings::<CompareConfig>(matches)? else {
        return Ok(ExitCode::SUCCESS);
    };
    let Place {
        config,
        device,
        folder,
    } = call.place(settings, "compare", |config| &config.common.network.device)?;
    catch_stops()?;
    let mut runs: Vec<ComparedRun> = Vec::new();
    for run in config.runs() {
        let label = run.label();
        let root = folder.path(&label);
        let experiment = Experiment::new(run, &device)?;
        // What an interrupted comparison has begun, this one goes on with.
        let own = if root.join("config.toml").exists() {
            RunFolder::open(&root)?
        } else {
            RunFolder::create(&root, &experiment.toml()?)?
        };
        let mut progress = Progress::new(label, config.common.train.epochs, call.quiet);
        match experiment.run(&own, &mut progress)? {
            Outcome::Finished(results) => runs.push(report_run(&experiment, &own, &results)?),
            stopped => return Ok(tell_stopped(call, &stopped, &folder)),
        }
    }
    let comparison = Comparison {
        version: env!("CARGO_PKG_VERSION").into(),
        runs: runs.iter().map(|run| run.results.clone()).collect(),
    };
    folder.write_json("results.json", &comparison)?;
    let report = ComparisonReport {
        runs: &runs,
        config_toml: &to_toml(&config, Some(&device.to_string()))?,
        version: &comparison.version,
    };
    report.write(folder.root())?;
    let text = || table(&comparison.summaries()) + &report_line(&folder);
    call.show(&comparison, text)?;
    Ok(ExitCode::SUCCESS)
}

fn table(rows: &[Summary]) -> String {
    let mut text = format!(
        "{:<20} {:>8} {:>18} {:>15} {:>10} {:>10}\n",
        "pruner", "sparsity", "weights kept", "test top-1", "prune", "train"
    );
    for row in rows {
        let top1 = 100.0 * row.test_top1.mean;
        let accuracy = match row.test_top1.deviation {
            Some(deviation) => format!("{top1:.2} ± {:.2} %", 100.0 * deviation),
            None => format!("{top1:.2} %"),
        };
        writeln!(
            text,
            "{:<20} {:>6.1} % {:>18} {:>15} {:>8.2} s {:>8.1} s",
            row.pruner,
            100.0 * row.sparsity,
            format!("{} of {}", row.weights_kept, row.weights),
            accuracy,
            row.prune_seconds,
            row.train_seconds
        )
        .expect("strings take all");
    }
    text
}
