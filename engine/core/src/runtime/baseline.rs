//! Baselines for benchmarks: Burn's kernels on the engine's tensors, and a plain copy of memory.
//!
//! The engine has its own kernels for some of these operations; a baseline always runs Burn's.

use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::IndexingUpdateOp;
use burn_backend::{FloatDType, IntDType, Scalar, Shape, TensorMetadata};
use burn_flex::{Flex, FlexDevice};
use burn_wgpu::{CubeTensor, Wgpu};

use super::fallback;
use super::{Backed, Buffer, Device, DeviceKind, Meta, Value, args, wgsl};
use crate::ir::{Conv, ConvKind};
use crate::{ConvOptions, DType, PoolOptions};

/// The tensor that a convolution computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The output.
    Forward,
    /// The gradient of the input.
    InputGrad,
    /// The gradient of the weight.
    WeightGrad,
}

/// An operation of Burn, with its inputs and outputs.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// `a, b → a b`
    MatMul,
    /// `x, w, y →` the one of the three that the direction computes; backward, `y` and the result are gradients.
    Conv2d(Direction, ConvOptions),
    /// `x, γ, β → y, mean, variance` with the statistics of the batch, and this ε.
    BatchNorm(f64),
    /// `x, γ, β, dy → y, dx, dγ, dβ`, with this ε.
    BatchNormWithGradient(f64),
    /// `x →` its sum over axes, which keep length 1.
    Sum(Vec<usize>),
    /// `x →` its sum over all axes.
    SumAll,
    /// `x → max(x, 0)`
    Relu,
    /// `x → y, i`: largest values of windows, and their flat indices in the planes.
    MaxPool(PoolOptions),
    /// `x, dy, i → dx`
    MaxPoolGrad(PoolOptions),
    /// `z, labels → loss, dz`: mean cross-entropy of logits `[n, classes]` with I32 labels `[n]`.
    CrossEntropyWithGradient,
    /// `w, dw, b, mask → w, b` after a step with weight decay and momentum.
    Sgd {
        /// Learning rate.
        lr: f64,
        /// Momentum.
        momentum: f64,
        /// Weight decay.
        weight_decay: f64,
    },
    /// `x →` its `k` largest values; `x` is a list.
    TopK(usize),
}

/// A result: shape, type and value.
type Output = (Vec<usize>, DType, Buffer);

/// Launches Burn's kernels of an operation.
pub(crate) fn run_baseline(
    op: &Baseline,
    metas: &[&Meta],
    inputs: Vec<Buffer>,
    device: &Device,
) -> Vec<Output> {
    match device.kind() {
        DeviceKind::Cpu => run::<Flex>(op, metas, inputs, (device, &FlexDevice), None),
        DeviceKind::Gpu(gpu) => run::<Wgpu>(op, metas, inputs, (device, &gpu.burn), gpu.loop_limit),
    }
}

/// Runs Burn's kernels of an operation on one backend.
fn run<B: Backed>(
    op: &Baseline,
    metas: &[&Meta],
    inputs: Vec<Buffer>,
    (device, place): (&Device, &B::Device),
    loop_limit: Option<usize>,
) -> Vec<Output> {
    let inputs: Vec<Value<B>> =
        args::<B>(metas, inputs, place).into_iter().map(|arg| arg.dense()).collect();
    let at = |i: usize| match &inputs[i] {
        Value::Float(value) => value.clone(),
        _ => panic!("{op:?}: input {i} must be floats, found {}", metas[i].dtype),
    };
    let int = |i: usize| match &inputs[i] {
        Value::Int(value) => value.clone(),
        _ => panic!("{op:?}: input {i} must be integers, found {}", metas[i].dtype),
    };
    let floats = match op {
        Baseline::MatMul => vec![B::float_matmul(at(0), at(1))],
        Baseline::Conv2d(direction, options) => {
            let (kind, a, b) = match direction {
                Direction::Forward => (ConvKind::Forward, 0, 1),
                Direction::InputGrad => (ConvKind::InputGrad, 2, 1),
                Direction::WeightGrad => (ConvKind::WeightGrad, 0, 2),
            };
            let four = |i: usize| metas[i].shape[..].try_into().expect("four axes");
            let conv = Conv { kind, options: *options, x: four(0), w: four(1), y: four(2) };
            vec![fallback::convolve::<B>(&conv, at(a), at(b), loop_limit)]
        }
        Baseline::BatchNorm(epsilon) => {
            let out = B::batch_norm_train(at(0), at(1), at(2), *epsilon);
            vec![out.output, out.mean, out.variance]
        }
        Baseline::BatchNormWithGradient(epsilon) => {
            let (x, gamma) = (at(0), at(1));
            let out = B::batch_norm_train(x.clone(), gamma.clone(), at(2), *epsilon);
            let (mean, variance) = (out.mean, out.variance);
            let grads = B::batch_norm_train_backward(x, gamma, mean, variance, *epsilon, at(3));
            vec![out.output, grads.x_grad, grads.gamma_grad, grads.beta_grad]
        }
        Baseline::Sum(axes) => vec![B::float_sum_dims(at(0), axes)],
        Baseline::SumAll => vec![B::float_sum(at(0))],
        Baseline::Relu => vec![B::relu(at(0))],
        Baseline::MaxPool(o) => {
            let (k, s, p, int) = (o.kernel, o.stride, o.padding, IntDType::I32);
            let out = B::max_pool2d_with_indices(at(0), k, s, p, [1, 1], false, int);
            let indices = output::<B>(Value::Int(out.indices), DType::I32, device);
            let output = output::<B>(Value::Float(out.output), metas[0].dtype, device);
            return vec![output, indices];
        }
        Baseline::MaxPoolGrad(o) => {
            let (k, s, p, indices) = (o.kernel, o.stride, o.padding, int(2));
            let (x, dy) = (at(0), at(1));
            let grad = B::max_pool2d_with_indices_backward(x, k, s, p, [1, 1], false, dy, indices);
            vec![grad.x_grad]
        }
        Baseline::CrossEntropyWithGradient => {
            let n = metas[0].shape[0];
            let column = B::int_reshape(int(1), Shape::new([n, 1]));
            let log_p = B::log_softmax(at(0), 1);
            let hard = B::float_gather(1, log_p.clone(), column.clone());
            let shape = Shape::new([n, 1]);
            let (at_device, dtype) = (hard.device(), hard.dtype().into());
            let minus_ones = B::float_full(shape, Scalar::from(-1.0), &at_device, dtype);
            let loss = B::float_neg(B::float_mean(hard));
            let p = B::float_exp(log_p);
            let grad = B::float_scatter(1, p, column, minus_ones, IndexingUpdateOp::Add);
            vec![loss, B::float_div_scalar(grad, Scalar::from(n as f64))]
        }
        Baseline::Sgd { lr, momentum, weight_decay } => {
            let (w, dw, b, mask) = (at(0), at(1), at(2), at(3));
            let times = |t, factor: f64| B::float_mul_scalar(t, Scalar::from(factor));
            let direction = B::float_add(dw, times(w.clone(), *weight_decay));
            let b = B::float_add(times(b, *momentum), direction);
            let w = B::float_sub(w, times(b.clone(), *lr));
            vec![B::float_mul(w, mask), b]
        }
        Baseline::TopK(k) => vec![B::float_topk(at(0), 0, *k)],
    };
    let dtype = metas[0].dtype;
    let wrap = |value| output::<B>(Value::Float(value), dtype, device);
    floats.into_iter().map(wrap).collect()
}

