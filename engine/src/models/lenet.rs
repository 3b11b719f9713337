//! LeNet-5 as Caffe has it (20 and 50 feature maps, 500 hidden units), the variant of the pruning literature:
//! LeCun et al., "Gradient-based learning applied to document recognition", 1998, with ReLU and max pooling.

use crate::nn::init::{Init, pytorch_bias};
use crate::nn::{self, Mode, Network};
use crate::{ConvOptions, DType, Device, Key, Params, PoolOptions, Role, Tensor};

/// Two 5×5 convolutions with pooling, two linear layers; for 28×28 images of one channel. 431,080 parameters at
/// ten classes.
#[derive(Clone, Copy, Debug)]
pub struct LeNet5 {
    /// Number of classes.
    pub classes: usize,
}

impl Network for LeNet5 {
    fn init(&self, key: Key, dtype: DType, device: &Device) -> (Params, Params) {
        let layers: [(&str, &[usize]); 4] = [
            ("conv1", &[20, 1, 5, 5]),
            ("conv2", &[50, 20, 5, 5]),
            ("fc1", &[500, 50 * 4 * 4]),
            ("fc2", &[self.classes, 500]),
        ];
        let mut params = Params::new();
        for (i, (name, shape)) in layers.into_iter().enumerate() {
            let [weight, bias] = key.fold_in(i as u64).split();
            let draw = Init::KAIMING_NORMAL_FAN_IN.draw(weight, shape, dtype, device);
            params.insert(format!("{name}.weight"), Role::Weight, draw);
            params.insert(
                format!("{name}.bias"),
                Role::Bias,
                pytorch_bias(bias, shape, dtype, device),
            );
        }
        (params, Params::new())
    }

    fn apply(&self, params: &Params, state: &Params, images: &Tensor, _: Mode) -> (Tensor, Params) {
        let layer = |name: &str| {
            (
                &params[&format!("{name}.weight")],
                &params[&format!("{name}.bias")],
            )
        };
        let conv = |name: &str, x: &Tensor| {
            let (weight, bias) = layer(name);
            nn::conv2d(x, weight, Some(bias), ConvOptions::default())
                .relu()
                .max_pool2d(PoolOptions::new(2))
        };
        let linear = |name: &str, x: &Tensor| {
            let (weight, bias) = layer(name);
            nn::linear(x, weight, Some(bias))
        };
        let features = conv("conv2", &conv("conv1", images)).flatten_from(1);
        (
            linear("fc2", &linear("fc1", &features).relu()),
            state.clone(),
        )
    }
}
