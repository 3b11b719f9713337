//! `prospr bench`

use std::path::PathBuf;
use std::process::ExitCode;

use crate::bench::table::{Beside, Table};
use crate::bench::{self, Options, Row};
use crate::pruners::{Method, methods};
use crate::{Device, Precision};

#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(clap::Subcommand)]
enum Command {
    /// Single operations, compared with Burn's own kernels, a plain copy and a plain matrix product.
    Kernels {
        #[command(flatten)]
        measure: MeasureArgs,
    },
    /// A training step of a network on random images.
    Train {
        #[command(flatten)]
        model: ModelName,
        #[command(flatten)]
        measure: MeasureArgs,
    },
    /// ProsPr's exact meta-gradient of a network on random images.
    Meta {
        #[command(flatten)]
        model: ModelName,
        /// Number M of inner steps.
        #[arg(long, default_value_t = 3)]
        steps: usize,
        /// Values kept for the reverse sweep: keep, per-step, every:K or auto:BYTES.
        #[arg(long, default_value = "per-step")]
        policy: String,
        #[command(flatten)]
        measure: MeasureArgs,
    },
    /// Scores of pruning methods for a network on random images, 64 per batch by default.
    Prune {
        /// Network, by a name from `prospr models`.
        #[arg(long, default_value = "resnet-18")]
        model: String,
        /// Methods [default: all].
        #[arg(long, value_parser = crate::config::method(), value_delimiter = ',')]
        pruners: Vec<Method>,
        /// Number of iterations of iterative methods.
        #[arg(long, default_value_t = 1)]
        iterations: usize,
        #[command(flatten)]
        measure: MeasureArgs,
    },
}

#[derive(clap::Args)]
struct ModelName {
    /// Network, by a name from `prospr models`.
    #[arg(long, default_value = "resnet-20")]
    model: String,
}

#[derive(clap::Args)]
struct MeasureArgs {
    /// auto, cpu, gpu, gpu:INDEX or gpu:NAME.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Images per batch [default: 128 for networks, 256 for kernels; 8 on software rasterizers, and for kernels on the
    /// CPU].
    #[arg(long)]
    batch: Option<usize>,
    /// Number of measurements whose median is reported; fewer if they would take minutes.
    #[arg(long, default_value_t = 10)]
    repeats: usize,
    /// f32, or mixed: convolutions and matrix products with f16 operands and f32 sums.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print a Markdown table.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Add a column with times of another program: a file written by --json or benches/pytorch.py.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    beside: Option<PathBuf>,
    /// Use tiny sizes, to check that everything runs.
    #[arg(long, hide = true)]
    quick: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Kernels { measure } => {
            measure.run(Table::of_kernels, |options, watch| bench::kernels(options, watch))
        }
        Command::Train { model, measure } => measure.run(Table::of_training, |options, watch| {
            one(bench::train(&model.model, options, |line| eprintln!("{line}"))?, watch)
        }),
        Command::Meta { model, steps, policy, measure } => {
            measure.run(Table::of_scores, |options, watch| {
                f32_only(options)?;
                one(bench::meta(&model.model, *steps, policy, options)?, watch)
            })
        }
        Command::Prune { model, pruners, iterations, measure } => {
            anyhow::ensure!(*iterations > 0, "`--iterations` must be 1 or more, found 0");
            let methods = match &pruners[..] {
                [] => methods(),
                some => some.to_vec(),
            };
            measure.run(Table::of_scores, |options, watch| {
                f32_only(options)?;
                bench::prune(model, &methods, *iterations, options, watch)
            })
        }
    }
}

fn f32_only(options: &Options) -> anyhow::Result<()> {
    anyhow::ensure!(
        options.precision == Precision::F32,
        "scores are always computed in f32; leave `--precision {}` out",
        options.precision
    );
    Ok(())
}

fn one(row: Row, watch: &mut dyn FnMut(&Row)) -> anyhow::Result<Vec<Row>> {
    watch(&row);
    Ok(vec![row])
}

impl MeasureArgs {
    /// Measures and prints: a table line by line, or JSON at the end.
    fn run(
        &self,
        table: fn(bool, Option<Beside>) -> Table,
        work: impl FnOnce(&Options, &mut dyn FnMut(&Row)) -> anyhow::Result<Vec<Row>>,
    ) -> anyhow::Result<ExitCode> {
        let counts = [("batch", self.batch.unwrap_or(1)), ("repeats", self.repeats)];
        for (name, value) in counts {
            anyhow::ensure!(value > 0, "`--{name}` must be 1 or more, found 0");
        }
        let beside = self.beside.as_deref().map(Beside::read).transpose()?;
        let device = self.device()?;
        if self.precision == Precision::Mixed {
            let (Ok(how) | Err(how)) = device.mixed_precision();
            eprintln!("mixed precision: {how}");
        }
        let options = Options {
            device,
            precision: self.precision,
            batch: self.batch,
            repeats: self.repeats,
            quick: self.quick,
        };
        if self.json {
            let rows = work(&options, &mut |_| {})?;
            println!("{}", serde_json::to_string_pretty(&rows)?);
            return Ok(ExitCode::SUCCESS);
        }
        let table = table(self.markdown, beside);
        // The head is printed with the first row, so that an early error prints no table.
        let mut head = match self.markdown {
            true => Some(format!("{}\n\n{}\n", options.device, table.head())),
            false => Some(format!("{}\n{}\n", options.device, table.head())),
        };
        work(&options, &mut |row| {
            println!("{}{}", head.take().unwrap_or_default(), table.row(row));
        })?;
        Ok(ExitCode::SUCCESS)
    }

    fn device(&self) -> anyhow::Result<Device> {
        if self.device != "auto" {
            return Ok(Device::select(&self.device)?);
        }
        let selection = Device::auto_explained()?;
        eprintln!("{}", selection.reason);
        Ok(selection.device)
    }
}
