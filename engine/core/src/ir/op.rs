//! The closed set of operations.

use super::{Binary, Compare, Conv, Draw, Logic, PadAxis, SliceAxis, Unary, Window};

/// What a node computes from its inputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    // sources
    Data,
    Full(f64),
    Iota,
    Random(Draw),
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
}
