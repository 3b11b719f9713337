//! Axes: where values lie on a picture, and which values are labelled.

use std::ops::Range;

use plotters::style::RGBColor;
use plotters::style::text_anchor::HPos;

use super::picture::{AXIS, GRID, INK, MUTED, Picture, Point, TEXT, WIDTH, text_width};

/// A plot's place on its picture and the values at its borders.
pub struct Axes {
    /// Left and right border.
    pub across: (f64, f64),
    /// Upper and lower border.
    pub down: (f64, f64),
    /// Values at the left and right border.
    pub x: (f64, f64),
    /// Values at the lower and upper border.
    pub y: (f64, f64),
}

impl Axes {
    /// Where a value of the horizontal axis lies.
    pub fn across(&self, x: f64) -> f64 {
        self.across.0 + (x - self.x.0) / (self.x.1 - self.x.0) * (self.across.1 - self.across.0)
    }

    /// Where a value of the vertical axis lies.
    pub fn down(&self, y: f64) -> f64 {
        self.down.1 - (y - self.y.0) / (self.y.1 - self.y.0) * (self.down.1 - self.down.0)
    }

    /// Where a point lies.
    pub fn at(&self, x: f64, y: f64) -> Point {
        (self.across(x), self.down(y))
    }

    /// Vertical lines with labels below; a label that would touch the one before it is left out.
    pub fn label_across(&self, picture: &mut Picture, ticks: &[(f64, String)], lines: bool) {
        let mut free = f64::NEG_INFINITY;
        for (value, label) in ticks {
            let x = self.across(*value);
            if lines {
                picture.path(vec![(x, self.down.0), (x, self.down.1)], 1.0, GRID);
            }
            let half = text_width(label, TEXT) / 2.0;
            if x - half > free {
                let at = (x, self.down.1 + 20.0);
                picture.text(at, HPos::Center, TEXT, MUTED, label.as_str());
                free = x + half + 6.0;
            }
        }
    }

    /// Horizontal lines with labels on the left.
    pub fn label_down(&self, picture: &mut Picture, ticks: &[(f64, String)]) {
        for (value, label) in ticks {
            let y = self.down(*value);
            picture.path(vec![(self.across.0, y), (self.across.1, y)], 1.0, GRID);
            let at = (self.across.0 - 10.0, y + 4.5);
            picture.text(at, HPos::Right, TEXT, MUTED, label.as_str());
        }
    }

    /// The line at the bottom, and what the horizontal axis has.
    pub fn name_across(&self, picture: &mut Picture, name: &str) {
        let y = self.down.1;
        picture.path(vec![(self.across.0, y), (self.across.1, y)], 1.0, AXIS);
        picture.text((self.across.1, y + 40.0), HPos::Right, TEXT, MUTED, name);
    }
}

/// A mark in a legend.
#[derive(Clone, Copy)]
pub enum Key {
    /// A line of a plot.
    Line,
    /// A broken line.
    Dashes,
    /// A bar.
    Bar,
    /// A point.
    Dot,
    /// A ring around a point.
    Ring,
    /// Nothing: a remark.
    None,
}

const ROW: f64 = 22.0;

/// The title and below it a legend in as many rows as it takes; returns where the plot may begin.
pub fn head(picture: &mut Picture, title: &str, legend: &[(Key, RGBColor, String)]) -> f64 {
    picture.text((16.0, 26.0), HPos::Left, 15.0, INK, title);
    for ((key, color, label), (x, y)) in legend.iter().zip(places(legend)) {
        let middle = y - 4.5;
        let start = match key {
            Key::Line => {
                picture.path(vec![(x, middle), (x + 20.0, middle)], 2.5, *color);
                x + 26.0
            }
            Key::Dashes => {
                picture.dashes((x, middle), (x + 18.0, middle), 1.5, *color);
                x + 26.0
            }
            Key::Bar => {
                picture.rect((x, middle - 6.0), (x + 12.0, middle + 6.0), *color);
                x + 18.0
            }
            Key::Dot => {
                picture.circle((x + 6.0, middle), 5.0, *color);
                x + 18.0
            }
            Key::Ring => {
                picture.ring((x + 6.0, middle), 5.5, *color);
                x + 18.0
            }
            Key::None => x,
        };
        picture.text((start, y), HPos::Left, TEXT, INK, label.as_str());
    }
    head_height(legend)
}

/// How much [`head`] takes.
pub fn head_height(legend: &[(Key, RGBColor, String)]) -> f64 {
    places(legend).last().map_or(40.0, |&(_, y)| y + 22.0)
}

fn places(legend: &[(Key, RGBColor, String)]) -> Vec<Point> {
    let (mut x, mut y) = (16.0, 50.0);
    let mut places = Vec::new();
    for (_, _, label) in legend {
        let width = 26.0 + text_width(label, TEXT);
        if x > 16.0 && x + width > WIDTH - 16.0 {
            (x, y) = (16.0, y + ROW);
        }
        places.push((x, y));
        x += width + 22.0;
    }
    places
}

/// The smallest of 1, 2 and 5 times powers of ten that divides a span into at most `most` steps.
pub fn step(span: f64, most: usize) -> f64 {
    let rough = span / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let times = [1.0, 2.0, 5.0, 10.0];
    let fits = times.into_iter().find(|t| t * power >= rough * 0.999_999);
    fits.unwrap_or(10.0) * power
}

