//! What benchmarks compare with: Burn's own kernels on the engine's tensors, and a bare copy.
//!
//! The engine computes some operations with kernels of its own; these are always Burn's.

use burn_backend::ops::FloatTensorOps;
use burn_backend::tensor::IndexingUpdateOp;
use burn_backend::{FloatDType, IntDType, Scalar, Shape, TensorMetadata};
use burn_flex::Flex;
use burn_wgpu::{CubeTensor, Wgpu};

use super::kernels::conv;
use super::{Backed, Buffer, Device, DeviceKind, Value, primitive, wgsl};
use crate::op::{Conv, ConvKind};
use crate::{ConvOptions, DType, PoolOptions, Result, Tensor};

/// What a convolution computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The output.
    Forward,
    /// The gradient of the input.
    InputGrad,
    /// The gradient of the weight.
    WeightGrad,
}

/// An operation of Burn's, with what it takes and gives.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// `a, b → a b`
    MatMul,
    /// `x, w, y` of a convolution `→` the one of them that the direction computes from the others.
    Conv2d(Direction, ConvOptions),
    /// `x, γ, β → y, mean, variance` by the statistics of the batch, with this ε.
    BatchNorm(f64),
    /// `x, γ, β, dy → y, dx, dγ, dβ`, with this ε.
    BatchNormWithGradient(f64),
    /// `x →` its sum over an axis, which stays with length 1.
    Sum(Vec<usize>),
    /// `x →` its sum over all axes.
    SumAll,
    /// `x → max(x, 0)`
    Relu,
    /// `x → y, i`: the largest values of windows, and where they lie in their planes.
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

impl Baseline {
    /// Launches Burn's kernels on evaluated tensors of one device; it does not wait for them.
    ///
    /// # Errors
    /// [`Error::Device`](crate::Error::Device) if the device fails.
    ///
    /// # Panics
    /// If the tensors are not what the operation takes.
    pub fn run(&self, inputs: &[Tensor]) -> Result<Vec<Tensor>> {
        let device = inputs[0].device();
        match device.kind() {
            DeviceKind::Cpu => run::<Flex>(self, inputs, device, None),
            DeviceKind::Gpu(gpu) => run::<Wgpu>(self, inputs, device, gpu.loop_limit),
        }
    }
}

/// Takes a float tensor of Burn's.
fn float<B: Backed>(tensor: &Tensor) -> Result<B::FloatTensorPrimitive> {
    match primitive::<B>(tensor)? {
        Value::Float(value) => Ok(value),
        _ => panic!("a baseline needs floats, found {tensor:?}"),
    }
}

fn int<B: Backed>(tensor: &Tensor) -> Result<B::IntTensorPrimitive> {
    match primitive::<B>(tensor)? {
        Value::Int(value) => Ok(value),
        _ => panic!("a baseline needs integers here, found {tensor:?}"),
    }
}

