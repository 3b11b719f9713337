//! Pooling and resampling of images `[n, c, h, w]`.
//!
//! Max pooling is a gather by the index of the largest tap. That is linear, and its transpose adds each window's value
//! to the pixel that it picked, so derivatives of every order consist of these two. Average pooling and interpolation
//! are linear and separable: a product with a small matrix from the left and one from the right, so their derivatives
//! are those of the matrix product.

use crate::ir::{Interpolation, Op, PoolOptions, Window};
use crate::{DType, Tensor};

impl Tensor {
    /// The largest value of each window. Where several are equal, the derivative goes to the first in
    /// row-major order, as in PyTorch and JAX. The border counts as −∞.
    #[track_caller]
    pub fn max_pool2d(&self, options: PoolOptions) -> Tensor {
        let [oh, ow] = options.output("max_pool2d", self.shape());
        let (n, c) = (self.shape()[0], self.shape()[1]);
        let window = Window { options, output: [oh, ow] };
        let op = Op::MaxPoolIndex(window.clone());
        let index = Tensor::apply(op, &[&self.stop_gradient()], vec![n, c, oh, ow], DType::I32);
        gather(&window, self, &index)
    }

    /// The mean of each window; zeros of the border count as values, as PyTorch's default.
    #[track_caller]
    pub fn avg_pool2d(&self, options: PoolOptions) -> Tensor {
        let output = options.output("avg_pool2d", self.shape());
        let (n, c, h, w) = (self.shape()[0], self.shape()[1], self.shape()[2], self.shape()[3]);
        let [kh, kw] = options.kernel;
        // Sums of few elements are slower than matrix products on a CPU.
        let tiles = options.stride == options.kernel && options.padding == [0, 0];
        if tiles && !self.device().is_cpu() && output[0] * kh == h && output[1] * kw == w {
            return self.reshape(&[n, c, output[0], kh, output[1], kw]).mean_axes(&[3, 5], false);
        }
        let matrix = |i: usize, size: usize| {
            let (k, s, p) = (options.kernel[i], options.stride[i], options.padding[i]);
            rows(output[i], size, |o, put| {
                for at in (o * s).max(p)..(o * s + k).min(size + p) {
                    put(at - p, 1.0 / k as f64);
                }
            })
        };
        self.separable(&matrix(0, h), output[0], &matrix(1, w), output[1])
    }

    /// Mean over windows that divide the image into `oh × ow` parts (PyTorch's `AdaptiveAvgPool2d`).
    #[track_caller]
    pub fn adaptive_avg_pool2d(&self, oh: usize, ow: usize) -> Tensor {
        assert!(
            self.rank() == 4,
            "adaptive_avg_pool2d: needs 4 axes, found shape {:?}",
            self.shape()
        );
        if (oh, ow) == (1, 1) {
            return self.mean_axes(&[2, 3], true);
        }
        if [oh, ow] == self.shape()[2..] {
            return self.clone();
        }
        let matrix = |out: usize, size: usize| {
            rows(out, size, |o, put| {
                let (start, end) = (o * size / out, ((o + 1) * size).div_ceil(out));
                for at in start..end {
                    put(at, 1.0 / (end - start) as f64);
                }
            })
        };
        let (h, w) = (self.shape()[2], self.shape()[3]);
        self.separable(&matrix(oh, h), oh, &matrix(ow, w), ow)
    }

    /// Resizes images to `[n, c, oh, ow]`.
    #[track_caller]
    pub fn resize2d(&self, oh: usize, ow: usize, how: Interpolation) -> Tensor {
        assert!(self.rank() == 4, "resize2d: needs 4 axes, found shape {:?}", self.shape());
        let matrix = |out: usize, size: usize| {
            rows(out, size, |o, put| match how {
                Interpolation::Nearest => put(o * size / out, 1.0),
                Interpolation::Bilinear => {
                    let at = ((o as f64 + 0.5) * size as f64 / out as f64 - 0.5).max(0.0);
                    let low = (at as usize).min(size - 1);
                    let high = (low + 1).min(size - 1);
                    let part = (at - low as f64).clamp(0.0, 1.0);
                    put(low, 1.0 - part);
                    put(high, part);
                }
            })
        };
        let (h, w) = (self.shape()[2], self.shape()[3]);
        self.separable(&matrix(oh, h), oh, &matrix(ow, w), ow)
    }

    /// Computes `A X Bᵀ` for every image `X`, with the matrices `A: [oh, h]` and `B: [ow, w]` row by row.
    fn separable(&self, a: &[f64], oh: usize, b: &[f64], ow: usize) -> Tensor {
        let constant = |values: &[f64], shape: &[usize]| {
            let narrow: Vec<f32> = values.iter().map(|&v| v as f32).collect();
            let made = match self.dtype() {
                DType::F64 => Tensor::new(values, shape, self.device()),
                _ => Tensor::new(&narrow, shape, self.device()),
            };
            made.expect("a small constant fits the device")
        };
        let right = constant(b, &[ow, self.shape()[3]]).transpose(0, 1);
        let left = constant(a, &[oh, self.shape()[2]]);
        left.matmul(&self.matmul(&right))
    }
}

