//! Shape changes: reshape, permute, broadcast, slice and pad (each other's transposes), concat.

use crate::Tensor;
use crate::ir::shape::{axis, broadcast, lift, numel};
use crate::ir::{Op, PadAxis, SliceAxis};

/// Returns the inverse of a permutation of axes.
pub(super) fn inverse(axes: &[usize]) -> Vec<usize> {
    let mut inverse = vec![0; axes.len()];
    for (to, &from) in axes.iter().enumerate() {
        inverse[from] = to;
    }
    inverse
}

/// Applies slices along all axes.
pub(super) fn slice(axes: &[SliceAxis], x: &Tensor) -> Tensor {
    let shape: Vec<usize> = axes.iter().map(|a| a.len).collect();
    Tensor::apply(Op::Slice(axes.to_vec()), &[x], shape, x.dtype())
}

/// Applies padding with zeros along all axes.
pub(super) fn pad(axes: &[PadAxis], x: &Tensor) -> Tensor {
    let grow = |(a, &n): (&PadAxis, &usize)| a.low + n + n.saturating_sub(1) * a.interior + a.high;
    let shape: Vec<usize> = axes.iter().zip(x.shape()).map(grow).collect();
    Tensor::apply(Op::Pad(axes.to_vec()), &[x], shape, x.dtype())
}

/// Pads a slice's cotangent to the shape of the sliced tensor.
pub(super) fn slice_transpose(axes: &[SliceAxis], shape: &[usize], ct: &Tensor) -> Tensor {
    let place = |(a, &n): (&SliceAxis, &usize)| {
        let end = a.start + (a.len - 1) * a.step + 1;
        PadAxis { low: a.start, high: n - end, interior: a.step - 1 }
    };
    pad(&axes.iter().zip(shape).map(place).collect::<Vec<_>>(), ct)
}

/// Takes the cotangent of the tensor inside a padding, which has this shape.
pub(super) fn pad_transpose(axes: &[PadAxis], shape: &[usize], ct: &Tensor) -> Tensor {
    let cut =
        |(a, &n): (&PadAxis, &usize)| SliceAxis { start: a.low, step: a.interior + 1, len: n };
    slice(&axes.iter().zip(shape).map(cut).collect::<Vec<_>>(), ct)
}

/// Reverse rule: divides the cotangent into the parts.
pub(super) fn concat_vjp(axis: usize, inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
    let mut start = 0;
    let mut part = |input: &Tensor| {
        let len = input.shape()[axis];
        start += len;
        Some(ct.narrow(axis as isize, start - len, len))
    };
    inputs.iter().map(&mut part).collect()
}

/// Forward rule: joins the tangents, with zeros for missing ones.
pub(super) fn concat_jvp(
    axis: usize,
    inputs: &[Tensor],
    tangents: &[Option<Tensor>],
) -> Option<Tensor> {
    let parts: Vec<Tensor> = inputs
        .iter()
        .zip(tangents)
        .map(|(x, t)| t.clone().unwrap_or_else(|| x.zeros_like()))
        .collect();
    Some(Tensor::concat(&parts, axis as isize))
}

impl Tensor {
    /// Changes the shape. The elements stay in row-major order.
    #[track_caller]
    pub fn reshape(&self, shape: &[usize]) -> Tensor {
        if self.shape() == shape {
            return self.clone();
        }
        assert!(
            numel(shape) == self.numel(),
            "reshape: shape {:?} has {} elements, {shape:?} has {}",
            self.shape(),
            self.numel(),
            numel(shape)
        );
        Tensor::apply(Op::Reshape, &[self], shape, self.dtype())
    }

    /// Joins all axes from `from` on into one: `[n, c, h, w].flatten_from(1)` is `[n, c·h·w]`.
    #[track_caller]
    pub fn flatten_from(&self, from: usize) -> Tensor {
        let mut shape = self.shape()[..from].to_vec();
        shape.push(self.shape()[from..].iter().product());
        self.reshape(&shape)
    }

