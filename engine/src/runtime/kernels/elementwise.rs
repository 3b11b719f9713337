//! Elementwise operations. A constant operand becomes Burn's scalar form instead of a tensor.

use burn_backend::Scalar;

use super::{Arg, Backed, DType, Out, Value, float_dtype};
use crate::op::{Binary, Compare, Logic, Unary};

pub(super) fn unary<B: Backed>(op: Unary, x: Arg<B>) -> Value<B> {
    if x.dtype == DType::I32 {
        let x = x.int();
        return Value::Int(match op {
            Unary::Neg => B::int_neg(x),
            Unary::Abs => B::int_abs(x),
            Unary::Sign => B::int_sign(x),
            _ => unreachable!("checked when the node was made"),
        });
    }
    let x = x.float();
    Value::Float(match op {
        Unary::Neg => B::float_neg(x),
        Unary::Exp => B::float_exp(x),
        Unary::Log => B::float_log(x),
        Unary::Log1p => B::float_log1p(x),
        Unary::Sqrt => B::float_sqrt(x),
        Unary::Recip => B::float_recip(x),
        Unary::Abs => B::float_abs(x),
        Unary::Sign => B::float_sign(x),
        Unary::Floor => B::float_floor(x),
        Unary::Sin => B::float_sin(x),
        Unary::Cos => B::float_cos(x),
        Unary::Tanh => B::float_tanh(x),
        Unary::Sigmoid => B::sigmoid(x),
        // max(x, 0) + ln(1 + e^−|x|)
        Unary::Softplus => {
            let tail = B::float_log1p(B::float_exp(B::float_neg(B::float_abs(x.clone()))));
            B::float_add(B::relu(x), tail)
        }
        Unary::Relu => B::relu(x),
        Unary::Erf => B::float_erf(x),
        Unary::Powf(p) => B::float_powf_scalar(x, p.into()),
    })
}

pub(super) fn binary<B: Backed>(op: Binary, a: Arg<B>, b: Arg<B>, out: &Out<B>) -> Value<B> {
    if a.dtype == DType::I32 {
        let (a, b) = (a.int(), b.int());
        return Value::Int(match op {
            Binary::Add => B::int_add(a, b),
            Binary::Sub => B::int_sub(a, b),
            Binary::Mul => B::int_mul(a, b),
            Binary::Div => B::int_div(a, b),
        });
    }
    // Only where the constant does not stretch the other operand.
    let scalar = |constant: &Arg<B>, tensor: &Arg<B>| {
        constant
            .fill()
            .filter(|_| tensor.fill().is_none() && tensor.shape == out.shape)
    };
    Value::Float(if let Some(c) = scalar(&b, &a) {
        let (a, c) = (a.float(), Scalar::from(c));
        match op {
            Binary::Add => B::float_add_scalar(a, c),
            Binary::Sub => B::float_sub_scalar(a, c),
            Binary::Mul => B::float_mul_scalar(a, c),
            Binary::Div => B::float_div_scalar(a, c),
        }
    } else if let Some(c) = scalar(&a, &b) {
        let (b, c) = (b.float(), Scalar::from(c));
        match op {
            Binary::Add => B::float_add_scalar(b, c),
            Binary::Sub => B::float_add_scalar(B::float_neg(b), c),
            Binary::Mul => B::float_mul_scalar(b, c),
            Binary::Div => B::float_mul_scalar(B::float_recip(b), c),
        }
    } else {
        let (a, b) = (a.float(), b.float());
        match op {
            Binary::Add => B::float_add(a, b),
            Binary::Sub => B::float_sub(a, b),
            Binary::Mul => B::float_mul(a, b),
            Binary::Div => B::float_div(a, b),
        }
    })
}

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
    if !a.dtype.is_float() {
        let (a, b) = (a.int(), b.int());
        return match op {
            Compare::Eq => B::int_equal(a, b, bool),
            Compare::Gt => B::int_greater(a, b, bool),
            Compare::Ge => B::int_greater_equal(a, b, bool),
            Compare::Lt => B::int_lower(a, b, bool),
            Compare::Le => B::int_lower_equal(a, b, bool),
        };
    }
    match b.fill() {
        Some(c) if a.fill().is_none() && a.shape == out.shape => {
            let (a, c) = (a.float(), Scalar::from(c));
            match op {
                Compare::Eq => B::float_equal_elem(a, c, bool),
                Compare::Gt => B::float_greater_elem(a, c, bool),
                Compare::Ge => B::float_greater_equal_elem(a, c, bool),
                Compare::Lt => B::float_lower_elem(a, c, bool),
                Compare::Le => B::float_lower_equal_elem(a, c, bool),
            }
        }
        _ => {
            let (a, b) = (a.float(), b.float());
            match op {
                Compare::Eq => B::float_equal(a, b, bool),
                Compare::Gt => B::float_greater(a, b, bool),
                Compare::Ge => B::float_greater_equal(a, b, bool),
                Compare::Lt => B::float_lower(a, b, bool),
                Compare::Le => B::float_lower_equal(a, b, bool),
            }
        }
    }
}

pub(super) fn logic<B: Backed>(op: Logic, a: Arg<B>, b: Option<Arg<B>>) -> B::BoolTensorPrimitive {
    let a = a.bool();
    let b = b.map(Arg::bool);
    match (op, b) {
        (Logic::And, Some(b)) => B::bool_and(a, b),
        (Logic::Or, Some(b)) => B::bool_or(a, b),
        (Logic::Not, None) => B::bool_not(a),
        _ => unreachable!("{} was recorded with the wrong number of inputs", op.name()),
    }
}

/// `cond ? a : b`
pub(super) fn select<B: Backed>(cond: Arg<B>, a: Arg<B>, b: Arg<B>) -> Value<B> {
    if cond.fill().is_none() && a.dtype.is_float() {
        match (a.fill(), b.fill()) {
            (Some(c), None) => {
                return Value::Float(B::float_mask_fill(b.float(), cond.bool(), c.into()));
            }
            (None, Some(c)) => {
                return Value::Float(B::float_mask_fill(
                    a.float(),
                    B::bool_not(cond.bool()),
                    c.into(),
                ));
            }
            _ => {}
        }
    }
    let cond = cond.bool();
    match (a.dense(), b.dense()) {
        (Value::Float(a), Value::Float(b)) => Value::Float(B::float_mask_where(b, cond, a)),
        (Value::Int(a), Value::Int(b)) => Value::Int(B::int_mask_where(b, cond, a)),
        (Value::Bool(a), Value::Bool(b)) => Value::Bool(B::bool_mask_where(b, cond, a)),
        _ => unreachable!("types were checked when the node was made"),
    }
}

pub(super) fn cast<B: Backed>(x: Arg<B>, out: &Out<B>) -> Value<B> {
    let float = out.dtype.is_float();
    match x.dense() {
        Value::Float(t) if float => Value::Float(B::float_cast(t, float_dtype(out.dtype))),
        Value::Float(t) => Value::Int(B::float_into_int(t, B::int_dtype(out.dtype))),
        Value::Int(t) if float => Value::Float(B::int_into_float(t, float_dtype(out.dtype))),
        Value::Int(t) => Value::Int(B::int_cast(t, B::int_dtype(out.dtype))),
        Value::Bool(t) if float => Value::Float(B::bool_into_float(t, float_dtype(out.dtype))),
        Value::Bool(t) => Value::Int(B::bool_into_int(t, B::int_dtype(out.dtype))),
        Value::Fill(_) => unreachable!("a dense value is no fill"),
    }
}
