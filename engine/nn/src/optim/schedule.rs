//! Learning-rate schedules.

/// Learning-rate schedule: the factor of the base learning rate at a step (or epoch), counted from 0.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Factor 1.
    Constant,
    /// `gamma^⌊step/every⌋`
    Step {
        /// Number of steps between drops.
        every: usize,
        /// Factor of each drop.
        gamma: f64,
    },
    /// `gammaⁿ` after `n` milestones.
    Milestones {
        /// Steps from which the rate is lower.
        at: Vec<usize>,
        /// Factor of each drop.
        gamma: f64,
    },
    /// Half a cosine from 1 to `floor` over `total` steps (Loshchilov and Hutter, 2017, without restarts).
    Cosine {
        /// Length of the half cosine in steps; after it the factor stays at `floor`.
        total: usize,
        /// The last factor.
        floor: f64,
    },
    /// Linear warm-up from `1/steps` to 1 in `steps` steps, then another schedule, which counts from there.
    WarmUp {
        /// Length of the warm-up in steps.
        steps: usize,
        /// Schedule after the warm-up.
        then: Box<Schedule>,
    },
}

impl Schedule {
    /// The factor at a step.
    ///
    /// ```
    /// use prospr_nn::optim::Schedule;
    /// let paper = Schedule::Milestones { at: vec![100, 150], gamma: 0.1 };
    /// assert_eq!([0, 99, 100, 149].map(|e| paper.factor(e)), [1.0, 1.0, 0.1, 0.1]);
    /// ```
    pub fn factor(&self, step: usize) -> f64 {
        match self {
            Schedule::Constant => 1.0,
            Schedule::Step { every, gamma } => gamma.powi((step / every.max(&1)) as i32),
            Schedule::Milestones { at, gamma } => {
                gamma.powi(at.iter().filter(|&&milestone| milestone <= step).count() as i32)
            }
            Schedule::Cosine { total, floor } => {
                let done = (step as f64 / (*total).max(1) as f64).min(1.0);
                floor + (1.0 - floor) * 0.5 * (1.0 + (std::f64::consts::PI * done).cos())
            }
            Schedule::WarmUp { steps, then } if step >= *steps => then.factor(step - steps),
            Schedule::WarmUp { steps, .. } => (step + 1) as f64 / *steps as f64,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn factors() {
        let warm = Schedule::WarmUp {
            steps: 4,
            then: Box::new(Schedule::Cosine { total: 10, floor: 0.0 }),
        };
        assert_eq!(warm.factor(0), 0.25);
        assert_eq!(warm.factor(3), 1.0);
        assert_eq!(warm.factor(4), 1.0);
        assert!((warm.factor(9) - 0.5).abs() < 1e-12);
        assert!(warm.factor(100).abs() < 1e-12);
        assert_eq!(Schedule::Step { every: 30, gamma: 0.1 }.factor(59), 0.1);
    }
}
