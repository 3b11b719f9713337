//! Tests of convolutions of random geometries against a direct sum in f64.

use super::super::isa::Float;
use super::convolve;
use crate::ir::{Conv, ConvKind, ConvOptions};

/// A small generator of integers (with Knuth's constants).
struct Numbers(u64);

impl Numbers {
    /// Returns an integer from `low` to `high`, both included.
    fn next(&mut self, low: usize, high: usize) -> usize {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        low + (self.0 >> 33) as usize % (high - low + 1)
    }

    fn values(&mut self, n: usize) -> Vec<f64> {
        // Exact in f32.
        (0..n).map(|_| self.next(0, 4095) as f64 / 2048.0 - 1.0).collect()
    }

    fn geometry(&mut self) -> Conv {
        loop {
            let groups = [1, 1, 1, 2, 3, 8][self.next(0, 5)];
            let most = if groups == 1 { 67 } else { 9 };
            let depthwise = groups > 1 && self.next(0, 1) == 0;
            let c_in = if depthwise { 1 } else { self.next(1, most) };
            let c_out = groups * if depthwise { 1 } else { self.next(1, most) };
            let kernel = [self.next(1, 7), self.next(1, 7)];
            let kernel = if self.next(0, 2) == 0 { [3, 3] } else { kernel };
            let stride = [self.next(1, 3), self.next(1, 3)];
            let padding = [self.next(0, 4), self.next(0, 4)];
            let dilation = [self.next(1, 2), self.next(1, 3)];
            let size = [self.next(1, 20), self.next(1, 40)];
            let n = self.next(1, 5);
            let out = |i: usize| {
                (size[i] + 2 * padding[i])
                    .checked_sub(dilation[i] * (kernel[i] - 1) + 1)
                    .map(|room| room / stride[i] + 1)
            };
            let (Some(oh), Some(ow)) = (out(0), out(1)) else {
                continue;
            };
            let conv = Conv {
                kind: ConvKind::Forward,
                options: ConvOptions { stride, padding, dilation, groups },
                x: [n, groups * c_in, size[0], size[1]],
                w: [c_out, c_in, kernel[0], kernel[1]],
                y: [n, c_out, oh, ow],
            };
            if n * c_out * oh * ow * c_in * kernel[0] * kernel[1] < 4_000_000 {
                return conv;
            }
        }
    }
}

fn count(shape: [usize; 4]) -> usize {
    shape.iter().product()
}

/// Returns the result and the sums of the terms' magnitudes.
fn direct(conv: &Conv, a: &[f64], b: &[f64]) -> (Vec<f64>, Vec<f64>) {
    let out = match conv.kind {
        ConvKind::Forward => conv.y,
        ConvKind::InputGrad => conv.x,
        ConvKind::WeightGrad => conv.w,
    };
    let (mut sums, mut sizes) = (vec![0.0; count(out)], vec![0.0; count(out)]);
    let o = conv.options;
    let [n, c_out, oh, ow] = conv.y;
    let [_, c_in, kh, kw] = conv.w;
    let [_, channels, h, w] = conv.x;
    let taps = (0..kh).flat_map(|u| (0..kw).map(move |v| (u, v)));
    for (u, v) in taps {
        for (i, j) in (0..oh).flat_map(|i| (0..ow).map(move |j| (i, j))) {
            let row = (i * o.stride[0] + u * o.dilation[0]).wrapping_sub(o.padding[0]);
            let col = (j * o.stride[1] + v * o.dilation[1]).wrapping_sub(o.padding[1]);
            if row >= h || col >= w {
                continue;
            }
            for (image, m, c) in
                (0..n).flat_map(|n| (0..c_out).flat_map(move |m| (0..c_in).map(move |c| (n, m, c))))
            {
                let group = m / (c_out / o.groups);
                let x = ((image * channels + group * c_in + c) * h + row) * w + col;
                let k = ((m * c_in + c) * kh + u) * kw + v;
                let y = ((image * c_out + m) * oh + i) * ow + j;
                let (at, product) = match conv.kind {
                    ConvKind::Forward => (y, a[x] * b[k]),
                    ConvKind::InputGrad => (x, a[y] * b[k]),
                    ConvKind::WeightGrad => (k, a[x] * b[y]),
                };
                sums[at] += product;
                sizes[at] += product.abs();
            }
        }
    }
    (sums, sizes)
}

