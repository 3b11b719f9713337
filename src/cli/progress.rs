//! Progress display of a run: a bar on a terminal, otherwise lines of text.

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressStyle};

use super::common::stop_requested;
use crate::experiment::{Pruned, Watch};
use crate::results::EpochRow;
use crate::train::TrainState;

pub struct Progress {
    label: String,
    epochs: usize,
    /// The progress bar, hidden with `--quiet` or without a terminal.
    bar: ProgressBar,
    lines: bool,
    /// End and number of the first step of this session.
    first: Option<(Instant, usize)>,
    /// Number of steps of the whole run.
    steps: usize,
    /// Text with the test accuracy of the last epoch; empty before the first test.
    tested: String,
}

impl Progress {
    pub fn new(label: String, epochs: usize, quiet: bool) -> Progress {
        let terminal = std::io::stderr().is_terminal();
        let bar = if terminal && !quiet { ProgressBar::new(1) } else { ProgressBar::hidden() };
        let style =
            ProgressStyle::with_template("{prefix} {bar:20} {msg}").expect("the template is valid");
        bar.set_style(style.progress_chars("█▉▊▋▌▍▎▏ "));
        bar.set_prefix(label.clone());
        bar.set_message("pruning");
        Progress {
            label,
            epochs,
            bar,
            lines: !terminal && !quiet,
            first: None,
            steps: 0,
            tested: String::new(),
        }
    }

    fn line(&self, text: &str) {
        let line = format!("{}: {text}", self.label);
        if self.lines {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Estimated time left, tests included. Empty after the first step of a session and after the last step.
    fn left(&self, step: usize) -> String {
        let known = self.first.filter(|&(_, first)| first < step && step < self.steps);
        known.map_or(String::new(), |(start, first)| {
            let a_step = start.elapsed().as_secs_f64() / (step - first) as f64;
            let left = a_step * (self.steps - step) as f64;
            let left = Duration::from_secs_f64(left.round());
            format!(", {} left", HumanDuration(left))
        })
    }
}

impl Watch for Progress {
    fn note(&mut self, text: &str) {
        self.line(text);
    }

    fn pruned(&mut self, pruned: &Pruned) {
        if let Some(mask) = &pruned.mask {
            self.line(&format!(
                "{} of {} weights are kept, selected in {:.2} s",
                mask.kept(),
                mask.weights(),
                pruned.seconds
            ));
        }
        if let Some(note) = pruned.collapse_note() {
            self.line(&note);
        }
    }

    fn step(
        &mut self,
        now: &TrainState,
        batches: usize,
        images_per_second: f64,
    ) -> ControlFlow<()> {
        self.first.get_or_insert((Instant::now(), now.step));
        self.steps = self.epochs * batches;
        let metrics = now.seen.metrics();
        self.bar.set_length(self.steps as u64);
        self.bar.set_position(now.step as u64);
        self.bar.set_message(format!(
            "epoch {}/{}: loss {:.4}, train {:.2} %{}, {images_per_second:.0} images/s{}",
            now.epoch + 1,
            self.epochs,
            metrics.loss,
            100.0 * metrics.top1,
            self.tested,
            self.left(now.step)
        ));
        if stop_requested() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn epoch(&mut self, row: &EpochRow) {
        self.tested = format!(", test {:.2} %", 100.0 * row.test_top1);
        let last = row.epoch == self.epochs;
        if self.lines || last {
            self.line(&format!(
                "epoch {}/{}: loss {:.4}, train {:.2} %{}, {:.0} images/s{}",
                row.epoch,
                self.epochs,
                row.train_loss,
                100.0 * row.train_top1,
                self.tested,
                row.images_per_second,
                self.left(self.steps / self.epochs * row.epoch)
            ));
        }
        if last {
            self.bar.finish_and_clear();
        }
    }
}
