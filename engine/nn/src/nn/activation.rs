//! Activations and dropout.

use prospr_engine::{Key, Tensor};

/// Log-softmax along an axis: `xᵢ − ln Σⱼ eˣʲ`, computed without overflow.
#[track_caller]
pub fn log_softmax(x: &Tensor, axis: isize) -> Tensor {
    // The shift cancels exactly, so no derivative flows through it.
    let shifted = x - x.stop_gradient().max_axis(axis, true);
    &shifted - shifted.exp().sum_axes(&[axis], true).log()
}

/// Softmax along an axis: `eˣⁱ / Σⱼ eˣʲ`.
#[track_caller]
pub fn softmax(x: &Tensor, axis: isize) -> Tensor {
    log_softmax(x, axis).exp()
}

/// GELU: `x Φ(x)`, with the exact normal distribution function.
pub fn gelu(x: &Tensor) -> Tensor {
    x * 0.5 * ((x * std::f64::consts::FRAC_1_SQRT_2).erf() + 1.0)
}

/// Dropout: sets each element to zero with probability `p` and divides the others by `1 − p`.
///
/// # Panics
/// If `p` is not in `[0, 1)`.
#[track_caller]
pub fn dropout(x: &Tensor, p: f64, key: Key) -> Tensor {
    assert!((0.0..1.0).contains(&p), "dropout: the probability must be in [0, 1), found {p}");
    if p == 0.0 {
        return x.clone();
    }
    let kept = key.bernoulli(1.0 - p, x.shape(), x.device());
    kept.where_(&(x * (1.0 / (1.0 - p))), &x.zeros_like())
}
