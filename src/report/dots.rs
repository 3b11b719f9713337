//! Charts of dots on a logarithmic scale, with one row for each layer: fractions of weights kept, norms of gradients.

use std::path::Path;

use plotters::style::RGBColor;

use super::axis::Axis;
use super::chart::Chart;
use super::colors::HUES;
use super::picture::Picture;
use super::series::{Mark, Series};
use super::text::short_percent;

/// One number for each layer. Values that are not finite are not drawn; zeros are rings at the left border.
pub struct LayerValues {
    /// Name in the legend.
    pub label: String,
    /// One value for each layer.
    pub values: Vec<f64>,
}

/// Draws the fractions of weights that several masks keep of each layer into an SVG or a PNG file.
///
/// # Errors
/// If the file has another extension, or it cannot be written.
pub fn write_shares(file: &Path, layers: &[&str], shares: Vec<LayerValues>) -> anyhow::Result<()> {
    shares_kept(layers, colored(shares)).write(file)
}

/// Draws norms of gradients by layer into an SVG or a PNG file.
///
/// # Errors
/// If the file has another extension, or it cannot be written.
pub fn write_norms(file: &Path, layers: &[&str], norms: Vec<LayerValues>) -> anyhow::Result<()> {
    let values = norms.iter().flat_map(|norms| &norms.values).copied();
    let finite = values.filter(|value| value.is_finite() && *value > 0.0);
    let high = finite.fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
    let alt = format!("Dot plot of the L2 norms in {} layers.", layers.len());
    let title = "Norm of gradients and meta-gradients by layer";
    dots(title, alt, "L2 norm", layers, colored(norms), high).write(file)
}

/// Returns the chart of the fractions of weights kept, with one colour and its values for each mask.
pub fn shares_kept(layers: &[&str], shares: Vec<(RGBColor, LayerValues)>) -> Chart {
    let alt =
        format!("Dot plot of the fraction of weights kept in each of {} layers.", layers.len());
    let title = "Share of weights kept by layer";
    let mut chart = dots(title, alt, "kept", layers, shares, 0.0);
    for (value, label) in &mut chart.x.ticks {
        *label = short_percent(10f64.powf(*value));
    }
    chart
}

fn colored(layers: Vec<LayerValues>) -> Vec<(RGBColor, LayerValues)> {
    HUES.into_iter().cycle().zip(layers).collect()
}

/// Returns the chart with the first layer on top. The scale ends at `10^high`.
fn dots(
    title: &'static str,
    alt: String,
    axis: &'static str,
    rows: &[&str],
    values: Vec<(RGBColor, LayerValues)>,
    high: f64,
) -> Chart {
    let all = values.iter().flat_map(|(_, layers)| &layers.values);
    let positive = all.filter(|value| value.is_finite() && **value > 0.0);
    let low = positive.fold(10f64.powf(high - 1.0), |low, &v| low.min(v));
    let low = low.log10().floor();
    let middle = 0.5 * (values.len() as f64 - 1.0);
    let series = values.into_iter().enumerate().flat_map(|(k, (color, layers))| {
        // Dots of different series in one row lie a little apart, so that equal values stay visible.
        let apart = 0.5 + (0.6 / (2.0 * middle + 1.0)).min(0.2) * (k as f64 - middle);
        let points = |zero: bool| {
            let rows = layers.values.iter().enumerate();
            let rows = rows.filter(move |(_, value)| (**value == 0.0) == zero);
            let x = move |value: f64| if zero { low } else { value.log10() };
            rows.map(move |(i, value)| (x(*value), i as f64 + apart))
        };
        let zeros = Series::new("", color, Mark::Ring, points(true));
        [Series::new(&*layers.label, color, Mark::Dot, points(false)), zeros]
    });
    let series = series.collect();
    Chart {
        x: Axis::log(axis, low, high),
        ..Chart::of_rows(title, alt, rows.iter().copied(), series)
    }
}
