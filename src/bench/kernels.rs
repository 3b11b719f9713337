//! `prospr bench kernels`: single operations, compared with Burn's own kernels.

use std::time::Duration;

use super::measure::measure;
use super::{Bound, Limits, Options, Row, sizes};
use crate::baseline::{BareCopy, Baseline, Direction};
use crate::nn::{batch_norm_train, cross_entropy};
use crate::optim::{Optimizer, Sgd, SgdState};
use crate::pruners::{Mask, MaskOptions, Sparsity};
use crate::{
    ConvOptions, DType, Key, Params, PoolOptions, Role, Tensor, eval, jit_with, value_and_grad, vjp,
};

/// Time limit for the measurements of one kernel.
const ALLOWED: Duration = Duration::from_secs(5);
/// ε of batch norm.
const EPSILON: f64 = 1e-5;
/// Channels, height and width of the images for normalisation and pooling.
const IMAGE: [usize; 3] = [64, 32, 32];
/// Convolutions: input channels, output channels, side of the images in pixels, stride.
const CONVOLUTIONS: [[usize; 4]; 4] =
    [[64, 64, 32, 1], [128, 128, 16, 1], [256, 256, 8, 1], [64, 128, 32, 2]];

/// A kernel to measure: the resource that limits it, our implementation, and Burn's.
struct Case<'a> {
    name: String,
    direction: Option<&'static str>,
    size: String,
    bound: Bound,
    ours: Box<dyn Fn() -> anyhow::Result<()> + 'a>,
    /// `None` if Burn's kernel takes too long.
    burn: Option<Baseline>,
    burn_inputs: Vec<Tensor>,
}

/// Measurements of all kernels, with the limits and rows measured so far.
struct Suite<'a> {
    options: &'a Options,
    watch: &'a mut dyn FnMut(&Row),
    limits: Limits,
    rows: Vec<Row>,
}

/// Measures all kernels; `watch` receives each row as soon as it is measured.
///
/// # Errors
/// If the device fails.
pub fn kernels(options: &Options, watch: &mut dyn FnMut(&Row)) -> anyhow::Result<Vec<Row>> {
    let mut suite = Suite { options, watch, limits: Limits::default(), rows: Vec::new() };
    suite.copy()?;
    suite.matmul()?;
    for geometry in CONVOLUTIONS {
        suite.convolution(geometry)?;
    }
    suite.batch_norm()?;
    suite.sums()?;
    suite.relu()?;
    suite.max_pool()?;
    suite.cross_entropy()?;
    suite.sgd()?;
    suite.threshold()?;
    Ok(suite.rows)
}

/// Rate of a matrix product in floating-point operations per second, the faster of ours and Burn's.
pub(super) fn matmul_rate(options: &Options) -> anyhow::Result<f64> {
    let mut suite =
        Suite { options, watch: &mut |_| {}, limits: Limits::default(), rows: Vec::new() };
    suite.matmul()?;
    Ok(suite.limits.matmul)
}

