//! Prediction of the kernels and the memory of a run, from plans, before anything is computed.

use crate::nn::{Batch, Net, Summary};
use crate::optim::{Optimizer, Sgd};
use crate::pruners::{ProsPr, Pruner, prunable};
use crate::train::{TrainState, Trainer, explain_evaluation};
use crate::{DType, Device, Explanation, Key, Params, Tensor, Tree};

/// A network on a device, for predictions that depend only on its shapes.
pub struct Forecast {
    net: Net,
    params: Params,
    state: Params,
    device: Device,
    image: [usize; 3],
    /// Shape of the logits of one image.
    logits: Vec<usize>,
}

impl Forecast {
    /// A forecast for a network with images `[c, h, w]`.
    pub fn new(net: &Net, image: [usize; 3], device: &Device) -> Forecast {
        let Summary { output, .. } = Summary::of(&**net, image, device);
        let (params, state) = net.init(Key::new(0), &image, DType::F32, device);
        Forecast { net: net.clone(), params, state, device: device.clone(), image, logits: output }
    }

    /// Bytes of the parameters.
    pub fn parameter_bytes(&self) -> u64 {
        self.params.leaves().iter().map(Tensor::bytes).sum()
    }

    fn batch(&self, images: usize) -> Batch {
        let [c, h, w] = self.image;
        // One label per image, or per pixel.
        let mut labels = vec![images];
        labels.extend(&self.logits[1..]);
        Batch {
            images: Tensor::zeros(&[images, c, h, w], DType::F32, &self.device),
            labels: Tensor::zeros(&labels, DType::I32, &self.device),
        }
    }

    /// The plan of a training step, with or without a mask.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn training(&self, rule: Sgd, masked: bool, images: usize) -> crate::Result<Explanation> {
        let mask = match masked {
            true => prunable(&self.params).map_leaves(Tensor::ones_like),
            false => Params::new(),
        };
        let trainer = Trainer::new(&self.net, rule).mask(mask);
        let start = trainer.start(&self.params, &self.state);
        // Momentum buffers exist from the second step on.
        let (_, optimizer) = rule.update(&self.params, &self.params, &start.optimizer);
        let now = TrainState { optimizer, ..start };
        trainer.explain(&now, &self.batch(images))
    }

    /// The plan of an evaluation of one batch.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn evaluation(&self, images: usize) -> crate::Result<Explanation> {
        explain_evaluation(&self.net, &self.params, &self.state, &self.batch(images))
    }

    /// The plan of an inner step, from [`ProsPr::explain_step`].
    ///
    /// # Errors
    /// Those of the engine.
    pub fn inner_step(&self, method: &ProsPr, images: usize) -> anyhow::Result<Explanation> {
        let batch = self.batch(images);
        Ok(method.explain_step(&self.net, &self.params, &self.state, &batch)?)
    }

    /// Predicted peak memory in bytes, from [`Pruner::predicted_peak`] for batches of this many images.
    ///
    /// # Errors
    /// Those of the engine.
    pub fn pruning_peak(&self, pruner: &dyn Pruner, images: usize) -> anyhow::Result<Option<u64>> {
        let batch = self.batch(images);
        Ok(pruner.predicted_peak(&self.net, &self.params, &self.state, &batch)?)
    }
}

/// Returns one line with the memory of each part of a run, the largest first.
pub fn line(device: &Device, mut parts: Vec<(String, u64)>) -> String {
    parts.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let mega = |bytes: u64| format!("{:.0} MB", (bytes as f64 / 1e6).ceil());
    let mut parts = parts.into_iter();
    let Some((what, bytes)) = parts.next() else {
        return format!("no predicted peak on {}", device.info().selector);
    };
    let first = format!(
        "predicted peak: {} of tensors on {} ({what})",
        mega(bytes),
        device.info().selector
    );
    parts.fold(first, |line, (what, bytes)| format!("{line}; {what}: {}", mega(bytes)))
}
