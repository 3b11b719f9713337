//! Forecast of a run's memory.

use super::Experiment;
use crate::forecast::Forecast;
use crate::pruners::Method;

impl Experiment {
    /// A line with the peak memory of each part of the run; pruning is one of them if `pruning` is true.
    ///
    /// # Errors
    /// If a part cannot be planned.
    pub fn forecast(&self, pruning: bool) -> anyhow::Result<String> {
        let (prune, train) = (&self.config.common.prune, &self.config.common.train);
        let forecast = Forecast::new(&self.net, self.data.train.shape, &self.device);
        let dense = self.config.pruner == Method::DENSE && self.config.mask.is_none();
        let (images, tested) = (train.batch_size, self.test_data().batch_size);
        let step = forecast.training(train.optimizer(), !dense, images)?;
        let test = forecast.evaluation(tested)?;
        // The initial parameters stay allocated during training, and in tests the momentum too.
        let initial = forecast.parameter_bytes();
        let idle = if train.momentum > 0.0 { 2 } else { 1 } * initial;
        let mut parts = vec![
            (format!("training step, batch {images}"), initial + step.peak_bytes),
            (format!("test, batch {tested}"), idle + test.peak_bytes),
        ];
        if pruning && self.config.pruner != Method::DENSE {
            let images = self.pruning_batch_size();
            let setup = prune.setup(self.config.pruner, self.config.sparsity)?;
            let peak = forecast.pruning_peak(&*setup.pruner, images)?;
            parts.extend(peak.map(|bytes| (format!("meta-gradient, batch {images}"), bytes)));
        }
        Ok(crate::forecast::line(&self.device, parts))
    }
}
