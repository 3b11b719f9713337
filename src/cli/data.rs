//! `prospr data`: data sets and their files.

use std::path::PathBuf;
use std::process::ExitCode;
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::fetch;
use crate::datasets::{self, DATASETS, Loader};
use crate::{DType, Device, Key};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// List the data sets and the files that their folders must contain.
    List,
    /// Read and decode every file, and list every problem.
    Check(DataArgs),
    /// Measure how fast training batches are made, and how long training at a given speed waits for them.
    Bench(Bench),
    /// Download a data set, check it and unpack it; an interrupted download resumes.
    Fetch(fetch::Args),
}

#[derive(clap::Args)]
struct DataArgs {
    /// Name of the data set.
    #[arg(long)]
    data: String,
    /// Folder of the data set's files.
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

#[derive(clap::Args)]
struct Bench {
    #[command(flatten)]
    set: DataArgs,
    /// Folder for a packed copy, as in training.
    #[arg(long, value_name = "DIR")]
    data_cache: Option<PathBuf>,
    /// Images per batch.
    #[arg(long, default_value_t = 128)]
    batch_size: usize,
    /// Passes over the data.
    #[arg(long, default_value_t = 1)]
    epochs: u64,
    /// Simulated training speed in images per second [default: nine tenths of the loading speed].
    #[arg(long)]
    rate: Option<f64>,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::List => {
            list();
            Ok(ExitCode::SUCCESS)
        }
        Command::Check(args) => check(args),
        Command::Bench(args) => bench(args),
        Command::Fetch(args) => fetch::run(args),
    }
}

fn list() {
    for entry in DATASETS {
        println!("{:<14} {}", entry.name, entry.about);
        println!("{:<14} files in --data-dir: {}", "", entry.files);
        println!("{:<14} on disk: {}", "", entry.size);
    }
}

fn check(args: &DataArgs) -> anyhow::Result<ExitCode> {
    let report = datasets::check(&args.data, args.data_dir.as_deref())?;
    for remark in &report.remarks {
        println!("remark: {remark}");
    }
    for problem in &report.problems {
        println!("problem: {problem}");
    }
    let (problems, remarks) = (report.problems.len(), report.remarks.len());
    println!("{}: {} images, {problems} problems, {remarks} remarks", args.data, report.images);
    Ok(match problems {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}

fn bench(args: &Bench) -> anyhow::Result<ExitCode> {
    let mut data = datasets::load(&args.set.data, args.set.data_dir.as_deref())?;
    if let Some(cache) = &args.data_cache {
        data = data.packed(cache)?;
    }
    let loader = Loader {
        split: data.train,
        normalization: data.normalization,
        batch_size: args.batch_size,
        augment: data.augment,
        skipped: None,
        device: Device::cpu(),
        dtype: DType::F32,
    };
    let cores = std::thread::available_parallelism()?;
    let (rate, _) = passes(&loader, args.epochs, Duration::ZERO)?;
    println!("{rate:.0} images/s, decoded and augmented on {cores} cores");
    let imitated = args.rate.unwrap_or(0.9 * rate);
    let step = Duration::try_from_secs_f64(args.batch_size as f64 / imitated)?;
    let (rate, waited) = passes(&loader, args.epochs, step)?;
    println!(
        "a training of {imitated:.0} images/s gets {rate:.0} images/s and waits for data {:.2} % of its time",
        100.0 * waited
    );
    Ok(ExitCode::SUCCESS)
}

/// Images per second, and the share of time spent waiting by a training loop whose steps take `step`. The clock starts
/// after the first step.
fn passes(loader: &Loader, epochs: u64, step: Duration) -> anyhow::Result<(f64, f64)> {
    let (mut images, mut seconds, mut waited) = (0, 0.0, 0.0);
    for epoch in 0..epochs {
        let mut batches = loader.epoch(Key::new(epoch));
        anyhow::ensure!(
            batches.next().transpose()?.is_some(),
            "there are fewer images than one batch; choose a smaller `--batch-size`"
        );
        sleep(step);
        let (start, before) = (Instant::now(), batches.waited());
        for batch in batches.by_ref() {
            images += batch?.images.shape()[0];
            sleep(step);
        }
        seconds += start.elapsed().as_secs_f64();
        waited += (batches.waited() - before).as_secs_f64();
    }
    Ok((images as f64 / seconds, waited / seconds))
}
