//! Order: argsort, sort and top-k. Ties keep the order of their indices, on every device.

use crate::ir::Op;
use crate::ir::shape::axis;
use crate::{DType, Tensor};

impl Tensor {
    /// The indices that sort the tensor along an axis, as I32. Equal values keep their order; NaN comes last.
    #[track_caller]
    pub fn argsort(&self, along: isize, descending: bool) -> Tensor {
        let axis = axis("argsort", along, self.shape());
        Tensor::apply(Op::ArgSort { axis, descending }, &[self], self.shape(), DType::I32)
    }

    /// The values sorted along an axis.
    #[track_caller]
    pub fn sort(&self, along: isize, descending: bool) -> Tensor {
        self.gather(along, &self.argsort(along, descending))
    }

    /// The `k` largest values along an axis, largest first, and their indices (I32). Equal values rank by index.
    ///
    /// # Panics
    /// If the axis is shorter than `k`.
    #[track_caller]
    pub fn top_k(&self, k: usize, along: isize) -> (Tensor, Tensor) {
        let a = axis("top_k", along, self.shape());
        assert!(k <= self.shape()[a], "top_k: {k} exceeds axis {a} of shape {:?}", self.shape());
        let indices = self.argsort(along, true).narrow(along, 0, k);
        (self.gather(along, &indices), indices)
    }
}

#[cfg(test)]
mod tests {
    use crate::Tensor;
    use crate::testing::{each_device, gradients};

    #[test]
    fn order_is_stable_and_nan_is_last() {
        each_device(|device, dtype| {
            let values = [2.0f32, f32::NAN, 1.0, 2.0, -1.0, f32::INFINITY];
            let x = Tensor::new(&values, &[6], device).unwrap().to_dtype(dtype);
            assert_eq!(x.argsort(0, false).to_vec::<i32>().unwrap(), [4, 2, 0, 3, 5, 1]);
            assert_eq!(x.argsort(0, true).to_vec::<i32>().unwrap(), [5, 0, 3, 2, 4, 1]);
            let (best, at) = x.top_k(2, 0);
            assert_eq!(at.to_vec::<i32>().unwrap(), [5, 0]);
            assert_eq!(best.to_f64s().unwrap(), [f64::INFINITY, 2.0]);
            let columns = Tensor::new(&[3, 1, 2, 0, 1, 5], &[3, 2], device).unwrap();
            assert_eq!(columns.sort(0, false).to_vec::<i32>().unwrap(), [1, 0, 2, 1, 3, 5]);
        });
    }

    #[test]
    fn gradients_follow_the_order() {
        gradients("sort", &[&[2, 4]], 2, |x| x[0].sort(1, true).square().cumulative_weights());
        gradients("top_k", &[&[2, 5]], 2, |x| x[0].top_k(2, 1).0.square());
    }

    impl Tensor {
        /// Weights each element by its place along the last axis, so that the order matters.
        fn cumulative_weights(&self) -> Tensor {
            let n = self.shape()[self.rank() - 1];
            self * Tensor::arange(n, self.device()).to_dtype(self.dtype())
        }
    }
}
