//! Number of weights that each layer keeps.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Rule that shares out the kept weights among the layers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allocation {
    /// By score: one threshold for all layers.
    #[default]
    Global,
    /// The same density in each layer, and so a threshold for each.
    Uniform,
    /// Erdős–Rényi kernel: a layer's density is proportional to `Σ dims / Π dims` of its weight, and 1 where that is
    /// more (Evci et al., "Rigging the lottery", ICML 2020, section 3; after Mocanu et al., 2018).
    Erk,
}

impl Allocation {
    /// A layer's density relative to the others; none if scores decide.
    fn density(self, shape: &[usize]) -> Option<f64> {
        let sum = || shape.iter().sum::<usize>() as f64;
        match self {
            Allocation::Global => None,
            Allocation::Uniform => Some(1.0),
            Allocation::Erk => Some(sum() / numel(shape).max(1) as f64),
        }
    }

    /// Numbers of weights that layers of these shapes keep, `kept` in all and each at least its minimum; none if scores
    /// decide.
    ///
    /// Layer `l` of `n_l` weights keeps `n_l · clamp(c · d_l, minimum_l/n_l, 1)` for its relative density `d_l` and the
    /// `c` that makes the sum `kept`. Fractions are rounded by the largest remainder; of equal ones the first layer
    /// is rounded up.
    pub(super) fn counts(
        self,
        shapes: &[Vec<usize>],
        minima: &[usize],
        kept: usize,
    ) -> Option<Vec<usize>> {
        let densities: Option<Vec<f64>> = shapes.iter().map(|s| self.density(s)).collect();
        let densities = densities?;
        let due = |c: f64| -> Vec<f64> {
            let layers = shapes.iter().zip(minima).zip(&densities);
            layers
                .map(|((shape, &minimum), d)| {
                    let n = numel(shape) as f64;
                    (c * d * n).clamp(minimum as f64, n)
                })
                .collect()
        };
        // The sum grows with c, and with `high` every layer is whole.
        let (mut low, mut high) =
            (0.0, densities.iter().fold(1.0, |high: f64, d| high.max(1.0 / d)));
        for _ in 0..100 {
            let middle = 0.5 * (low + high);
            match due(middle).iter().sum::<f64>() < kept as f64 {
                true => low = middle,
                false => high = middle,
            }
        }
        Some(rounded(&due(high), kept))
    }
}

fn numel(shape: &[usize]) -> usize {
    shape.iter().product()
}

/// `values` rounded to integers with the given sum: the largest remainders are rounded up, the first of equal ones.
fn rounded(values: &[f64], sum: usize) -> Vec<usize> {
    // The search may end a little below an integer, which then counts; remainders are compared to as many digits.
    let near = |value: f64| (value * 1e6).round() / 1e6;
    let mut counts: Vec<usize> = values.iter().map(|&v| near(v) as usize).collect();
    let mut order: Vec<usize> = (0..values.len()).collect();
    let remainder = |at: usize| near(near(values[at]).fract());
    order.sort_by(|&a, &b| remainder(b).total_cmp(&remainder(a)));
    let missing = sum.saturating_sub(counts.iter().sum());
    for &at in order.iter().take(missing) {
        counts[at] += 1;
    }
    counts
}

/// True for each layer that `keep` asks to stay dense, by `first`, `last`, or its weight's name with or without
/// `.weight`.
pub(super) fn dense(names: &[&str], keep: &[String]) -> Result<Vec<bool>> {
    let mut dense = vec![false; names.len()];
    for wanted in keep {
        let at = match &wanted[..] {
            "first" => names.first().map(|_| 0),
            "last" => names.len().checked_sub(1),
            name => {
                let is = |n: &&str| *n == name || n.strip_suffix(".weight") == Some(name);
                names.iter().position(is)
            }
        };
        let at = at.ok_or_else(|| Error::UnknownLayer {
            layer: wanted.clone(),
            known: names.iter().map(|name| name.to_string()).collect(),
        })?;
        dense[at] = true;
    }
    Ok(dense)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uniform_is_exact_and_rounds_by_the_largest_remainder() {
        let shapes = [vec![10], vec![5], vec![5]];
        let counts = |kept| Allocation::Uniform.counts(&shapes, &[0; 3], kept);
        assert_eq!(counts(10), Some(vec![5, 3, 2]));
        assert_eq!(counts(4), Some(vec![2, 1, 1]));
        assert_eq!(counts(20), Some(vec![10, 5, 5]));
        assert_eq!(Allocation::Global.counts(&shapes, &[0; 3], 10), None);
        // The two minima are all that is left.
        assert_eq!(
            Allocation::Uniform.counts(&[vec![10], vec![5], vec![5]], &[0, 2, 2], 4),
            Some(vec![0, 2, 2])
        );
    }

    /// By hand: relative densities 6/8 and 18/96, so 6c of 8 and 18c of 96 weights; at 40 the first layer is whole, and
    /// the second has the rest.
    #[test]
    fn erk_follows_the_shapes() {
        let shapes = [vec![2, 4], vec![2, 4, 12]];
        let counts = |kept| Allocation::Erk.counts(&shapes, &[0; 2], kept).unwrap();
        let relative = |s: &[usize]| Allocation::Erk.density(s).unwrap();
        assert_eq!(relative(&shapes[0]), 0.75);
        assert_eq!(relative(&shapes[1]), 18.0 / 96.0);
        assert_eq!(counts(8), [2, 6]);
        assert_eq!(counts(24), [6, 18]);
        assert_eq!(counts(40), [8, 32]);
        assert_eq!(counts(104), [8, 96]);
    }

    #[test]
    fn layers_are_found_by_place_and_name() {
        let names = ["conv1.weight", "conv2.weight", "fc.weight"];
        let of = |keep: &[&str]| {
            let keep: Vec<String> = keep.iter().map(|k| k.to_string()).collect();
            dense(&names, &keep)
        };
        assert_eq!(of(&["first", "last"]), Ok(vec![true, false, true]));
        assert_eq!(of(&["conv2"]), of(&["conv2.weight"]));
        let error = of(&["conv3"]).unwrap_err().to_string();
        assert!(error.contains("conv3") && error.contains("fc.weight"), "{error}");
    }
}