/// Wraps a backend's tensor as a result with a logical type.
fn output<B: Backed>(value: Value<B>, dtype: DType, device: &Device) -> Output {
    let shape = match &value {
        Value::Float(t) => t.shape().to_vec(),
        Value::Int(t) => t.shape().to_vec(),
        _ => unreachable!("baselines give floats and indices"),
    };
    (shape, dtype, Buffer::track::<B>(value, device, &[]))
}

/// A copy between two buffers, which measures the bandwidth of the device's memory. All cores of a CPU copy; on a GPU,
/// each invocation of a kernel copies four floats.
pub struct BareCopy(Buffers);

enum Buffers {
    Cpu { from: Vec<u8>, to: Vec<u8> },
    // Boxed: Burn's tensors are large.
    Gpu { from: Box<CubeTensor>, to: Box<CubeTensor> },
}

impl BareCopy {
    /// Allocates two buffers of at least `bytes` on a device.
    pub fn new(bytes: usize, device: &Device) -> BareCopy {
        let bytes = bytes.next_multiple_of(16);
        BareCopy(match device.kind() {
            DeviceKind::Cpu => Buffers::Cpu { from: vec![1; bytes], to: vec![2; bytes] },
            DeviceKind::Gpu(gpu) => {
                let zeros =
                    || Wgpu::float_zeros(Shape::new([bytes / 4]), &gpu.burn, FloatDType::F32);
                Buffers::Gpu { from: Box::new(zeros()), to: Box::new(zeros()) }
            }
        })
    }

    /// Bytes that a copy reads and writes.
    pub fn traffic(&self) -> u64 {
        2 * match &self.0 {
            Buffers::Cpu { from, .. } => from.len() as u64,
            Buffers::Gpu { from, .. } => 4 * from.shape().num_elements() as u64,
        }
    }

    /// Copies; on a GPU, returns before the copy has ended.
    pub fn run(&mut self) {
        match &mut self.0 {
            Buffers::Cpu { from, to } => {
                let threads = std::thread::available_parallelism().map_or(1, |n| n.get());
                let part = from.len().div_ceil(threads);
                std::thread::scope(|scope| {
                    for (from, to) in from.chunks(part).zip(to.chunks_mut(part)) {
                        scope.spawn(|| to.copy_from_slice(from));
                    }
                });
            }
            Buffers::Gpu { from, to } => wgsl::copy(from, to),
        }
    }

    /// Returns true if both buffers are equal.
    #[cfg(test)]
    fn is_done(&self) -> bool {
        match &self.0 {
            Buffers::Cpu { from, to } => from == to,
            Buffers::Gpu { from, to } => {
                let read = |t: &CubeTensor| Value::<Wgpu>::Float(t.clone()).to_bytes(DType::F32);
                read(from).unwrap() == read(to).unwrap()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::BareCopy;
    use crate::testing::each_device;

    #[test]
    fn a_bare_copy_copies() {
        each_device(|device, _| {
            let mut copy = BareCopy::new(1000, device);
            copy.run();
            assert!(copy.is_done() && copy.traffic() == 2016);
            device.synchronize().unwrap();
        });
    }
}
