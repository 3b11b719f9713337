//! What the networks draw their initial values with.

use crate::nn::batch_norm_init;
use crate::nn::init::{Init, pytorch_bias};
use prospr_engine::{DType, Device, Key, Params, Role, Tensor};

/// The bias of a new layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bias {
    /// There is none.
    None,
    /// Zeros.
    Zero,
    /// [`pytorch_bias`].
    PyTorch,
}

/// Parameters and state of a network that is being drawn, layer by layer, each with a key of its own.
pub(super) struct Builder<'a> {
    key: Key,
    layers: u64,
    dtype: DType,
    device: &'a Device,
    /// What was drawn so far.
    pub params: Params,
    /// Running statistics so far.
    pub state: Params,
}

impl<'a> Builder<'a> {
    pub fn new(key: Key, dtype: DType, device: &'a Device) -> Builder<'a> {
        Builder {
            key,
            layers: 0,
            dtype,
            device,
            params: Params::new(),
            state: Params::new(),
        }
    }

    /// A convolution or linear layer with a weight `[out, in, ..]`.
    pub fn layer(&mut self, name: &str, shape: &[usize], init: Init, bias: Bias) {
        self.draw(name, shape, shape, init, bias);
    }

    /// A transposed convolution with a weight `[in, out, ..]`. PyTorch takes `out · Π kernel` for its fan-in.
    pub fn transposed(&mut self, name: &str, shape: [usize; 4], init: Init) {
        let [_, out, h, w] = shape;
        self.draw(name, &shape, &[out, out, h, w], init, Bias::PyTorch);
    }

    /// A weight of one shape, and the bias that belongs to a weight of the other.
    fn draw(&mut self, name: &str, shape: &[usize], biased: &[usize], init: Init, bias: Bias) {
        let (dtype, device) = (self.dtype, self.device);
        let [weight, shift] = self.key.fold_in(self.layers).split();
        self.layers += 1;
        let draw = init.draw(weight, shape, dtype, device);
        self.params
            .insert(format!("{name}.weight"), Role::Weight, draw);
        let draw = match bias {
            Bias::None => return,
            Bias::Zero => Tensor::zeros(&biased[..1], dtype, device),
            Bias::PyTorch => pytorch_bias(shift, biased, dtype, device),
        };
        self.params.insert(format!("{name}.bias"), Role::Bias, draw);
    }

    /// A batch norm: γ = 1, β = 0, mean 0, variance 1.
    pub fn norm(&mut self, name: &str, channels: usize) {
        let (params, state) = (&mut self.params, &mut self.state);
        batch_norm_init(params, state, name, channels, self.dtype, self.device);
    }

    /// Parameters and state.
    pub fn done(self) -> (Params, Params) {
        (self.params, self.state)
    }
}

/// Weight and bias of a layer, if it has one.
pub(super) fn layer<'a>(params: &'a Params, name: &str) -> (&'a Tensor, Option<&'a Tensor>) {
    let bias = params.get(&format!("{name}.bias"));
    (&params[&format!("{name}.weight")], bias)
}
