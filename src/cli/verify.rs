//! `prospr verify`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::Device;
use crate::verify::{Options, verify};

#[derive(clap::Args)]
pub struct Args {
    /// Safetensors file with a network's initial values, batches and scores.
    #[arg(long, value_name = "FILE")]
    fixture: PathBuf,
    /// auto, cpu, gpu, gpu:INDEX or gpu:NAME. The CPU computes in f64, a GPU in f32.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Largest relative error that passes [default: 1e-5 in f64, 1e-3 in f32, or more if the file is ill-conditioned in
    /// f32].
    #[arg(long)]
    tolerance: Option<f64>,
    /// Print the result as JSON.
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    let device = match args.device.as_str() {
        "auto" => {
            let selection = Device::auto_explained()?;
            eprintln!("{}", selection.reason);
            selection.device
        }
        choice => Device::select(choice)?,
    };
    let tolerance = args.tolerance;
    let report = verify(&args.fixture, &Options { device, tolerance })?;
    match args.json {
        true => println!("{}", serde_json::to_string_pretty(&report)?),
        false => println!("{report}"),
    }
    anyhow::ensure!(
        report.ok,
        "{}: the scores differ from the file's by more than the tolerance",
        report.fixture
    );
    Ok(ExitCode::SUCCESS)
}
