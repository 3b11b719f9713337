//! Sums, means, variances, extrema.

use crate::ir::Op;
use crate::ir::shape::{axes, axis};
use crate::{DType, Tensor};

impl Tensor {
    /// Sum over `axes`, which keep size 1.
    pub(crate) fn sum_keep(&self, axes: &[usize]) -> Tensor {
        if axes.is_empty() {
            return self.clone();
        }
        let mut shape = self.shape().to_vec();
        for &a in axes {
            shape[a] = 1;
        }
        assert!(
            self.dtype().is_float() || self.dtype() == DType::I32,
            "sum: not defined for {}; convert with `to_dtype`",
            self.dtype()
        );
        Tensor::apply(Op::Sum(axes.to_vec()), &[self], shape, self.dtype())
    }

    /// Removes axes of size 1 from the shape, unless `keep` is true.
    fn drop_axes(&self, axes: &[usize], keep: bool) -> Tensor {
        if keep {
            return self.clone();
        }
        let kept: Vec<usize> =
            (0..self.rank()).filter(|a| !axes.contains(a)).map(|a| self.shape()[a]).collect();
        self.reshape(&kept)
    }

    /// Sum of all elements, as a scalar.
    pub fn sum(&self) -> Tensor {
        self.sum_axes(&[], false)
    }

    /// Sum over the given axes (all, if none is named); `keep` leaves them in the shape with size 1.
    #[track_caller]
    pub fn sum_axes(&self, over: &[isize], keep: bool) -> Tensor {
        let over = axes("sum", over, self.shape());
        self.sum_keep(&over).drop_axes(&over, keep)
    }

    /// Sums over broadcast axes until the shape is `shape`: the transpose of [`Tensor::broadcast_to`].
    #[track_caller]
    pub fn sum_to(&self, shape: &[usize]) -> Tensor {
        if self.shape() == shape {
            return self.clone();
        }
        let lifted = crate::ir::shape::lift(shape, self.rank());
        let over: Vec<usize> =
            (0..self.rank()).filter(|&a| lifted[a] == 1 && self.shape()[a] != 1).collect();
        let summed = self.sum_keep(&over);
        assert!(
            *summed.shape() == *lifted,
            "sum_to: shape {:?} does not reduce to {shape:?} by broadcast axes",
            self.shape()
        );
        summed.reshape(shape)
    }

    /// Mean of all elements, as a scalar.
    pub fn mean(&self) -> Tensor {
        self.mean_axes(&[], false)
    }

    /// Mean over the given axes (all, if none is named).
    #[track_caller]
    pub fn mean_axes(&self, over: &[isize], keep: bool) -> Tensor {
        let over = axes("mean", over, self.shape());
        let count: usize = over.iter().map(|&a| self.shape()[a]).product();
        (self.sum_keep(&over) * (1.0 / count as f64)).drop_axes(&over, keep)
    }

    /// Variance over the given axes (all, if none is named): `Σ(x − mean)²/(n − correction)`.
    ///
    /// `correction` is 0 for the population variance (used by batch norm), 1 for the sample variance (Bessel's
    /// correction).
    #[track_caller]
    pub fn var_axes(&self, over: &[isize], correction: usize, keep: bool) -> Tensor {
        let list = axes("var", over, self.shape());
        let count: usize = list.iter().map(|&a| self.shape()[a]).product();
        assert!(count > correction, "var: {count} values cannot be corrected by {correction}");
        let centred = self - self.mean_axes(over, true);
        (centred.square().sum_keep(&list) * (1.0 / (count - correction) as f64))
            .drop_axes(&list, keep)
    }

    /// The index of the largest value along an axis (the first, if several are equal), as I32.
    #[track_caller]
    pub fn argmax(&self, along: isize, keep: bool) -> Tensor {
        let a = axis("argmax", along, self.shape());
        let mut shape = self.shape().to_vec();
        shape[a] = 1;
        Tensor::apply(Op::ArgMax(a), &[self], shape, DType::I32).drop_axes(&[a], keep)
    }

    /// The largest value along an axis; where several are equal, the derivative goes to the first.
    #[track_caller]
    pub fn max_axis(&self, along: isize, keep: bool) -> Tensor {
        let a = axis("max", along, self.shape());
        self.gather(along, &self.argmax(along, true)).drop_axes(&[a], keep)
    }

    /// The largest value over the given axes (all, if none is named); where several are equal, the derivative
    /// goes to the first in row-major order.
    #[track_caller]
    pub fn max_axes(&self, over: &[isize], keep: bool) -> Tensor {
        let over = axes("max", over, self.shape());
        let kept: Vec<usize> = (0..self.rank()).filter(|a| !over.contains(a)).collect();
        let order: Vec<usize> = kept.iter().chain(&over).copied().collect();
        let rows: usize = kept.iter().map(|&a| self.shape()[a]).product();
        let best = self.permute(&order).reshape(&[rows, self.numel() / rows]).max_axis(1, false);
        let size = |a: usize| {
            if over.contains(&a) { 1 } else { self.shape()[a] }
        };
        best.reshape(&(0..self.rank()).map(size).collect::<Vec<_>>()).drop_axes(&over, keep)
    }