fn run<B: Backed>(
    op: &Baseline,
    inputs: &[Tensor],
    device: &Device,
    loop_limit: Option<usize>,
) -> Result<Vec<Tensor>> {
    let at = |i: usize| float::<B>(&inputs[i]);
    let floats = match op {
        Baseline::MatMul => vec![B::float_matmul(at(0)?, at(1)?)],
        Baseline::Conv2d(direction, options) => {
            let (kind, a, b) = match direction {
                Direction::Forward => (ConvKind::Forward, 0, 1),
                Direction::InputGrad => (ConvKind::InputGrad, 2, 1),
                Direction::WeightGrad => (ConvKind::WeightGrad, 0, 2),
            };
            let four = |i: usize| inputs[i].shape().try_into().expect("four axes");
            let conv = Conv {
                kind,
                options: *options,
                x: four(0),
                w: four(1),
                y: four(2),
            };
            vec![conv::convolve::<B>(&conv, at(a)?, at(b)?, loop_limit)]
        }
        Baseline::BatchNorm(epsilon) => {
            let out = B::batch_norm_train(at(0)?, at(1)?, at(2)?, *epsilon);
            vec![out.output, out.mean, out.variance]
        }
        Baseline::BatchNormWithGradient(epsilon) => {
            let (x, gamma) = (at(0)?, at(1)?);
            let out = B::batch_norm_train(x.clone(), gamma.clone(), at(2)?, *epsilon);
            let (mean, variance) = (out.mean, out.variance);
            let grads = B::batch_norm_train_backward(x, gamma, mean, variance, *epsilon, at(3)?);
            vec![out.output, grads.x_grad, grads.gamma_grad, grads.beta_grad]
        }
        Baseline::Sum(axes) => vec![B::float_sum_dims(at(0)?, axes)],
        Baseline::SumAll => vec![B::float_sum(at(0)?)],
        Baseline::Relu => vec![B::relu(at(0)?)],
        Baseline::MaxPool(o) => {
            let (k, s, p, int) = (o.kernel, o.stride, o.padding, IntDType::I32);
            let out = B::max_pool2d_with_indices(at(0)?, k, s, p, [1, 1], false, int);
            let indices = tensor::<B>(Value::Int(out.indices), DType::I32, device);
            let output = tensor::<B>(Value::Float(out.output), inputs[0].dtype(), device);
            return Ok(vec![output, indices]);
        }
        Baseline::MaxPoolGrad(o) => {
            let (k, s, p, indices) = (o.kernel, o.stride, o.padding, int::<B>(&inputs[2])?);
            let (x, dy) = (at(0)?, at(1)?);
            let grad = B::max_pool2d_with_indices_backward(x, k, s, p, [1, 1], false, dy, indices);
            vec![grad.x_grad]
        }
        Baseline::CrossEntropyWithGradient => {
            let n = inputs[0].shape()[0];
            let column = B::int_reshape(int::<B>(&inputs[1])?, Shape::new([n, 1]));
            let log_p = B::log_softmax(at(0)?, 1);
            let hard = B::float_gather(1, log_p.clone(), column.clone());
            let shape = Shape::new([n, 1]);
            let (at_device, dtype) = (hard.device(), hard.dtype().into());
            let minus_ones = B::float_full(shape, Scalar::from(-1.0), &at_device, dtype);
            let loss = B::float_neg(B::float_mean(hard));
            let p = B::float_exp(log_p);
            let grad = B::float_scatter(1, p, column, minus_ones, IndexingUpdateOp::Add);
            vec![loss, B::float_div_scalar(grad, Scalar::from(n as f64))]
        }
        Baseline::Sgd {
            lr,
            momentum,
            weight_decay,
        } => {
            let (w, dw, b, mask) = (at(0)?, at(1)?, at(2)?, at(3)?);
            let times = |t, factor: f64| B::float_mul_scalar(t, Scalar::from(factor));
            let direction = B::float_add(dw, times(w.clone(), *weight_decay));
            let b = B::float_add(times(b, *momentum), direction);
            let w = B::float_sub(w, times(b.clone(), *lr));
            vec![B::float_mul(w, mask), b]
        }
        Baseline::TopK(k) => vec![B::float_topk(at(0)?, 0, *k)],
    };
    let dtype = inputs[0].dtype();
    let wrap = |value| tensor::<B>(Value::Float(value), dtype, device);
    Ok(floats.into_iter().map(wrap).collect())
}

fn tensor<B: Backed>(value: Value<B>, dtype: DType, device: &Device) -> Tensor {
    let shape = match &value {
        Value::Float(t) => t.shape().to_vec(),
        Value::Int(t) => t.shape().to_vec(),
        _ => unreachable!("baselines give floats and indices"),
    };
    let buffer = Buffer::track::<B>(value, device, &[]);
    Tensor::from_buffer(buffer, &shape, dtype, device)
}

/// A copy and nothing else: how fast the device's memory is. On the CPU all cores copy, on a GPU a kernel of four
/// floats an invocation.
pub struct BareCopy(Buffers);

enum Buffers {
    Cpu {
        from: Vec<u8>,
        to: Vec<u8>,
    },
    // Boxed: Burn's tensors are large.
    Gpu {
        from: Box<CubeTensor>,
        to: Box<CubeTensor>,
    },
}

impl BareCopy {
    /// Two buffers of at least `bytes` on a device.
    pub fn new(bytes: usize, device: &Device) -> BareCopy {
        let bytes = bytes.next_multiple_of(16);
        BareCopy(match device.kind() {
            DeviceKind::Cpu => Buffers::Cpu {
                from: vec![1; bytes],
                to: vec![2; bytes],
            },
            DeviceKind::Gpu(gpu) => {
                let zeros =
                    || Wgpu::float_zeros(Shape::new([bytes / 4]), &gpu.burn, FloatDType::F32);
                Buffers::Gpu {
                    from: Box::new(zeros()),
                    to: Box::new(zeros()),
                }
            }
        })
    }

    /// Bytes that a run reads and writes.
    pub fn traffic(&self) -> u64 {
        2 * match &self.0 {
            Buffers::Cpu { from, .. } => from.len() as u64,
            Buffers::Gpu { from, .. } => 4 * from.shape().num_elements() as u64,
        }
    }

    /// Copies; on a GPU it does not wait for the end.
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

    /// Whether both buffers are equal: for tests.
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
    use super::{BareCopy, Baseline, Direction};
    use crate::nn::{batch_norm_train, cross_entropy};
    use crate::optim::{Optimizer, Sgd, SgdState};
    use crate::testing::each_device;
    use crate::{ConvOptions, Key, PoolOptions, Tensor, value_and_grad, vjp};

