//! Layout changes and gathering, for every kind of tensor.

use burn_backend::{Shape, Slice};

use super::{Arg, Backed, DType, Out, Padding, Value, float_dtype};
use crate::ir::{PadAxis, SliceAxis};

/// Makes the same call for each kind of tensor.
macro_rules! each_kind {
    ($value:expr, |$t:ident| $float:expr, $int:expr, $bool:expr) => {
        match $value {
            Value::Float($t) => Value::Float($float),
            Value::Int($t) => Value::Int($int),
            Value::Bool($t) => Value::Bool($bool),
            Value::Fill(value) => Value::Fill(value),
        }
    };
}

pub(super) fn reshape<B: Backed>(x: Arg<B>, out: &Out<B>) -> Value<B> {
    let shape = Shape::from(out.shape.clone());
    each_kind!(
        x.value,
        |t| B::float_reshape(t, shape),
        B::int_reshape(t, shape),
        B::bool_reshape(t, shape)
    )
}

pub(super) fn expand<B: Backed>(x: Arg<B>, out: &Out<B>) -> Value<B> {
    let shape = Shape::from(out.shape.clone());
    each_kind!(
        x.value,
        |t| B::float_expand(t, shape),
        B::int_expand(t, shape),
        B::bool_expand(t, shape)
    )
}

pub(super) fn permute<B: Backed>(x: Arg<B>, axes: &[usize]) -> Value<B> {
    each_kind!(
        x.value,
        |t| B::float_permute(t, axes),
        B::int_permute(t, axes),
        B::bool_permute(t, axes)
    )
}

pub(super) fn slice<B: Backed>(x: Arg<B>, axes: &[SliceAxis]) -> Value<B> {
    let slices: Vec<Slice> =
        axes.iter().map(|a| range(a.start, (a.len - 1) * a.step + 1, a.step)).collect();
    each_kind!(
        x.value,
        |t| B::float_slice(t, &slices),
        B::int_slice(t, &slices),
        B::bool_slice(t, &slices)
    )
}

fn range(start: usize, span: usize, step: usize) -> Slice {
    Slice::new(start as isize, Some((start + span) as isize), step as isize)
}

impl Padding {
    /// Returns the same padding over as few axes as possible: an axis without padding is merged into the axis before
    /// it, unless that has gaps between its elements.
    fn joined(axes: &[PadAxis], shape: &[usize], out: &[usize]) -> Vec<Padding> {
        let mut joined: Vec<Padding> = Vec::new();
        for ((axis, &size), &out_size) in axes.iter().zip(shape).zip(out) {
            let step = axis.interior + 1;
            match joined.last_mut() {
                Some(before) if size == out_size && before.step == 1 => {
                    before.size *= size;
                    before.out_size *= size;
                    before.low *= size;
                }
                _ => joined.push(Padding {
                    size,
                    out_size,
                    low: axis.low,
                    // Between fewer than two elements there are no gaps.
                    step: if size > 1 { step } else { 1 },
                }),
            }
        }
        joined
    }
}

/// Pads with zeros, by the engine's own kernel if the backend has one for this type, otherwise by Burn's.
pub(super) fn pad<B: Backed>(x: Arg<B>, axes: &[PadAxis], out: &Out<B>) -> Value<B> {
    if out.shape.iter().chain(&x.shape).all(|&n| n > 0) {
        let joined = Padding::joined(axes, &x.shape, &out.shape);
        let (shape, dtype, device) = (x.shape.clone(), x.dtype, x.device.clone());
        let value = x.dense();
        if let Some(padded) = B::pad(&value, &joined, &out.shape) {
            return padded;
        }
        let x = Arg { value, shape, dtype, device };
        return pad_by_burn(x, axes, out);
    }
    pad_by_burn(x, axes, out)
}

/// Pads by assigning `x` to a slice of zeros.
fn pad_by_burn<B: Backed>(x: Arg<B>, axes: &[PadAxis], out: &Out<B>) -> Value<B> {
    let slices: Vec<Slice> = axes
        .iter()
        .zip(&x.shape)
        .map(|(a, &n)| range(a.low, n.saturating_sub(1) * (a.interior + 1) + 1, a.interior + 1))
        .collect();
    let shape = Shape::from(out.shape.clone());
    let device = &out.device;
    match x.dense() {
        Value::Float(t) => {
            let zeros = B::float_zeros(shape, device, float_dtype(out.dtype));
            Value::Float(B::float_slice_assign(zeros, &slices, t))
        }
        Value::Int(t) => {
            let zeros = B::int_zeros(shape, device, B::int_dtype(out.dtype));
            Value::Int(B::int_slice_assign(zeros, &slices, t))
        }
        Value::Bool(t) => {
            let zeros = B::bool_zeros(shape, device, B::bool_dtype(device));
            Value::Bool(B::bool_slice_assign(zeros, &slices, t))
        }
        Value::Fill(_) => unreachable!("a dense value is no fill"),
    }
}

pub(super) fn concat<B: Backed>(parts: Vec<Arg<B>>, axis: usize) -> Value<B> {
    match parts[0].dtype {
        DType::F32 | DType::F64 => {
            Value::Float(B::float_cat(parts.into_iter().map(Arg::float).collect(), axis))
        }
        DType::I32 | DType::U8 => {
            Value::Int(B::int_cat(parts.into_iter().map(Arg::int).collect(), axis))
        }
        DType::Bool => Value::Bool(B::bool_cat(parts.into_iter().map(Arg::bool).collect(), axis)),
    }
}

pub(super) fn gather<B: Backed>(x: Arg<B>, indices: Arg<B>, axis: usize) -> Value<B> {
    let indices = indices.int();
    each_kind!(
        x.dense(),
        |t| B::float_gather(axis, t, indices),
        B::int_gather(axis, t, indices),
        B::bool_gather(axis, t, indices)
    )
}
