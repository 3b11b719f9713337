//! The command line.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    prospr::keep_freed_memory();
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
