//! Charts of a comparison.

use std::collections::BTreeMap;

use super::axis::Axis;
use super::chart::Chart;
use super::dots::{LayerValues, shares_kept};
use super::groups::{Group, sparsities};
use super::plots::{by_epoch, share};
use super::series::{Mark, Series};
use super::text::{percent, short_percent};
use crate::comparison::Mean;

const LINE: Mark = Mark::Line(2.5);

/// Test accuracy by epoch, one line for each group.
pub fn curves(groups: &[Group<'_>]) -> Chart {
    let label = |group: &Group<'_>| format!("{}: {}", group.name(), percent(group.top1()));
    let labels: Vec<String> = groups.iter().map(label).collect();
    let alt = format!(
        "Line plot of test accuracy by epoch. After the last epoch: {}.",
        labels.join(", ")
    );
    let lines = groups.iter().zip(labels);
    let lines =
        lines.map(|(group, label)| Series::new(label, group.color, LINE, mean_curve(group)));
    by_epoch("Test top-1 accuracy by epoch", alt, lines.collect())
}

/// Epochs and test accuracies in percent, averaged over the seeds that have the epoch.
fn mean_curve(group: &Group<'_>) -> Vec<(f64, f64)> {
    let mut epochs: BTreeMap<usize, Vec<f64>> = BTreeMap::new();
    for row in group.runs.iter().flat_map(|run| &run.history) {
        epochs.entry(row.epoch).or_default().push(100.0 * row.test_top1);
    }
    let mean = |(epoch, values): (usize, Vec<f64>)| (epoch as f64, Mean::of(&values).mean);
    epochs.into_iter().map(mean).collect()
}

/// Test accuracy against sparsity, one line for each pruner.
pub fn frontier(groups: &[Group<'_>]) -> Chart {
    let sparsities = sparsities(groups);
    // Higher sparsities are farther right.
    let x = |sparsity: f64| -(1.0 - sparsity).log10();
    let ends = (x(sparsities[0]), x(sparsities[sparsities.len() - 1]));
    let margin = 0.06 * (ends.1 - ends.0);
    let range = (ends.0 - margin, ends.1 + margin);

    let span = range.1 - range.0;
    let ticks = sparsities.iter().map(|&s| (x(s), short_percent(s)));
    let mut ticks: Vec<(f64, String)> = ticks.collect();
    // Labels too close to the previous label are left out.
    ticks.dedup_by(|next, tick| next.0 - tick.0 < 0.09 * span);

    let mut series: Vec<Series> = Vec::new();
    for (i, group) in groups.iter().enumerate() {
        let Group { pruner, hue, .. } = *group;
        if !group.pruned() {
            let level = 100.0 * group.top1();
            let ends = [(range.0, level), (range.1, level)];
            series.push(Series::new(pruner, hue, Mark::Dashes, ends));
        } else if !groups[..i].iter().any(|g| g.pruned() && g.pruner == pruner) {
            let own = groups.iter().filter(|g| g.pruned() && g.pruner == pruner);
            let mut own: Vec<&Group<'_>> = own.collect();
            own.sort_by(|a, b| a.sparsity.total_cmp(&b.sparsity));
            let points = || own.iter().map(|g| (x(g.sparsity), 100.0 * g.top1()));
            series.push(Series::new(pruner, hue, LINE, points()));
            series.push(Series::new("", hue, Mark::Dot, points()));
            series.extend(own.iter().filter_map(|g| {
                let Mean { mean, deviation } = Mean::of(&g.values(|r| 100.0 * r.test_top1));
                let (x, cap, deviation) = (x(g.sparsity), 0.006 * span, deviation?);
                let [low, high] = [mean - deviation, mean + deviation].map(|y| y.clamp(0.0, 100.0));
                let across = [-cap, cap, 0.0, 0.0, -cap, cap].map(|beside| x + beside);
                let bar = across.into_iter().zip([high, high, high, low, low, low]);
                Some(Series::new("", hue, Mark::Line(1.5), bar))
            }));
        }
    }
    let values = series.iter().flat_map(|series| &series.points);
    let y = Axis::percent(values.map(|point| point.1));
    let alt = "Line plot of test accuracy against sparsity, one line for each pruner. The table has the numbers.";
    Chart {
        x: Axis::new("sparsity", range, ticks),
        y,
        ..Chart::new("Test top-1 accuracy by sparsity", alt.into(), 272.0, series)
    }
}

/// Fraction kept of each layer at the highest sparsity, one dot for each pruner.
pub fn layers(groups: &[Group<'_>]) -> Chart {
    let highest = sparsities(groups).last().copied();
    let pruned = groups.iter();
    let pruned = pruned.filter(|group| group.pruned() && Some(group.sparsity) == highest);
    let mut shown: Vec<&Group<'_>> = pruned.collect();
    if shown.is_empty() {
        shown.extend(groups.first());
    }
    let first = shown.first().into_iter();
    let layers = first.flat_map(|group| &group.runs[0].results.layers);
    let names: Vec<&str> = layers.map(|layer| &layer.name[..]).collect();
    let kept = |group: &Group<'_>, name: &str| {
        let layers = group.runs.iter().flat_map(|run| &run.results.layers);
        let shares: Vec<f64> = layers.filter(|l| l.name == name).map(share).collect();
        // Layers that a run does not have give NaN, which is not drawn.
        Mean::of(&shares).mean
    };
    let values = shown.iter().map(|group| {
        let values = names.iter().map(|name| kept(group, name)).collect();
        (group.hue, LayerValues { label: group.name(), values })
    });
    shares_kept(&names, values.collect())
}
