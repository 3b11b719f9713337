//! Networks: pure functions of parameters, state and inputs.

use std::sync::Arc;

use super::{Mode, Scope};
use prospr_engine::{DType, Device, Key, Params, Tensor, Tree};

/// A batch of images and their labels.
#[derive(Clone, Debug, Tree)]
pub struct Batch {
    /// Images, `[n, c, h, w]`.
    pub images: Tensor,
    /// Class numbers (I32): `[n]`, or `[n, h, w]` with a label per pixel.
    pub labels: Tensor,
}

/// A network: a function of images that asks a [`Scope`] for its parameters. Functions and closures of that type are
/// networks.
///
/// ```
/// use std::sync::Arc;
/// use prospr_engine::{ConvOptions, DType, Device, Key, Tensor};
/// use prospr_nn::nn::{Mode, Net, Scope};
/// let net: Net = Arc::new(|s: &Scope, x: &Tensor| {
///     let x = s.at("conv1").conv2d(x, 16, 3, ConvOptions::default().padding(1));
///     let x = s.at("bn1").batch_norm(&x).relu();
///     s.at("fc").linear(&x.flatten_from(1), 10)
/// });
/// let device = Device::cpu();
/// let (params, state) = net.init(Key::new(0), &[3, 8, 8], DType::F32, &device);
/// assert_eq!(params["fc.weight"].shape(), [10, 16 * 8 * 8]);
/// let images = Tensor::ones(&[2, 3, 8, 8], DType::F32, &device);
/// let (logits, state) = net.apply(&params, &state, &images, Mode::Train(Key::new(1)));
/// assert_eq!((logits.shape(), state.len()), (&[2, 10][..], 2));
/// ```
pub trait Network: Send + Sync {
    /// Logits of images `[n, c, h, w]`: `[n, classes]`, or `[n, classes, h, w]` for one prediction per pixel.
    fn forward(&self, scope: &Scope, images: &Tensor) -> Tensor;

    /// Initial parameters and state (running statistics), for images of this shape `[c, h, w]`.
    /// [`Network::forward`] only
    /// records its operations on one image; they are not computed.
    ///
    /// # Panics
    /// If the network does not accept images of this shape.
    #[track_caller]
    fn init(&self, key: Key, image: &[usize], dtype: DType, device: &Device) -> (Params, Params) {
        let scope = Scope::drawn(key, dtype, device);
        let images = Tensor::zeros(&[&[1], image].concat(), dtype, device);
        self.forward(&scope, &images);
        scope.into_variables()
    }

    /// Logits of images `[n, c, h, w]`, as [`Network::forward`] returns them, and the new state.
    ///
    /// # Panics
    /// If `params` or `state` lacks a name that the network reads.
    #[track_caller]
    fn apply(
        &self,
        params: &Params,
        state: &Params,
        images: &Tensor,
        mode: Mode,
    ) -> (Tensor, Params) {
        let scope = Scope::read(params, state, mode);
        let logits = self.forward(&scope, images);
        (logits, scope.into_variables().1)
    }
}

impl<F: Fn(&Scope, &Tensor) -> Tensor + Send + Sync> Network for F {
    fn forward(&self, scope: &Scope, images: &Tensor) -> Tensor {
        self(scope, images)
    }
}

/// A reference-counted network, which closures can share.
pub type Net = Arc<dyn Network>;