/// A range for accuracies in percent, with its ticks: all values inside, not more than is needed.
pub fn percent_axis(values: impl Iterator<Item = f64>) -> ((f64, f64), Vec<(f64, String)>) {
    let (low, high) = values
        .filter(|v| v.is_finite())
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| {
            (low.min(v), high.max(v))
        });
    let (low, high) = if low > high {
        (0.0, 100.0)
    } else {
        (low, high)
    };
    let (low, high) = (low.min(high - 1.0).max(0.0), high.max(low + 1.0).min(100.0));
    let step = step(high - low, 6);
    let (first, last) = ((low / step).floor() as i64, (high / step).ceil() as i64);
    let decimals = usize::from(step < 0.999);
    let ticks: Vec<(f64, String)> = (first..=last)
        .map(|i| i as f64 * step)
        .map(|v| (v, format!("{v:.decimals$} %")))
        .collect();
    ((first as f64 * step, last as f64 * step), ticks)
}

/// Epochs from 1 to the last, with their ticks.
pub fn epoch_axis(epochs: usize) -> ((f64, f64), Vec<(f64, String)>) {
    if epochs <= 1 {
        return ((0.0, 2.0), vec![(1.0, "1".into())]);
    }
    let step = (step(epochs as f64, 12).round() as usize).max(1);
    let first = (step > 1).then_some(1);
    let ticks = first
        .into_iter()
        .chain((step..=epochs).step_by(step))
        .map(|e| (e as f64, e.to_string()))
        .collect();
    ((1.0, epochs as f64), ticks)
}

/// Ticks of a logarithmic axis between two logarithms, as logarithms: powers of ten, their multiples by two and
/// five if there are few, or even steps if there are hardly any.
pub fn log_ticks(low: f64, high: f64) -> Vec<(f64, String)> {
    let (first, last) = (low.floor() as i32, high.ceil() as i32);
    let every = ((high - low) / 8.0).ceil().max(1.0) as i32;
    let fine: &[f64] = if high - low <= 2.0 {
        &[1.0, 2.0, 5.0]
    } else {
        &[1.0]
    };
    let powers = (first..=last).filter(|power| power.rem_euclid(every) == 0);
    let ticks: Vec<f64> = powers
        .flat_map(|power| fine.iter().map(move |m| f64::from(power) + m.log10()))
        .filter(|v| (low - 1e-9..=high + 1e-9).contains(v))
        .collect();
    let ticks = if ticks.len() > 2 {
        ticks
    } else {
        let step = step(high - low, 6);
        let steps = (low / step).ceil() as i64..=(high / step).floor() as i64;
        steps.map(|i| i as f64 * step).collect()
    };
    // One kind of label below one, whichever the lowest needs.
    let plain = if low < -3.0 { 0..4 } else { -3..4 };
    let label = |v: f64| (v, number(10f64.powf(v), plain.clone()));
    ticks.into_iter().map(label).collect()
}

/// A positive number with two digits, and a power of ten if it is small or large.
pub fn scientific(value: f64) -> String {
    number(value, -2..4)
}

/// A positive number with two digits, and a power of ten unless that is in `plain`.
fn number(value: f64, plain: Range<i32>) -> String {
    let text = format!("{value:.1e}");
    let (digits, power) = text.split_once('e').unwrap_or((&text, "0"));
    let power: i32 = power.parse().unwrap_or(0);
    if plain.contains(&power) {
        let text = format!("{value:.0$}", (1 - power).max(0) as usize);
        return match text.split_once('.') {
            Some(_) => text.trim_end_matches('0').trim_end_matches('.').into(),
            None => text,
        };
    }
    match digits.trim_end_matches(".0") {
        "1" => format!("10{}", superscript(power)),
        digits => format!("{digits}·10{}", superscript(power)),
    }
}

fn superscript(power: i32) -> String {
    let digit = |c| match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        '4' => '⁴',
        '5' => '⁵',
        '6' => '⁶',
        '7' => '⁷',
        '8' => '⁸',
        '9' => '⁹',
        _ => '⁰',
    };
    power.to_string().chars().map(digit).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(ticks: &[(f64, String)]) -> Vec<&str> {
        ticks.iter().map(|(_, label)| label.as_str()).collect()
    }

    #[test]
    fn accuracies_get_no_more_room_than_they_need() {
        let axis = |values: &[f64]| percent_axis(values.iter().copied());
        assert_eq!(axis(&[10.0, 97.0]).0, (0.0, 100.0));
        assert_eq!(axis(&[91.0, 97.5, f64::NAN]).0, (90.0, 98.0));
        assert_eq!(axis(&[100.0]).0, (99.0, 100.0));
        assert_eq!(labels(&axis(&[100.0]).1)[..2], ["99.0 %", "99.2 %"]);
        assert_eq!(axis(&[]).0, (0.0, 100.0));
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(labels(&epoch_axis(1).1), ["1"]);
        assert_eq!(labels(&epoch_axis(3).1), ["1", "2", "3"]);
        assert_eq!(
            labels(&epoch_axis(30).1),
            ["1", "5", "10", "15", "20", "25", "30"]
        );
        assert_eq!(
            labels(&log_ticks(0.0, 5.0)),
            ["1", "10", "100", "1000", "10⁴", "10⁵"]
        );
        assert_eq!(labels(&log_ticks(-4.2, -1.9)), ["10⁻⁴", "10⁻³", "10⁻²"]);
        assert_eq!(labels(&log_ticks(-1.0, 0.0)), ["0.1", "0.2", "0.5", "1"]);
        assert!(log_ticks(-12.0, 0.0).len() <= 9 && log_ticks(-3.01, -3.0).len() > 2);
        assert_eq!(scientific(3.24e-5), "3.2·10⁻⁵");
        assert_eq!(scientific(0.05), "0.05");
        assert_eq!(scientific(9.97), "10");
    }
}
