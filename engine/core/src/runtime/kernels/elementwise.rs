//! Elementwise operations on integers and truth values, and conversions. (Those on floats are programs.)

use super::{Arg, Backed, DType, Out, Value, float_dtype};
use crate::ir::{Binary, Compare, Unary};

pub(super) fn unary<B: Backed>(op: Unary, x: B::IntTensorPrimitive) -> B::IntTensorPrimitive {
    match op {
        Unary::Neg => B::int_neg(x),
        Unary::Abs => B::int_abs(x),
        Unary::Sign => B::int_sign(x),
        _ => unreachable!("checked when the node was made"),
    }
}

pub(super) fn binary<B: Backed>(
    op: Binary,
    a: B::IntTensorPrimitive,
    b: B::IntTensorPrimitive,
) -> B::IntTensorPrimitive {
    match op {
        Binary::Add => B::int_add(a, b),
        Binary::Sub => B::int_sub(a, b),
        Binary::Mul => B::int_mul(a, b),
        Binary::Div => B::int_div(a, b),
    }
}

/// Compares integers, or Bool values for equality.
pub(super) fn compare<B: Backed>(
    op: Compare,
    a: Arg<B>,
    b: Arg<B>,
    out: &Out<B>,
) -> B::BoolTensorPrimitive {
    let bool = B::bool_dtype(&out.device);
    if a.dtype == DType::Bool {
        assert!(op == Compare::Eq, "{}: Bool has no order", op.name());
        return B::bool_equal(a.bool(), b.bool());
    }
    let (a, b) = (a.int(), b.int());
    match op {
        Compare::Eq => B::int_equal(a, b, bool),
        Compare::Gt => B::int_greater(a, b, bool),
        Compare::Ge => B::int_greater_equal(a, b, bool),
        Compare::Lt => B::int_lower(a, b, bool),
        Compare::Le => B::int_lower_equal(a, b, bool),
    }
}

/// `cond ? a : b`
pub(super) fn select<B: Backed>(cond: Arg<B>, a: Arg<B>, b: Arg<B>) -> Value<B> {
    let cond = cond.bool();
    match (a.dense(), b.dense()) {
        (Value::Int(a), Value::Int(b)) => Value::Int(B::int_mask_where(b, cond, a)),
        (Value::Bool(a), Value::Bool(b)) => Value::Bool(B::bool_mask_where(b, cond, a)),
        _ => unreachable!("types were checked when the node was made"),
    }
}

/// Converts a value to the output's type.
pub(super) fn cast<B: Backed>(x: Arg<B>, out: &Out<B>) -> Value<B> {
    let float = out.dtype.is_float();
    match x.dense() {
        Value::Float(t) if float => Value::Float(B::float_cast(t, float_dtype(out.dtype))),
        Value::Float(t) => Value::Int(B::float_into_int(t, B::int_dtype(out.dtype))),
        Value::Int(t) => Value::Int(B::int_cast(t, B::int_dtype(out.dtype))),
        Value::Bool(t) => Value::Int(B::bool_into_int(t, B::int_dtype(out.dtype))),
        Value::Fill(_) => unreachable!("a dense value is no fill"),
    }
}
