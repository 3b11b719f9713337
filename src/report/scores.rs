//! Histogram of saliency scores, with the threshold between removed and kept weights.

use super::axis::Axis;
use super::chart::Chart;
use super::colors::{GREY, INK, KEPT};
use super::series::{Mark, Series};
use super::text::{count, scientific};

/// The saliency scores of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredLayer {
    /// Name of the weight tensor.
    pub name: String,
    /// One score for each weight.
    pub scores: Vec<f32>,
    /// The mask: true for weights that are kept.
    pub kept: Vec<bool>,
}

/// Range of the histogram in decades below the highest score; lower scores are counted in the leftmost bar.
pub const DECADES: f64 = 12.0;
/// Number of bars between the lowest and the highest score.
const BARS: f64 = 60.0;

/// Numbers of removed and kept weights.
type Counts = [usize; 2];

/// A histogram of the scores of all layers on logarithmic scales.
pub fn scores(layers: &[ScoredLayer]) -> Chart {
    let mut total: Counts = [0; 2];
    let mut zero: Counts = [0; 2];
    let mut logs: Vec<(f64, bool)> = Vec::new();
    let mut cut = 0f32;
    for layer in layers {
        for (&score, &kept) in layer.scores.iter().zip(&layer.kept) {
            total[usize::from(kept)] += 1;
            if !kept {
                cut = cut.max(score);
            }
            // Zero, negative and non-finite scores have no logarithm; masks are never made from non-finite scores.
            if score > 0.0 && score.is_finite() {
                logs.push((f64::from(score).log10(), kept));
            } else {
                zero[usize::from(kept)] += 1;
            }
        }
    }
    let bars = Bars::new(&logs, (cut > 0.0).then(|| f64::from(cut).log10()));
    let most = bars.counts.iter().flatten().copied().max().unwrap_or(1);
    // The scale begins below 10⁰, so that a single weight has a visible bar.
    let (low, high) = (-0.2, (most.max(10) as f64).log10().ceil());
    let gap = 0.05 * bars.width;
    let rectangles = |which: usize, shown: fn(&Counts) -> bool| {
        let counts = bars.counts.iter().enumerate();
        let counts = counts.filter(move |(_, n)| n[which] > 0 && shown(n));
        let rectangle = |(i, n): (usize, &Counts)| {
            let top = (n[which] as f64).log10();
            [(bars.edge(i) + gap, low), (bars.edge(i + 1) - gap, top)]
        };
        counts.flat_map(rectangle).collect::<Vec<_>>()
    };

    let [removed, kept] = total.map(count);
    let mut alt = format!(
        "Histogram of {} scores: {removed} weights removed, {kept} kept.",
        count(total[0] + total[1])
    );
    let (removed, kept) = (format!("{removed} removed"), format!("{kept} kept"));
    let mut series = vec![
        Series::new(removed, GREY, Mark::Bar, rectangles(0, |_| true)),
        Series::new(kept, KEPT, Mark::Bar, rectangles(1, |_| true)),
        // The lower of two bars is drawn in front.
        Series::new("", GREY, Mark::Bar, rectangles(0, |n| n[0] < n[1])),
    ];
    if cut > 0.0 {
        let label = format!("highest removed score {}", scientific(f64::from(cut)));
        alt += &format!(" The {label}.");
        let line = bars.cut.map(|cut| [(cut, low), (cut, high)]);
        let line = line.into_iter().flatten();
        series.push(Series::new(label, INK, Mark::Dashes, line));
    }
    if zero != [0; 2] {
        let remark = format!(
            "not drawn: {} scores of zero or below, {} of them kept",
            count(zero[0] + zero[1]),
            count(zero[1])
        );
        alt += &format!(" {remark}.");
        series.push(Series::remark(remark));
    }
    if logs.is_empty() {
        series.push(Series::remark("No score is above zero."));
    }
    let title = "Weights by score, both on logarithmic scales";
    Chart {
        x: Axis::log("score", bars.edge(0), bars.edge(bars.counts.len())),
        y: Axis::log("", low, high),
        ..Chart::new(title, alt, 230.0, series)
    }
}

/// Bars of equal width in log10 of the scores.
struct Bars {
    /// The threshold, which lies between two bars; `None` if it is left of all bars.
    cut: Option<f64>,
    origin: f64,
    width: f64,
    counts: Vec<Counts>,
}

impl Bars {
    fn new(logs: &[(f64, bool)], cut: Option<f64>) -> Bars {
        if logs.is_empty() {
            let (origin, width) = (0.0, 1.0);
            let counts = Vec::new();
            return Bars { cut: None, origin, width, counts };
        }
        let high = logs.iter().map(|l| l.0).fold(f64::NEG_INFINITY, f64::max);
        let low = logs.iter().map(|l| l.0).fold(f64::INFINITY, f64::min);
        let low = low.max(high - DECADES);
        // The width must be positive even if all scores are equal.
        let width = ((high - low) / BARS).max(0.01);
        let cut = cut.filter(|&cut| cut >= low);
        let middle = cut.unwrap_or(low);
        // A bar holds the scores above its left edge up to its right one.
        let bar = |log: f64| ((log.max(low) - middle) / width).ceil() as i64 - 1;
        let (first, last) = (bar(low), bar(high));
        let mut counts = vec![[0; 2]; (last - first) as usize + 1];
        for &(log, kept) in logs {
            counts[(bar(log) - first) as usize][usize::from(kept)] += 1;
        }
        Bars { cut, origin: middle + first as f64 * width, width, counts }
    }

    /// Left edge of a bar.
    fn edge(&self, bar: usize) -> f64 {
        self.origin + bar as f64 * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::super::picture::Picture;
    use super::*;

    fn layer(scores: &[f32], kept: &[bool]) -> ScoredLayer {
        ScoredLayer { name: "a".into(), scores: scores.into(), kept: kept.into() }
    }

    #[test]
    fn no_bar_has_scores_on_both_sides_of_the_threshold() {
        let logs: Vec<(f64, bool)> =
            (0..1000).map(|i| (-7.0 + 0.005 * f64::from(i), i > 777)).collect();
        let bars = Bars::new(&logs, Some(logs[777].0));
        assert!(bars.counts.iter().all(|&[removed, kept]| removed == 0 || kept == 0));
        let sum = |which: usize| bars.counts.iter().map(|c| c[which]).sum::<usize>();
        assert_eq!((sum(0), sum(1)), (778, 222));
        assert!(bars.edge(0) < -7.0 && bars.edge(bars.counts.len()) >= logs[999].0);
    }

    #[test]
    fn extreme_scores() {
        let zeros = scores(&[layer(&[0.0; 5], &[true, false, false, false, false])]);
        assert!(zeros.alt.contains("5 scores of zero or below, 1 of them kept"));
        assert!(zeros.svg().unwrap().contains("No score is above zero."));
        for values in [&[1.0f32, 1.0][..], &[1e-38, 1e30], &[0.0, 1e-3]] {
            let picture = scores(&[layer(values, &[false, true])]);
            assert!(!picture.svg().unwrap().contains("NaN"), "{values:?}");
            assert!(!picture.png().unwrap().is_empty());
        }
        assert!(scores(&[]).svg().is_ok());
    }
}
