//! Tests of the engine's own kernels against their definitions, on every device.

use crate::ir::{Op, PadAxis};
use crate::testing::each_device;
use crate::{DType, Key, PoolOptions, Tensor, vjp};

/// Returns random integers below `bound`.
fn draws(seed: u64, bound: usize, count: usize) -> Vec<usize> {
    let draws = Key::new(seed).uniforms(count);
    draws.iter().map(|u| (u * bound as f32) as usize).collect()
}

/// Returns the largest value of each window and the gradient of `x` for `dy`; among equal values, the first pixel
/// counts.
fn max_pool(
    x: &[f64],
    [planes, h, w]: [usize; 3],
    o: PoolOptions,
    [oh, ow]: [usize; 2],
    dy: &[f64],
) -> (Vec<f64>, Vec<f64>) {
    let (mut y, mut dx) = (Vec::new(), vec![0.0; x.len()]);
    assert_eq!(dy.len(), planes * oh * ow);
    for (window, dy) in dy.iter().enumerate() {
        let (plane, i, j) = (window / (oh * ow), window / ow % oh, window % ow);
        let mut best: Option<usize> = None;
        for tap in 0..o.kernel[0] * o.kernel[1] {
            let row = (i * o.stride[0] + tap / o.kernel[1]).checked_sub(o.padding[0]);
            let col = (j * o.stride[1] + tap % o.kernel[1]).checked_sub(o.padding[1]);
            let (Some(row), Some(col)) = (row, col) else {
                continue;
            };
            let at = (plane * h + row) * w + col;
            if row < h && col < w && best.is_none_or(|best| x[at] > x[best]) {
                best = Some(at);
            }
        }
        let best = best.unwrap();
        y.push(x[best]);
        dx[best] += dy;
    }
    (y, dx)
}

#[test]
fn max_pools_and_their_gradients() {
    for seed in 0..24 {
        let d = draws(seed, 4, 12);
        let kernel = [d[0] + 1, d[1] + 1];
        let o = PoolOptions {
            kernel,
            stride: [d[2] + 1, d[3] + 1],
            padding: [d[4].min(kernel[0] / 2), d[5].min(kernel[1] / 2)],
        };
        let shape = [d[6] + 1, 3, 4 + d[7] * 5, 4 + d[8] * 9];
        let [n, c, h, w] = shape;
        // Few distinct values, so that there are many ties; all sums are exact.
        let x: Vec<f32> =
            draws(seed + 100, 5, n * c * h * w).iter().map(|&v| v as f32 - 2.0).collect();
        let wide: Vec<f64> = x.iter().copied().map(f64::from).collect();
        each_device(|device, dtype| {
            let tensor = Tensor::new(&x, &shape, device).unwrap().to_dtype(dtype);
            let (y, pull) = vjp(|x: &Tensor| x.max_pool2d(o), &tensor);
            let output = [y.shape()[2], y.shape()[3]];
            let dy = Tensor::arange(y.numel(), device).reshape(y.shape()).to_dtype(dtype);
            let values = dy.to_f64s().unwrap();
            let expected = max_pool(&wide, [n * c, h, w], o, output, &values);
            let found = (y.to_f64s().unwrap(), pull.call(&dy).to_f64s().unwrap());
            assert_eq!(found, expected, "{o:?} of {shape:?} on {device}");
        });
    }
}

#[test]
fn the_least_value_and_nan_have_places() {
    each_device(|device, dtype| {
        let low = f32::NEG_INFINITY;
        let values = [low, low, 1.0, f32::NAN, low, low, 2.0, 0.0];
        let x = Tensor::new(&values, &[1, 1, 2, 4], device).unwrap();
        let x = x.to_dtype(dtype);
        let (y, pull) = vjp(|x: &Tensor| x.max_pool2d(PoolOptions::new(2)), &x);
        let y = y.to_f64s().unwrap();
        assert!(y[0] == f64::NEG_INFINITY && y[1].is_nan());
        let dx = pull.call(&Tensor::ones(&[1, 1, 1, 2], dtype, device));
        let expected = [1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0];
        assert_eq!(dx.to_f64s().unwrap(), expected);
    });
}

/// Returns `x` with zeros around and between its elements.
fn padded(x: &[f64], shape: &[usize], axes: &[PadAxis], out: &[usize]) -> Vec<f64> {
    let mut padded = vec![0.0; out.iter().product()];
    for (i, &value) in x.iter().enumerate() {
        let (mut rest, mut at, mut stride) = (i, 0, 1);
        for ((axis, &size), &out) in axes.iter().zip(shape).zip(out).rev() {
            at += (axis.low + rest % size * (axis.interior + 1)) * stride;
            rest /= size;
            stride *= out;
        }
        padded[at] = value;
    }
    padded
}

#[test]
fn zeros_around_and_between() {
    for seed in 0..40 {
        let rank = 1 + seed as usize % 6;
        let shape: Vec<usize> = draws(seed, 4, rank).iter().map(|n| n + 1).collect();
        let axes: Vec<PadAxis> = draws(seed + 50, 3, 4 * rank)
            .chunks(4)
            .map(|d| PadAxis {
                // Some axes have no padding, so that they are merged.
                low: d[0] * d[3].min(1),
                high: d[1] * d[3].min(1),
                interior: d[2] * (d[3] / 2),
            })
            .collect();
        let grow = |(a, n): (&PadAxis, &usize)| a.low + n + (n - 1) * a.interior + a.high;
        let out: Vec<usize> = axes.iter().zip(&shape).map(grow).collect();
        let count: usize = shape.iter().product();
        each_device(|device, dtype| {
            for dtype in [dtype, DType::I32, DType::U8, DType::Bool] {
                let numbers: Vec<i32> = (0..count as i32).map(|i| i % 255 + 1).collect();
                let numbers = Tensor::new(&numbers, &[count], device).unwrap();
                let x = match dtype {
                    DType::Bool => numbers.eq(&numbers),
                    _ => numbers.to_dtype(dtype),
                }
                .reshape(&shape);
                let pad = Tensor::apply(Op::Pad(axes.clone()), &[&x], out.clone(), dtype);
                let expected = padded(&x.to_f64s().unwrap(), &shape, &axes, &out);
                let found = pad.to_f64s().unwrap();
                assert_eq!(found, expected, "{axes:?} of {shape:?} in {dtype} on {device}");
            }
        });
    }
}
