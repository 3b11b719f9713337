//! The closed set of operations, one file a family: shape rule, derivative rules and checks together.
//! (How each is computed on Burn's backends stands in `runtime/kernels/`, under the same names.)
//!
//! Every derivative rule is written with public tensor functions, so that its result can be differentiated
//! again. Linear operations pair with their transposes; all else is composed from what is here.

pub(crate) mod call;
mod control;
mod conv;
mod elementwise;
mod index;
mod layout;
mod logic;
mod matmul;
mod operators;
mod pool;
mod reduce;
mod sort;

pub use conv::ConvOptions;
pub(crate) use conv::{Conv, ConvKind};
pub(crate) use elementwise::{Binary, Unary};
pub(crate) use layout::{PadAxis, SliceAxis};
pub(crate) use logic::{Compare, Logic};
pub use pool::Interpolation;
pub use pool::PoolOptions;
pub(crate) use pool::Window;

use crate::Tensor;

/// What a node computes from its inputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    // sources
    Data,
    Full(f64),
    Iota,
    Random(crate::random::Draw),
    // control
    Alias,
    /// The same value, computed apart: what is made of it is never taken for what is made of its input.
    Fence,
    Detach,
    Call {
        output: usize,
    },
    // elementwise
    Unary(Unary),
    Binary(Binary),
    Compare(Compare),
    Logic(Logic),
    IsFinite,
    Select,
    Cast,
    // reductions and order
    Sum(Vec<usize>),
    ArgMax(usize),
    ArgSort {
        axis: usize,
        descending: bool,
    },
    // layout
    Reshape,
    Broadcast,
    Permute(Vec<usize>),
    Slice(Vec<SliceAxis>),
    Pad(Vec<PadAxis>),
    Concat(usize),
    // indexing
    Gather(usize),
    ScatterAdd(usize),
    // contractions and windows
    MatMul,
    Conv(Conv),
    MaxPoolIndex(Window),
    PoolGather(Window),
    PoolScatter(Window),
}

