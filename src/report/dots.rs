//! Dots on a logarithmic scale, one row a layer: shares that are left, norms of gradients.

use std::path::Path;

use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::axes::{Axes, Key, head, head_height, log_ticks};
use super::picture::{HUES, INK, Picture, TEXT, WIDTH, shortened, text_width};
use super::text::short_percent;

/// What stands above and below the dots.
pub struct Words<'a> {
    pub title: &'a str,
    pub alt: String,
    /// What the horizontal axis has.
    pub axis: &'a str,
    /// The label of a value on it; without, powers of ten.
    pub label: Option<fn(f64) -> String>,
}

/// One colour of dots: a value for each row. What is not finite is left out; zeros are rings at the left border.
pub struct Series {
    pub color: RGBColor,
    pub label: String,
    pub values: Vec<f64>,
}

/// The picture, the first row on top. The scale ends at a power of ten, `10^high`.
pub fn dots(words: &Words<'_>, rows: &[&str], series: &[Series], high: f64) -> Picture {
    let legend: Vec<(Key, RGBColor, String)> = series
        .iter()
        .map(|series| (Key::Dot, series.color, series.label.clone()))
        .collect();
    let (row, size) = if rows.len() > 24 {
        (17.0, 11.0)
    } else {
        (24.0, TEXT)
    };
    let top = head_height(&legend);
    let bottom = top + row * rows.len() as f64;
    let mut picture = Picture::new(bottom + 56.0, words.alt.clone());
    head(&mut picture, words.title, &legend);

    let values = series.iter().flat_map(|series| &series.values).copied();
    let least = values
        .filter(|&value| value.is_finite() && value > 0.0)
        .fold(10f64.powf(high - 1.0), f64::min);
    let names: Vec<String> = rows
        .iter()
        .map(|name| shortened(name, size, 200.0))
        .collect();
    let widest = names
        .iter()
        .map(|name| text_width(name, size))
        .fold(0.0, f64::max);
    let axes = Axes {
        across: (34.0 + widest, WIDTH - 40.0),
        down: (top, bottom),
        x: (least.log10().floor(), high),
        y: (rows.len() as f64, 0.0),
    };
    let mut ticks = log_ticks(axes.x.0, high);
    if let Some(label) = words.label {
        for (value, text) in &mut ticks {
            *text = label(10f64.powf(*value));
        }
    }
    axes.label_across(&mut picture, &ticks, true);
    axes.name_across(&mut picture, words.axis);
    for (i, name) in names.iter().enumerate() {
        let middle = axes.down.0 + (i as f64 + 0.5) * row;
        let at = (axes.across.0 - 12.0, middle + size * 0.35);
        picture.text(at, HPos::Right, size, INK, name.as_str());
        for (k, series) in series.iter().enumerate() {
            // Dots that agree lie a little apart.
            let apart = (0.6 * row / legend.len() as f64).min(5.0);
            let y = middle + apart * (k as f64 - 0.5 * (legend.len() - 1) as f64);
            match series.values[i] {
                value if value > 0.0 && value.is_finite() => {
                    picture.circle((axes.across(value.log10()), y), 4.5, series.color);
                }
                0.0 => picture.ring((axes.across.0, y), 4.5, series.color),
                _ => {}
            }
        }
    }
    picture
}

/// A number of each layer.
pub struct LayerValues {
    /// What it is of.
    pub label: String,
    /// One a layer.
    pub values: Vec<f64>,
}

fn colored(layers: Vec<LayerValues>) -> Vec<Series> {
    let colored = layers.into_iter().zip(HUES.into_iter().cycle());
    colored
        .map(|(LayerValues { label, values }, color)| Series {
            color,
            label,
            values,
        })
        .collect()
}

/// Draws what several masks leave of each layer into an SVG or a PNG file.
///
/// # Errors
/// If the file's name ends otherwise, or it cannot be written.
pub fn write_shares(file: &Path, layers: &[&str], shares: Vec<LayerValues>) -> anyhow::Result<()> {
    shares_kept(layers, &colored(shares)).write(file)
}

/// Draws norms of gradients by layer into an SVG or a PNG file.
///
/// # Errors
/// If the file's name ends otherwise, or it cannot be written.
pub fn write_norms(file: &Path, layers: &[&str], norms: Vec<LayerValues>) -> anyhow::Result<()> {
    let values = norms.iter().flat_map(|norms| &norms.values).copied();
    let finite = values.filter(|value| value.is_finite() && *value > 0.0);
    let largest = finite.fold(f64::MIN_POSITIVE, f64::max);
    let words = Words {
        title: "Norm of gradients and meta-gradients by layer",
        alt: format!("Dot plot of the L2 norms in {} layers.", layers.len()),
        axis: "L2 norm",
        label: None,
    };
    let high = largest.log10().ceil();
    dots(&words, layers, &colored(norms), high).write(file)
}

/// What is left of each layer, as shares of its weights.
pub fn shares_kept(layers: &[&str], series: &[Series]) -> Picture {
    let words = Words {
        title: "Share of weights kept by layer",
        alt: format!(
            "Dot plot of the share of weights that is left in each of {} layers.",
            layers.len()
        ),
        axis: "kept",
        label: Some(short_percent),
    };
    dots(&words, layers, series, 0.0)
}
