//! Kernels of the operations, generic over Burn's backends: one file for each family, as in `ops/`.

mod elementwise;
pub(super) mod layout;
mod order;
#[cfg(test)]
mod tests;

use burn_backend::Shape;
use burn_backend::ops::FloatTensorOps;
use burn_flex::Flex;

use super::backend::{Backed, Padding, Value, float_dtype};
use super::{cpu, wgsl};
use crate::ir::Op;
use crate::{DType, Precision};

/// An input of a kernel: its value, shape, logical type and device. Shapes are physical: a scalar has shape `[1]`.
pub(super) struct Arg<B: Backed> {
    pub value: Value<B>,
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub device: B::Device,
}

/// Required properties of the output.
pub(super) struct Out<B: Backed> {
    pub shape: Vec<usize>,
    pub dtype: DType,
    pub device: B::Device,
    /// Largest number of iterations of a loop in a shader; longer loops are divided.
    pub loop_limit: Option<usize>,
    /// Numeric precision used inside convolutions and matrix products.
    pub precision: Precision,
}

impl<B: Backed> Arg<B> {
    /// Returns the value; a constant is written to memory for all elements.
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
    let size = |axis: usize| out.shape[axis];
    Ok(match op {
        Op::Data | Op::Full(_) | Op::Call { .. } | Op::Logic(_) | Op::IsFinite => {
            unreachable!("{} is not computed by a kernel of its own", op.name())
        }
        Op::Iota => {
            Value::Int(B::int_arange(0..out.shape[0] as i64, &out.device, B::int_dtype(out.dtype)))
        }
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
        Op::ScatterAdd(axis) => B::kernel(
            [next(), next()].map(Arg::dense),
            |[x, i]| Value::Float(cpu::scatter_add(*axis, x, i, size(*axis))),
            |[x, i]| Value::Float(wgsl::scatter_add(*axis, x, i, size(*axis), out.loop_limit)),
        ),
        Op::MatMul => B::kernel(
            [next(), next()].map(Arg::dense),
            |[a, b]| Value::Float(Flex::float_matmul(a, b)),
            |[a, b]| Value::Float(wgsl::matmul(a, b, out.precision)),
        ),
        Op::Conv(conv) => B::kernel(
            [next(), next()].map(Arg::dense),
            |[a, b]| Value::Float(cpu::convolve(conv, a, b)),
            |[a, b]| Value::Float(wgsl::convolve(conv, a, b, out.precision)),
        ),
        Op::PoolGather(_) => B::kernel(
            [next(), next()].map(Arg::dense),
            |[x, i]| Value::Float(cpu::pool::pool_gather(&x, &i)),
            |[x, i]| Value::Float(wgsl::images::pool_gather(x, i)),
        ),
        Op::PoolScatter(window) => B::kernel(
            [next(), next()].map(Arg::dense),
            |[x, i]| Value::Float(cpu::pool::pool_scatter(&x, &i, [size(2), size(3)])),
            |[x, i]| Value::Float(wgsl::images::pool_scatter(x, i, window, [size(2), size(3)])),
        ),
        Op::MaxPoolIndex(window) => B::kernel(
            [next().dense()],
            |[x]| Value::Int(cpu::pool::max_pool_index(&x, window)),
            |[x]| Value::Int(wgsl::images::max_pool_index(x, window)),
        ),
    })
}
