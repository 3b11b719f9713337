//! The results of several runs: `results.json` of a comparison, and statistics over seeds.

use serde::{Deserialize, Serialize};

use crate::config::{Check, RunConfig};
use crate::pruners;
use crate::results::Results;

/// Contents of `results.json` of a comparison.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// Version of prospr.
    pub version: String,
    /// One result for each pruner, sparsity, check and seed.
    pub runs: Vec<Results>,
    /// The runs that stopped because a layer collapsed.
    #[serde(default)]
    pub collapsed: Vec<Collapse>,
}

/// A run that stopped at pruning because a layer would have kept no weight: contents of `collapsed.json` in its folder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Collapse {
    /// Name of the pruning method.
    pub pruner: String,
    /// The sanity check that the run belongs to, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub check: Option<Check>,
    /// Requested fraction of prunable weights to remove.
    pub sparsity_requested: f64,
    /// Seed of the run.
    pub seed: u64,
    /// Name of the layer that would have kept no weight.
    pub layer: String,
    /// Number of weights of that layer.
    pub weights: usize,
}

impl Collapse {
    /// Returns the collapse of a run if the error is one, otherwise `None`.
    pub fn of(error: &anyhow::Error, run: &RunConfig) -> Option<Collapse> {
        match error.downcast_ref()? {
            pruners::Error::EmptyLayer { layer, weights, .. } => Some(Collapse {
                pruner: run.pruner.name.into(),
                check: run.check,
                sparsity_requested: run.sparsity,
                seed: run.seed,
                layer: layer.clone(),
                weights: *weights,
            }),
            _ => None,
        }
    }
}

/// Mean and standard deviation over seeds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mean {
    /// Arithmetic mean.
    pub mean: f64,
    /// Sample standard deviation (divisor n − 1), if there are at least two values.
    pub deviation: Option<f64>,
}

impl Mean {
    /// Computes mean and standard deviation of at least one value.
    pub fn of(values: &[f64]) -> Mean {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let squares = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>();
        let deviation = (values.len() > 1).then(|| (squares / (n - 1.0)).sqrt());
        Mean { mean, deviation }
    }
}

/// Outcomes over the seeds of one pruner at one sparsity, with one check or none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Test accuracies after the last epoch, one for each seed with a result.
    pub test_top1: Vec<f64>,
    /// For each other seed, the name of the layer that would have kept no weight.
    pub collapsed: Vec<String>,
}

/// One pruner at one sparsity: a row of a comparison's table.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary<'a> {
    /// Name of the pruning method.
    pub pruner: &'a str,
    /// Requested fraction of prunable weights to remove.
    pub sparsity_requested: f64,
    /// The results of the runs without checks; empty if all of them collapsed.
    pub runs: Vec<&'a Results>,
    /// Outcomes of the runs without checks.
    pub tally: Tally,
    /// Outcomes of each check, in the order of [`Comparison::checks`].
    pub checks: Vec<Tally>,
}

impl Summary<'_> {
    /// Returns one number of each run; runs for which it is `None` are left out.
    pub fn values(&self, value: impl Fn(&Results) -> Option<f64>) -> Vec<f64> {
        self.runs.iter().filter_map(|run| value(run)).collect()
    }
}

impl Comparison {
    /// All sanity checks of the comparison, in the order of their first runs.
    pub fn checks(&self) -> Vec<Check> {
        let mut checks = Vec::new();
        let runs = self.runs.iter().map(|run| run.check);
        for check in runs.chain(self.collapsed.iter().map(|run| run.check)).flatten() {
            if !checks.contains(&check) {
                checks.push(check);
            }
        }
        checks
    }

    /// One summary for each pruner and sparsity: pruners in the order of their first runs, sparsities ascending.
    pub fn summaries(&self) -> Vec<Summary<'_>> {
        let runs = self.runs.iter();
        let runs = runs.map(|run| (&run.pruner[..], run.sparsity_requested));
        let collapsed = self.collapsed.iter();
        let collapsed = collapsed.map(|run| (&run.pruner[..], run.sparsity_requested));
        let mut pruners: Vec<&str> = Vec::new();
        let mut rows: Vec<(usize, f64)> = Vec::new();
        for (pruner, sparsity) in runs.chain(collapsed) {
            let known = pruners.iter().position(|&name| name == pruner);
            let place = known.unwrap_or_else(|| {
                pruners.push(pruner);
                pruners.len() - 1
            });
            if !rows.contains(&(place, sparsity)) {
                rows.push((place, sparsity));
            }
        }
        rows.sort_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
        let checks = self.checks();
        let summary = |(place, sparsity): (usize, f64)| {
            let pruner = pruners[place];
            let tally = |check| self.tally(pruner, sparsity, check);
            Summary {
                pruner,
                sparsity_requested: sparsity,
                runs: self.of(pruner, sparsity, None).collect(),
                tally: tally(None),
                checks: checks.iter().map(|&check| tally(Some(check))).collect(),
            }
        };
        rows.into_iter().map(summary).collect()
    }

    /// Iterates over the results of a pruner at a sparsity, with a sanity check or none.
    fn of(
        &self,
        pruner: &str,
        sparsity: f64,
        check: Option<Check>,
    ) -> impl Iterator<Item = &Results> {
        self.runs.iter().filter(move |run| {
            (&run.pruner[..], run.sparsity_requested, run.check) == (pruner, sparsity, check)
        })
    }

    /// Collects the outcomes of a pruner at a sparsity, with a sanity check or none.
    fn tally(&self, pruner: &str, sparsity: f64, check: Option<Check>) -> Tally {
        let collapsed = self.collapsed.iter().filter(|run| {
            (&run.pruner[..], run.sparsity_requested, run.check) == (pruner, sparsity, check)
        });
        Tally {
            test_top1: self.of(pruner, sparsity, check).map(|run| run.test_top1).collect(),
            collapsed: collapsed.map(|run| run.layer.clone()).collect(),
        }
    }
}
