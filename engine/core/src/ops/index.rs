//! Gathering by index, and its transpose.

use crate::ir::Op;
use crate::ir::shape::axis;
use crate::{DType, Tensor};

impl Tensor {
    /// `out[.., i, ..] = x[.., indices[.., i, ..], ..]` along one axis.
    ///
    /// `indices` is I32 and has x's shape except along the axis.
    #[track_caller]
    pub fn gather(&self, along: isize, indices: &Tensor) -> Tensor {
        let a = axis("gather", along, self.shape());
        check_indices("gather", a, indices, self.shape());
        Tensor::apply(Op::Gather(a), &[self, indices], indices.shape(), self.dtype())
    }

    /// Adds every element to zeros of length `size` along an axis, `out[.., indices[.., i, ..], ..] += x[.., i, ..]`,
    /// in order of `i`: the transpose of [`Tensor::gather`], and deterministic.
    #[track_caller]
    pub fn scatter_add(&self, along: isize, indices: &Tensor, size: usize) -> Tensor {
        let a = axis("scatter_add", along, self.shape());
        assert!(
            indices.shape() == self.shape() && indices.dtype() == DType::I32,
            "scatter_add: indices must be I32 of shape {:?}, found {} {:?}",
            self.shape(),
            indices.dtype(),
            indices.shape()
        );
        let mut shape = self.shape().to_vec();
        shape[a] = size;
        Tensor::apply(Op::ScatterAdd(a), &[self, indices], shape, self.dtype())
    }

    /// Selects slices along one axis by a list of indices (I32): `out[.., j, ..] = x[.., indices[j], ..]`.
    #[track_caller]
    pub fn take(&self, along: isize, indices: &Tensor) -> Tensor {
        let a = axis("take", along, self.shape());
        assert!(
            indices.rank() == 1,
            "take: indices must be a list, found shape {:?}",
            indices.shape()
        );
        let mut line = vec![1; self.rank()];
        line[a] = indices.numel();
        let mut shape = self.shape().to_vec();
        shape[a] = indices.numel();
        self.gather(along, &indices.reshape(&line).broadcast_to(&shape))
    }

    /// One-hot encoding of I32 labels: shape `[..]` becomes `[.., classes]` of type `dtype`.
    pub fn one_hot(&self, classes: usize, dtype: DType) -> Tensor {
        assert!(self.dtype() == DType::I32, "one_hot: labels must be I32, found {}", self.dtype());
        let mut column = self.shape().to_vec();
        column.push(1);
        self.reshape(&column).eq(&Tensor::arange(classes, self.device())).to_dtype(dtype)
    }
}

/// Panics unless `indices` are I32 and fit `shape` except along `axis`.
#[track_caller]
fn check_indices(op: &str, axis: usize, indices: &Tensor, shape: &[usize]) {
    let fits = indices.rank() == shape.len()
        && indices.shape().iter().zip(shape).enumerate().all(|(i, (a, b))| i == axis || a == b);
    assert!(
        fits && indices.dtype() == DType::I32,
        "{op}: indices must be I32 of shape {shape:?} except along axis {axis}, found {} {:?}",
        indices.dtype(),
        indices.shape()
    );
}

#[cfg(test)]
mod tests {
    use crate::testing::{each_device, gradients};
    use crate::{DType, Tensor};

    #[test]
    fn gradients_of_indexing() {
        let index = |x: &Tensor, values: &[i32], shape: &[usize]| {
            Tensor::new(values, shape, x.device()).unwrap()
        };
        gradients("gather", &[&[3, 2]], 2, |x| {
            x[0].gather(0, &index(&x[0], &[2, 0, 2, 2, 1, 0, 0, 1], &[4, 2])).square()
        });
        gradients("scatter_add", &[&[2, 4]], 2, |x| {
            x[0].scatter_add(1, &index(&x[0], &[0, 2, 2, 1, 1, 1, 1, 0], &[2, 4]), 3).square()
        });
        gradients("take", &[&[3, 2]], 2, |x| {
            x[0].take(0, &index(&x[0], &[1, 1, 2], &[3])).square()
        });
    }

    #[test]
    fn values() {
        each_device(|device, dtype| {
            let labels = Tensor::new(&[2, 0], &[2], device).unwrap();
            assert_eq!(labels.one_hot(3, dtype).to_f64s().unwrap(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
            let ones = Tensor::ones(&[5000], dtype, device);
            let bins = Tensor::arange(5000, device);
            let thirds = (&bins
                - (bins.to_dtype(dtype) / 3.0).floor().to_dtype(DType::I32)
                    * Tensor::full(3.0, &[], DType::I32, device))
            .to_dtype(DType::I32);
            assert_eq!(
                ones.scatter_add(0, &thirds, 3).to_f64s().unwrap(),
                [1667.0, 1667.0, 1666.0]
            );
        });
    }
}
