//! Multilayer perceptrons, LeNet-300-100 among them: LeCun et al., "Gradient-based learning applied to document
//! recognition", 1998, with ReLU.

use super::build::{Bias, Builder, layer};
use crate::nn::init::Init;
use crate::nn::{self, Mode, Network};
use prospr_engine::{DType, Device, Key, Params, Tensor};

/// Linear layers with ReLU between them (`fc1`, `fc2`, …), on all pixels of all channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    /// Values of an image.
    pub inputs: usize,
    /// Sizes of the hidden layers.
    pub hidden: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
}

impl Mlp {
    /// LeNet-300-100: 266,610 parameters with 784 inputs and ten classes.
    pub fn lenet_300_100(inputs: usize, classes: usize) -> Mlp {
        Mlp {
            inputs,
            hidden: vec![300, 100],
            classes,
        }
    }
}

impl Network for Mlp {
    /// Kaiming normal, fan-in; PyTorch's biases.
    fn init(&self, key: Key, dtype: DType, device: &Device) -> (Params, Params) {
        let (mut build, mut from) = (Builder::new(key, dtype, device), self.inputs);
        for (i, &to) in self.hidden.iter().chain([&self.classes]).enumerate() {
            let (name, init) = (format!("fc{}", i + 1), Init::KAIMING_NORMAL_FAN_IN);
            build.layer(&name, &[to, from], init, Bias::PyTorch);
            from = to;
        }
        build.done()
    }

    fn apply(&self, params: &Params, state: &Params, images: &Tensor, _: Mode) -> (Tensor, Params) {
        let mut x = images.flatten_from(1);
        for i in 0..=self.hidden.len() {
            let (weight, bias) = layer(params, &format!("fc{}", i + 1));
            x = if i == 0 { x } else { x.relu() };
            x = nn::linear(&x, weight, bias);
        }
        (x, state.clone())
    }
}