    fn close(what: &str, ours: &[Tensor], burns: &[Tensor]) {
        for (a, b) in ours.iter().zip(burns) {
            let (a, b) = (a.to_f64s().unwrap(), b.to_f64s().unwrap());
            assert_eq!(a.len(), b.len(), "{what}");
            for (a, b) in a.iter().zip(b) {
                assert!((a - b).abs() < 1e-4, "{what}: ours {a}, Burn's {b}");
            }
        }
    }

    /// A speed is compared only where the same is computed.
    #[test]
    fn the_engine_computes_what_burn_does() {
        each_device(|device, dtype| {
            let draw = |n: u64, shape: &[usize]| Key::new(n).normal(shape, dtype, device);
            let run = |op: Baseline, inputs: &[&Tensor]| {
                let inputs: Vec<Tensor> = inputs.iter().map(|&t| t.clone()).collect();
                op.run(&inputs).unwrap()
            };
            let (a, b) = (draw(0, &[4, 3]), draw(1, &[3, 5]));
            close("matmul", &[a.matmul(&b)], &run(Baseline::MatMul, &[&a, &b]));

            let options = ConvOptions::default().padding(1).stride(2);
            let (x, w) = (draw(2, &[2, 3, 6, 6]), draw(3, &[4, 3, 3, 3]));
            let (y, pull) = vjp(
                |(x, w): &(Tensor, Tensor)| x.conv2d(w, options),
                &(x.clone(), w.clone()),
            );
            let dy = draw(4, y.shape());
            let (dx, dw) = pull.call(&dy);
            for (ours, direction) in [
                (y, Direction::Forward),
                (dx, Direction::InputGrad),
                (dw, Direction::WeightGrad),
            ] {
                let burns = run(Baseline::Conv2d(direction, options), &[&x, &w, &dy]);
                close("conv2d", &[ours], &burns);
            }

            let (gamma, beta, dx) = (draw(5, &[3]), draw(6, &[3]), draw(7, x.shape()));
            let (y, pull) = vjp(
                |(x, g, b): &(Tensor, Tensor, Tensor)| batch_norm_train(x, g, b, 1e-5).0,
                &(x.clone(), gamma.clone(), beta.clone()),
            );
            let grads = pull.call(&dx);
            let burns = run(Baseline::BatchNorm(1e-5), &[&x, &gamma, &beta]);
            close("batch norm", std::slice::from_ref(&y), &burns);
            let all = [y, grads.0, grads.1, grads.2];
            let op = Baseline::BatchNormWithGradient(1e-5);
            close("its gradient", &all, &run(op, &[&x, &gamma, &beta, &dx]));

            let sums = x.sum_axes(&[0, 2, 3], true);
            close("sum", &[sums], &run(Baseline::Sum(vec![0, 2, 3]), &[&x]));
            close("sum of all", &[x.sum()], &run(Baseline::SumAll, &[&x]));
            close("relu", &[x.relu()], &run(Baseline::Relu, &[&x]));

            let window = PoolOptions::new(2);
            let (y, pull) = vjp(|x: &Tensor| x.max_pool2d(window), &x);
            let dy = draw(8, y.shape());
            let pooled = run(Baseline::MaxPool(window), &[&x]);
            close("max pool", &[y], &pooled);
            let op = Baseline::MaxPoolGrad(window);
            close(
                "its gradient",
                &[pull.call(&dy)],
                &run(op, &[&x, &dy, &pooled[1]]),
            );

            let (z, labels) = (
                draw(9, &[3, 4]),
                Tensor::new(&[3, 0, 1], &[3], device).unwrap(),
            );
            let (loss, dz) = value_and_grad(|z: &Tensor| cross_entropy(z, &labels))(&z);
            let op = Baseline::CrossEntropyWithGradient;
            close("cross-entropy", &[loss, dz], &run(op, &[&z, &labels]));

            let [w, g, m, mask] = [10, 11, 12, 13].map(|n| draw(n, &[8]));
            let sgd = Sgd::new(0.1).momentum(0.9).weight_decay(0.01);
            let before = SgdState {
                buffers: Some(m.clone()),
            };
            let (next, state) = sgd.update(&w, &g, &before);
            let op = Baseline::Sgd {
                lr: 0.1,
                momentum: 0.9,
                weight_decay: 0.01,
            };
            let ours = [next * &mask, state.buffers.unwrap()];
            close("sgd", &ours, &run(op, &[&w, &g, &m, &mask]));
            close("top k", &[w.top_k(3, 0).0], &run(Baseline::TopK(3), &[&w]));

            let mut copy = BareCopy::new(1000, device);
            copy.run();
            assert!(copy.is_done() && copy.traffic() == 2016);
            device.synchronize().unwrap();
        });
    }
}
