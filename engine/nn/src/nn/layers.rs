//! Linear and convolution layers.

use prospr_engine::{ConvOptions, Tensor};

/// `x Wᵀ + b` for `x: [.., in]`, `weight: [out, in]` and `bias: [out]`.
#[track_caller]
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let y = x.matmul(&weight.transpose(0, 1));
    bias.map_or(y.clone(), |bias| y + bias)
}

/// Convolution with a bias for each output channel; see [`Tensor::conv2d`].
#[track_caller]
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Tensor {
    let y = x.conv2d(weight, options);
    bias.map_or(y.clone(), |bias| y + bias.reshape(&[bias.numel(), 1, 1]))
}
