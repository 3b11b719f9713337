//! What a network is: a pure function of parameters, state and inputs.

use std::sync::Arc;

use crate::{DType, Device, Key, Params, Tensor};

/// Images and their labels.
#[derive(Clone, Debug)]
pub struct Batch {
    /// `[n, c, h, w]`
    pub images: Tensor,
    /// I32, `[n]`
    pub labels: Tensor,
}

crate::impl_tree!(Batch { images, labels });

/// Whether batch norm uses the batch's statistics and dropout drops.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mode {
    /// Training; the key is for dropout.
    Train(Key),
    /// Evaluation, with running statistics.
    Eval,
}

/// A network: names and initial values of its parameters, and the function that they are parameters of.
pub trait Network: Send + Sync {
    /// Initial parameters and state (running statistics).
    fn init(&self, key: Key, dtype: DType, device: &Device) -> (Params, Params);

    /// Logits `[n, classes]` of images `[n, c, h, w]`, and the new state.
    fn apply(
        &self,
        params: &Params,
        state: &Params,
        images: &Tensor,
        mode: Mode,
    ) -> (Tensor, Params);
}

/// A network that closures can share.
pub type Net = Arc<dyn Network>;
