//! GraSP: Wang, Zhang and Grosse, "Picking winning tickets before training by preserving gradient flow", ICLR 2020.

use prospr_engine::{Device, Params, Tree, grad, hvp};
use prospr_nn::nn::{Batch, cross_entropy};

use crate::scores::{NormMode, Pruner, Task, add, logits_of, prunable, total};
use crate::{Error, Method, Result, Settings};

/// Scores `w ⊙ Hg / (|Σ w ⊙ Hg| + 10⁻¹⁰)` with the gradient `g` and the Hessian `H` of the cross-entropy of `logits/T`
/// (equation 8; algorithm 1), both with respect to the prunable weights and summed over mini-batches.
///
/// **Sign.** The paper's score is `−w ⊙ Hg`, and it removes the highest: weights without which the gradient's norm is
/// larger. Scores here are its negative, so that the highest are kept, as every [`Pruner`]'s. They may be negative.
///
/// The mini-batches are used twice, and wait in host memory for the second time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Grasp {
    /// Number of mini-batches over which `g` and `Hg` are summed, at least one.
    pub batches: usize,
    /// The temperature `T`.
    pub temperature: f64,
    /// Statistics that batch norm normalises with.
    pub mode: NormMode,
}

impl Default for Grasp {
    /// One batch, temperature 200 (the paper's program), batch norm as in training.
    fn default() -> Grasp {
        Grasp { batches: 1, temperature: 200.0, mode: NormMode::default() }
    }
}

/// GraSP in the registry.
pub(crate) const METHODS: &[Method] = &[
    Method {
        name: "grasp",
        summary: "Weights that keep the gradient's norm (Wang et al., 2020)",
        score: "`w ⊙ (ΣH)(Σg)` of the cross-entropy of `logits/200`",
        allocation: None,
        pruner: |settings| Ok(Box::new(Grasp::configured(settings, 1)?)),
    },
    Method {
        name: "grasp-mb",
        summary: "GraSP over many batches",
        score: "as `grasp`",
        allocation: None,
        pruner: |settings| Ok(Box::new(Grasp::configured(settings, 10)?)),
    },
];

impl Grasp {
    fn configured(settings: &Settings<'_>, batches: usize) -> Result<Grasp> {
        Ok(Grasp {
            batches: settings.batches(batches)?,
            mode: settings.get("prune_norm")?,
            ..Grasp::default()
        })
    }
}

impl Pruner for Grasp {
    fn name(&self) -> &'static str {
        "grasp"
    }

    fn scores(&self, task: &mut Task<'_>) -> Result<Params> {
        let weights = prunable(task.params);
        let (logits, temperature) = (logits_of(task, self.mode), self.temperature);
        let loss = |w: &Params, batch: &Batch| {
            cross_entropy(&(logits(w, batch) / temperature), &batch.labels)
        };
        let count = self.batches.max(1);
        let (mut seen, mut g, mut hg) = (Vec::new(), None, None);
        for found in 0..count {
            let batch = task.next(found, count)?;
            add(&mut g, grad(|w: &Params| loss(w, &batch))(&weights))?;
            seen.push((moved(&batch, &Device::cpu())?, batch.images.device().clone()));
        }
        let none = Error::TooFewBatches { needed: count, found: 0 };
        let g = g.ok_or_else(|| none.clone())?;
        for (batch, device) in seen {
            let batch = moved(&batch, &device)?;
            add(&mut hg, hvp(|w: &Params| loss(w, &batch), &weights, &g))?;
        }
        let hg = hg.ok_or(none)?;
        let scores = weights.zip_leaves(&hg, |w, hg| w * hg);
        let scale = total(&scores).abs() + 1e-10;
        let scores = scores.map_leaves(|s| s / &scale);
        scores.eval_leaves()?;
        Ok(scores)
    }
}

/// A batch on a device.
fn moved(batch: &Batch, device: &Device) -> Result<Batch> {
    Ok(Batch { images: batch.images.to_device(device)?, labels: batch.labels.to_device(device)? })
}
