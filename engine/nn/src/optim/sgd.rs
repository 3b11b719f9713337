//! Stochastic gradient descent with momentum.

use super::Optimizer;
use prospr_engine::{Tensor, Tree};

/// PyTorch's SGD: `d = g + λw`, `b ← μb + (1 − τ)d` (the first `b` is `d`), then `w ← w − η b`, or with
/// Nesterov's momentum `w ← w − η (d + μb)`.
///
/// ```
/// use prospr_engine::{DType, Device, Tensor, grad};
/// use prospr_nn::optim::{Optimizer, Sgd};
/// let sgd = Sgd::new(0.1).momentum(0.9);
/// let mut w = Tensor::scalar(1.0, DType::F64, &Device::cpu());
/// let mut state = sgd.init(&w);
/// for _ in 0..2 {
///     let g = grad(|w: &Tensor| w.square())(&w);
///     (w, state) = sgd.update(&w, &g, &state);
/// }
/// assert!((w.item()? - 0.46).abs() < 1e-12);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Tree)]
#[tree(static)]
pub struct Sgd {
    /// Learning rate η.
    pub lr: f64,
    /// Momentum μ.
    pub momentum: f64,
    /// Dampening τ of the momentum's new term.
    pub dampening: f64,
    /// Weight decay λ, added to the gradient.
    pub weight_decay: f64,
    /// True for Nesterov's momentum.
    pub nesterov: bool,
    /// True if the gradient stops at the first momentum buffer. Exact meta-gradients need `false`; the
    /// reference implementation of ProsPr behaves as with `true`.
    pub stop_first_momentum_gradient: bool,
}

impl Sgd {
    /// Plain gradient descent.
    pub fn new(lr: f64) -> Sgd {
        Sgd {
            lr,
            momentum: 0.0,
            dampening: 0.0,
            weight_decay: 0.0,
            nesterov: false,
            stop_first_momentum_gradient: false,
        }
    }
    /// Sets the momentum μ.
    pub fn momentum(self, momentum: f64) -> Sgd {
        Sgd { momentum, ..self }
    }
    /// Sets the dampening τ.
    pub fn dampening(self, dampening: f64) -> Sgd {
        Sgd { dampening, ..self }
    }
    /// Sets the weight decay λ.
    pub fn weight_decay(self, weight_decay: f64) -> Sgd {
        Sgd { weight_decay, ..self }
    }
    /// Turns on Nesterov's momentum.
    pub fn nesterov(self) -> Sgd {
        Sgd { nesterov: true, ..self }
    }
    /// Stops the gradient at the first momentum buffer.
    pub fn stop_first_momentum_gradient(self) -> Sgd {
        Sgd { stop_first_momentum_gradient: true, ..self }
    }
}

/// State of [`Sgd`]: the momentum buffers, `None` before the first step and without momentum.
#[derive(Clone, Debug, Tree)]
pub struct SgdState<T> {
    /// Buffers `b`, one for each parameter.
    pub buffers: Option<T>,
}

impl Optimizer for Sgd {
    type State<T: Tree> = SgdState<T>;

    fn init<T: Tree>(&self, _: &T) -> SgdState<T> {
        SgdState { buffers: None }
    }

    fn update<T: Tree>(&self, params: &T, grads: &T, state: &SgdState<T>) -> (T, SgdState<T>) {
        let direction = match self.weight_decay {
            0.0 => grads.clone(),
            decay => grads.zip_leaves(params, |g, w| g + w * decay),
        };
        if self.momentum == 0.0 {
            let next = params.zip_leaves(&direction, |w, d| w - d * self.lr);
            return (next, SgdState { buffers: None });
        }
        let buffers = match &state.buffers {
            Some(buffers) => buffers
                .zip_leaves(&direction, |b, d| b * self.momentum + d * (1.0 - self.dampening)),
            None if self.stop_first_momentum_gradient => {
                direction.map_leaves(Tensor::stop_gradient)
            }
            None => direction.clone(),
        };
        let step = match self.nesterov {
            true => direction.zip_leaves(&buffers, |d, b| d + b * self.momentum),
            false => buffers.clone(),
        };
        let next = params.zip_leaves(&step, |w, s| w - s * self.lr);
        (next, SgdState { buffers: Some(buffers) })
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn with_lr(&self, lr: f64) -> Sgd {
        Sgd { lr, ..*self }
    }
}
