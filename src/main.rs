//! The `prospr` command.

use std::process::ExitCode;

fn main() -> ExitCode {
    prospr::cli::main()
}
