//! What a network is: a pure function of parameters, state and inputs.

use std::sync::Arc;

use prospr_engine::{DType, Device, Key, Params, Tensor, Tree};

/// Images and their labels.
#[derive(Clone, Debug, Tree)]
pub struct Batch {
    /// `[n, c, h, w]`
    pub images: Tensor,
    /// Class numbers (I32): `[n]`, or `[n, h, w]` with a label per pixel.
    pub labels: Tensor,
}

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

/// Logits `[n, classes]` of parameters and images `[n, c, h, w]`.
type Apply = dyn Fn(&Params, &Tensor) -> Tensor + Send + Sync;

/// A network of a function and its initial parameters, without state.
///
/// ```
/// use std::sync::Arc;
/// use prospr_nn::nn::{self, Function, Net};
/// use prospr_engine::{DType, Device, Key, Params, Role};
/// let mut params = Params::new();
/// let w = Key::new(0).normal(&[10, 784], DType::F32, &Device::cpu());
/// params.insert("fc.weight", Role::Weight, w);
/// let net: Net = Arc::new(Function::new(params, |params, images| {
///     nn::linear(&images.flatten_from(1), &params["fc.weight"], None)
/// }));
/// ```
pub struct Function {
    params: Params,
    apply: Box<Apply>,
}

impl Function {
    /// A network whose initial parameters are always these.
    pub fn new(
        params: Params,
        apply: impl Fn(&Params, &Tensor) -> Tensor + Send + Sync + 'static,
    ) -> Function {
        let apply = Box::new(apply);
        Function { params, apply }
    }
}

impl Network for Function {
    /// The parameters that were given, in this type.
    ///
    /// # Panics
    /// If they are on another device.
    fn init(&self, _: Key, dtype: DType, device: &Device) -> (Params, Params) {
        let params = self.params.map_leaves(|value| {
            assert!(
                value.device() == device,
                "the parameters are on {}, the network is asked for on {device}",
                value.device()
            );
            value.to_dtype(dtype)
        });
        (params, Params::new())
    }

    fn apply(&self, params: &Params, state: &Params, images: &Tensor, _: Mode) -> (Tensor, Params) {
        ((self.apply)(params, images), state.clone())
    }
}

/// A network that closures can share.
pub type Net = Arc<dyn Network>;