impl Op {
    /// The name that messages and plans use.
    pub fn name(&self) -> &'static str {
        match self {
            Op::Data => "data",
            Op::Full(_) => "full",
            Op::Iota => "arange",
            Op::Random(_) => "random",
            Op::Alias => "alias",
            Op::Fence => "fence",
            Op::Detach => "stop_gradient",
            Op::Call { .. } => "call",
            Op::Unary(op) => op.name(),
            Op::Binary(op) => op.name(),
            Op::Compare(op) => op.name(),
            Op::Logic(op) => op.name(),
            Op::IsFinite => "is_finite",
            Op::Select => "where",
            Op::Cast => "to_dtype",
            Op::Sum(_) => "sum",
            Op::ArgMax(_) => "argmax",
            Op::ArgSort { .. } => "argsort",
            Op::Reshape => "reshape",
            Op::Broadcast => "broadcast_to",
            Op::Permute(_) => "permute",
            Op::Slice(_) => "slice",
            Op::Pad(_) => "pad",
            Op::Concat(_) => "concat",
            Op::Gather(_) => "gather",
            Op::ScatterAdd(_) => "scatter_add",
            Op::MatMul => "matmul",
            Op::Conv(conv) => conv.name(),
            Op::MaxPoolIndex(_) => "max_pool_index",
            Op::PoolGather(_) => "pool_gather",
            Op::PoolScatter(_) => "pool_scatter",
        }
    }

    /// Whether it has no inputs.
    pub fn is_source(&self) -> bool {
        matches!(self, Op::Full(_) | Op::Iota | Op::Random(_))
    }

    /// Whether a derivative can flow from the inputs to the output.
    pub fn is_differentiable(&self) -> bool {
        !matches!(
            self,
            Op::Data
                | Op::Full(_)
                | Op::Iota
                | Op::Random(_)
                | Op::Detach
                | Op::Compare(_)
                | Op::Logic(_)
                | Op::IsFinite
                | Op::ArgMax(_)
                | Op::ArgSort { .. }
                | Op::MaxPoolIndex(_)
        )
    }

    /// Two for each multiply-accumulate of a contraction; all other operations count nothing.
    ///
    /// `out` counts the output's elements; `inner` is the size of the first input's last axis.
    pub fn flops(&self, out: usize, inner: Option<usize>) -> u64 {
        match self {
            Op::MatMul => 2 * (out * inner.unwrap_or(1)) as u64,
            Op::Conv(conv) => conv.flops(),
            _ => 0,
        }
    }

    /// Reverse rule: the cotangent of each input (`None` where it is zero) from the output's cotangent.
    ///
    /// Calls have several outputs and are handled by the walk itself.
    pub fn vjp(&self, out: &Tensor, inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
        match self {
            Op::Data
            | Op::Full(_)
            | Op::Iota
            | Op::Random(_)
            | Op::Detach
            | Op::Compare(_)
            | Op::Logic(_)
            | Op::IsFinite
            | Op::ArgMax(_)
            | Op::ArgSort { .. }
            | Op::MaxPoolIndex(_) => vec![None; inputs.len()],
            Op::Alias | Op::Fence => vec![Some(ct.clone())],
            Op::Call { .. } => unreachable!("calls are differentiated by the walk"),
            Op::Unary(op) => vec![op.scale_by_derivative(&inputs[0], out, ct)],
            Op::Binary(op) => op.vjp(out, inputs, ct),
            Op::Select => logic::select_vjp(inputs, ct),
            Op::Cast => vec![
                inputs[0]
                    .dtype()
                    .is_float()
                    .then(|| ct.to_dtype(inputs[0].dtype())),
            ],
            Op::Sum(_) => vec![Some(ct.broadcast_to(inputs[0].shape()))],
            Op::Reshape => vec![Some(ct.reshape(inputs[0].shape()))],
            Op::Broadcast => vec![Some(ct.sum_to(inputs[0].shape()))],
            Op::Permute(axes) => vec![Some(ct.permute(&layout::inverse(axes)))],
            Op::Slice(axes) => vec![Some(layout::slice_transpose(axes, inputs[0].shape(), ct))],
            Op::Pad(axes) => vec![Some(layout::pad_transpose(axes, inputs[0].shape(), ct))],
            Op::Concat(axis) => layout::concat_vjp(*axis, inputs, ct),
            Op::Gather(axis) => vec![
                Some(ct.scatter_add(*axis as isize, &inputs[1], inputs[0].shape()[*axis])),
                None,
            ],
            Op::ScatterAdd(axis) => vec![Some(ct.gather(*axis as isize, &inputs[1])), None],
            Op::MatMul => matmul::vjp(inputs, ct),
            Op::Conv(conv) => conv.vjp(inputs, ct),
            Op::PoolGather(window) => {
                vec![
                    Some(pool::scatter(window, ct, &inputs[1], inputs[0].shape())),
                    None,
                ]
            }
            Op::PoolScatter(window) => vec![Some(pool::gather(window, ct, &inputs[1])), None],
        }
    }

    /// Forward rule: the output's tangent from the inputs' tangents (`None` is zero).
    pub fn jvp(
        &self,
        out: &Tensor,
        inputs: &[Tensor],
        tangents: &[Option<Tensor>],
    ) -> Option<Tensor> {
        let first = || tangents[0].as_ref();
        match self {
            Op::Data
            | Op::Full(_)
            | Op::Iota
            | Op::Random(_)
            | Op::Detach
            | Op::Compare(_)
            | Op::Logic(_)
            | Op::IsFinite
            | Op::ArgMax(_)
            | Op::ArgSort { .. }
            | Op::MaxPoolIndex(_) => None,
            Op::Alias | Op::Fence => first().cloned(),
            Op::Call { .. } => unreachable!("calls are differentiated by the walk"),
            Op::Unary(op) => first().and_then(|t| op.scale_by_derivative(&inputs[0], out, t)),
            Op::Binary(op) => op.jvp(out, inputs, tangents),
            Op::Select => logic::select_jvp(out, inputs, tangents),
            Op::Cast => first()
                .filter(|_| out.dtype().is_float())
                .map(|t| t.to_dtype(out.dtype())),
            Op::Sum(axes) => first().map(|t| t.sum_keep(axes)),
            Op::Reshape => first().map(|t| t.reshape(out.shape())),
            Op::Broadcast => first().map(|t| t.broadcast_to(out.shape())),
            Op::Permute(axes) => first().map(|t| t.permute(axes)),
            Op::Slice(axes) => first().map(|t| layout::slice(axes, t)),
            Op::Pad(axes) => first().map(|t| layout::pad(axes, t)),
            Op::Concat(axis) => layout::concat_jvp(*axis, inputs, tangents),
            Op::Gather(axis) => first().map(|t| t.gather(*axis as isize, &inputs[1])),
            Op::ScatterAdd(axis) => {
                first().map(|t| t.scatter_add(*axis as isize, &inputs[1], out.shape()[*axis]))
            }
            Op::MatMul => matmul::jvp(inputs, tangents),
            Op::Conv(conv) => conv.jvp(inputs, tangents),
            Op::PoolGather(window) => first().map(|t| pool::gather(window, t, &inputs[1])),
            Op::PoolScatter(window) => {
                first().map(|t| pool::scatter(window, t, &inputs[1], out.shape()))
            }
        }
    }
}

/// The sum of two optional terms.
pub(crate) fn add_terms(a: Option<Tensor>, b: Option<Tensor>) -> Option<Tensor> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}
