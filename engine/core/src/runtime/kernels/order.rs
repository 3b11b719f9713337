//! Reductions and sorting.

use burn_backend::{Shape, Slice, TensorMetadata};

use super::{Arg, Backed, DType, Out, Value};
use crate::Element;
use crate::ir::shape::strides;

/// Sums integers over some axes, the last axis first. (Sums of floats are programs.)
pub(super) fn sum<B: Backed>(
    x: B::IntTensorPrimitive,
    axes: &[usize],
    out: &Out<B>,
) -> B::IntTensorPrimitive {
    let limit = out.loop_limit.unwrap_or(usize::MAX);
    axes.iter().rev().fold(x, |x, &axis| sum_axis::<B>(x, axis, limit))
}

/// Sums along one axis in blocks of at most `limit` elements, then sums the blocks' sums.
fn sum_axis<B: Backed>(
    t: B::IntTensorPrimitive,
    axis: usize,
    limit: usize,
) -> B::IntTensorPrimitive {
    let mut shape = t.shape().to_vec();
    let len = shape[axis];
    if len <= limit {
        return B::int_sum_dim(t, axis);
    }
    let part = |t: B::IntTensorPrimitive, from: usize, to: usize| {
        let mut slices = vec![Slice::full(); axis + 1];
        slices[axis] = Slice::new(from as isize, Some(to as isize), 1);
        B::int_slice(t, &slices)
    };
    let blocks = len / limit;
    shape.splice(axis..=axis, [blocks, limit]);
    let whole = B::int_reshape(part(t.clone(), 0, blocks * limit), Shape::from(shape.clone()));
    shape.remove(axis + 1);
    let mut sums = vec![B::int_reshape(B::int_sum_dim(whole, axis + 1), Shape::from(shape))];
    if blocks * limit < len {
        sums.push(B::int_sum_dim(part(t, blocks * limit, len), axis));
    }
    sum_axis::<B>(B::int_cat(sums, axis), axis, limit)
}

/// Returns the index of the first largest element along an axis; computed on the host if the axis is longer than the
/// device's loop limit.
pub(super) fn argmax<B: Backed>(
    x: Arg<B>,
    axis: usize,
    out: &Out<B>,
) -> Result<B::IntTensorPrimitive, String> {
    if out.loop_limit.is_none_or(|limit| x.shape[axis] <= limit) {
        return Ok(B::float_argmax(x.float(), axis, B::int_dtype(DType::I32)));
    }
    let order = argsort::<B>(x, axis, true)?;
    let mut first = vec![Slice::full(); axis + 1];
    first[axis] = Slice::new(0, Some(1), 1);
    Ok(B::int_slice(order, &first))
}

/// Returns the indices that sort `x` along an axis, computed on the host. The sort is stable (equal elements keep
/// their order) and the same on every device. NaN comes last.
pub(super) fn argsort<B: Backed>(
    x: Arg<B>,
    axis: usize,
    descending: bool,
) -> Result<B::IntTensorPrimitive, String> {
    let (shape, dtype, device) = (x.shape.clone(), x.dtype, x.device.clone());
    let bytes = x.dense().to_bytes(dtype)?;
    let keys: Vec<f64> = match dtype {
        DType::F64 => f64::from_bytes(&bytes),
        DType::F32 => f32::from_bytes(&bytes).into_iter().map(f64::from).collect(),
        DType::I32 => i32::from_bytes(&bytes).into_iter().map(f64::from).collect(),
        DType::U8 | DType::Bool => bytes.into_iter().map(f64::from).collect(),
    };
    let (len, step) = (shape[axis], strides(&shape)[axis]);
    let mut indices = vec![0i32; keys.len()];
    let mut order: Vec<i32> = Vec::with_capacity(len);
    for line in 0..keys.len() / len.max(1) {
        let start = line / step * step * len + line % step;
        let key = |i: &i32| keys[start + *i as usize * step];
        order.clear();
        order.extend(0..len as i32);
        order.sort_by(|i, j| {
            let (a, b) = (key(i), key(j));
            let ascending = a.partial_cmp(&b).unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
            if descending && !a.is_nan() && !b.is_nan() { ascending.reverse() } else { ascending }
        });
        for (place, &i) in order.iter().enumerate() {
            indices[start + place * step] = i;
        }
    }
    match B::from_bytes(&i32::to_bytes(&indices), &shape, DType::I32, &device) {
        Value::Int(t) => Ok(t),
        _ => unreachable!("I32 is an integer type"),
    }
}
