//! Subcommands, one file each.

mod compare;
mod devices;
mod verify;

use clap::{Parser, Subcommand};

/// Prune neural networks before training, by differentiating through training. Without a command, the
/// default comparison runs on the embedded data.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    /// Prune, train and test with several methods, sparsities and seeds.
    Compare(compare::Args),
    /// List the devices of this machine and which one would be used.
    Devices(devices::Args),
    /// Compute the scores in a file again and compare.
    Verify(verify::Args),
}

pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Some(Command::Compare(args)) => compare::run(&args),
        Some(Command::Devices(args)) => devices::run(&args),
        Some(Command::Verify(args)) => verify::run(&args),
        None => compare::run(&Default::parse()),
    }
}

/// The comparison with nothing but defaults.
#[derive(Parser)]
struct Default {
    #[command(flatten)]
    args: compare::Args,
}

impl Default {
    fn parse() -> compare::Args {
        <Self as Parser>::parse_from(["prospr"]).args
    }
}