fn check<T: Float + Into<f64>>(
    conv: &Conv,
    a: &[f64],
    b: &[f64],
    (sums, sizes): &(Vec<f64>, Vec<f64>),
    from: fn(f64) -> T,
    tolerance: f64,
) {
    let [a, b] = [a, b].map(|x| x.iter().map(|&x| from(x)).collect::<Vec<T>>());
    for isa in T::isas() {
        let found = convolve(isa, conv, &a, &b);
        assert_eq!(found.len(), sums.len());
        for (i, &x) in found.iter().enumerate() {
            let error = (x.into() - sums[i]).abs();
            assert!(
                error <= tolerance * sizes[i],
                "{} lanes, {conv:?} [{i}]: {} for {}",
                isa.lanes,
                x.into(),
                sums[i]
            );
        }
    }
}

fn operands(conv: &Conv) -> (usize, usize) {
    match conv.kind {
        ConvKind::Forward => (count(conv.x), count(conv.w)),
        ConvKind::InputGrad => (count(conv.y), count(conv.w)),
        ConvKind::WeightGrad => (count(conv.x), count(conv.y)),
    }
}

const KINDS: [ConvKind; 3] = [ConvKind::Forward, ConvKind::InputGrad, ConvKind::WeightGrad];

#[test]
fn conv_kernels_agree_with_a_direct_sum() {
    let mut numbers = Numbers(7);
    for _ in 0..250 {
        let conv = numbers.geometry();
        for kind in KINDS {
            let conv = Conv { kind, ..conv.clone() };
            let (a, b) = operands(&conv);
            let (a, b) = (numbers.values(a), numbers.values(b));
            let expected = direct(&conv, &a, &b);
            check::<f32>(&conv, &a, &b, &expected, |x| x as f32, 1e-5);
            check::<f64>(&conv, &a, &b, &expected, |x| x, 1e-12);
        }
    }
}

/// Returns convolutions large enough for several tasks, bands and chunks.
fn large() -> Vec<Conv> {
    let conv = |x: [usize; 4], c_out: usize, kernel: usize, stride: usize, groups: usize| {
        let out = |size: usize| (size + 2 * (kernel / 2) - kernel) / stride + 1;
        Conv {
            kind: ConvKind::Forward,
            options: ConvOptions {
                stride: [stride; 2],
                padding: [kernel / 2; 2],
                dilation: [1, 1],
                groups,
            },
            x,
            w: [c_out, x[1] / groups, kernel, kernel],
            y: [x[0], c_out, out(x[2]), out(x[3])],
        }
    };
    vec![
        conv([33, 16, 32, 32], 16, 3, 1, 1),
        conv([40, 64, 8, 8], 64, 3, 1, 1),
        conv([33, 80, 2, 2], 72, 3, 1, 1),
        conv([3, 3, 130, 131], 48, 7, 2, 1),
        conv([20, 64, 9, 9], 130, 1, 2, 1),
        conv([2, 48, 60, 60], 48, 3, 1, 48),
        conv([19, 160, 4, 4], 320, 3, 1, 2),
    ]
}

#[test]
fn conv_results_do_not_depend_on_the_number_of_threads() {
    let pools = [1, 2].map(|n| rayon::ThreadPoolBuilder::new().num_threads(n).build().unwrap());
    let mut numbers = Numbers(3);
    for conv in large() {
        for kind in KINDS {
            let conv = Conv { kind, ..conv.clone() };
            let (a, b) = operands(&conv);
            let (a, b) = (numbers.values(a), numbers.values(b));
            let expected = direct(&conv, &a, &b);
            check::<f32>(&conv, &a, &b, &expected, |x| x as f32, 1e-5);
            let [a, b] = [a, b].map(|x| x.iter().map(|&x| x as f32).collect::<Vec<_>>());
            for isa in f32::isas() {
                let bits = |pool: &rayon::ThreadPool| -> Vec<u32> {
                    let found = pool.install(|| convolve(isa, &conv, &a, &b));
                    found.iter().map(|x| x.to_bits()).collect()
                };
                let first = bits(&pools[0]);
                assert!(
                    first == bits(&pools[1]) && first == bits(&pools[1]),
                    "{} lanes, {conv:?}",
                    isa.lanes
                );
            }
        }
    }
}
