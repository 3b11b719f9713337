//! How saliency scores are distributed, and where they were cut.

use plotters::style::text_anchor::HPos;

use super::axes::{Axes, Key, head, log_ticks, scientific};
use super::picture::{GREY, INK, Picture, TEXT, WIDTH};
use super::plots::KEPT;
use super::text::count;

/// The saliency scores of a layer.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoredLayer {
    /// The weight's name.
    pub name: String,
    /// A score for each weight.
    pub scores: Vec<f32>,
    /// Whether it stayed.
    pub kept: Vec<bool>,
}

/// Scores lower than this many decades below the highest share the leftmost bar.
pub const DECADES: f64 = 12.0;
const BARS: f64 = 60.0;

/// Numbers of removed and kept weights.
type Counts = [usize; 2];

/// A histogram of all layers' scores on logarithmic scales.
pub fn scores(layers: &[ScoredLayer]) -> Picture {
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
            // Masks refuse what is not finite.
            if score > 0.0 && score.is_finite() {
                logs.push((f64::from(score).log10(), kept));
            } else {
                zero[usize::from(kept)] += 1;
            }
        }
    }
    let [removed, kept] = total;
    let mut legend = vec![
        (Key::Bar, GREY, format!("{} removed", count(removed))),
        (Key::Bar, KEPT, format!("{} kept", count(kept))),
    ];
    let mut alt = format!(
        "Histogram of {} scores: {} weights removed, {} kept.",
        count(removed + kept),
        count(removed),
        count(kept)
    );
    if cut > 0.0 {
        let label = format!("highest removed score {}", scientific(f64::from(cut)));
        alt += &format!(" The {label}.");
        legend.push((Key::Dashes, INK, label));
    }
    let [zero_removed, zero_kept] = zero;
    if zero_removed + zero_kept > 0 {
        let label = format!(
            "not drawn: {} scores of zero or below, {} of them kept",
            count(zero_removed + zero_kept),
            count(zero_kept)
        );
        alt += &format!(" {label}.");
        legend.push((Key::None, INK, label));
    }
    let mut picture = Picture::new(380.0, alt);
    let top = head(
        &mut picture,
        "Weights by score, both on logarithmic scales",
        &legend,
    );
    if logs.is_empty() {
        let middle = (WIDTH / 2.0, (top + picture.height()) / 2.0);
        picture.text(middle, HPos::Center, TEXT, INK, "No score is above zero.");
        return picture;
    }
    let bars = Bars::new(&logs, (cut > 0.0).then(|| f64::from(cut).log10()));
    let most = bars.counts.iter().flatten().copied().max().unwrap_or(1);
    let axes = Axes {
        across: (70.0, WIDTH - 24.0),
        down: (top + 4.0, picture.height() - 50.0),
        x: (bars.edge(0), bars.edge(bars.counts.len())),
        y: (-0.2, (most.max(10) as f64).log10().ceil()),
    };
    axes.label_down(&mut picture, &log_ticks(0.0, axes.y.1));
    axes.label_across(&mut picture, &log_ticks(axes.x.0, axes.x.1), false);
    for (i, &[removed, kept]) in bars.counts.iter().enumerate() {
        let (left, right) = (axes.across(bars.edge(i)), axes.across(bars.edge(i + 1)));
        let mut both = [(removed, GREY), (kept, KEPT)];
        both.sort_by_key(|&(n, _)| std::cmp::Reverse(n));
        for (n, color) in both.into_iter().filter(|&(n, _)| n > 0) {
            let height = axes.down((n as f64).log10());
            picture.rect((left + 0.5, height), (right - 0.5, axes.down.1), color);
        }
    }
    if let Some(cut) = bars.cut {
        let x = axes.across(cut);
        picture.dashes((x, axes.down.0), (x, axes.down.1), 1.5, INK);
    }
    axes.name_across(&mut picture, "score");
    picture
}

/// Bars of equal width on the logarithm; the cut, if it is in sight, lies between two of them.
struct Bars {
    cut: Option<f64>,
    origin: f64,
    width: f64,
    counts: Vec<Counts>,
}

impl Bars {
    fn new(logs: &[(f64, bool)], cut: Option<f64>) -> Bars {
        let high = logs.iter().map(|l| l.0).fold(f64::NEG_INFINITY, f64::max);
        let low = logs.iter().map(|l| l.0).fold(f64::INFINITY, f64::min);
        let low = low.max(high - DECADES);
        // Scores that are all alike still make a bar.
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
        Bars {
            cut,
            origin: middle + first as f64 * width,
            width,
            counts,
        }
    }

    fn edge(&self, bar: usize) -> f64 {
        self.origin + bar as f64 * self.width
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layer(scores: &[f32], kept: &[bool]) -> ScoredLayer {
        ScoredLayer {
            name: "a".into(),
            scores: scores.into(),
            kept: kept.into(),
        }
    }

    #[test]
    fn no_bar_mixes_what_the_threshold_parts() {
        let logs: Vec<(f64, bool)> = (0..1000)
            .map(|i| (-7.0 + 0.005 * f64::from(i), i > 777))
            .collect();
        let bars = Bars::new(&logs, Some(logs[777].0));
        assert!(
            bars.counts
                .iter()
                .all(|&[removed, kept]| removed == 0 || kept == 0)
        );
        let sum = |which: usize| bars.counts.iter().map(|c| c[which]).sum::<usize>();
        assert_eq!((sum(0), sum(1)), (778, 222));
        assert!(bars.edge(0) < -7.0 && bars.edge(bars.counts.len()) >= logs[999].0);
    }

    #[test]
    fn extreme_scores() {
        let zeros = scores(&[layer(&[0.0; 5], &[true, false, false, false, false])]);
        assert!(
            zeros
                .alt()
                .contains("5 scores of zero or below, 1 of them kept")
        );
        assert!(zeros.svg().unwrap().contains("No score is above zero."));
        for values in [&[1.0f32, 1.0][..], &[1e-38, 1e30], &[0.0, 1e-3]] {
            let picture = scores(&[layer(values, &[false, true])]);
            assert!(!picture.svg().unwrap().contains("NaN"), "{values:?}");
            assert!(!picture.png().unwrap().is_empty());
        }
        assert!(scores(&[]).svg().is_ok());
    }
}
