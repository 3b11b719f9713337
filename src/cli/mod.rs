//! The command line, with one file for each subcommand. A program of another crate calls [`main`] after it
//! has registered
//! its own pruning methods with [`register`](crate::pruners::register).

mod bench;
mod common;
mod compare;
mod data;
mod devices;
mod eval;
mod explain;
mod fetch;
mod inspect;
mod memory;
mod models;
mod probe;
mod progress;
mod run;
mod verify;

use std::ffi::OsString;
use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;

/// Prune neural networks before training, by differentiating through training. Without a command, the
/// default comparison runs on the embedded data.
#[derive(Parser)]
#[command(version, args_conflicts_with_subcommands = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    compare: compare::Args,
    /// Memory budget for tensors on a device, such as 2GiB [default: as much as fits]. Also set by PROSPR_MEMORY.
    #[arg(long, global = true, value_name = "BYTES", value_parser = memory::bytes)]
    memory: Option<u64>,
}

#[derive(Subcommand)]
enum Command {
    /// Prune a network at initialization, train it and test it.
    Run(run::Args),
    /// Compute scores and mask, the first half of a run.
    Prune(run::PruneArgs),
    /// Train with the mask of --mask, or train a dense network: the second half of a run.
    Train(run::TrainArgs),
    /// Test the weights of a run folder or of a file, also PyTorch's.
    Eval(eval::Args),
    /// Prune, train and test with several methods, sparsities and seeds.
    Compare(compare::Args),
    /// Measure the speed of kernels, training steps, meta-gradients and pruning methods on a device.
    Bench(bench::Args),
    /// Print the compiled kernels of a training step, a test or a meta-gradient, and the memory that they take.
    Explain(explain::Args),
    /// Print statistics of masks: weights kept by layer, weights on paths from input to output, FLOPs, and the overlap of masks.
    Inspect(inspect::Args),
    /// Compare the norms of gradients and of meta-gradients layer by layer, as the number of inner steps grows.
    Probe(probe::Args),
    /// List data sets, download them, check their files, measure their loading speed.
    Data(data::Args),
    /// List the devices of this machine and the one that would be used.
    Devices(devices::Args),
    /// List the networks with their parameters, FLOPs and layers.
    Models(models::Args),
    /// Print the completion script of a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
    /// Recompute the scores in a file and compare.
    Verify(verify::Args),
}

/// Runs the command line of this process and prints its error, if there is one.
pub fn main() -> ExitCode {
    crate::keep_freed_memory();
    end_on_broken_pipe();
    match run(std::env::args_os()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Restores the default action of SIGPIPE, so that `prospr devices | head -n 1` ends quietly; Rust programs otherwise
/// panic.
fn end_on_broken_pipe() {
    #[cfg(unix)]
    // SAFETY: this is the initial setting of a process, and no other thread runs yet.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL)
    };
}

/// Runs a command line; the first argument is the program's name. The process ends if an argument is wrong.
///
/// # Errors
/// Those of the command.
pub fn run<T: Into<OsString> + Clone>(
    args: impl IntoIterator<Item = T>,
) -> anyhow::Result<ExitCode> {
    let matches = Cli::command().get_matches_from(args);
    let cli = Cli::from_arg_matches(&matches).unwrap_or_else(|e| e.exit());
    memory::limit(cli.memory)?;
    // The matches of the subcommand, or those of the whole command line if there is no subcommand.
    let settings = matches.subcommand().map_or(&matches, |(_, own)| own);
    match cli.command {
        None => compare::run(&cli.compare, settings),
        Some(Command::Compare(args)) => compare::run(&args, settings),
        Some(Command::Run(args)) => run::run(&args, settings),
        Some(Command::Prune(args)) => run::prune(&args, settings),
        Some(Command::Train(args)) => run::train(&args, settings),
        Some(Command::Eval(args)) => eval::run(&args, settings),
        Some(Command::Bench(args)) => bench::run(&args),
        Some(Command::Explain(args)) => explain::run(&args),
        Some(Command::Inspect(args)) => inspect::run(&args),
        Some(Command::Probe(args)) => probe::run(&args, settings),
        Some(Command::Data(args)) => data::run(&args),
        Some(Command::Devices(args)) => devices::run(&args),
        Some(Command::Models(args)) => models::run(&args),
        Some(Command::Completions { shell }) => {
            let mut command = Cli::command();
            clap_complete::generate(shell, &mut command, "prospr", &mut std::io::stdout());
            Ok(ExitCode::SUCCESS)
        }
        Some(Command::Verify(args)) => verify::run(&args),
    }
}
