//! `prospr compare`, and what `prospr` does without arguments.

use std::io::{IsTerminal, Write};

use prospr::Device;
use prospr::datasets::mnist5k;
use prospr::experiment::{Experiment, Method};
use prospr::optim::{Schedule, Sgd};

#[derive(clap::Args)]
pub struct Args {
    /// Methods to compare.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "dense,prospr,random"
    )]
    pruners: Vec<Method>,
    /// Fractions of weights to remove.
    #[arg(long, value_delimiter = ',', default_value = "0.98")]
    sparsities: Vec<f64>,
    /// Seeds, one run each.
    #[arg(long, value_delimiter = ',', default_value = "0")]
    seeds: Vec<u64>,
    /// Passes over the training data.
    #[arg(long, default_value_t = 10)]
    epochs: usize,
    /// Images a batch, in pruning and in training.
    #[arg(long, default_value_t = 128)]
    batch: usize,
    /// Learning rate of training; it drops to a tenth at half and at three quarters of the epochs.
    #[arg(long, default_value_t = 0.01)]
    lr: f64,
    /// Inner steps of ProsPr.
    #[arg(long, default_value_t = 3)]
    steps: usize,
    /// Learning rate of ProsPr's inner steps.
    #[arg(long, default_value_t = 0.1)]
    inner_lr: f64,
    /// How many weights each layer keeps in any case.
    #[arg(long, default_value_t = 0)]
    min_per_layer: usize,
    /// auto, cpu, gpu, gpu:INDEX or gpu:NAME.
    #[arg(long, default_value = "auto")]
    device: String,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let device = match args.device.as_str() {
        "auto" => {
            let selection = Device::auto_explained()?;
            eprintln!("{}", selection.reason);
            selection.device
        }
        wish => Device::select(wish)?,
    };
    let data = mnist5k();
    eprintln!(
        "{}: {} training and {} test images",
        data.name,
        data.train.len(),
        data.test.len()
    );
    let mut rows = Vec::new();
    for &method in &args.pruners {
        // A dense network has no sparsity to vary.
        let sparsities = if method == Method::Dense {
            &[0.0][..]
        } else {
            &args.sparsities
        };
        for &sparsity in sparsities {
            for &seed in &args.seeds {
                let experiment = args.experiment(method, sparsity, seed);
                let name = format!(
                    "{} at {:.1} %, seed {seed}",
                    label(method),
                    100.0 * sparsity
                );
                let outcome = experiment.run(&data, &device, &mut |epoch, loss, test| {
                    let line = format!(
                        "{name}: epoch {}/{}, loss {loss:.4}, test {:.2} %",
                        epoch + 1,
                        args.epochs,
                        100.0 * test.top1
                    );
                    show(&line, epoch + 1 == args.epochs);
                })?;
                rows.push((method, sparsity, outcome));
            }
        }
    }
    table(&rows, args.seeds.len());
    Ok(())
}

impl Args {
    fn experiment(&self, method: Method, sparsity: f64, seed: u64) -> Experiment {
        Experiment {
            method,
            sparsity,
            seed,
            epochs: self.epochs,
            batch_size: self.batch,
            optimizer: Sgd::new(self.lr).momentum(0.9).weight_decay(5e-4),
            schedule: Schedule::Milestones {
                at: vec![self.epochs / 2, self.epochs * 3 / 4],
                gamma: 0.1,
            },
            steps: self.steps,
            inner: Sgd::new(self.inner_lr),
            min_per_layer: self.min_per_layer,
        }
    }
}

fn label(method: Method) -> String {
    use clap::ValueEnum;
    method
        .to_possible_value()
        .map_or_else(String::new, |value| value.get_name().to_string())
}

/// One line that the next overwrites on a terminal; plain lines elsewhere.
fn show(line: &str, last: bool) {
    let mut stderr = std::io::stderr();
    if stderr.is_terminal() {
        eprint!("\r\x1b[2K{line}{}", if last { "\n" } else { "" });
        stderr.flush().ok();
    } else {
        eprintln!("{line}");
    }
}

fn table(rows: &[(Method, f64, prospr::experiment::Outcome)], seeds: usize) {
    println!(
        "{:<20} {:>8} {:>18} {:>14} {:>10} {:>10}",
        "pruner", "sparsity", "weights kept", "test top-1", "prune", "train"
    );
    for runs in rows.chunks(seeds) {
        let n = runs.len() as f64;
        let mean = |f: &dyn Fn(&prospr::experiment::Outcome) -> f64| {
            runs.iter().map(|r| f(&r.2)).sum::<f64>() / n
        };
        let top1 = mean(&|o| 100.0 * o.test.top1);
        let spread = (runs
            .iter()
            .map(|r| (100.0 * r.2.test.top1 - top1).powi(2))
            .sum::<f64>()
            / (n - 1.0).max(1.0))
        .sqrt();
        let (method, _, first) = &runs[0];
        let accuracy = if seeds > 1 {
            format!("{top1:.2} ± {spread:.2} %")
        } else {
            format!("{top1:.2} %")
        };
        println!(
            "{:<20} {:>6.1} % {:>18} {:>14} {:>8.2} s {:>8.1} s",
            label(*method),
            100.0 * first.sparsity,
            format!("{} of {}", first.weights.1, first.weights.0),
            accuracy,
            mean(&|o| o.prune_seconds),
            mean(&|o| o.train_seconds)
        );
    }
}
