//! The pruning methods of the command line.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::PruneSettings;
use crate::pruners::{
    Allocation, Force, Grasp, Magnitude, MaskOptions, MetaGradient, NtkSap, ProsPr, Pruner, Random,
    Rounds, Snip, Sparsity, SynFlow,
};

/// A pruning method by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// No pruning.
    Dense,
    /// Meta-gradients through the first steps of training (Alizadeh et al., 2022).
    Prospr,
    /// ProsPr's first-order approximation.
    ProsprFirstOrder,
    /// The gradient's effect on each weight (Lee et al., 2019): ProsPr without inner steps.
    Snip,
    /// SNIP's magnitudes averaged over many batches.
    SnipMb,
    /// What keeps the gradient's norm (Wang et al., 2020).
    Grasp,
    /// GraSP over many batches.
    GraspMb,
    /// Synaptic flow, without data, in many iterations (Tanaka et al., 2020).
    Synflow,
    /// SNIP in many iterations, after which weights may come back (de Jorge et al., 2021).
    Force,
    /// SNIP in many iterations, after which none comes back (de Jorge et al., 2021).
    IterSnip,
    /// What keeps the neural tangent kernel's trace, on noise, in many iterations (Wang et al., 2023).
    NtkSap,
    /// The largest initial weights.
    Magnitude,
    /// Uniformly at random.
    Random,
    /// At random, with the same density in each layer.
    RandomUniform,
    /// At random, denser where layers are small (Erdős–Rényi kernel).
    RandomErk,
}

/// Batches of snip-mb and grasp-mb, where the settings name no number.
const MANY_BATCHES: usize = 10;

impl Method {
    /// The method's name.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("no method is hidden");
        value.get_name().to_string()
    }

    /// How its scores become a mask: as the settings say, unless the method has shares of its own.
    pub fn mask(self, settings: &PruneSettings) -> MaskOptions {
        let options = settings.mask();
        match self {
            Method::RandomUniform => MaskOptions {
                allocation: Allocation::Uniform,
                ..options
            },
            Method::RandomErk => MaskOptions {
                allocation: Allocation::Erk,
                ..options
            },
            _ => options,
        }
    }

    /// The method with its settings; none for a dense network.
    ///
    /// # Errors
    /// If the unroll policy is not one, or the sparsity is out of range.
    pub fn pruner(
        self,
        settings: &PruneSettings,
        sparsity: f64,
    ) -> anyhow::Result<Option<Box<dyn Pruner>>> {
        let sparsity = Sparsity::new(sparsity)?;
        let rounds = |usual: Rounds| Rounds {
            iterations: settings.iterations.unwrap_or(usual.iterations),
            options: self.mask(settings),
            ..usual
        };
        let mode = settings.norm();
        let many = matches!(self, Method::SnipMb | Method::GraspMb);
        let usual = if many { MANY_BATCHES } else { 1 };
        let batches = settings.prune_batches.unwrap_or(usual);
        let force = || Force {
            batches,
            mode,
            loss: settings.loss(),
            rounds: rounds(Force::new(sparsity).rounds),
            ..Force::new(sparsity)
        };
        Ok(Some(match self {
            Method::Dense => return Ok(None),
            Method::Prospr => Box::new(prospr(settings, MetaGradient::Exact)?),
            Method::ProsprFirstOrder => Box::new(prospr(settings, MetaGradient::FirstOrder)?),
            Method::Snip | Method::SnipMb => Box::new(Snip {
                batches,
                per_batch: self == Method::SnipMb,
                mode,
            }),
            Method::Grasp | Method::GraspMb => Box::new(Grasp {
                batches,
                mode,
                ..Grasp::default()
            }),
            Method::Synflow => {
                let usual = SynFlow::new(sparsity);
                Box::new(SynFlow {
                    rounds: rounds(usual.rounds),
                    input: usual.input,
                })
            }
            Method::Force => Box::new(force()),
            Method::IterSnip => Box::new(force().iter_snip()),
            Method::NtkSap => Box::new(NtkSap {
                rounds: rounds(NtkSap::new(sparsity).rounds),
                perturbation: settings.perturbation,
                batches,
                mode,
            }),
            Method::Magnitude => Box::new(Magnitude),
            Method::Random | Method::RandomUniform | Method::RandomErk => Box::new(Random),
        }))
    }

    /// ProsPr with its settings, if this is it.
    ///
    /// # Errors
    /// If the unroll policy is not one.
    pub fn prospr(self, settings: &PruneSettings) -> anyhow::Result<Option<ProsPr>> {
        match self {
            Method::Prospr => prospr(settings, MetaGradient::Exact).map(Some),
            Method::ProsprFirstOrder => prospr(settings, MetaGradient::FirstOrder).map(Some),
            _ => Ok(None),
        }
    }
}

fn prospr(settings: &PruneSettings, meta_gradient: MetaGradient) -> anyhow::Result<ProsPr> {
    Ok(ProsPr {
        new_data: !settings.same_batch,
        unroll: settings.unroll()?,
        inner_decay: settings.inner_decay,
        clip: settings.inner_clip,
        mode: settings.norm(),
        meta_gradient,
        ..ProsPr::new(settings.steps, settings.inner())
    })
}
