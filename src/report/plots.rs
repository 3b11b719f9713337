//! The plots of one run.

use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::axes::{self, Axes, Key, epoch_axis, head, log_ticks, percent_axis};
use super::picture::{FAINT, HUES, INK, MUTED, Picture, TEXT, WIDTH, shortened, text_width};
use super::text::{count, percent};
use crate::results::{EpochRow, LayerResult, Results};

const TRAIN: RGBColor = HUES[1];
const TEST: RGBColor = HUES[0];
/// What stayed.
pub const KEPT: RGBColor = HUES[0];

/// Top-1 accuracy on training and test data by epoch, and the best epoch.
pub fn accuracy(results: &Results, history: &[EpochRow]) -> Picture {
    let alt = format!(
        "Line plot of top-1 accuracy in training and test over {} epochs. Test ends at {}, its best is {} after epoch {}.",
        results.epochs,
        percent(results.test_top1),
        percent(results.best_test_top1),
        results.best_epoch
    );
    let mut picture = Picture::new(400.0, alt);
    let best = format!(
        "best test, {} after epoch {}",
        percent(results.best_test_top1),
        results.best_epoch
    );
    let legend = [
        (Key::Line, TEST, "test".into()),
        (Key::Line, TRAIN, "training".into()),
        (Key::Ring, TEST, best),
    ];
    let top = head(&mut picture, "Top-1 accuracy by epoch", &legend);
    let train = |row: &EpochRow| 100.0 * row.train_top1;
    let test = |row: &EpochRow| 100.0 * row.test_top1;
    let best = (results.best_epoch as f64, 100.0 * results.best_test_top1);
    let axes = accuracy_axes(
        &mut picture,
        top,
        history.iter().map(|row| row.epoch).max().unwrap_or(1),
        history.iter().flat_map(|row| [train(row), test(row)]),
    );
    for (color, value) in [(TRAIN, &train as &dyn Fn(&EpochRow) -> f64), (TEST, &test)] {
        let points: Vec<(f64, f64)> = history
            .iter()
            .map(|row| (row.epoch as f64, value(row)))
            .collect();
        curve(&mut picture, &axes, &points, color);
    }
    if history.iter().any(|row| row.epoch == results.best_epoch) && best.1.is_finite() {
        picture.ring(axes.at(best.0, best.1), 5.5, TEST);
    }
    picture
}

/// The axes of accuracy in percent by epoch, drawn on a picture of 400 pixels' height.
pub fn accuracy_axes(
    picture: &mut Picture,
    top: f64,
    epochs: usize,
    values: impl Iterator<Item = f64>,
) -> Axes {
    let (x, across) = epoch_axis(epochs);
    let (y, down) = percent_axis(values);
    let axes = Axes {
        across: (70.0, WIDTH - 24.0),
        down: (top + 4.0, picture.height() - 50.0),
        x,
        y,
    };
    axes.label_down(picture, &down);
    axes.label_across(picture, &across, false);
    axes.name_across(picture, "epoch");
    axes
}

/// A line through points by epoch, broken where a value is not finite; points alone are dots.
pub fn curve(picture: &mut Picture, axes: &Axes, points: &[(f64, f64)], color: RGBColor) {
    for part in points.split(|(_, y)| !y.is_finite()) {
        let part: Vec<(f64, f64)> = part.iter().map(|&(x, y)| axes.at(x, y)).collect();
        if let [point] = part[..] {
            picture.circle(point, 5.0, color);
        }
        picture.path(part, 2.5, color);
    }
}

/// Weights of each layer and how many of them stayed, on a logarithmic scale.
pub fn layers(layers: &[LayerResult]) -> Picture {
    let row = if layers.len() > 24 { 17.0 } else { 24.0 };
    let size = if layers.len() > 24 { 11.0 } else { TEXT };
    let legend = [
        (Key::Bar, KEPT, "kept".into()),
        (Key::Bar, FAINT, "all weights".into()),
        (Key::None, INK, "logarithmic scale".into()),
    ];
    let top = axes::head_height(&legend);
    let (kept, weights) = layers
        .iter()
        .fold((0, 0), |(kept, all), l| (kept + l.kept, all + l.weights));
    let alt = format!(
        "Bars of {} layers: {} of {} weights kept. The table of layers has the numbers.",
        layers.len(),
        count(kept),
        count(weights)
    );
    let mut picture = Picture::new(top + row * layers.len() as f64 + 56.0, alt);
    head(&mut picture, "Weights kept by layer", &legend);

    let shares: Vec<String> = layers.iter().map(|l| percent(share(l))).collect();
    let counts: Vec<String> = layers
        .iter()
        .map(|l| format!("{} of {}", count(l.kept), count(l.weights)))
        .collect();
    let widest = |texts: &[String]| {
        let widths = texts.iter().map(|text| text_width(text, size));
        widths.fold(0.0, f64::max)
    };
    let names: Vec<String> = layers
        .iter()
        .map(|l| shortened(&l.name, size, 200.0))
        .collect();
    let shares_at = WIDTH - 20.0;
    let counts_at = shares_at - widest(&shares) - 18.0;
    let most = layers.iter().map(|l| l.weights).max().unwrap_or(1);
    let high = (most.max(10) as f64).log10().ceil();
    let axes = Axes {
        across: (28.0 + widest(&names), counts_at - widest(&counts) - 20.0),
        down: (top, top + row * layers.len() as f64),
        x: (0.0, high),
        y: (layers.len() as f64, 0.0),
    };
    axes.label_across(&mut picture, &log_ticks(0.0, high), true);
    axes.name_across(&mut picture, "weights");
    for (i, layer) in layers.iter().enumerate() {
        let middle = axes.down.0 + (i as f64 + 0.5) * row;
        let half = row * 0.36;
        for (n, color) in [(layer.weights, FAINT), (layer.kept, KEPT)] {
            if n > 0 {
                // A single weight, at 10⁰, is a thin bar.
                let end = axes.across((n as f64).log10()).max(axes.across.0 + 2.0);
                picture.rect((axes.across.0, middle - half), (end, middle + half), color);
            }
        }
        let base = middle + size * 0.35;
        let at = |x: f64| (x, base);
        let right = HPos::Right;
        picture.text(
            at(axes.across.0 - 10.0),
            right,
            size,
            INK,
            names[i].as_str(),
        );
        picture.text(at(counts_at), right, size, MUTED, counts[i].as_str());
        picture.text(at(shares_at), right, size, INK, shares[i].as_str());
    }
    picture
}

/// The share of a layer that stayed.
pub fn share(layer: &LayerResult) -> f64 {
    layer.kept as f64 / layer.weights.max(1) as f64
}