    /// The smallest value over the given axes; see [`Tensor::max_axes`].
    #[track_caller]
    pub fn min_axes(&self, over: &[isize], keep: bool) -> Tensor {
        -(-self).max_axes(over, keep)
    }

    /// The smallest value along an axis; where several are equal, the derivative goes to the first.
    #[track_caller]
    pub fn min_axis(&self, along: isize, keep: bool) -> Tensor {
        -(-self).max_axis(along, keep)
    }

    /// The largest of all elements, as a scalar.
    pub fn max(&self) -> Tensor {
        self.max_axes(&[], false)
    }

    /// The smallest of all elements, as a scalar.
    pub fn min(&self) -> Tensor {
        self.min_axes(&[], false)
    }

    /// Bool scalar that is true if every element is finite.
    pub fn all_finite(&self) -> Tensor {
        let finite = Tensor::apply(Op::IsFinite, &[self], self.shape(), DType::Bool);
        let others = finite.not().to_dtype(DType::F32).sum();
        others.eq(&others.zeros_like())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{each_device, gradients};
    use crate::{DType, Tensor, grad};

    #[test]
    fn gradients_of_reductions() {
        gradients("sum", &[&[2, 3, 4]], 2, |x| x[0].square().sum_axes(&[0, -1], false));
        gradients("sum all", &[&[2, 3]], 2, |x| x[0].sin().sum());
        gradients("sum_to", &[&[2, 3, 4]], 2, |x| x[0].square().sum_to(&[3, 1]));
        gradients("mean", &[&[2, 3, 4]], 2, |x| x[0].square().mean_axes(&[1], true));
        gradients("var", &[&[3, 4]], 2, |x| x[0].var_axes(&[0], 1, false));
        gradients("max", &[&[3, 4]], 2, |x| x[0].max_axis(1, false).square());
        gradients("max over two", &[&[2, 3, 4]], 2, |x| x[0].max_axes(&[0, 2], false).square());
        gradients("min", &[&[3, 4]], 2, |x| x[0].min_axis(0, true).square());
    }

    #[test]
    fn values_and_ties() {
        each_device(|device, dtype| {
            let x = Tensor::new(&[1.0f32, 3.0, 3.0, -2.0, -5.0, -2.0], &[2, 3], device)
                .unwrap()
                .to_dtype(dtype);
            assert_eq!(x.argmax(1, false).to_vec::<i32>().unwrap(), [1, 0]);
            assert_eq!(x.sum_axes(&[1], false).to_f64s().unwrap(), [7.0, -9.0]);
            assert_eq!(x.max().item().unwrap(), 3.0);
            assert_eq!(x.min().item().unwrap(), -5.0);
            assert_eq!(x.var_axes(&[], 0, false).item().unwrap().round(), 9.0);
            let slope = grad(|x: &Tensor| x.max_axis(1, false).sum())(&x);
            assert_eq!(slope.to_f64s().unwrap(), [0.0, 1.0, 0.0, 1.0, 0.0, 0.0]);
            assert!(x.all_finite().to_vec::<bool>().unwrap()[0]);
            let bad = &x / &x.zeros_like();
            assert!(!bad.all_finite().to_vec::<bool>().unwrap()[0]);
            let many = Tensor::ones(&[70_000], DType::I32, device);
            assert_eq!(many.sum().to_vec::<i32>().unwrap(), [70_000]);
        });
    }

    /// Equal elements in rows long enough for a parallel reduction.
    #[test]
    fn argmax_takes_the_first_of_equals_in_long_rows() {
        each_device(|device, dtype| {
            for n in [1000, 5000] {
                let values: Vec<f32> =
                    (0..n).map(|i| if i % 7 == 5 { 9.0 } else { (i % 5) as f32 }).collect();
                let x = Tensor::new(&values, &[1, n], device).unwrap().to_dtype(dtype);
                assert_eq!(x.argmax(1, false).to_vec::<i32>().unwrap(), [5]);
                assert_eq!(x.transpose(0, 1).argmax(0, false).to_vec::<i32>().unwrap(), [5]);
            }
        });
    }

    /// llvmpipe ends a shader's loops after 65,535 iterations, without an error.
    #[test]
    fn long_axes_are_reduced_whole() {
        each_device(|device, dtype| {
            for n in [65_536usize, 100_000, 1 << 20, (1 << 20) + 7] {
                let ones = Tensor::new(&vec![1f32; n], &[n], device).unwrap().to_dtype(dtype);
                assert_eq!(ones.sum().item().unwrap(), n as f64);
                assert_eq!(ones.reshape(&[n, 1]).sum_axes(&[0], false).item().unwrap(), n as f64);
                let whole = Tensor::ones(&[n], DType::I32, device).sum();
                assert_eq!(whole.item().unwrap(), n as f64);
                let ramp = Tensor::arange(n, device).to_dtype(dtype);
                assert_eq!(ramp.argmax(0, false).item().unwrap(), (n - 1) as f64);
                assert_eq!(ramp.max().item().unwrap(), (n - 1) as f64);
                let last = Tensor::full((n - 1) as f64, &[n], DType::I32, device);
                let counted = ones.scatter_add(0, &last, n);
                assert_eq!(counted.index(0, n - 1).item().unwrap(), n as f64);
            }
        });
    }
}
