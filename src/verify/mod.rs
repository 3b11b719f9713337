//! Verification against scores of another program: infers the network from a file, computes the scores, and
//! compares them
//! with those in the file.
//!
//! # The file
//! A [safetensors](https://huggingface.co/docs/safetensors) file with these tensors, of any type up to 64 bits:
//!
//! | name | tensor |
//! |---|---|
//! | `init.<name>` | a PyTorch state dict with running statistics |
//! | `batch.<i>.x`, `batch.<i>.y` | images `[n, c, h, w]` and labels `[n]`, from `i = 0`; SynFlow needs none |
//! | `score.<name>` | a score for each prunable weight, or `[out, 1, 1, 1]` for each convolution |
//! | `score_first_iteration.<name>` | for SynFlow, instead of `score`: the scores before anything is removed |
//! | `mask.<name>` | optional: ones and zeros in the shapes of the scores |
//!
//! and the metadata entry `case`, a JSON object:
//!
//! | `method` | entries |
//! |---|---|
//! | `full` (or absent), `first_order`: ProsPr, not divided by the sum | `num_steps`, `inner_lr`,
//! `inner_momentum` (0), `momentum_note` (contains `detached` if no gradient flows through the first momentum
//! buffer), `new_data_in_inner` (true), `structured` (false) |
//! | `snip`: divided by the sum; `grasp`: `w ⊙ Hg`, divided by the magnitude of the sum | `sum_over_batches` (1), `bn`: `train` or `eval` first (train), `temperature` (200) for `grasp` |
//! | `synflow` | `iterations`, `density`, `schedule`: `rho**((t+1)/T)` |

mod agreement;
mod candidate;
mod fixture;
mod method;
mod network;
mod sequential;

use std::fmt;
use std::path::Path;

use serde::Serialize;

pub use agreement::Agreement;

use crate::pruners::{Error, Mask, MaskOptions, Result, Sparsity, Task};
use crate::{DType, Device, Key};
use agreement::equal_share;
use candidate::Candidate;
use fixture::Fixture;
use method::Method;

/// Settings of a verification.
#[derive(Clone, Debug)]
pub struct Options {
    /// Device that computes the scores: the CPU in f64, others in f32.
    pub device: Device,
    /// Largest error that passes. `None`: 1e-5 in f64 and 1e-3 in f32, or more in f32 if the file is ill-conditioned in
    /// f32; see [`verify`].
    pub tolerance: Option<f64>,
}

/// Result of a verification. In JSON, an object with these entries and those of [`Agreement`]; NaN becomes null.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The file.
    pub fixture: String,
    /// The method and its options.
    pub method: String,
    /// The network inferred from the file.
    pub network: String,
    /// Device that computed the scores.
    pub device: String,
    /// `f64` or `f32`.
    pub precision: &'static str,
    /// Number of compared scores.
    pub scores: usize,
    /// Agreement of the computed and the stored scores.
    #[serde(flatten)]
    pub agreement: Agreement,
    /// Largest error that passes.
    pub tolerance: f64,
    /// Reason for a tolerance above the usual one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    /// True if the file's scores were reproduced.
    pub ok: bool,
}

/// Computes the scores of a fixture and compares them with the stored ones.
///
/// The network is inferred from names and shapes: ResNets, and VGG-like `Sequential`s. Names do not determine
/// everything (max or average pools, a pool after the last convolution), so the possible networks are tried in turn;
/// the first within the tolerance counts, otherwise the one with the least error.
///
/// **f32.** ReLUs and max pools near their kinks make the scores of some files ill-conditioned in f32
/// (`docs/decisions/0003`). Therefore, without a given tolerance, a run in f32 that misses 1e-3 is repeated on the CPU.
/// If the CPU's f64 reproduces the file within 1e-5 and the CPU's f32 does not within 1e-3, the tolerance becomes four
/// times the error of the CPU's f32, and [`Report::note`] says so.
///
/// # Errors
/// If the file is damaged, incomplete, or has an unknown network or method; errors of scoring.
pub fn verify(path: impl AsRef<Path>, options: &Options) -> Result<Report> {
    let fixture = Fixture::read(path.as_ref())?;
    let method = Method::of(&fixture)?;
    let candidates = network::candidates(&fixture.shapes(), fixture.image_shape()?)
        .map_err(|reason| fixture.error(reason))?;
    let case = Verification { fixture, method };

    let dtype = if options.device.is_cpu() { DType::F64 } else { DType::F32 };
    let mut tolerance = options.tolerance.unwrap_or(default_tolerance(dtype));
    let (candidate, (scores, agreement)) =
        case.nearest(&candidates, tolerance, &options.device, dtype)?;
    let mut note = None;
    if dtype == DType::F32
        && options.tolerance.is_none()
        && !agreement.within(tolerance)
        && let Some(error) = case.conditioning(candidate)?
    {
        // Errors of different roundings are samples from one wide distribution; the factor 4 allows for that.
        tolerance = 4.0 * error;
        note = Some(format!(
            "this file is ill-conditioned in 32-bit arithmetic: the CPU's f64 agrees with it, the CPU's f32 is {error:.2e} away; tolerance {tolerance:.2e}"
        ));
    }
    Ok(Report {
        fixture: case.fixture.path,
        method: case.method.to_string(),
        network: candidate.description.clone(),
        device: options.device.to_string(),
        precision: if dtype == DType::F64 { "f64" } else { "f32" },
        scores,
        agreement,
        tolerance,
        note,
        ok: agreement.within(tolerance),
    })
}

