//! Measures of agreement between two lists of scores.

use serde::Serialize;

/// Measures of agreement. A measure is NaN if it is undefined, because a score is NaN or all scores are equal.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// `max|a − b| / max|b|` of the computed scores `a` and the stored scores `b`.
    pub max_rel_error: f64,
    /// `‖a − b‖₂ / ‖b‖₂`
    pub l2_rel_error: f64,
    /// Spearman's rank correlation: 1 if both lists have the same order. Equal scores get their mean rank.
    pub rank_agreement: f64,
    /// Fraction of equal mask entries, if the file has masks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask_agreement: Option<f64>,
}

impl Agreement {
    /// Compares scores; the values of all layers are concatenated.
    pub fn of(found: &[f64], stored: &[f64]) -> Agreement {
        let differences: Vec<f64> = found.iter().zip(stored).map(|(a, b)| a - b).collect();
        Agreement {
            max_rel_error: largest(&differences) / largest(stored),
            l2_rel_error: l2(&differences) / l2(stored),
            rank_agreement: correlation(&ranks(found), &ranks(stored)),
            mask_agreement: None,
        }
    }

    /// The larger of the two errors; NaN if either is NaN.
    pub fn error(&self) -> f64 {
        largest(&[self.max_rel_error, self.l2_rel_error])
    }

    /// Returns true if both errors are within the tolerance and at least 99.9 % of the mask entries are equal.
    pub fn within(&self, tolerance: f64) -> bool {
        self.error() <= tolerance && self.mask_agreement.is_none_or(|share| share >= 0.999)
    }
}

/// Returns the fraction of equal entries.
pub fn equal_share(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).filter(|(a, b)| a == b).count() as f64 / b.len() as f64
}

/// Returns the largest magnitude; NaN if any value is NaN.
fn largest(values: &[f64]) -> f64 {
    let larger = |m: f64, v: f64| if v > m || v.is_nan() { v } else { m };
    values.iter().map(|v| v.abs()).fold(0.0, larger)
}

fn l2(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Ranks from 0; equal values get their mean rank.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_unstable_by(|&a, &b| values[a].total_cmp(&values[b]));
    let (mut ranks, mut next) = (vec![0.0; values.len()], 0.0);
    for equal in order.chunk_by(|&a, &b| values[a] == values[b]) {
        let count = equal.len() as f64;
        for &at in equal {
            ranks[at] = next + (count - 1.0) / 2.0;
        }
        next += count;
    }
    ranks
}

/// Pearson's correlation coefficient.
fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    let (mean_a, mean_b) = (mean(a), mean(b));
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        (ab, aa, bb) = (ab + a * b, aa + a * a, bb + b * b);
    }
    ab / (aa * bb).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_relative_to_the_stored_scores() {
        let agreement = Agreement::of(&[3.0, 0.0, 4.5], &[3.0, 0.0, 4.0]);
        assert_eq!(agreement.max_rel_error, 0.125);
        assert_eq!(agreement.l2_rel_error, 0.1);
        assert!(agreement.within(0.125) && !agreement.within(0.124));
        let masked = Agreement { mask_agreement: Some(0.99), ..agreement };
        assert!(!masked.within(1.0));
    }

    #[test]
    fn nan_and_infinity_never_agree() {
        for found in [[f64::NAN, 1.0], [1.0, f64::NAN], [f64::INFINITY, 1.0]] {
            let agreement = Agreement::of(&found, &[1.0, 1.0]);
            assert!(!agreement.within(1e300), "{agreement:?}");
        }
        assert!(!Agreement::of(&[0.0], &[0.0]).within(1.0));
    }

    /// Computed by hand: with ranks (0, 1.5, 1.5, 4, 3) and (0, 3, 3, 3, 1), the correlation is 4/√(9.5 · 8).
    #[test]
    fn equal_values_get_their_mean_rank() {
        assert_eq!(ranks(&[1.0, 2.0, 2.0, 5.0, 3.0]), [0.0, 1.5, 1.5, 4.0, 3.0]);
        let rho =
            Agreement::of(&[1.0, 2.0, 2.0, 5.0, 3.0], &[1.0, 3.0, 3.0, 3.0, 2.0]).rank_agreement;
        assert!((rho - 4.0 / 76f64.sqrt()).abs() < 1e-12, "{rho}");
        let reversed = Agreement::of(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]).rank_agreement;
        assert!((reversed + 1.0).abs() < 1e-12);
    }
}
