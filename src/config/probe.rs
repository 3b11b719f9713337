//! Settings of `prospr probe`.

use clap::Args;
use serde::{Deserialize, Serialize};

use super::{Common, NetworkSettings, PruneSettings, RunConfig, Settings};
use crate::pruners::Method;

/// Settings of a probe: gradients and meta-gradients of one network.
#[derive(Clone, Debug, PartialEq, Args, Serialize, Deserialize)]
pub struct ProbeConfig {
    /// Numbers of inner steps M; 0 is the plain gradient.
    #[arg(long, value_delimiter = ',', value_name = "M", default_value = "0,1,2,3,5,8,16,32")]
    pub meta_steps: Vec<usize>,
    /// Compute the same in F64 on the CPU and report the relative error of the device's F32.
    #[arg(long, num_args = 0..=1, require_equals = true, default_value_t = false, default_missing_value = "true")]
    pub roundings: bool,
    /// Seed of the initial weights and the batches.
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    #[command(flatten)]
    #[serde(flatten)]
    /// Network, data set and device.
    pub network: NetworkSettings,
    #[command(flatten)]
    #[serde(flatten)]
    /// Settings of ProsPr.
    pub prune: PruneSettings,
}

impl ProbeConfig {
    /// Settings of a run of ProsPr with this network, data and seed.
    pub fn run(&self) -> RunConfig {
        let usual = RunConfig::defaults();
        RunConfig {
            pruner: prospr(),
            seed: self.seed,
            common: Common {
                network: self.network.clone(),
                prune: self.prune.clone(),
                ..usual.common
            },
            ..usual
        }
    }
}

fn prospr() -> Method {
    Method::named("prospr").expect("ProsPr is a method")
}

impl Settings for ProbeConfig {
    fn complete(&mut self) -> std::io::Result<()> {
        self.network.complete()
    }

    fn methods(&self) -> Vec<Method> {
        vec![prospr()]
    }
}