fn default_tolerance(dtype: DType) -> f64 {
    if dtype == DType::F64 { 1e-5 } else { 1e-3 }
}

/// A fixture and its method.
struct Verification {
    fixture: Fixture,
    method: Method,
}

/// Number of scores, and their agreement.
type Outcome = (usize, Agreement);

impl Verification {
    /// Returns the first candidate within the tolerance, otherwise the one with the least error. Candidates
    /// that fail are
    /// skipped; if all fail, the first error is returned.
    fn nearest<'a>(
        &self,
        candidates: &'a [Candidate],
        tolerance: f64,
        device: &Device,
        dtype: DType,
    ) -> Result<(&'a Candidate, Outcome)> {
        let (mut best, mut failure): (Option<(&Candidate, Outcome)>, _) = (None, None);
        for candidate in candidates {
            match self.compare(candidate, device, dtype) {
                Ok(outcome) if outcome.1.within(tolerance) => return Ok((candidate, outcome)),
                Ok(outcome) => {
                    let nearer = |(_, (_, b)): &(_, Outcome)| {
                        outcome.1.l2_rel_error.total_cmp(&b.l2_rel_error).is_lt()
                    };
                    if best.as_ref().is_none_or(nearer) {
                        best = Some((candidate, outcome));
                    }
                }
                Err(error) => failure = failure.or(Some(error)),
            }
        }
        match (best, failure) {
            (Some(best), _) => Ok(best),
            (None, Some(error)) => Err(error),
            (None, None) => Err(self.fixture.error("no network fits")),
        }
    }

    /// Error of the CPU's f32 against the file, if it exceeds the usual tolerance while the CPU's f64 is within its
    /// own.
    fn conditioning(&self, candidate: &Candidate) -> Result<Option<f64>> {
        let run = |dtype| self.compare(candidate, &Device::cpu(), dtype).map(|(_, a)| a);
        if !run(DType::F64)?.within(default_tolerance(DType::F64)) {
            return Ok(None);
        }
        let error = run(DType::F32)?.error();
        Ok((error > default_tolerance(DType::F32)).then_some(error))
    }

    /// Compares the scores of one network with the file's.
    fn compare(&self, candidate: &Candidate, device: &Device, dtype: DType) -> Result<Outcome> {
        let (fixture, method) = (&self.fixture, &self.method);
        let (params, state) = fixture.values(candidate, dtype, device)?;
        let batches = fixture.batches(method.batches(), candidate.classes, dtype, device)?;
        let mut task = Task {
            net: &candidate.net,
            params: &params,
            state: &state,
            batches: &mut batches.into_iter(),
            key: Key::new(0),
        };
        let masked = !fixture.under("mask.").is_empty();
        let (scores, for_mask) = method.scores(&mut task, candidate.input, masked)?;
        let stored = fixture.flat(method.prefix(), &scores)?;
        let mut agreement = Agreement::of(&flat(&scores)?, &stored);
        if masked {
            let stored = fixture.flat("mask.", &scores)?;
            let kept: f64 = stored.iter().sum();
            let sparsity = Sparsity::new(1.0 - kept / stored.len() as f64)?;
            let mask = Mask::new(&for_mask, sparsity, &MaskOptions::default())?;
            let found = flat(&mask.tensors(DType::F32, &Device::cpu())?)?;
            agreement.mask_agreement = Some(equal_share(&found, &stored));
        }
        Ok((stored.len(), agreement))
    }
}

/// Returns the values of all layers, concatenated.
fn flat(params: &crate::Params) -> Result<Vec<f64>> {
    let layers = params.iter().map(|(.., t)| t.to_f64s());
    let layers: Result<Vec<_>, _> = layers.collect();
    Ok(layers.map_err(Error::from)?.concat())
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "fixture: {}", self.fixture)?;
        writeln!(f, "method: {}", self.method)?;
        writeln!(f, "network: {}", self.network)?;
        writeln!(f, "device: {}", self.device)?;
        writeln!(f, "precision: {}", self.precision)?;
        writeln!(f, "scores: {}", self.scores)?;
        writeln!(f, "max_rel_error: {:.3e}", self.agreement.max_rel_error)?;
        writeln!(f, "l2_rel_error: {:.3e}", self.agreement.l2_rel_error)?;
        writeln!(f, "rank_agreement: {:.6}", self.agreement.rank_agreement)?;
        if let Some(share) = self.agreement.mask_agreement {
            writeln!(f, "mask_agreement: {share:.6}")?;
        }
        writeln!(f, "tolerance: {:.3e}", self.tolerance)?;
        if let Some(note) = &self.note {
            writeln!(f, "note: {note}")?;
        }
        write!(f, "verdict: {}", if self.ok { "ok" } else { "FAILED" })
    }
}
