//! Operations on tensors, one file for each family: shape rules, derivative rules and tests.
//! (`runtime/kernels/` computes them on Burn's backends, in files of the same names.)
//!
//! Derivative rules are written with public tensor functions, so that their results can be differentiated again. The
//! rule of a linear operation is its transpose.

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

use crate::Tensor;
use crate::ir::Op;

/// Pattern of the operations through which no derivative flows. The rules list all other operations by name, so the
/// compiler requires a rule for every operation that is not in this list.
macro_rules! without_derivative {
    () => {
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
    };
}

impl Op {
    /// Returns true if a derivative can flow from the inputs to the output.
    pub(crate) fn is_differentiable(&self) -> bool {
        !matches!(self, without_derivative!())
    }

    /// Reverse rule: the cotangent of each input (`None` where it is zero) from the output's cotangent.
    ///
    /// Calls have several outputs and are handled by the [tape](crate::transform).
    pub(crate) fn vjp(&self, out: &Tensor, inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
        match self {
            without_derivative!() => vec![None; inputs.len()],
            Op::Alias | Op::Fence => vec![Some(ct.clone())],
            Op::Call { .. } => unreachable!("calls are differentiated by the walk"),
            Op::Unary(op) => vec![op.scale_by_derivative(&inputs[0], out, ct)],
            Op::Binary(op) => op.vjp(out, inputs, ct),
            Op::Select => logic::select_vjp(inputs, ct),
            Op::Cast => vec![inputs[0].dtype().is_float().then(|| ct.to_dtype(inputs[0].dtype()))],
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
                vec![Some(pool::scatter(window, ct, &inputs[1], inputs[0].shape())), None]
            }
            Op::PoolScatter(window) => vec![Some(pool::gather(window, ct, &inputs[1])), None],
        }
    }

    /// Forward rule: the output's tangent from the inputs' tangents (`None` is zero).
    pub(crate) fn jvp(
        &self,
        out: &Tensor,
        inputs: &[Tensor],
        tangents: &[Option<Tensor>],
    ) -> Option<Tensor> {
        let first = || tangents[0].as_ref();
        match self {
            without_derivative!() => None,
            Op::Alias | Op::Fence => first().cloned(),
            Op::Call { .. } => unreachable!("calls are differentiated by the walk"),
            Op::Unary(op) => first().and_then(|t| op.scale_by_derivative(&inputs[0], out, t)),
            Op::Binary(op) => op.jvp(out, inputs, tangents),
            Op::Select => logic::select_jvp(out, inputs, tangents),
            Op::Cast => first().filter(|_| out.dtype().is_float()).map(|t| t.to_dtype(out.dtype())),
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

/// Returns the sum of two optional terms.
pub(crate) fn add_terms(a: Option<Tensor>, b: Option<Tensor>) -> Option<Tensor> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a + b),
        (a, b) => a.or(b),
    }
}
