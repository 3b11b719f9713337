//! LeNet-5 in Caffe's variant (20 and 50 feature maps, 500 hidden units), which the pruning literature uses:
//! LeCun et al., "Gradient-based learning applied to document recognition", 1998, with ReLU and max pooling.

use crate::nn::init::Init;
use crate::nn::{Network, Scope};
use prospr_engine::{ConvOptions, PoolOptions, Tensor};

/// LeNet-5: two 5×5 convolutions with pooling, two linear layers (`conv1`, `conv2`, `fc1`, `fc2`); for 28×28 images of one
/// channel. 431,080 parameters at ten classes.
#[derive(Clone, Copy, Debug)]
pub struct LeNet5 {
    /// Number of classes.
    pub classes: usize,
}

impl Network for LeNet5 {
    /// Weights are Kaiming normal, fan-in; biases are PyTorch's.
    fn forward(&self, s: &Scope, images: &Tensor) -> Tensor {
        let s = s.with_weights(Init::KAIMING_NORMAL_FAN_IN);
        let conv = |name, x: &Tensor, out| {
            let y = s.at(name).conv2d(x, out, 5, ConvOptions::default());
            y.relu().max_pool2d(PoolOptions::new(2))
        };
        let features = conv("conv2", &conv("conv1", images, 20), 50).flatten_from(1);
        let hidden = s.at("fc1").linear(&features, 500).relu();
        s.at("fc2").linear(&hidden, self.classes)
    }
}
