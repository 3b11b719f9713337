//! `prospr data`

use std::process::ExitCode;

use clap::Subcommand;

use super::fetch;

#[derive(Subcommand)]
pub enum Command {
    /// Download a data set, check it and unpack it; goes on where it was cut off.
    Fetch(fetch::Args),
}

pub fn run(command: &Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Fetch(args) => fetch::run(args),
    }
}