impl Suite<'_> {
    fn batch(&self) -> usize {
        let usual = if self.options.is_slow() { 8 } else { 256 };
        self.options.batch.unwrap_or(if self.options.quick { 1 } else { usual })
    }

    /// Number of elements of a large tensor: 64 MiB, more than caches hold.
    fn many(&self) -> usize {
        if self.options.quick { 1 << 14 } else { 1 << 24 }
    }

    /// Number of weights, as in a whole network.
    fn weights(&self) -> usize {
        match (self.options.quick, self.options.is_slow()) {
            (true, _) => 1 << 10,
            (false, true) => 1 << 20,
            (false, false) => 1 << 23,
        }
    }

    /// Returns uniform random numbers in `[-0.5, 0.5)`, already computed.
    fn draw(&self, seed: u64, shape: &[usize]) -> anyhow::Result<Tensor> {
        let values = Key::new(seed).uniform(shape, DType::F32, &self.options.device) - 0.5;
        values.eval()?;
        Ok(values)
    }

    /// Adds a row and shows it.
    fn add(&mut self, row: Row) {
        (self.watch)(&row);
        self.rows.push(row);
    }

    /// Measures a kernel and Burn's, and adds the row.
    fn run(&mut self, case: Case<'_>) -> anyhow::Result<()> {
        let ours = measure(self.options, ALLOWED, &*case.ours)?;
        let baseline = |burn: &Baseline| {
            measure(self.options, ALLOWED, || {
                burn.run(&case.burn_inputs)?;
                Ok(())
            })
        };
        let burn = case.burn.as_ref().map(baseline).transpose()?;
        let burn = burn.map(|timing| timing.seconds);
        if let (Bound::Flops(flops), 0.0) = (case.bound, self.limits.matmul) {
            self.limits.matmul = flops as f64 / ours.seconds.min(burn.unwrap_or(f64::INFINITY));
        }
        let row = Row {
            direction: case.direction,
            burn_ms: burn.map(|seconds| seconds * 1e3),
            ratio_vs_burn: burn.map(|seconds| seconds / ours.seconds),
            ..ours.row(self.options, case.name, case.size)
        };
        self.add(row.rated(case.bound, self.limits));
        Ok(())
    }

    fn copy(&mut self) -> anyhow::Result<()> {
        let elements = self.many();
        let mut copy = BareCopy::new(4 * elements, &self.options.device);
        let timing = measure(self.options, ALLOWED, || {
            copy.run();
            Ok(())
        })?;
        let traffic = copy.traffic();
        self.limits.copy = traffic as f64 / timing.seconds;
        let row = Row {
            launches: 1,
            peak_bytes: traffic,
            ..timing.row(self.options, "copy", sizes(&[elements]))
        };
        self.add(row.rated(Bound::Bytes(traffic), self.limits));
        Ok(())
    }

    fn matmul(&mut self) -> anyhow::Result<()> {
        let n = match (self.options.quick, self.options.is_slow()) {
            (true, _) => 64,
            (false, true) => 512,
            (false, false) => 4096,
        };
        let (a, b) = (self.draw(0, &[n, n])?, self.draw(1, &[n, n])?);
        let product = jit_with(self.options.precision, |a: &Tensor| a.matmul(&b));
        self.run(Case {
            name: "matmul".into(),
            direction: None,
            size: sizes(&[n, n, n]),
            bound: Bound::Flops(2 * (n * n * n) as u64),
            burn: Some(Baseline::MatMul),
            burn_inputs: vec![a.clone(), b.clone()],
            ours: Box::new(|| Ok(product(&a).map(|_| ())?)),
        })
    }

    fn convolution(&mut self, [from, to, side, stride]: [usize; 4]) -> anyhow::Result<()> {
        let options = ConvOptions::default().padding(1).stride(stride);
        let x = self.draw(2, &[self.batch(), from, side, side])?;
        let w = self.draw(3, &[to, from, 3, 3])?;
        let precision = self.options.precision;
        let forward = jit_with(precision, |x: &Tensor| x.conv2d(&w, options));
        let to_x = jit_with(precision, |dy: &Tensor| {
            vjp(|x: &Tensor| x.conv2d(&w, options), &x).1.call(dy)
        });
        let to_w = jit_with(precision, |dy: &Tensor| {
            vjp(|w: &Tensor| x.conv2d(w, options), &w).1.call(dy)
        });
        let y = forward(&x)?;
        let dy = self.draw(4, y.shape())?;
        let flops = 2 * (y.numel() * 9 * from) as u64;
        let stride = if stride == 1 { "" } else { " stride 2" };
        for (direction, name) in [
            (Direction::Forward, "forward"),
            (Direction::InputGrad, "input_grad"),
            (Direction::WeightGrad, "weight_grad"),
        ] {
            let ours = || match direction {
                Direction::Forward => forward(&x),
                Direction::InputGrad => to_x(&dy),
                Direction::WeightGrad => to_w(&dy),
            };
            self.run(Case {
                name: format!("conv 3x3 {from}-{to} at {side}x{side}{stride}"),
                direction: Some(name),
                size: sizes(x.shape()),
                bound: Bound::Flops(flops),
                burn: Some(Baseline::Conv2d(direction, options)),
                burn_inputs: vec![x.clone(), w.clone(), dy.clone()],
                ours: Box::new(move || Ok(ours().map(|_| ())?)),
            })?;
        }
        Ok(())
    }

    /// Returns images, γ, β and an output gradient.
    fn images(&self) -> anyhow::Result<[Tensor; 4]> {
        let [c, h, w] = IMAGE;
        let shape = [self.batch(), c, h, w];
        Ok([self.draw(5, &shape)?, self.draw(6, &[c])?, self.draw(7, &[c])?, self.draw(8, &shape)?])
    }

    fn batch_norm(&mut self) -> anyhow::Result<()> {
        let [x, gamma, beta, dy] = self.images()?;
        let size = sizes(x.shape());
        let forward = |x: &Tensor| batch_norm_train(x, &gamma, &beta, EPSILON);
        self.run(Case {
            name: "batch norm, training".into(),
            direction: None,
            size: size.clone(),
            bound: Bound::Bytes(2 * x.bytes()),
            burn: Some(Baseline::BatchNorm(EPSILON)),
            burn_inputs: vec![x.clone(), gamma.clone(), beta.clone()],
            ours: Box::new(|| {
                let (y, stats) = forward(&x);
                Ok(eval(&[y, stats.mean, stats.var])?)
            }),
        })?;
        let all = (x.clone(), gamma.clone(), beta.clone());
        let both = || {
            let (y, pull) = vjp(
                |(x, gamma, beta): &(Tensor, Tensor, Tensor)| {
                    batch_norm_train(x, gamma, beta, EPSILON).0
                },
                &all,
            );
            let (dx, dgamma, dbeta) = pull.call(&dy);
            drop(pull);
            eval(&[y, dx, dgamma, dbeta])
        };
        self.run(Case {
            name: "batch norm, training, with gradient".into(),
            direction: None,
            size,
            bound: Bound::Bytes(4 * x.bytes()),
            burn: Some(Baseline::BatchNormWithGradient(EPSILON)),
            burn_inputs: vec![x.clone(), gamma.clone(), beta.clone(), dy.clone()],
            ours: Box::new(|| Ok(both()?)),
        })
    }

    fn sums(&mut self) -> anyhow::Result<()> {
        let (matrix, [c, h, w]) = ([self.many() / 1024, 1024], IMAGE);
        let images = [self.batch(), c, h, w];
        for (name, shape, axes) in [
            ("sum, last axis", &matrix[..], &[1][..]),
            ("sum, all axes", &matrix, &[0, 1]),
            ("sum, all axes but channels", &images, &[0, 2, 3]),
        ] {
            let x = self.draw(9, shape)?;
            let signed: Vec<isize> = axes.iter().map(|&a| a as isize).collect();
            self.run(Case {
                name: name.into(),
                direction: None,
                size: sizes(x.shape()),
                bound: Bound::Bytes(x.bytes()),
                burn: Some(match axes.len() == x.rank() {
                    true => Baseline::SumAll,
                    false => Baseline::Sum(axes.to_vec()),
                }),
                burn_inputs: vec![x.clone()],
                ours: Box::new(|| Ok(x.sum_axes(&signed, false).eval()?)),
            })?;
        }
        Ok(())
    }

    fn relu(&mut self) -> anyhow::Result<()> {
        let x = self.draw(10, &[self.many()])?;
        self.run(Case {
            name: "relu".into(),
            direction: None,
            size: sizes(x.shape()),
            bound: Bound::Bytes(2 * x.bytes()),
            burn: Some(Baseline::Relu),
            burn_inputs: vec![x.clone()],
            ours: Box::new(|| Ok(x.relu().eval()?)),
        })
    }

    fn max_pool(&mut self) -> anyhow::Result<()> {
        let window = PoolOptions::new(2);
        let [x, ..] = self.images()?;
        let size = sizes(x.shape());
        let (y, pull) = vjp(|x: &Tensor| x.max_pool2d(window), &x);
        let dy = self.draw(11, y.shape())?;
        let bytes = x.bytes() + y.bytes();
        self.run(Case {
            name: "max pool 2x2".into(),
            direction: None,
            size: size.clone(),
            bound: Bound::Bytes(bytes),
            burn: Some(Baseline::MaxPool(window)),
            burn_inputs: vec![x.clone()],
            ours: Box::new(|| Ok(x.max_pool2d(window).eval()?)),
        })?;
        // The forward pass stores the indices of the maxima.
        y.eval()?;
        let [_, at] = &Baseline::MaxPool(window).run(std::slice::from_ref(&x))?[..] else {
            unreachable!("a max pool gives two tensors")
        };
        self.run(Case {
            name: "max pool 2x2, gradient".into(),
            direction: None,
            size,
            // The gradient also reads the indices.
            bound: Bound::Bytes(bytes + at.bytes()),
            burn: Some(Baseline::MaxPoolGrad(window)),
            burn_inputs: vec![x.clone(), dy.clone(), at.clone()],
            ours: Box::new(|| Ok(pull.call(&dy).eval()?)),
        })
    }

    fn cross_entropy(&mut self) -> anyhow::Result<()> {
        let (n, classes) = (self.batch(), 1000);
        let z = self.draw(12, &[n, classes])?;
        let labels: Vec<i32> = (0..n).map(|i| (i % classes) as i32).collect();
        let labels = Tensor::new(&labels, &[n], &self.options.device)?;
        self.run(Case {
            name: "softmax cross-entropy, with gradient".into(),
            direction: None,
            size: sizes(z.shape()),
            bound: Bound::Bytes(2 * z.bytes()),
            burn: Some(Baseline::CrossEntropyWithGradient),
            burn_inputs: vec![z.clone(), labels.clone()],
            ours: Box::new(|| {
                let (loss, dz) = value_and_grad(|z: &Tensor| cross_entropy(z, &labels))(&z);
                Ok(eval(&[loss, dz])?)
            }),
        })
    }

    fn sgd(&mut self) -> anyhow::Result<()> {
        let (lr, momentum, weight_decay) = (0.1, 0.9, 5e-4);
        let rule = Sgd::new(lr).momentum(momentum).weight_decay(weight_decay);
        let n = self.weights();
        let draw = |seed| self.draw(seed, &[n]);
        let [w, dw, b, mask] = [draw(13)?, draw(14)?, draw(15)?, draw(16)?];
        let state = SgdState { buffers: Some(b.clone()) };
        self.run(Case {
            name: "SGD with momentum and mask".into(),
            direction: None,
            size: sizes(&[n]),
            bound: Bound::Bytes(6 * w.bytes()),
            burn: Some(Baseline::Sgd { lr, momentum, weight_decay }),
            burn_inputs: vec![w.clone(), dw.clone(), b, mask.clone()],
            ours: Box::new(|| {
                let (next, state) = rule.update(&w, &dw, &state);
                let momentum = state.buffers.expect("there is momentum");
                Ok(eval(&[next * &mask, momentum])?)
            }),
        })
    }

    /// Measures the mask of the 2 % of weights with the highest scores. Burn has only `topk`, which makes no mask.
    fn threshold(&mut self) -> anyhow::Result<()> {
        let x = self.draw(17, &[self.weights()])?;
        let sparsity = Sparsity::new(0.98)?;
        let mut scores = Params::new();
        scores.insert("weight", Role::Weight, x.clone());
        self.run(Case {
            name: "mask of the best 2 %".into(),
            direction: None,
            size: sizes(x.shape()),
            bound: Bound::Bytes(x.bytes()),
            // On software rasterizers Burn's kernel takes more than an hour.
            burn: (self.options.quick || !self.options.device.info().software)
                .then(|| Baseline::TopK(sparsity.kept(x.numel()))),
            burn_inputs: vec![x.clone()],
            ours: Box::new(|| {
                Mask::new(&scores, sparsity, &MaskOptions::default())?;
                Ok(())
            }),
        })
    }
}
