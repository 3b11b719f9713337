//! The pruning methods of the command line.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::PruneSettings;
use crate::optim::Sgd;
use crate::pruners::{Grasp, MetaGradient, ProsPr, Pruner, Random, Snip, Sparsity, SynFlow};

/// A pruning method by its name on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Method {
    /// No pruning.
    Dense,
    /// Meta-gradients through the first steps of training (Alizadeh et al., 2022).
    Prospr,
    /// The gradient's effect on each weight (Lee et al., 2019): ProsPr without inner steps.
    Snip,
    /// ProsPr's first-order approximation.
    ProsprFirstOrder,
    /// What keeps the gradient's norm (Wang et al., 2020).
    Grasp,
    /// Synaptic flow, without data, in many iterations (Tanaka et al., 2020).
    Synflow,
    /// Uniformly at random.
    Random,
}

impl Method {
    /// The method's name.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("no method is hidden");
        value.get_name().to_string()
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
        let prospr = self.prospr(settings)?;
        Ok(match self {
            Method::Dense => None,
            Method::Prospr | Method::ProsprFirstOrder => {
                prospr.map(|prospr| Box::new(prospr) as Box<dyn Pruner>)
            }
            Method::Snip => Some(Box::new(Snip {
                batches: settings.prune_batches,
                ..Snip::default()
            })),
            Method::Grasp => Some(Box::new(Grasp {
                batches: settings.prune_batches,
                ..Grasp::default()
            })),
            Method::Synflow => Some(Box::new(SynFlow {
                iterations: settings.iterations,
                options: settings.mask(),
                ..SynFlow::new(Sparsity::new(sparsity)?)
            })),
            Method::Random => Some(Box::new(Random)),
        })
    }

    /// ProsPr with its settings, if this is it.
    ///
    /// # Errors
    /// If the unroll policy is not one.
    pub fn prospr(self, settings: &PruneSettings) -> anyhow::Result<Option<ProsPr>> {
        let meta_gradient = match self {
            Method::Prospr => MetaGradient::Exact,
            Method::ProsprFirstOrder => MetaGradient::FirstOrder,
            _ => return Ok(None),
        };
        let inner = Sgd::new(settings.inner_lr)
            .momentum(settings.inner_momentum)
            .weight_decay(settings.inner_weight_decay);
        Ok(Some(ProsPr {
            new_data: !settings.same_batch,
            unroll: settings.unroll()?,
            meta_gradient,
            ..ProsPr::new(settings.steps, inner)
        }))
    }
}
