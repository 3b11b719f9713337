//! Groups of runs of a comparison that differ only in their seeds.

use plotters::style::RGBColor;

use super::colors::{HUES, INK, PAPER, mixed};
use super::filters::Filters;
use super::text::short_percent;
use crate::comparison::Mean;
use crate::results::{EpochRow, Results};

/// A run of a comparison with what its report shows: results, metrics of each epoch, and filters.
#[derive(Clone, Debug)]
pub struct ComparedRun {
    /// The results of the run.
    pub results: Results,
    /// Metrics of each epoch.
    pub history: Vec<EpochRow>,
    /// Filters of the first layer, if they can be drawn.
    pub filters: Option<Filters>,
    /// Path of the run's own report, relative to the comparison's folder, with slashes.
    pub report: String,
}

/// Runs that differ only in their seeds; at least one.
pub struct Group<'a> {
    /// Name of the pruning method.
    pub pruner: &'a str,
    /// Requested fraction of weights to remove.
    pub sparsity: f64,
    /// One run for each seed.
    pub runs: Vec<&'a ComparedRun>,
    /// Colour of the pruner.
    pub hue: RGBColor,
    /// Colour of the group: that of the pruner, paler at lower sparsities.
    pub color: RGBColor,
}

impl Group<'_> {
    /// Returns true if weights were removed.
    pub fn pruned(&self) -> bool {
        self.runs.iter().any(|run| run.results.weights_kept < run.results.weights)
    }

    /// Name of the pruner, with the sparsity if weights were removed.
    pub fn name(&self) -> String {
        if self.pruned() {
            format!("{} {}", self.pruner, short_percent(self.sparsity))
        } else {
            self.pruner.into()
        }
    }

    /// Returns a number of each run's results.
    pub fn values(&self, value: impl Fn(&Results) -> f64) -> Vec<f64> {
        self.runs.iter().map(|run| value(&run.results)).collect()
    }

    /// Mean test accuracy after the last epoch.
    pub fn top1(&self) -> f64 {
        Mean::of(&self.values(|r| r.test_top1)).mean
    }
}

/// Groups the runs that have no check by pruner and sparsity, in the order of their first runs, and gives them colours.
pub fn groups(runs: &[ComparedRun]) -> Vec<Group<'_>> {
    let mut groups: Vec<Group<'_>> = Vec::new();
    for run in runs.iter().filter(|run| run.results.check.is_none()) {
        let Results { pruner, sparsity_requested: sparsity, .. } = &run.results;
        match groups.iter_mut().find(|g| g.pruner == pruner && g.sparsity == *sparsity) {
            Some(group) => group.runs.push(run),
            None => groups.push(Group {
                pruner,
                sparsity: *sparsity,
                runs: vec![run],
                hue: INK,
                color: INK,
            }),
        }
    }
    let mut pruners: Vec<&str> = Vec::new();
    for group in groups.iter().filter(|group| group.pruned()) {
        if !pruners.contains(&group.pruner) {
            pruners.push(group.pruner);
        }
    }
    let sparsities = sparsities(&groups);
    for group in groups.iter_mut().filter(|group| group.pruned()) {
        let pruner = pruners.iter().position(|&name| name == group.pruner);
        group.hue = HUES[pruner.unwrap_or(0) % HUES.len()];
        let rank = sparsities.iter().rev().position(|&s| s == group.sparsity);
        let steps = (sparsities.len() - 1).max(1) as f64;
        group.color = mixed(group.hue, PAPER, 0.62 * rank.unwrap_or(0) as f64 / steps);
    }
    groups
}

/// The requested sparsities of pruned networks in ascending order.
pub fn sparsities(groups: &[Group<'_>]) -> Vec<f64> {
    let pruned = groups.iter().filter(|group| group.pruned());
    let mut sparsities: Vec<f64> = pruned.map(|group| group.sparsity).collect();
    sparsities.sort_by(f64::total_cmp);
    sparsities.dedup();
    sparsities
}
