//! The `prospr` command.

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

/// Restores the default action of SIGPIPE, so that `prospr devices | head -n 1` ends quietly; Rust programs otherwise
/// panic.
fn end_when_nobody_reads() {
    #[cfg(unix)]
    // SAFETY: this is the initial setting of a process, and no other thread runs yet.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL)
    };
}