/// Gathers pixels by flat indices, one of each window: `out[n, c, i, j] = x[n, c, index[n, c, i, j]]`.
pub(super) fn gather(window: &Window, x: &Tensor, index: &Tensor) -> Tensor {
    let op = Op::PoolGather(window.clone());
    Tensor::apply(op, &[x, index], index.shape(), x.dtype())
}

/// Scatters the values of windows into zero images of a shape, the transpose of [`gather`]. Values at one pixel are
/// added.
pub(super) fn scatter(window: &Window, values: &Tensor, index: &Tensor, shape: &[usize]) -> Tensor {
    let op = Op::PoolScatter(window.clone());
    Tensor::apply(op, &[values, index], shape, values.dtype())
}

/// Returns a dense `[out, size]` matrix; `fill(o, put)` adds weights to row `o`.
fn rows(out: usize, size: usize, fill: impl Fn(usize, &mut dyn FnMut(usize, f64))) -> Vec<f64> {
    let mut matrix = vec![0.0; out * size];
    for o in 0..out {
        fill(o, &mut |at, weight| matrix[o * size + at] += weight);
    }
    matrix
}

#[cfg(test)]
mod tests {
    use super::{Interpolation, PoolOptions};
    use crate::testing::{each_device, gradients};
    use crate::{Tensor, grad};

    #[test]
    fn gradients_of_pooling() {
        let overlap = PoolOptions::new(3).stride(2).padding(1);
        gradients("max_pool2d", &[&[2, 2, 4, 6]], 3, |x| {
            x[0].max_pool2d(PoolOptions::new(2)).powf(3.0)
        });
        gradients("max_pool2d overlapping", &[&[1, 2, 5, 6]], 3, |x| {
            x[0].max_pool2d(overlap).powf(3.0)
        });
        gradients("avg_pool2d", &[&[1, 2, 4, 6]], 3, |x| {
            x[0].avg_pool2d(PoolOptions::new(2)).powf(3.0)
        });
        gradients("avg_pool2d overlapping", &[&[1, 2, 5, 6]], 3, |x| {
            x[0].avg_pool2d(overlap).powf(3.0)
        });
        gradients("adaptive_avg_pool2d", &[&[1, 2, 5, 7]], 3, |x| {
            x[0].adaptive_avg_pool2d(2, 3).powf(3.0)
        });
        gradients("global average", &[&[1, 2, 5, 7]], 3, |x| {
            x[0].adaptive_avg_pool2d(1, 1).powf(3.0)
        });
        gradients("nearest", &[&[1, 1, 3, 4]], 2, |x| {
            x[0].resize2d(6, 5, Interpolation::Nearest).square()
        });
        gradients("bilinear", &[&[1, 1, 3, 4]], 2, |x| {
            x[0].resize2d(6, 5, Interpolation::Bilinear).square()
        });
    }

    fn image(values: &[f32], h: usize, w: usize, like: (&crate::Device, crate::DType)) -> Tensor {
        Tensor::new(values, &[1, 1, h, w], like.0).unwrap().to_dtype(like.1)
    }

    #[test]
    fn ties_go_to_the_first_pixel() {
        each_device(|device, dtype| {
            let x = image(&[1.0; 16], 4, 4, (device, dtype));
            let slope = |options| {
                grad(move |x: &Tensor| x.max_pool2d(options).sum())(&x).to_f64s().unwrap()
            };
            let expected =
                [1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            assert_eq!(slope(PoolOptions::new(2)), expected);
            // Windows at -1 and 1 with kernel 3; rows and columns 0 and 1 hold their first pixels.
            let overlapping = slope(PoolOptions::new(3).stride(2).padding(1));
            let expected =
                [1.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
            assert_eq!(overlapping, expected);
        });
    }

    #[test]
    fn values() {
        each_device(|device, dtype| {
            let x = Tensor::arange(16, device).to_dtype(dtype).reshape(&[1, 1, 4, 4]);
            let read = |t: Tensor| t.to_f64s().unwrap();
            assert_eq!(read(x.max_pool2d(PoolOptions::new(2))), [5.0, 7.0, 13.0, 15.0]);
            assert_eq!(read(x.avg_pool2d(PoolOptions::new(2))), [2.5, 4.5, 10.5, 12.5]);
            // Zeros of the border count.
            let padded = x.avg_pool2d(PoolOptions::new(2).padding(1));
            assert_eq!(read(padded), [0.0, 0.75, 0.75, 3.0, 7.5, 4.5, 3.0, 6.75, 3.75]);
            assert_eq!(read(x.adaptive_avg_pool2d(1, 1)), [7.5]);
            let negative = -(x.clone() + 1.0);
            assert_eq!(
                read(negative.max_pool2d(PoolOptions::new(3).stride(2).padding(1))),
                [-1.0, -2.0, -5.0, -6.0]
            );
            let two = image(&[0.0, 1.0], 1, 2, (device, dtype));
            assert_eq!(read(two.resize2d(1, 4, Interpolation::Nearest)), [0.0, 0.0, 1.0, 1.0]);
            assert_eq!(read(two.resize2d(1, 4, Interpolation::Bilinear)), [0.0, 0.25, 0.75, 1.0]);
        });
    }
}
