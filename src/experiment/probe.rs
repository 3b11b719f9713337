//! Norms of gradients and meta-gradients by number of inner steps, as in figure 3 of Alizadeh et al. (2022).

use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use super::{Experiment, Initial};
use crate::datasets::Loader;
use crate::pruners::ProsPr;
use crate::report::{LayerValues, write_norms};
use crate::{DType, Device, Params, Tensor, Tree};

/// Largest stable ratio of a norm to that of the plain gradient.
const LIMIT: f64 = 10.0;

/// L2 norms of the meta-gradient `∂L(w_M, D_M)/∂c`: the effect of each weight on the loss after `M` inner steps, where
/// `c` multiplies the initial weights. With `M = 0` it is the plain gradient.
#[derive(Clone, Debug, Serialize)]
pub struct Probe {
    /// Name of the network.
    pub model: String,
    /// Name of the data set.
    pub data: String,
    /// Name of the device.
    pub device: String,
    /// Names of the weight tensors.
    pub layers: Vec<String>,
    /// One row for each number of steps, in ascending order.
    pub rows: Vec<ProbeRow>,
    /// The lowest of these numbers of steps whose norm is not finite or more than ten times that of `M = 0`.
    pub unstable_from: Option<usize>,
}

/// Norms for one number of inner steps.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeRow {
    /// The number of inner steps, `M`.
    pub steps: usize,
    /// Norm over all layers; none if it is not finite.
    pub norm: Option<f64>,
    /// Ratio of this norm to that of `M = 0`; none if it is not finite.
    pub growth: Option<f64>,
    /// Norm of each layer; none if it is not finite.
    pub layers: Vec<Option<f64>>,
    /// Relative rounding error `‖f32 − f64‖ / ‖f64‖` of the meta-gradient's magnitudes, if it was requested and is
    /// finite.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rounding: Option<f64>,
    /// Duration of the computation in f32, in seconds.
    pub seconds: f64,
}

impl Experiment {
    /// Computes the norms of the meta-gradient of `method` for each of these numbers of steps, and for 0. All of them
    /// start with the same batches. `watch` receives each row as soon as it is computed. With `roundings`, a second
    /// computation in f64 on the CPU gives the rounding errors.
    ///
    /// # Errors
    /// If an image cannot be read, or the computation fails.
    pub fn probe(
        &self,
        method: &ProsPr,
        steps: &[usize],
        roundings: bool,
        watch: &mut dyn FnMut(&ProbeRow),
    ) -> anyhow::Result<Probe> {
        let initial = self.initial()?;
        let mut steps: Vec<usize> = [&[0], steps].concat();
        steps.sort_unstable();
        steps.dedup();
        let mut layers = Vec::new();
        let mut rows: Vec<ProbeRow> = Vec::new();
        for steps in steps {
            let method = ProsPr { steps, ..*method };
            let start = Instant::now();
            let loader = self.pruning_data();
            let gradient = self.with_task(&initial, loader, |task| method.magnitudes(task))?;
            let seconds = start.elapsed().as_secs_f64();
            layers = gradient.iter().map(|(name, ..)| name.into()).collect();
            let values = values(&gradient)?;
            let rounding = match roundings {
                true => Some(distance(&values, &self.in_f64(&method, &initial)?)),
                false => None,
            };
            let norms: Vec<f64> = values.iter().map(|layer| norm(layer)).collect();
            let norm = norm(&norms);
            let plain = rows.first().map_or(Some(norm), |row| row.norm);
            let finite = |value: f64| value.is_finite().then_some(value);
            let row = ProbeRow {
                steps,
                norm: finite(norm),
                growth: plain.and_then(|plain| finite(norm / plain)),
                layers: norms.into_iter().map(finite).collect(),
                rounding: rounding.and_then(finite),
                seconds,
            };
            watch(&row);
            rows.push(row);
        }
        let unstable = |row: &&ProbeRow| row.growth.is_none_or(|growth| growth > LIMIT);
        Ok(Probe {
            model: self.config.common.network.model.clone(),
            data: self.data.name.clone(),
            device: self.device.to_string(),
            layers,
            unstable_from: rows.iter().find(unstable).map(|row| row.steps),
            rows,
        })
    }

    /// Computes the magnitudes of the meta-gradient in f64 on the CPU. Returns the values of each layer.
    fn in_f64(&self, method: &ProsPr, initial: &Initial) -> anyhow::Result<Vec<Vec<f64>>> {
        let cpu = Device::cpu();
        let wide = |params: &Params| -> crate::Result<Params> {
            let moved: Vec<Tensor> = params
                .leaves()
                .iter()
                .map(|value| Ok(value.to_device(&cpu)?.to_dtype(DType::F64)))
                .collect::<crate::Result<_>>()?;
            let mut moved = moved.into_iter();
            Ok(params.rebuild(&mut || moved.next().expect("one for each")))
        };
        let initial = Initial { params: wide(&initial.params)?, state: wide(&initial.state)? };
        let loader = Loader { device: cpu.clone(), dtype: DType::F64, ..self.pruning_data() };
        values(&self.with_task(&initial, loader, |task| method.magnitudes(task))?)
    }
}

fn values(params: &Params) -> anyhow::Result<Vec<Vec<f64>>> {
    let values = params.iter().map(|(.., value)| Ok(value.to_f64s()?));
    values.collect()
}

fn norm(values: &[f64]) -> f64 {
    values.iter().map(|v| v * v).sum::<f64>().sqrt()
}

/// Relative L2 distance `‖a − b‖ / ‖b‖`.
fn distance(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let pairs = a.iter().flatten().zip(b.iter().flatten());
    let difference: Vec<f64> = pairs.map(|(a, b)| a - b).collect();
    let norms: Vec<f64> = b.iter().map(|layer| norm(layer)).collect();
    norm(&difference) / norm(&norms)
}

impl Probe {
    /// Draws the norms by layer into an SVG or a PNG file, with a colour for each number of steps.
    ///
    /// # Errors
    /// If the file has another extension, or it cannot be written.
    pub fn picture(&self, file: &Path) -> anyhow::Result<()> {
        let norms = |row: &ProbeRow| LayerValues {
            label: match row.steps {
                0 => "gradient, M = 0".into(),
                steps => format!("M = {steps}"),
            },
            values: row.layers.iter().map(|n| n.unwrap_or(f64::NAN)).collect(),
        };
        let names: Vec<&str> = self.layers.iter().map(|name| &name[..]).collect();
        write_norms(file, &names, self.rows.iter().map(norms).collect())
    }
}
