//! Subcommands, one file each.

mod devices;

use clap::{Parser, Subcommand};

/// Prune neural networks before training, by differentiating through training.
#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// List the devices of this machine and which one would be used.
    Devices(devices::Args),
}

pub fn run() -> anyhow::Result<()> {
    match Cli::parse().command {
        Command::Devices(args) => devices::run(&args),
    }
}
