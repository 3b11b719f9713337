//! Charts of one run.

use super::axis::Axis;
use super::chart::Chart;
use super::colors::{FAINT, HUES, KEPT};
use super::series::{Mark, Series};
use super::text::{count, percent};
use crate::results::{EpochRow, LayerResult, Results};

/// Top-1 accuracy on training and test data by epoch, and the best epoch.
pub fn accuracy(results: &Results, history: &[EpochRow]) -> Chart {
    let best = format!(
        "best test, {} after epoch {}",
        percent(results.best_test_top1),
        results.best_epoch
    );
    let alt = format!(
        "Line plot of top-1 accuracy in training and test over {} epochs. Test ends at {}; {best}.",
        results.epochs,
        percent(results.test_top1),
    );
    let test = |row: &EpochRow| (row.epoch as f64, 100.0 * row.test_top1);
    let training = |row: &EpochRow| (row.epoch as f64, 100.0 * row.train_top1);
    let rows = history.iter();
    let ring = rows.clone().filter(|row| row.epoch == results.best_epoch);
    let line = Mark::Line(2.5);
    let series = vec![
        Series::new("test", HUES[0], line, rows.clone().map(test)),
        Series::new("training", HUES[1], line, rows.map(training)),
        Series::new(best, HUES[0], Mark::Ring, ring.map(test)),
    ];
    by_epoch("Top-1 accuracy by epoch", alt, series)
}

/// A chart of accuracies in percent by epoch.
pub fn by_epoch(title: &'static str, alt: String, series: Vec<Series>) -> Chart {
    let points = series.iter().flat_map(|series| &series.points);
    let last = points.clone().map(|point| point.0 as usize).max();
    Chart {
        x: Axis::epochs(last.unwrap_or(1)),
        y: Axis::percent(points.map(|point| point.1)),
        ..Chart::new(title, alt, 272.0, series)
    }
}

/// Number of weights and of kept weights of each layer, on a logarithmic scale.
pub fn layers(layers: &[LayerResult]) -> Chart {
    let total = |number: fn(&LayerResult) -> usize| count(layers.iter().map(number).sum());
    let alt = format!(
        "Bars of {} layers: {} of {} weights kept. The table of layers has the numbers.",
        layers.len(),
        total(|layer| layer.kept),
        total(|layer| layer.weights)
    );
    let most = layers.iter().map(|layer| layer.weights).max().unwrap_or(1);
    let high = (most.max(10) as f64).log10().ceil();
    // The scale begins below 10⁰, so that a single weight has a visible bar.
    let low = -0.02 * high;
    let bars = |number: fn(&LayerResult) -> usize| {
        let rows = layers.iter().map(number).enumerate();
        rows.filter(|&(_, n)| n > 0).flat_map(move |(i, n)| {
            let (row, end) = (i as f64 + 0.5, (n as f64).log10());
            [(low, row - 0.36), (end, row + 0.36)]
        })
    };
    let series = vec![
        Series::new("all weights", FAINT, Mark::Bar, bars(|layer| layer.weights)),
        Series::new("kept", KEPT, Mark::Bar, bars(|layer| layer.kept)),
        Series::remark("logarithmic scale"),
    ];
    let counts = layers.iter();
    let counts = counts.map(|l| format!("{} of {}", count(l.kept), count(l.weights)));
    let shares = layers.iter().map(|layer| percent(share(layer)));
    let names = layers.iter().map(|layer| &layer.name[..]);
    let columns = vec![counts.collect(), shares.collect()];
    Chart {
        x: Axis::log("weights", low, high),
        columns,
        ..Chart::of_rows("Weights kept by layer", alt, names, series)
    }
}

/// Fraction of a layer's weights that were kept.
pub fn share(layer: &LayerResult) -> f64 {
    layer.kept as f64 / layer.weights.max(1) as f64
}
