//! Batch normalisation (Ioffe and Szegedy, 2015), composed of tensor functions, so that derivatives of any order are
//! exact.

use super::init::Init;
use super::{Mode, Scope};
use prospr_engine::{Role, Tensor, Tree};

/// PyTorch's ε, which is added to the variance to avoid a division by zero.
const EPSILON: f64 = 1e-5;
/// PyTorch's momentum: the weight of a batch in the running statistics.
pub const BATCH_NORM_MOMENTUM: f64 = 0.1;

/// Mean and variance of one batch, by channel.
#[derive(Clone, Debug, Tree)]
pub struct BatchStats {
    /// Mean of each channel, `[c]`.
    pub mean: Tensor,
    /// Biased (population) variance of each channel, `[c]`.
    pub var: Tensor,
    /// Number of values of each channel.
    #[tree(static)]
    pub count: usize,
}

impl BatchStats {
    /// Running statistics after this batch: `(1 − momentum)·running + momentum·batch`, the variance with
    /// Bessel's correction, as in PyTorch. No derivative flows through them.
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
        (blend(running_mean, &self.mean, 1.0), blend(running_var, &self.var, unbiased))
    }
}

/// Batch norm with the statistics of this batch: `γ (x − mean)/√(var + ε) + β` per channel, for `x: [n, c, ..]`.
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
    let channels = channels(x);
    let others: Vec<isize> = (0..x.rank() as isize).filter(|&a| a != 1).collect();
    let count = x.numel() / channels;
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
    let [mean, var] = [mean, var].map(|list| list.reshape(&[channels]));
    (y, BatchStats { mean, var, count })
}

/// Batch norm with given statistics: `γ (x − mean)/√(var + ε) + β` per channel, for `x: [n, c, ..]`.
#[track_caller]
pub fn batch_norm(
    x: &Tensor,
    [gamma, beta]: [&Tensor; 2],
    [mean, var]: [&Tensor; 2],
    epsilon: f64,
) -> Tensor {
    let scale = gamma * (var + epsilon).powf(-0.5);
    let shift = beta - mean * &scale;
    x * per_channel(&scale, x.rank()) + per_channel(&shift, x.rank())
}

impl Scope {
    /// The batch norm of this scope for `x: [n, c, ..]`, with PyTorch's names and constants. [`Mode::Train`] normalises
    /// with the batch's statistics and updates the running ones; [`Mode::Eval`] normalises with the running ones.
    ///
    /// # Panics
    /// In the cases of [`Scope::param`] and [`batch_norm_train`].
    #[track_caller]
    pub fn batch_norm(&self, x: &Tensor) -> Tensor {
        let list = [channels(x)];
        let gamma = self.param("weight", Role::NormScale, &list, Init::Constant(1.0));
        let beta = self.param("bias", Role::NormShift, &list, Init::Constant(0.0));
        let mean = self.buffer("running_mean", &list, 0.0);
        let var = self.buffer("running_var", &list, 1.0);
        if self.mode() == Mode::Eval {
            return batch_norm(x, [&gamma, &beta], [&mean, &var], EPSILON);
        }
        let (y, stats) = batch_norm_train(x, &gamma, &beta, EPSILON);
        let (mean, var) = stats.update(&mean, &var, BATCH_NORM_MOMENTUM);
        self.set_buffer("running_mean", mean);
        self.set_buffer("running_var", var);
        y
    }
}

/// Number of channels of `x: [n, c, ..]`.
#[track_caller]
fn channels(x: &Tensor) -> usize {
    assert!(
        x.rank() >= 2,
        "batch_norm: the input must have 2 axes or more, found shape {:?}",
        x.shape()
    );
    x.shape()[1]
}

/// Reshapes a list `[c]` to `[c, 1, ..]`, which broadcasts over `[n, c, ..]` of this rank.
fn per_channel(list: &Tensor, rank: usize) -> Tensor {
    let mut shape = vec![1; rank - 1];
    shape[0] = list.numel();
    list.reshape(&shape)
}

#[cfg(test)]
mod tests {
    use super::{batch_norm, batch_norm_train};
    use crate::nn::{Mode, Network, Scope};
    use prospr_engine::testing::gradients;
    use prospr_engine::{DType, Device, Key, Params, Tensor, explain};

    /// Expected values: PyTorch's `BatchNorm1d(1)` after one training batch `[0, 2, 4]`, and its output for 1
    /// in evaluation.
    #[test]
    fn running_statistics_are_pytorchs() {
        let device = Device::cpu();
        let net = |s: &Scope, x: &Tensor| s.at("bn").batch_norm(x);
        let (params, state) = net.init(Key::new(0), &[1], DType::F64, &device);
        let apply = |state: &Params, values: &[f64], mode| {
            let x = Tensor::new(values, &[values.len(), 1], &device).unwrap();
            let (y, next) = net.apply(&params, state, &x, mode);
            (y.to_f64s().unwrap(), next)
        };
        let (_, next) = apply(&state, &[0.0, 2.0, 4.0], Mode::Train(Key::new(0)));
        assert!((next["bn.running_mean"].item().unwrap() - 0.2).abs() < 1e-12);
        assert!((next["bn.running_var"].item().unwrap() - 1.3).abs() < 1e-12);
        let (y, same) = apply(&next, &[1.0], Mode::Eval);
        assert!((y[0] - 0.8 / (1.3f64 + 1e-5).sqrt()).abs() < 1e-12);
        assert_eq!(same["bn.running_var"].item(), next["bn.running_var"].item());
    }

    #[test]
    fn gradients_of_batch_norm() {
        gradients("batch_norm_train", &[&[3, 2, 2, 2], &[2], &[2]], 3, |x| {
            batch_norm_train(&x[0], &x[1], &x[2], 1e-1).0.sin()
        });
        gradients("batch statistics", &[&[4, 2], &[2], &[2]], 2, |x| {
            let (_, stats) = batch_norm_train(&x[0], &x[1], &x[2], 1e-5);
            stats.mean * stats.var
        });
        gradients("batch_norm", &[&[3, 2, 2], &[2], &[2], &[2], &[2]], 3, |x| {
            let var = x[4].square() + 0.5;
            batch_norm(&x[0], [&x[1], &x[2]], [&x[3], &var], 1e-5)
        });
    }

    #[test]
    fn batch_norm_and_relu_are_three_passes() {
        let x = Tensor::ones(&[4, 3, 8, 8], DType::F32, &Device::cpu());
        let list = Tensor::ones(&[3], DType::F32, &Device::cpu());
        let args = (x, list.clone(), list);
        let plan = explain(
            |(x, gamma, beta): &(Tensor, Tensor, Tensor)| {
                batch_norm_train(x, gamma, beta, 1e-5).0.relu()
            },
            &args,
        )
        .unwrap();
        let large = |shapes: &[Vec<usize>]| {
            shapes.iter().filter(|s| s.iter().product::<usize>() > 3).count()
        };
        let passes: Vec<(usize, usize)> = plan
            .kernels
            .iter()
            .map(|k| (large(&k.inputs), large(&k.outputs)))
            .filter(|&(i, o)| i + o > 0)
            .collect();
        // The passes compute the mean, the variance and the result; only the last writes a large tensor.
        assert_eq!(passes, [(1, 0), (1, 0), (1, 1)], "{plan}");
        assert!(
            plan.recorded > 10 && plan.recorded_bytes > plan.kernels.iter().map(|k| k.bytes).sum()
        );
    }
}
