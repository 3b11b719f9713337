//! Adam and AdamW.

use super::Optimizer;
use prospr_engine::{Tensor, Tree};

/// Adam (Kingma and Ba, 2015) with PyTorch's conventions: `m ← β₁m + (1 − β₁)g`, `v ← β₂v + (1 − β₂)g²`,
/// `w ← w − η m̂/(√v̂ + ε)` with bias-corrected `m̂ = m/(1 − β₁ᵗ)`, `v̂ = v/(1 − β₂ᵗ)`.
#[derive(Clone, Copy, Debug, PartialEq, Tree)]
#[tree(static)]
pub struct Adam {
    /// Learning rate η.
    pub lr: f64,
    /// Decay rates β₁ and β₂ of the two moments.
    pub betas: (f64, f64),
    /// ε, which is added to the root of the second moment.
    pub epsilon: f64,
    /// Weight decay λ.
    pub weight_decay: f64,
    /// True for decoupled weight decay, which shrinks the weights directly (AdamW; Loshchilov and Hutter, 2019) instead of
    /// being added to the gradient.
    pub decoupled: bool,
}

impl Adam {
    /// Adam with PyTorch's defaults: betas 0.9 and 0.999, ε = 1e-8, no decay.
    pub fn new(lr: f64) -> Adam {
        Adam { lr, betas: (0.9, 0.999), epsilon: 1e-8, weight_decay: 0.0, decoupled: false }
    }
    /// AdamW: Adam with decoupled weight decay λ.
    pub fn w(lr: f64, weight_decay: f64) -> Adam {
        Adam { weight_decay, decoupled: true, ..Adam::new(lr) }
    }
}

/// State of [`Adam`]: moments of the gradients, and the number of steps.
#[derive(Clone, Debug, Tree)]
pub struct AdamState<T> {
    /// First moments.
    pub m: T,
    /// Second moments.
    pub v: T,
    /// Number of finished steps.
    #[tree(static)]
    pub steps: i32,
}

/// Returns `√v`, with the derivative 0 instead of infinity at `v = 0`, the value before the first nonzero gradient.
fn safe_sqrt(v: &Tensor) -> Tensor {
    let positive = v.gt(&v.zeros_like());
    positive.where_(&positive.where_(v, &v.ones_like()).sqrt(), &v.zeros_like())
}

impl Optimizer for Adam {
    type State<T: Tree> = AdamState<T>;

    fn init<T: Tree>(&self, params: &T) -> AdamState<T> {
        let zeros = params.map_leaves(Tensor::zeros_like);
        AdamState { m: zeros.clone(), v: zeros, steps: 0 }
    }

    fn update<T: Tree>(&self, params: &T, grads: &T, state: &AdamState<T>) -> (T, AdamState<T>) {
        let (b1, b2) = self.betas;
        let steps = state.steps + 1;
        let (params, grads) = match (self.weight_decay, self.decoupled) {
            (0.0, _) => (params.clone(), grads.clone()),
            (decay, true) => (params.map_leaves(|w| w * (1.0 - self.lr * decay)), grads.clone()),
            (decay, false) => (params.clone(), grads.zip_leaves(params, |g, w| g + w * decay)),
        };
        let m = state.m.zip_leaves(&grads, |m, g| m * b1 + g * (1.0 - b1));
        let v = state.v.zip_leaves(&grads, |v, g| v * b2 + g.square() * (1.0 - b2));
        let (c1, c2) = (1.0 - b1.powi(steps), 1.0 - b2.powi(steps));
        let step = m.zip_leaves(&v, |m, v| {
            m * (self.lr / c1) / (safe_sqrt(&(v * (1.0 / c2))) + self.epsilon)
        });
        let next = params.zip_leaves(&step, |w, s| w - s);
        (next, AdamState { m, v, steps })
    }

    fn lr(&self) -> f64 {
        self.lr
    }

    fn with_lr(&self, lr: f64) -> Adam {
        Adam { lr, ..*self }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use prospr_engine::{Device, Tensor, jit};

    use super::{Adam, Optimizer};

    /// The step count is part of a plan's key: each step has its own plan, which is replayed for the same count.
    #[test]
    fn jit_compiles_once_for_each_step_count() {
        let adam = Adam::new(0.1);
        let w = Tensor::new(&[0.5, 2.0], &[2], &Device::cpu()).unwrap();
        let update = move |(w, state): &(Tensor, _)| adam.update(w, &w.square(), state);
        let traced = AtomicUsize::new(0);
        let jitted = jit(|input: &(Tensor, _)| {
            traced.fetch_add(1, Ordering::Relaxed);
            update(input)
        });
        for _ in 0..2 {
            let (mut plain, mut fast) = ((w.clone(), adam.init(&w)), (w.clone(), adam.init(&w)));
            for _ in 0..4 {
                plain = update(&plain);
                fast = jitted(&fast).unwrap();
            }
            assert_eq!(fast.1.steps, 4);
            assert_eq!(fast.0.to_vec::<f64>().unwrap(), plain.0.to_vec::<f64>().unwrap());
        }
        assert_eq!(traced.load(Ordering::Relaxed), 4);
    }
}
