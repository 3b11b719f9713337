//! Multilayer perceptrons, LeNet-300-100 among them: LeCun et al., "Gradient-based learning applied to document
//! recognition", 1998, with ReLU.

use crate::nn::init::Init;
use crate::nn::{Network, Scope};
use prospr_engine::Tensor;

/// A multilayer perceptron: linear layers with ReLU between them (`fc1`, `fc2`, …), on all pixels of all channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    /// Sizes of the hidden layers.
    pub hidden: Vec<usize>,
    /// Number of classes.
    pub classes: usize,
}

impl Mlp {
    /// LeNet-300-100: 266,610 parameters with images of 784 pixels and ten classes.
    pub fn lenet_300_100(classes: usize) -> Mlp {
        Mlp { hidden: vec![300, 100], classes }
    }
}

impl Network for Mlp {
    /// Weights are Kaiming normal, fan-in; biases are PyTorch's.
    fn forward(&self, s: &Scope, images: &Tensor) -> Tensor {
        let s = s.with_weights(Init::KAIMING_NORMAL_FAN_IN);
        let mut x = images.flatten_from(1);
        for (i, &size) in self.hidden.iter().enumerate() {
            x = s.at(format_args!("fc{}", i + 1)).linear(&x, size).relu();
        }
        let last = format!("fc{}", self.hidden.len() + 1);
        s.at(last).linear(&x, self.classes)
    }
}
