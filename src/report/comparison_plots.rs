//! The plots of a comparison.

use plotters::style::RGBColor;

use super::axes::{Axes, Key, head, head_height, percent_axis};
use super::comparison::Group;
use super::dots::{Series, shares_kept};
use super::picture::{Picture, WIDTH};
use super::plots::{accuracy_axes, curve, share};
use super::text::{percent, short_percent};
use crate::comparison::Mean;

type Legend = Vec<(Key, RGBColor, String)>;

/// The requested sparsities of pruned networks, rising.
pub fn sparsities(groups: &[Group<'_>]) -> Vec<f64> {
    let pruned = groups.iter().filter(|group| group.pruned());
    let mut sparsities: Vec<f64> = pruned.map(|group| group.sparsity).collect();
    sparsities.sort_by(f64::total_cmp);
    sparsities.dedup();
    sparsities
}

/// Test accuracy by epoch, one line a group.
pub fn curves(groups: &[Group<'_>]) -> Picture {
    let legend: Legend = groups
        .iter()
        .map(|group| {
            let label = format!("{}: {}", group.name(), percent(group.top1()));
            (Key::Line, group.color, label)
        })
        .collect();
    let labels: Vec<&str> = legend.iter().map(|(.., label)| label.as_str()).collect();
    let alt = format!(
        "Line plot of test accuracy by epoch. After the last epoch: {}.",
        labels.join(", ")
    );
    let mut picture = Picture::new(head_height(&legend) + 328.0, alt);
    let top = head(&mut picture, "Test top-1 accuracy by epoch", &legend);
    let lines: Vec<Vec<(f64, f64)>> = groups.iter().map(mean_curve).collect();
    let last = lines.iter().flatten().map(|point| point.0 as usize).max();
    let values = lines.iter().flatten().map(|point| point.1);
    let axes = accuracy_axes(&mut picture, top, last.unwrap_or(1), values);
    for (group, line) in groups.iter().zip(&lines) {
        curve(&mut picture, &axes, line, group.color);
    }
    picture
}

/// Test accuracy in percent by epoch, over the seeds that have the epoch.
fn mean_curve(group: &Group<'_>) -> Vec<(f64, f64)> {
    let rows = || group.runs.iter().flat_map(|run| &run.history);
    let mut epochs: Vec<usize> = rows().map(|row| row.epoch).collect();
    epochs.sort_unstable();
    epochs.dedup();
    let mean = |epoch: usize| {
        let there = rows().filter(|row| row.epoch == epoch);
        let values: Vec<f64> = there.map(|row| 100.0 * row.test_top1).collect();
        Mean::of(&values).mean
    };
    epochs
        .into_iter()
        .map(|epoch| (epoch as f64, mean(epoch)))
        .collect()
}

/// Test accuracy against sparsity, one line a pruner.
pub fn frontier(groups: &[Group<'_>]) -> Picture {
    let sparsities = sparsities(groups);
    let mut legend: Legend = Vec::new();
    for group in groups {
        let key = if group.pruned() {
            Key::Line
        } else {
            Key::Dashes
        };
        if !legend.iter().any(|(.., label)| label == group.pruner) {
            legend.push((key, group.hue, group.pruner.into()));
        }
    }
    let alt = "Line plot of test accuracy against sparsity, one line a pruner. The table has the numbers.";
    let mut picture = Picture::new(head_height(&legend) + 328.0, alt);
    let top = head(&mut picture, "Test top-1 accuracy by sparsity", &legend);

    let points: Vec<(&Group<'_>, f64, f64)> = groups
        .iter()
        .map(|group| {
            let values = group.values(|r| 100.0 * r.test_top1);
            let Mean { mean, deviation } = Mean::of(&values);
            (group, mean, deviation.unwrap_or(0.0))
        })
        .filter(|(_, mean, _)| mean.is_finite())
        .collect();
    // The fewer weights are left, the farther right.
    let x = |sparsity: f64| -(1.0 - sparsity).log10();
    let ends = (x(sparsities[0]), x(sparsities[sparsities.len() - 1]));
    let margin = 0.06 * (ends.1 - ends.0);
    let values = points.iter().flat_map(|&(_, mean, d)| [mean - d, mean + d]);
    let (y, down) = percent_axis(values.map(|v| v.clamp(0.0, 100.0)));
    let axes = Axes {
        across: (70.0, WIDTH - 24.0),
        down: (top + 4.0, picture.height() - 50.0),
        x: (ends.0 - margin, ends.1 + margin),
        y,
    };
    let across: Vec<(f64, String)> = sparsities
        .iter()
        .map(|&s| (x(s), short_percent(s)))
        .collect();
    axes.label_down(&mut picture, &down);
    axes.label_across(&mut picture, &across, true);
    axes.name_across(&mut picture, "sparsity");
    for &(group, mean, _) in points.iter().filter(|p| !p.0.pruned()) {
        let y = axes.down(mean);
        picture.dashes((axes.across.0, y), (axes.across.1, y), 1.5, group.hue);
    }
    let mut drawn: Vec<&str> = Vec::new();
    for &(Group { pruner, hue, .. }, ..) in points.iter().filter(|p| p.0.pruned()) {
        if drawn.contains(pruner) {
            continue;
        }
        drawn.push(pruner);
        let mut own: Vec<(f64, f64, f64)> = points
            .iter()
            .filter(|p| p.0.pruned() && p.0.pruner == *pruner)
            .map(|&(group, mean, deviation)| (x(group.sparsity), mean, deviation))
            .collect();
        own.sort_by(|a, b| a.0.total_cmp(&b.0));
        picture.path(own.iter().map(|p| axes.at(p.0, p.1)).collect(), 2.5, *hue);
        for (x, mean, deviation) in own {
            let end = |v: f64| axes.at(x, v.clamp(y.0, y.1));
            let (low, high) = (end(mean - deviation), end(mean + deviation));
            if deviation > 0.0 {
                picture.path(vec![low, high], 1.5, *hue);
                for (x, y) in [low, high] {
                    picture.path(vec![(x - 4.0, y), (x + 4.0, y)], 1.5, *hue);
                }
            }
            picture.circle(axes.at(x, mean), 4.5, *hue);
        }
    }
    picture
}

/// What is left of each layer at the highest sparsity, one dot a pruner.
pub fn layers(groups: &[Group<'_>]) -> Picture {
    let highest = sparsities(groups).last().copied();
    let mut shown: Vec<&Group<'_>> = groups
        .iter()
        .filter(|group| group.pruned() && Some(group.sparsity) == highest)
        .collect();
    if shown.is_empty() {
        shown.extend(groups.first());
    }
    let layers = shown
        .first()
        .map_or(&[][..], |group| &group.runs[0].results.layers);
    let left_of = |group: &Group<'_>, name: &str| {
        let layers = group.runs.iter().flat_map(|run| &run.results.layers);
        let shares: Vec<f64> = layers.filter(|l| l.name == name).map(share).collect();
        // Of another network's layer there is none.
        Mean::of(&shares).mean
    };
    let names: Vec<&str> = layers.iter().map(|layer| &layer.name[..]).collect();
    let series: Vec<Series> = shown
        .iter()
        .map(|group| Series {
            color: group.hue,
            label: group.name(),
            values: names.iter().map(|name| left_of(group, name)).collect(),
        })
        .collect();
    shares_kept(&names, &series)
}
