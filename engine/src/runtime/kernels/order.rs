//! Reductions and sorting.

use super::{Arg, Backed, DType, Value};
use crate::Element;
use crate::shape::strides;

/// Sums axis by axis, the last first. (Burn's `float_sum` may use float atomics, whose order is not fixed.)
pub(super) fn sum<B: Backed>(x: Arg<B>, axes: &[usize]) -> Value<B> {
    if let (Some(value), true) = (x.fill(), x.dtype.is_float()) {
        let count: usize = axes.iter().map(|&a| x.shape[a]).product();
        return Value::Fill(value * count as f64);
    }
    match x.dense() {
        Value::Float(t) => Value::Float(axes.iter().rev().fold(t, |t, &a| B::float_sum_dim(t, a))),
        Value::Int(t) => Value::Int(axes.iter().rev().fold(t, |t, &a| B::int_sum_dim(t, a))),
        _ => unreachable!("checked when the node was made"),
    }
}

/// Sorts on the host: stable, so that ties keep their order, and the same on every device. NaN comes last.
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
            let ascending = a
                .partial_cmp(&b)
                .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()));
            if descending && !a.is_nan() && !b.is_nan() {
                ascending.reverse()
            } else {
                ascending
            }
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
