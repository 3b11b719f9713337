//! The command line.

mod cli;

use std::process::ExitCode;

fn main() -> ExitCode {
    prospr::keep_freed_memory();
    end_when_nobody_reads();
    match cli::run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Lets `prospr devices | head -n 1` end the command, where Rust's programs otherwise panic.
fn end_when_nobody_reads() {
    #[cfg(unix)]
    // SAFETY: this is what a process begins with, and no other thread runs yet.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL)
    };
}
