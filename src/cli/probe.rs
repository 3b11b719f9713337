//! `prospr probe`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ArgMatches;

use super::common::CommonArgs;
use crate::config::ProbeConfig;
use crate::experiment::{Experiment, Probe, ProbeRow};

#[derive(clap::Args)]
#[command(mut_arg("out", |arg| arg.hide(true)), mut_arg("resume", |arg| arg.hide(true)))]
#[command(mut_arg("steps", |arg| arg.hide(true)))]
pub struct Args {
    /// Draw the norms into an .svg or .png file.
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArgs,
    #[command(flatten)]
    settings: ProbeConfig,
}

pub fn run(args: &Args, matches: &ArgMatches) -> anyhow::Result<ExitCode> {
    let common = &args.common;
    let Some(settings) = common.settings::<ProbeConfig>(matches)? else {
        return Ok(ExitCode::SUCCESS);
    };
    anyhow::ensure!(
        !settings.given.contains("steps"),
        "a probe has several numbers of inner steps: set them with `--meta-steps`, not `--steps`"
    );
    settings.check_read(&settings.config)?;
    let config = settings.config;
    let device = common.device(&config.network.device)?;
    let experiment = Experiment::new(config.run(), &device)?;
    let method = config.prune.prospr()?;
    let mut watch = |row: &ProbeRow| {
        common.say(&format!("M = {}: {:.1} s", row.steps, row.seconds));
    };
    let probe = experiment.probe(&method, &config.meta_steps, config.roundings, &mut watch)?;
    if let Some(file) = &args.picture {
        probe.picture(file)?;
    }
    common.show(&probe, || text(&probe))?;
    Ok(ExitCode::SUCCESS)
}

/// Table with one column for each number of steps.
fn text(probe: &Probe) -> String {
    let mut text = format!(
        "L2 norm of the effect of each weight on the loss after M inner steps, {} on {}\n",
        probe.model, probe.data
    );
    let mut line = |name: &str, cell: &dyn Fn(&ProbeRow) -> String| {
        let cells = probe.rows.iter().map(|row| format!("{:>10}", cell(row)));
        text += &format!("{name:<36}{}\n", cells.collect::<String>());
    };
    let number = |value: Option<f64>| value.map_or("not finite".into(), |v| format!("{v:.2e}"));
    line("M", &|row| row.steps.to_string());
    for (at, layer) in probe.layers.iter().enumerate() {
        line(layer, &|row| number(row.layers[at]));
    }
    line("all layers", &|row| number(row.norm));
    line("times that of M = 0", &|row| match row.growth {
        Some(growth) if growth < 1e4 => format!("{growth:.2}"),
        growth => number(growth),
    });
    if probe.rows.iter().any(|row| row.rounding.is_some()) {
        line("F32 against F64", &|row| number(row.rounding));
    }
    text + &match probe.unstable_from {
        Some(steps) => format!(
            "unstable from M = {steps}: the norm is more than ten times that of M = 0, or not finite\n"
        ),
        None => "stable: no norm is more than ten times that of M = 0\n".into(),
    }
}