    /// Stretches axes of size 1, and adds axes in front, by NumPy's rule.
    #[track_caller]
    pub fn broadcast_to(&self, shape: &[usize]) -> Tensor {
        if self.shape() == shape {
            return self.clone();
        }
        assert!(
            broadcast(self.shape(), shape).as_deref() == Some(shape),
            "broadcast_to: shape {:?} does not stretch to {shape:?}",
            self.shape()
        );
        let lifted = self.reshape(&lift(self.shape(), shape.len()));
        if lifted.shape() == shape {
            return lifted;
        }
        Tensor::apply(Op::Broadcast, &[&lifted], shape, self.dtype())
    }

    /// Reorders axes: axis `i` of the result is axis `order[i]` of the input.
    #[track_caller]
    pub fn permute(&self, order: &[usize]) -> Tensor {
        let mut sorted = order.to_vec();
        sorted.sort_unstable();
        assert!(
            sorted.iter().copied().eq(0..self.rank()),
            "permute: {order:?} is no order of the axes of shape {:?}",
            self.shape()
        );
        if order.iter().copied().eq(0..self.rank()) {
            return self.clone();
        }
        let shape: Vec<usize> = order.iter().map(|&a| self.shape()[a]).collect();
        Tensor::apply(Op::Permute(order.to_vec()), &[self], shape, self.dtype())
    }

    /// Exchanges two axes.
    #[track_caller]
    pub fn transpose(&self, a: isize, b: isize) -> Tensor {
        let (a, b) = (axis("transpose", a, self.shape()), axis("transpose", b, self.shape()));
        let mut order: Vec<usize> = (0..self.rank()).collect();
        order.swap(a, b);
        self.permute(&order)
    }

    /// Selects the indices `start, start + step, …` below `end` along an axis.
    #[track_caller]
    pub fn slice(&self, along: isize, start: usize, end: usize, step: usize) -> Tensor {
        let a = axis("slice", along, self.shape());
        assert!(
            step > 0 && start < end && end <= self.shape()[a],
            "slice: {start}..{end} by {step} is not within axis {a} of shape {:?}",
            self.shape()
        );
        if (start, end, step) == (0, self.shape()[a], 1) {
            return self.clone();
        }
        let mut axes: Vec<SliceAxis> =
            self.shape().iter().map(|&len| SliceAxis { start: 0, step: 1, len }).collect();
        axes[a] = SliceAxis { start, step, len: (end - start).div_ceil(step) };
        slice(&axes, self)
    }

    /// Selects the indices `start..start + len` along an axis.
    #[track_caller]
    pub fn narrow(&self, along: isize, start: usize, len: usize) -> Tensor {
        self.slice(along, start, start + len, 1)
    }

    /// One element of an axis; the axis is removed from the shape.
    #[track_caller]
    pub fn index(&self, along: isize, at: usize) -> Tensor {
        let a = axis("index", along, self.shape());
        let mut shape = self.shape().to_vec();
        shape.remove(a);
        self.narrow(along, at, 1).reshape(&shape)
    }

    /// Pads with a constant: `around` has the numbers of elements before and after, for each axis.
    #[track_caller]
    pub fn pad(&self, around: &[(usize, usize)], value: f64) -> Tensor {
        assert!(
            around.len() == self.rank(),
            "pad: {} pairs were given for shape {:?}",
            around.len(),
            self.shape()
        );
        if around.iter().all(|&p| p == (0, 0)) {
            return self.clone();
        }
        let axes: Vec<PadAxis> =
            around.iter().map(|&(low, high)| PadAxis { low, high, interior: 0 }).collect();
        if value == 0.0 {
            return pad(&axes, self);
        }
        let inside = pad(&axes, &self.ones_like());
        let padded = pad(&axes, self);
        inside.eq(&inside.ones_like()).where_(&padded, &padded.full_like(value))
    }

