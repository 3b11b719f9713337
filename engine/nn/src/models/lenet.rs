//! LeNet-5 as Caffe has it (20 and 50 feature maps, 500 hidden units), the variant of the pruning literature:
//! LeCun et al., "Gradient-based learning applied to document recognition", 1998, with ReLU and max pooling.

use super::build::{Bias, Builder, layer};
use crate::nn::init::Init;
use crate::nn::{self, Mode, Network};
use prospr_engine::{ConvOptions, DType, Device, Key, Params, PoolOptions, Tensor};

/// Two 5×5 convolutions with pooling, two linear layers (`conv1`, `conv2`, `fc1`, `fc2`); for 28×28 images of one
/// channel. 431,080 parameters at ten classes.
#[derive(Clone, Copy, Debug)]
pub struct LeNet5 {
    /// Number of classes.
    pub classes: usize,
}

impl Network for LeNet5 {
    /// Kaiming normal, fan-in; PyTorch's biases.
    fn init(&self, key: Key, dtype: DType, device: &Device) -> (Params, Params) {
        let layers: [(&str, &[usize]); 4] = [
            ("conv1", &[20, 1, 5, 5]),
            ("conv2", &[50, 20, 5, 5]),
            ("fc1", &[500, 50 * 4 * 4]),
            ("fc2", &[self.classes, 500]),
        ];
        let mut build = Builder::new(key, dtype, device);
        for (name, shape) in layers {
            build.layer(name, shape, Init::KAIMING_NORMAL_FAN_IN, Bias::PyTorch);
        }
        build.done()
    }

    fn apply(&self, params: &Params, state: &Params, images: &Tensor, _: Mode) -> (Tensor, Params) {
        let conv = |name: &str, x: &Tensor| {
            let (weight, bias) = layer(params, name);
            nn::conv2d(x, weight, bias, ConvOptions::default())
                .relu()
                .max_pool2d(PoolOptions::new(2))
        };
        let linear = |name: &str, x: &Tensor| {
            let (weight, bias) = layer(params, name);
            nn::linear(x, weight, bias)
        };
        let features = conv("conv2", &conv("conv1", images)).flatten_from(1);
        (
            linear("fc2", &linear("fc1", &features).relu()),
            state.clone(),
        )
    }
}
