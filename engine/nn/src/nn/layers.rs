//! Linear and convolution layers.

use super::Scope;
use super::init::{Bias, Init};
use prospr_engine::{ConvOptions, Role, Tensor};

/// Linear layer: `x Wᵀ + b` for `x: [.., in]`, `weight: [out, in]` and `bias: [out]`.
#[track_caller]
pub fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Tensor {
    let y = x.matmul(&weight.transpose(0, 1));
    bias.map_or(y.clone(), |bias| y + bias)
}

/// Convolution with a bias for each output channel; see [`Tensor::conv2d`].
#[track_caller]
pub fn conv2d(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>, options: ConvOptions) -> Tensor {
    with_bias(x.conv2d(weight, options), bias)
}

fn with_bias(y: Tensor, bias: Option<&Tensor>) -> Tensor {
    bias.map_or(y.clone(), |bias| y + bias.reshape(&[bias.numel(), 1, 1]))
}

impl Scope {
    /// [`linear`] of `x: [.., in]` to `[.., out]`, with `weight: [out, in]` and `bias: [out]` of this scope.
    #[track_caller]
    pub fn linear(&self, x: &Tensor, out: usize) -> Tensor {
        let inputs = x.shape().last().copied().unwrap_or(1);
        let (weight, bias) = self.weight_and_bias(&[out, inputs], out);
        linear(x, &weight, bias.as_ref())
    }

    /// [`conv2d`] of `x: [n, in, h, w]` to `out` channels, with `weight: [out, in / groups, kernel, kernel]` and
    /// `bias: [out]` of this scope.
    #[track_caller]
    pub fn conv2d(&self, x: &Tensor, out: usize, kernel: usize, options: ConvOptions) -> Tensor {
        let shape = [out, channels("conv2d", x) / options.groups, kernel, kernel];
        let (weight, bias) = self.weight_and_bias(&shape, out);
        conv2d(x, &weight, bias.as_ref(), options)
    }

    /// [`Tensor::conv_transpose2d`] of `x: [n, in, h, w]` to `out` channels, with `weight: [in, out, kernel, kernel]` and
    /// `bias: [out]` of this scope. As in PyTorch, its fan-in is `out · kernel²`.
    #[track_caller]
    pub fn conv_transpose2d(
        &self,
        x: &Tensor,
        out: usize,
        kernel: usize,
        options: ConvOptions,
    ) -> Tensor {
        let shape = [channels("conv_transpose2d", x), out, kernel, kernel];
        let (weight, bias) = self.weight_and_bias(&shape, out);
        with_bias(x.conv_transpose2d(&weight, options, [0, 0]), bias.as_ref())
    }

    #[track_caller]
    fn weight_and_bias(&self, shape: &[usize], outputs: usize) -> (Tensor, Option<Tensor>) {
        let weight = self.param("weight", Role::Weight, shape, self.weights);
        let init = match self.bias {
            Bias::None => return (weight, None),
            Bias::Zero => Init::Constant(0.0),
            Bias::PyTorch => {
                let fan_in: usize = shape[1..].iter().product();
                Init::Uniform(1.0 / (fan_in as f64).sqrt())
            }
        };
        let bias = self.param("bias", Role::Bias, &[outputs], init);
        (weight, Some(bias))
    }
}

#[track_caller]
fn channels(op: &str, x: &Tensor) -> usize {
    assert!(x.rank() == 4, "{op}: the input must have 4 axes, found shape {:?}", x.shape());
    x.shape()[1]
}
