//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    prospr::cli::main()
}
