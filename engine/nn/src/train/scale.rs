//! Dynamic loss scaling.

/// What the loss of a step in mixed precision is multiplied by, and its gradients divided by, so that small gradients are
/// numbers of f16 above zero. Micikevicius et al., "Mixed Precision Training", ICLR 2018, section 3.2. A step whose
/// gradients are not finite changes nothing but the scale, which halves; after 2,000 others in a row it doubles.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct LossScale {
    /// The factor, a power of two.
    pub factor: f64,
    /// Steps since it last changed.
    pub steps: usize,
}

impl Default for LossScale {
    /// 65,536.
    fn default() -> Self {
        LossScale {
            factor: 65_536.0,
            steps: 0,
        }
    }
}

impl LossScale {
    const PATIENCE: usize = 2_000;
    const LARGEST: f64 = 16_777_216.0;

    /// The scale after a step whose gradients were finite or not; none if it would be below 1.
    pub(super) fn after(self, finite: bool) -> Option<LossScale> {
        let LossScale { factor, steps } = self;
        let changed = |factor| LossScale { factor, steps: 0 };
        match finite {
            false if factor < 2.0 => None,
            false => Some(changed(factor / 2.0)),
            true if steps + 1 == Self::PATIENCE => Some(changed((factor * 2.0).min(Self::LARGEST))),
            true => Some(LossScale {
                factor,
                steps: steps + 1,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::LossScale;

    #[test]
    fn it_halves_at_once_and_doubles_in_time() {
        let start = LossScale::default();
        assert_eq!(start.after(false).unwrap().factor, 32_768.0);
        let after = |mut scale: LossScale, steps: usize| {
            for _ in 0..steps {
                scale = scale.after(true).unwrap();
            }
            scale
        };
        assert_eq!(after(start, 1_999).factor, 65_536.0);
        assert_eq!(
            after(start, 2_000),
            LossScale {
                factor: 131_072.0,
                steps: 0
            }
        );
        assert_eq!(after(start, 100_000).factor, LossScale::LARGEST);
        let one = LossScale {
            factor: 1.0,
            steps: 7,
        };
        assert_eq!(one.after(false), None);
    }
}
