//! Batch normalisation (Ioffe and Szegedy, 2015), as a composite: exact to any order.

use crate::Tensor;

/// The statistics of one batch.
#[derive(Clone, Debug)]
pub struct BatchStats {
    /// Mean of each channel, `[c]`.
    pub mean: Tensor,
    /// Variance of each channel, over the population, `[c]`.
    pub var: Tensor,
    /// How many values each channel had.
    pub count: usize,
}

crate::impl_tree!(BatchStats { mean, var; count });

impl BatchStats {
    /// Running statistics after this batch: `(1 − momentum)·running + momentum·batch`, the variance with
    /// Bessel's correction, as PyTorch. No derivative flows through them.
    pub fn update(
        &self,
        running_mean: &Tensor,
        running_var: &Tensor,
        momentum: f64,
    ) -> (Tensor, Tensor) {
        let unbiased = self.count as f64 / (self.count.max(2) - 1) as f64;
        let blend = |running: &Tensor, batch: &Tensor, factor: f64| {
            running * (1.0 - momentum) + batch.stop_gradient() * (momentum * factor)
        };
        (
            blend(running_mean, &self.mean, 1.0),
            blend(running_var, &self.var, unbiased),
        )
    }
}

/// `γ (x − mean)/√(var + ε) + β` with each channel's statistics over this batch, for `x: [n, c, ..]`.
///
/// # Panics
/// If a channel has fewer than two values: its variance would be zero.
#[track_caller]
pub fn batch_norm_train(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    epsilon: f64,
) -> (Tensor, BatchStats) {
    assert!(
        x.rank() >= 2,
        "batch_norm: the input must have 2 axes or more, found shape {:?}",
        x.shape()
    );
    let others: Vec<isize> = (0..x.rank() as isize).filter(|&a| a != 1).collect();
    let count = x.numel() / x.shape()[1];
    assert!(
        count > 1,
        "batch_norm: a channel needs more than one value, found shape {:?}",
        x.shape()
    );
    let mean = x.mean_axes(&others, true);
    let centred = x - &mean;
    let var = centred.square().mean_axes(&others, true);
    let scale = per_channel(gamma, x.rank()) * (&var + epsilon).powf(-0.5);
    let y = centred * scale + per_channel(beta, x.rank());
    let list = [x.shape()[1]];
    (
        y,
        BatchStats {
            mean: mean.reshape(&list),
            var: var.reshape(&list),
            count,
        },
    )
}

/// `γ (x − mean)/√(var + ε) + β` with given statistics, for `x: [n, c, ..]`.
#[track_caller]
pub fn batch_norm(
    x: &Tensor,
    gamma: &Tensor,
    beta: &Tensor,
    mean: &Tensor,
    var: &Tensor,
    epsilon: f64,
) -> Tensor {
    let scale = gamma * (var + epsilon).powf(-0.5);
    let shift = beta - mean * &scale;
    x * per_channel(&scale, x.rank()) + per_channel(&shift, x.rank())
}

fn per_channel(list: &Tensor, rank: usize) -> Tensor {
    let mut shape = vec![1; rank - 1];
    shape[0] = list.numel();
    list.reshape(&shape)
}

#[cfg(test)]
mod tests {
    use super::{batch_norm, batch_norm_train};
    use crate::testing::gradients;

    #[test]
    fn gradients_of_batch_norm() {
        gradients("batch_norm_train", &[&[3, 2, 2, 2], &[2], &[2]], 3, |x| {
            batch_norm_train(&x[0], &x[1], &x[2], 1e-1).0.sin()
        });
        gradients("batch statistics", &[&[4, 2], &[2], &[2]], 2, |x| {
            let (_, stats) = batch_norm_train(&x[0], &x[1], &x[2], 1e-5);
            stats.mean * stats.var
        });
        gradients(
            "batch_norm",
            &[&[3, 2, 2], &[2], &[2], &[2], &[2]],
            3,
            |x| batch_norm(&x[0], &x[1], &x[2], &x[3], &(x[4].square() + 0.5), 1e-5),
        );
    }
}
