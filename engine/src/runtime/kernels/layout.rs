//! Layout changes and gathering, for every kind of tensor.

use burn_backend::{Shape, Slice};

use super::{Arg, Backed, DType, Out, Value, float_dtype};
use crate::op::{PadAxis, SliceAxis};

/// The same call for each kind of tensor.
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
    let slices: Vec<Slice> = axes
        .iter()
        .map(|a| range(a.start, (a.len - 1) * a.step + 1, a.step))
        .collect();
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

pub(super) fn pad<B: Backed>(x: Arg<B>, axes: &[PadAxis], out: &Out<B>) -> Value<B> {
    let slices: Vec<Slice> = axes
        .iter()
        .zip(&x.shape)
        .map(|(a, &n)| {
            range(
                a.low,
                n.saturating_sub(1) * (a.interior + 1) + 1,
                a.interior + 1,
            )
        })
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
        DType::F32 | DType::F64 => Value::Float(B::float_cat(
            parts.into_iter().map(Arg::float).collect(),
            axis,
        )),
        DType::I32 | DType::U8 => {
            Value::Int(B::int_cat(parts.into_iter().map(Arg::int).collect(), axis))
        }
        DType::Bool => Value::Bool(B::bool_cat(
            parts.into_iter().map(Arg::bool).collect(),
            axis,
        )),
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
