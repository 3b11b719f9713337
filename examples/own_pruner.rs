//! A pruning method of another crate, registered so that the command line knows it by name:
//! `cargo run --release --example own_pruner -- run --pruner balanced-snip --prune-batches 4`

use prospr::prelude::*;
use prospr::pruners::{Method, Pruner, Result, Snip, Task, register};

/// Scores of SNIP, divided by their mean over each layer: `s / mean(s)`.
struct BalancedSnip(Snip);

impl Pruner for BalancedSnip {
    fn name(&self) -> &'static str {
        "balanced-snip"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let scores = self.0.scores(task)?;
        let scores = scores.map_leaves(|s| s / s.mean());
        scores.eval_leaves()?;
        Ok(scores)
    }
}

const BALANCED_SNIP: Method = Method {
    name: "balanced-snip",
    summary: "SNIP with the same mean score in each layer",
    score: "`s / mean(s)` with the scores `s` of `snip`",
    allocation: None,
    // The settings that are read here are those that the method accepts: `--iterations 5` is an error.
    pruner: |settings| {
        Ok(Box::new(BalancedSnip(Snip {
            batches: settings.batches(1)?,
            mode: settings.get("prune_norm")?,
            ..Snip::default()
        })))
    },
};

/// Registers the method, which a program does before anything else.
pub fn register_methods() -> Result<()> {
    register(BALANCED_SNIP)
}

fn main() -> std::process::ExitCode {
    register_methods().expect("no other method has this name");
    prospr::cli::main()
}
