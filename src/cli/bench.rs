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
    /// Operations one by one, beside Burn's own kernels, a bare copy and a bare matrix product.
    Kernels {
        #[command(flatten)]
        how: How,
    },
    /// A training step of a network, on random images.
    Train {
        #[command(flatten)]
        model: ModelName,
        #[command(flatten)]
        how: How,
    },
    /// ProsPr's exact meta-gradient of a network, on random images.
    Meta {
        #[command(flatten)]
        model: ModelName,
        /// Inner steps M.
        #[arg(long, default_value_t = 3)]
        steps: usize,
        /// What is kept for the reverse sweep: keep, per-step, every:K or auto:BYTES.
        #[arg(long, default_value = "per-step")]
        policy: String,
        #[command(flatten)]
        how: How,
    },
    /// The scores of pruning methods for a network, on random images; 64 a batch unless it is set.
    Prune {
        /// The network: a name that `prospr models` lists.
        #[arg(long, default_value = "resnet-18")]
        model: String,
        /// The methods; without it, all.
        #[arg(long, value_parser = crate::config::method(), value_delimiter = ',')]
        pruners: Vec<Method>,
        /// How many iterations methods of several iterations make.
        #[arg(long, default_value_t = 1)]
        iterations: usize,
        #[command(flatten)]
        how: How,
    },
}

#[derive(clap::Args)]
struct ModelName {
    /// The network: a name that `prospr models` lists.
    #[arg(long, default_value = "resnet-20")]
    model: String,
}

#[derive(clap::Args)]
struct How {
    /// auto, cpu, gpu, gpu:INDEX or gpu:NAME.
    #[arg(long, default_value = "auto")]
    device: String,
    /// Images a batch. Unless it is set: 128 for networks, 256 for kernels; 8 on software rasterizers, and for kernels on
    /// the CPU.
    #[arg(long)]
    batch: Option<usize>,
    /// How many measurements the median is of; fewer where they would take minutes.
    #[arg(long, default_value_t = 10)]
    repeats: usize,
    /// f32, or mixed: convolutions and matrix products of f16 operands with f32 sums.
    #[arg(long, default_value_t)]
    precision: Precision,
    /// Print JSON.
    #[arg(long)]
    json: bool,
    /// Print a Markdown table.
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Add what another program needed for the same: a file that --json or benches/pytorch.py made.
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    beside: Option<PathBuf>,
    /// Tiny sizes, to see that everything runs.
    #[arg(long, hide = true)]
    quick: bool,
}

pub fn run(args: &Args) -> anyhow::Result<ExitCode> {
    match &args.command {
        Command::Kernels { how } => how.measure(Table::of_kernels, |options, watch| {
            bench::kernels(options, watch)
        }),
        Command::Train { model, how } => how.measure(Table::of_training, |options, watch| {
            one(
                bench::train(&model.model, options, |line| eprintln!("{line}"))?,
                watch,
            )
        }),
        Command::Meta {
            model,
            steps,
            policy,
            how,
        } => how.measure(Table::of_scores, |options, watch| {
            f32_only(options)?;
            one(bench::meta(&model.model, *steps, policy, options)?, watch)
        }),
        Command::Prune {
            model,
            pruners,
            iterations,
            how,
        } => {
            anyhow::ensure!(*iterations > 0, "`--iterations` must be 1 or more, found 0");
            let methods = match &pruners[..] {
                [] => methods(),
                some => some.to_vec(),
            };
            how.measure(Table::of_scores, |options, watch| {
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

impl How {
    /// Measures and prints: a table line by line, JSON at the end.
    fn measure(
        &self,
        table: fn(bool, Option<Beside>) -> Table,
        work: impl FnOnce(&Options, &mut dyn FnMut(&Row)) -> anyhow::Result<Vec<Row>>,
    ) -> anyhow::Result<ExitCode> {
        let counts = [
            ("batch", self.batch.unwrap_or(1)),
            ("repeats", self.repeats),
        ];
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
        // With the first row: what fails before has no table.
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
