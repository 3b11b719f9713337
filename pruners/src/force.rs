//! FORCE and Iter-SNIP: de Jorge, Sanyal, Behl, Torr, Rogez and Dokania, "Progressive skeletonization: Trimming more fat
//! from a network at initialization", ICLR 2021.

use prospr_engine::{Params, Tree, grad};

use crate::rounds::{Removed, Rounds};
use crate::scores::{Loss, NormMode, Pruner, Task, logits_of, prunable, summed};
use crate::{Method, Result, Settings, Sparsity};

/// In each of the [`Rounds`], with the mask `c` of the one before (section 4 of the paper):
///
/// - **FORCE** scores `|w ⊙ ∂L/∂w̄|` at `w̄ = c ⊙ w`, for removed weights too, so that they may
///   come back.
/// - **Iter-SNIP** scores `|w̄ ⊙ ∂L/∂w̄|`: removed weights stay removed.
///
/// `L` is the mean loss over mini-batches, new ones in each round, and `|·|` comes after the mean. The published code has
/// `−z_y` in the place of the cross-entropy, which [`Loss`] offers; it keeps `⌊n·ρ⌋` weights, where masks here keep
/// `⌈n·ρ⌉`.
#[derive(Clone, Debug, PartialEq)]
pub struct Force {
    /// Rounds; 60 in the paper.
    pub rounds: Rounds,
    /// True if removed weights may be kept again in later rounds: FORCE. False is Iter-SNIP.
    pub regrow: bool,
    /// Number of new mini-batches in each round, at least one.
    pub batches: usize,
    /// Statistics that batch norm normalises with.
    pub mode: NormMode,
    /// Loss whose gradient makes the scores.
    pub loss: Loss,
}

impl Force {
    /// FORCE in 60 rounds of one batch to this sparsity, batch norm as in training.
    pub fn new(sparsity: Sparsity) -> Force {
        Force {
            rounds: Rounds::new(60, sparsity),
            regrow: true,
            batches: 1,
            mode: NormMode::default(),
            loss: Loss::default(),
        }
    }

    fn configured(settings: &Settings<'_>) -> Result<Force> {
        Ok(Force {
            rounds: settings.rounds(60)?,
            regrow: true,
            batches: settings.batches(1)?,
            mode: settings.get("prune_norm")?,
            loss: settings.get("prune_loss")?,
        })
    }

    /// Iter-SNIP with the same settings.
    pub fn iter_snip(self) -> Force {
        Force { regrow: false, ..self }
    }
}

/// FORCE and Iter-SNIP in the registry.
pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "force",
        summary: "SNIP in many iterations; removed weights may return (de Jorge et al., 2021)",
        score: "`|w ⊙ ḡ(c ⊙ w)|` of all weights",
        allocation: None,
        pruner: |settings| Ok(Box::new(Force::configured(settings)?)),
    },
    Method {
        name: "iter-snip",
        summary: "SNIP in many iterations; removed weights stay removed (de Jorge et al., 2021)",
        score: "`|c ⊙ w ⊙ ḡ(c ⊙ w)|`",
        allocation: None,
        pruner: |settings| Ok(Box::new(Force::configured(settings)?.iter_snip())),
    },
];

impl Pruner for Force {
    fn name(&self) -> &'static str {
        match self.regrow {
            true => "force",
            false => "iter-snip",
        }
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let weights = prunable(task.params);
        let (logits, loss) = (logits_of(task, self.mode), self.loss);
        let count = self.batches.max(1);
        let removed = match self.regrow {
            true => Removed::ForNow,
            false => Removed::ForGood,
        };
        self.rounds.run(&weights, removed, |mask, _| {
            let left = weights.zip_leaves(mask, |w, c| w * c);
            left.eval_leaves()?;
            let gradient = summed(task, count, |batch| {
                grad(|w: &Params| loss.of(&logits(w, batch), &batch.labels))(&left)
            })?;
            Ok(gradient.zip_leaves(&weights, |g, w| (g * w / count as f64).abs()))
        })
    }
}
