//! Initialisation of weights, with PyTorch's names.
//!
//! For a weight `[out, in, ..]`, fan-in is `in · Π kernel`, fan-out `out · Π kernel`.

use prospr_engine::{DType, Device, Key, Tensor};

/// The number of connections that determines the variance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fan {
    /// Fan-in, the connections into an output: preserves the variance of activations.
    In,
    /// Fan-out, the connections out of an input: preserves the variance of gradients.
    Out,
}

/// The distribution of weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Law {
    /// Normal.
    Normal,
    /// Uniform around zero.
    Uniform,
}

/// A rule for drawing initial weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// Standard deviation `gain/√fan` (He et al., 2015); the gain is `√2` for ReLU.
    Kaiming {
        /// Fan-in or fan-out.
        fan: Fan,
        /// The distribution.
        law: Law,
        /// The nonlinearity's gain.
        gain: f64,
    },
    /// Standard deviation `gain·√(2/(fan_in + fan_out))` (Glorot and Bengio, 2010).
    Xavier {
        /// The distribution.
        law: Law,
        /// The nonlinearity's gain.
        gain: f64,
    },
    /// PyTorch's default for convolution and linear weights: uniform within `±1/√fan_in`.
    PyTorchDefault,
    /// Normal with this standard deviation.
    Normal(f64),
    /// Uniform within ± this bound.
    Uniform(f64),
    /// One value for all elements.
    Constant(f64),
}

/// The bias of a convolution or linear layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bias {
    /// No bias, as is usual before batch norm.
    None,
    /// Zeros.
    Zero,
    /// PyTorch's default: uniform within `±1/√fan_in` of the layer's weight.
    PyTorch,
}

impl Init {
    /// `kaiming_normal_(mode="fan_in", nonlinearity="relu")`
    pub const KAIMING_NORMAL_FAN_IN: Init =
        Init::Kaiming { fan: Fan::In, law: Law::Normal, gain: std::f64::consts::SQRT_2 };
    /// `kaiming_normal_(mode="fan_out", nonlinearity="relu")`: torchvision's ResNets.
    pub const KAIMING_NORMAL_FAN_OUT: Init =
        Init::Kaiming { fan: Fan::Out, law: Law::Normal, gain: std::f64::consts::SQRT_2 };
    /// `kaiming_uniform_(mode="fan_in", nonlinearity="relu")`
    pub const KAIMING_UNIFORM_FAN_IN: Init =
        Init::Kaiming { fan: Fan::In, law: Law::Uniform, gain: std::f64::consts::SQRT_2 };
    /// `xavier_normal_()`
    pub const XAVIER_NORMAL: Init = Init::Xavier { law: Law::Normal, gain: 1.0 };
    /// `xavier_uniform_()`
    pub const XAVIER_UNIFORM: Init = Init::Xavier { law: Law::Uniform, gain: 1.0 };

    /// Draws a weight of shape `[out, in, ..]`.
    ///
    /// # Panics
    /// If the shape has fewer than two axes and the rule needs fans.
    #[track_caller]
    pub fn draw(self, key: Key, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
        let (law, std) = match self {
            Init::Constant(value) => return Tensor::full(value, shape, dtype, device),
            Init::Kaiming { fan, law, gain } => {
                let (fan_in, fan_out) = fans(shape);
                let fan = if fan == Fan::In { fan_in } else { fan_out };
                (law, gain / fan.sqrt())
            }
            Init::Xavier { law, gain } => {
                let (fan_in, fan_out) = fans(shape);
                (law, gain * (2.0 / (fan_in + fan_out)).sqrt())
            }
            Init::Normal(std) => (Law::Normal, std),
            Init::Uniform(bound) => return symmetric(key, bound, shape, dtype, device),
            Init::PyTorchDefault => (Law::Uniform, 1.0 / (3.0 * fans(shape).0).sqrt()),
        };
        match law {
            Law::Normal => key.normal(shape, dtype, device) * std,
            Law::Uniform => symmetric(key, std * 3f64.sqrt(), shape, dtype, device),
        }
    }
}

fn symmetric(key: Key, bound: f64, shape: &[usize], dtype: DType, device: &Device) -> Tensor {
    key.uniform(shape, dtype, device) * (2.0 * bound) - bound
}

#[track_caller]
fn fans(shape: &[usize]) -> (f64, f64) {
    assert!(shape.len() >= 2, "init: fans need a weight [out, in, ..], found shape {shape:?}");
    let kernel: usize = shape[2..].iter().product();
    ((shape[1] * kernel) as f64, (shape[0] * kernel) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variances_are_as_documented() {
        let device = Device::cpu();
        let shape = [64, 32, 3, 3];
        let (fan_in, fan_out) = (288.0, 576.0);
        let cases = [
            (Init::KAIMING_NORMAL_FAN_IN, 2.0 / fan_in),
            (Init::KAIMING_NORMAL_FAN_OUT, 2.0 / fan_out),
            (Init::KAIMING_UNIFORM_FAN_IN, 2.0 / fan_in),
            (Init::XAVIER_NORMAL, 2.0 / (fan_in + fan_out)),
            (Init::XAVIER_UNIFORM, 2.0 / (fan_in + fan_out)),
            (Init::Normal(0.01), 1e-4),
            (Init::PyTorchDefault, 1.0 / (3.0 * fan_in)),
        ];
        for (init, var) in cases {
            let w = init.draw(Key::new(1), &shape, DType::F64, &device);
            let found = w.var_axes(&[], 0, false).item().unwrap();
            assert!((found / var - 1.0).abs() < 0.05, "{init:?}: variance {found}, expected {var}");
            let bound = w.abs().max().item().unwrap();
            if matches!(init, Init::PyTorchDefault) {
                assert!(bound <= 1.0 / fan_in.sqrt() && bound > 0.99 / fan_in.sqrt());
            }
        }
    }
}
