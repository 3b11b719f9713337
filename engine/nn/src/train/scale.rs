//! Dynamic loss scaling.

/// Loss scale of training in mixed precision: the loss is multiplied by it and the gradients are divided by it, so that
/// small gradients do not become zero in f16 (Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2).
/// A step whose gradients are not finite halves the scale and changes nothing else; 2,000 good steps in a row double it.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LossScale {
    /// The factor, a power of two.
    pub factor: f64,
    /// Number of steps since the last change.
    pub steps: usize,
}

impl Default for LossScale {
    /// A factor of 65,536.
    fn default() -> Self {
        LossScale { factor: 65_536.0, steps: 0 }
    }
}

impl LossScale {
    /// Number of good steps in a row after which the factor doubles.
    const PATIENCE: usize = 2_000;
    /// Largest factor.
    const LARGEST: f64 = 16_777_216.0;

    /// The scale after a step whose gradients were `finite` or not; `None` if it would fall below 1.
    pub(super) fn after(self, finite: bool) -> Option<LossScale> {
        let LossScale { factor, steps } = self;
        let changed = |factor| LossScale { factor, steps: 0 };
        match finite {
            false if factor < 2.0 => None,
            false => Some(changed(factor / 2.0)),
            true if steps + 1 == Self::PATIENCE => Some(changed((factor * 2.0).min(Self::LARGEST))),
            true => Some(LossScale { factor, steps: steps + 1 }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LossScale;

    #[test]
    fn overflow_halves_the_factor_and_2000_good_steps_double_it() {
        let start = LossScale::default();
        assert_eq!(start.after(false).unwrap().factor, 32_768.0);
        let after = |mut scale: LossScale, steps: usize| {
            for _ in 0..steps {
                scale = scale.after(true).unwrap();
            }
            scale
        };
        assert_eq!(after(start, 1_999).factor, 65_536.0);
        assert_eq!(after(start, 2_000), LossScale { factor: 131_072.0, steps: 0 });
        assert_eq!(after(start, 100_000).factor, LossScale::LARGEST);
        let one = LossScale { factor: 1.0, steps: 7 };
        assert_eq!(one.after(false), None);
    }
}