    /// Joins tensors along an existing axis.
    #[track_caller]
    pub fn concat(parts: &[Tensor], along: isize) -> Tensor {
        assert!(!parts.is_empty(), "concat: there is nothing to join");
        let a = axis("concat", along, parts[0].shape());
        let mut shape = parts[0].shape().to_vec();
        for part in &parts[1..] {
            let fits = part.rank() == shape.len()
                && part.dtype() == parts[0].dtype()
                && (0..shape.len()).all(|i| i == a || part.shape()[i] == shape[i]);
            assert!(
                fits,
                "concat: {} {:?} and {} {:?} do not join along axis {a}",
                parts[0].dtype(),
                parts[0].shape(),
                part.dtype(),
                part.shape()
            );
            shape[a] += part.shape()[a];
        }
        if parts.len() == 1 {
            return parts[0].clone();
        }
        Tensor::apply(Op::Concat(a), &parts.iter().collect::<Vec<_>>(), shape, parts[0].dtype())
    }

    /// Joins tensors of the same shape along a new axis, which is axis `at` of the result.
    #[track_caller]
    pub fn stack(parts: &[Tensor], at: usize) -> Tensor {
        let widened: Vec<Tensor> = parts
            .iter()
            .map(|part| {
                let mut shape = part.shape().to_vec();
                shape.insert(at, 1);
                part.reshape(&shape)
            })
            .collect();
        Tensor::concat(&widened, at as isize)
    }
}

#[cfg(test)]
mod tests {
    use crate::Tensor;
    use crate::testing::{each_device, gradients};

    #[test]
    fn gradients_of_layout_changes() {
        gradients("reshape", &[&[2, 6]], 2, |x| x[0].reshape(&[3, 4]).square());
        gradients("permute", &[&[2, 3, 4]], 2, |x| x[0].permute(&[2, 0, 1]).square());
        gradients("broadcast", &[&[2, 1]], 2, |x| x[0].broadcast_to(&[3, 2, 4]).square());
        gradients("slice", &[&[3, 7]], 2, |x| x[0].slice(1, 1, 6, 2).square());
        gradients("narrow", &[&[3, 7]], 2, |x| x[0].narrow(0, 1, 2).square());
        gradients("index", &[&[3, 2]], 2, |x| x[0].index(0, 1).square());
        gradients("pad", &[&[2, 3]], 2, |x| x[0].pad(&[(1, 0), (2, 1)], 0.5).square());
        gradients("concat", &[&[2, 3], &[2, 1]], 2, |x| Tensor::concat(x, 1).square());
        gradients("stack", &[&[2], &[2]], 2, |x| Tensor::stack(x, 1).square());
    }

    #[test]
    fn values() {
        each_device(|device, dtype| {
            let x = Tensor::arange(6, device).to_dtype(dtype).reshape(&[2, 3]);
            assert_eq!(x.transpose(0, 1).to_f64s().unwrap(), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
            assert_eq!(x.slice(1, 0, 3, 2).to_f64s().unwrap(), [0.0, 2.0, 3.0, 5.0]);
            assert_eq!(
                x.index(0, 0).pad(&[(1, 1)], 7.0).to_f64s().unwrap(),
                [7.0, 0.0, 1.0, 2.0, 7.0]
            );
            let halves = [x.narrow(1, 0, 1), x.narrow(1, 1, 2)];
            assert_eq!(Tensor::concat(&halves, 1).to_f64s().unwrap(), x.to_f64s().unwrap());
            assert_eq!(x.broadcast_to(&[2, 2, 3]).sum().item().unwrap(), 30.0);
            // Views of views.
            let view = x.transpose(0, 1).narrow(0, 1, 2).reshape(&[4]);
            assert_eq!(view.to_f64s().unwrap(), [1.0, 4.0, 2.0, 5.0]);
        });
    }
}
