//! Axes of charts: range, ticks and labels.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};
use plotters::coord::types::{RangedCoordf64, RangedCoordusize};

use super::picture::{TEXT, shortened};
use super::text::number;

/// An axis. Logarithmic axes are linear in log10 of their values.
pub struct Axis {
    /// Name of the quantity; empty if the chart's title has it.
    pub name: &'static str,
    /// Values at the left and right end, or at the bottom and top.
    pub range: (f64, f64),
    /// Labelled values.
    pub ticks: Vec<(f64, String)>,
    /// Font size of the labels in CSS pixels.
    pub text: f64,
}

impl Axis {
    /// An axis with labels of the usual size.
    pub fn new(name: &'static str, range: (f64, f64), ticks: Vec<(f64, String)>) -> Axis {
        let text = TEXT;
        Axis { name, range, ticks, text }
    }

    /// An axis for percentages between 0 and 100. Its range holds all finite values with a small margin.
    pub fn percent(values: impl Iterator<Item = f64>) -> Axis {
        let (low, high) = values
            .filter(|v| v.is_finite())
            .fold((100.0, 0.0), |(low, high): (f64, f64), v| (low.min(v), high.max(v)));
        let (low, high) = (low.min(high), low.max(high));
        let room = (0.04 * (high - low)).max(0.4);
        let range = ((low - room).max(0.0), (high + room).min(100.0));
        let ticks = RangedCoordf64::from(range.0..range.1).key_points(7);
        let decimals = usize::from(ticks.iter().any(|v| v.fract() != 0.0));
        let label = |v| (v, format!("{v:.decimals$} %"));
        Axis::new("", range, ticks.into_iter().map(label).collect())
    }

    /// Epochs from 1 to the last.
    pub fn epochs(last: usize) -> Axis {
        let mut ticks = RangedCoordusize::from(1..last.max(1)).key_points(12);
        ticks.extend((ticks.first() != Some(&1)).then_some(1));
        let ticks = ticks.into_iter().map(|e| (e as f64, e.to_string()));
        let range = if last > 1 { (1.0, last as f64) } else { (0.0, 2.0) };
        Axis::new("epoch", range, ticks.collect())
    }

    /// A logarithmic axis from `10^low` to `10^high`.
    pub fn log(name: &'static str, low: f64, high: f64) -> Axis {
        // If the axis begins below 10⁻³, all labels below one are written as powers of ten.
        let plain = if low < -3.0 { 0..4 } else { -3..4 };
        let label = |v: f64| (v, number(10f64.powf(v), plain.clone()));
        let ticks = log_ticks(low, high).into_iter().map(label).collect();
        Axis::new(name, (low, high), ticks)
    }

    /// One row for each name, the first on top; row `i` has its middle at `i + 0.5`.
    pub fn rows<'a>(names: impl Iterator<Item = &'a str>) -> Axis {
        let names: Vec<&str> = names.collect();
        let text = if names.len() > 24 { 11.0 } else { TEXT };
        let names = names.iter().map(|name| shortened(name, text, 200.0));
        let ticks: Vec<_> = (0..).map(|i| f64::from(i) + 0.5).zip(names).collect();
        let range = (ticks.len() as f64, 0.0);
        Axis { text, ..Axis::new("", range, ticks) }
    }
}

impl Ranged for &Axis {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, limit: (i32, i32)) -> i32 {
        RangedCoordf64::from(self.range()).map(value, limit)
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        // Grid lines are at labels only.
        let ticks = self.ticks.iter().filter(|_| !hint.weight().allow_light_points());
        ticks.map(|tick| tick.0).collect()
    }

    fn range(&self) -> Range<f64> {
        self.range.0..self.range.1
    }
}

impl ValueFormatter<f64> for &Axis {
    fn format_ext(&self, value: &f64) -> String {
        let tick = self.ticks.iter().find(|tick| tick.0 == *value);
        tick.map_or(String::new(), |tick| tick.1.clone())
    }
}

/// Ticks between two logarithms: powers of ten; with their multiples by 2 and 5 if the range is at most two decades;
/// equal steps if that gives at most two ticks.
fn log_ticks(low: f64, high: f64) -> Vec<f64> {
    let every = ((high - low) / 8.0).ceil().max(1.0) as i32;
    let multiples = if high - low > 2.0 { 1..2 } else { 1..6 };
    let powers = low.floor() as i32..=high.ceil() as i32;
    let powers = powers.filter(|power| power.rem_euclid(every) == 0);
    let ticks = powers.flat_map(|power| {
        let multiples = multiples.clone().filter(|m| [1, 2, 5].contains(m));
        multiples.map(move |m| f64::from(power) + f64::from(m).log10())
    });
    let ticks: Vec<f64> = ticks.filter(|v| (low - 1e-9..=high + 1e-9).contains(v)).collect();
    match ticks.len() {
        0..=2 => RangedCoordf64::from(low..high).key_points(7),
        _ => ticks,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|(_, label)| &label[..]).collect()
    }

    #[test]
    fn percent_axes_fit_their_values() {
        let axis = |values: &[f64]| Axis::percent(values.iter().copied());
        assert_eq!(axis(&[10.0, 97.0]).range, (6.52, 100.0));
        assert_eq!(axis(&[91.0, 96.0, f64::NAN]).range, (90.6, 96.4));
        assert_eq!(labels(&axis(&[100.0]))[..2], ["99.6 %", "99.7 %"]);
        assert_eq!(axis(&[]).range, (0.0, 100.0));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&Axis::epochs(1)), ["1"]);
        assert_eq!(labels(&Axis::epochs(3)), ["1", "2", "3"]);
        assert_eq!(labels(&Axis::epochs(30)), ["5", "10", "15", "20", "25", "30", "1"]);
        let log = |low, high| Axis::log("", low, high);
        assert_eq!(labels(&log(0.0, 5.0)), ["1", "10", "100", "1000", "10⁴", "10⁵"]);
        assert_eq!(labels(&log(-4.2, -1.9)), ["10⁻⁴", "10⁻³", "10⁻²"]);
        assert_eq!(labels(&log(-1.0, 0.0)), ["0.1", "0.2", "0.5", "1"]);
        assert!(log_ticks(-12.0, 0.0).len() <= 9 && log_ticks(-3.01, -3.0).len() > 2);
    }
}
