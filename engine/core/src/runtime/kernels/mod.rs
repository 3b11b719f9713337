//! How each operation is computed, generic over Burn's backends. One file a family, as in `ops/`.

pub(super) mod conv;
mod elementwise;
pub(super) mod layout;
mod order;
#[cfg(test)]
mod tests;

use burn_backend::Shape;

use super::backend::{Backed, Padding, Value, float_dtype};
use crate::ir::Op;
use crate::{DType, Precision};

/// One input: its value and what it stands for. Shapes are physical: a scalar has shape `[1]`.
pub(super) struct Arg<B: Backed> {
    pub value: Value<B>,
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub device: B::Device,
}

/// What the output must be.
pub(super) struct Out<B: Backed> {
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub device: B::Device,
    /// How long a loop in a shader may be; longer ones are divided.
    pub loop_limit: Option<usize>,
    /// In what convolutions and matrix products multiply.
    pub precision: Precision,
}

impl<B: Backed> Arg<B> {
    /// Spreads a constant out.
    pub fn dense(self) -> Value<B> {
        let Value::Fill(value) = self.value else {
            return self.value;
        };
        let shape = Shape::from(self.shape);
        match self.dtype {
            DType::F32 | DType::F64 => Value::Float(B::float_full(
                shape,
                value.into(),
                &self.device,
                float_dtype(self.dtype),
            )),
            DType::I32 | DType::U8 => Value::Int(B::int_full(
                shape,
                (value as i64).into(),
                &self.device,
                B::int_dtype(self.dtype),
            )),
            DType::Bool => {
                let dtype = B::bool_dtype(&self.device);
                Value::Bool(if value != 0.0 {
                    B::bool_ones(shape, &self.device, dtype)
                } else {
                    B::bool_zeros(shape, &self.device, dtype)
                })
            }
        }
    }

    fn float(self) -> B::FloatTensorPrimitive {
        match self.dense() {
            Value::Float(t) => t,
            _ => panic!("a float tensor is needed"),
        }
    }

    fn int(self) -> B::IntTensorPrimitive {
        match self.dense() {
            Value::Int(t) => t,
            _ => panic!("an integer tensor is needed"),
        }
    }

    fn bool(self) -> B::BoolTensorPrimitive {
        match self.dense() {
            Value::Bool(t) => t,
            _ => panic!("a Bool tensor is needed"),
        }
    }
}

/// Computes one operation.
pub(super) fn run<B: Backed>(op: &Op, args: Vec<Arg<B>>, out: &Out<B>) -> Result<Value<B>, String> {
    let mut args = args.into_iter();
    let mut next = || args.next().expect("the operation has this input");
    Ok(match op {
        Op::Data | Op::Full(_) | Op::Call { .. } | Op::Logic(_) | Op::IsFinite => {
            unreachable!("{} is not computed by a kernel of its own", op.name())
        }
        Op::Iota => Value::Int(B::int_arange(
            0..out.shape[0] as i64,
            &out.device,
            B::int_dtype(out.dtype),
        )),
        Op::Random(draw) => {
            let values = B::random(*draw, &out.shape, &out.device);
            Value::Float(if out.dtype == DType::F64 {
                B::float_cast(values, float_dtype(out.dtype))
            } else {
                values
            })
        }
        Op::Alias | Op::Fence | Op::Detach => next().dense(),
        Op::Unary(op) => Value::Int(elementwise::unary::<B>(*op, next().int())),
        Op::Binary(op) => Value::Int(elementwise::binary::<B>(*op, next().int(), next().int())),
        Op::Compare(op) => Value::Bool(elementwise::compare::<B>(*op, next(), next(), out)),
        Op::Select => elementwise::select(next(), next(), next()),
        Op::Cast => elementwise::cast(next(), out),
        Op::Sum(axes) => Value::Int(order::sum::<B>(next().int(), axes, out)),
        Op::ArgMax(axis) => Value::Int(order::argmax::<B>(next(), *axis, out)?),
        Op::ArgSort { axis, descending } => {
            Value::Int(order::argsort::<B>(next(), *axis, *descending)?)
        }
        Op::Reshape => layout::reshape(next(), out),
        Op::Broadcast => layout::expand(next(), out),
        Op::Permute(axes) => layout::permute(next(), axes),
        Op::Slice(axes) => layout::slice(next(), axes),
        Op::Pad(axes) => layout::pad(next(), axes, out),
        Op::Concat(axis) => layout::concat(args.collect(), *axis),
        Op::Gather(axis) => layout::gather(next(), next(), *axis),
        Op::ScatterAdd(axis) => {
            let (values, indices) = (next().float(), next().int());
            Value::Float(B::scatter_add(
                *axis,
                values,
                indices,
                out.shape[*axis],
                out.loop_limit,
            ))
        }
        Op::MatMul => Value::Float(B::matmul(next().float(), next().float(), out.precision)),
        Op::Conv(conv) => Value::Float(B::convolve(
            conv,
            next().float(),
            next().float(),
            out.precision,
        )),
        Op::PoolGather(_) => Value::Float(B::pool_gather(next().float(), next().int())),
        Op::PoolScatter(window) => {
            let size = [out.shape[2], out.shape[3]];
            let (values, indices) = (next().float(), next().int());
            Value::Float(B::pool_scatter(values, indices, window, size))
        }
        Op::MaxPoolIndex(window) => Value::Int(B::max_pool_index(next().float(), window)),
    })
}
