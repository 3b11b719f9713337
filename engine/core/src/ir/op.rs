//! The closed set of operations, and the table of their names and kinds.

use super::{Binary, Compare, Conv, Draw, Logic, PadAxis, SliceAxis, Unary, Window};

/// An operation: what a node computes from its inputs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    // sources
    Data,
    Full(f64),
    Iota,
    Random(Draw),
    // control
    /// The input's value under a new identity, with respect to which a transform differentiates.
    Alias,
    /// The input's value, which no plan merges with the input: what is computed from it is computed again.
    Fence,
    /// The input's value, through which no derivative flows.
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

/// Kind of an operation: the relation between its output and its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A value from outside the graph.
    Data,
    /// One value for all elements, which takes no memory.
    Constant,
    /// Computed from no inputs.
    Source,
    /// The elements of the first input, in its memory.
    View,
    /// The value of the last input, with a derivative rule of its own.
    Call,
    /// A function of the inputs' elements at the same place.
    Elementwise,
    /// A function of the elements along some axes.
    Reduction,
    /// Elements of the inputs in other places, or sums of some of them.
    Rearrangement,
    /// Sums of products of two inputs' elements.
    Contraction,
}

impl Op {
    /// The table of operations: the name in messages and plans, and the kind.
    fn row(&self) -> (&'static str, Kind) {
        use Kind::*;
        match self {
            Op::Data => ("data", Data),
            Op::Full(_) => ("full", Constant),
            Op::Iota => ("arange", Source),
            Op::Random(_) => ("random", Source),
            Op::Alias => ("alias", View),
            Op::Fence => ("fence", View),
            Op::Detach => ("stop_gradient", View),
            Op::Call { .. } => ("call", Call),
            Op::Unary(f) => (f.name(), Elementwise),
            Op::Binary(f) => (f.name(), Elementwise),
            Op::Compare(f) => (f.name(), Elementwise),
            Op::Logic(f) => (f.name(), Elementwise),
            Op::IsFinite => ("is_finite", Elementwise),
            Op::Select => ("where", Elementwise),
            Op::Cast => ("to_dtype", Elementwise),
            Op::Sum(_) => ("sum", Reduction),
            Op::ArgMax(_) => ("argmax", Reduction),
            Op::ArgSort { .. } => ("argsort", Rearrangement),
            Op::Reshape => ("reshape", View),
            Op::Broadcast => ("broadcast_to", View),
            Op::Permute(_) => ("permute", View),
            Op::Slice(_) => ("slice", View),
            Op::Pad(_) => ("pad", Rearrangement),
            Op::Concat(_) => ("concat", Rearrangement),
            Op::Gather(_) => ("gather", Rearrangement),
            Op::ScatterAdd(_) => ("scatter_add", Rearrangement),
            Op::MatMul => ("matmul", Contraction),
            Op::Conv(conv) => (conv.name(), Contraction),
            Op::MaxPoolIndex(_) => ("max_pool_index", Reduction),
            Op::PoolGather(_) => ("pool_gather", Rearrangement),
            Op::PoolScatter(_) => ("pool_scatter", Rearrangement),
        }
    }

    /// The name in messages and plans.
    pub fn name(&self) -> &'static str {
        self.row().0
    }

    /// The kind: the relation between the output and the inputs.
    pub fn kind(&self) -> Kind {
        self.row().1
    }

    /// Returns true if the value lies in the memory of the first input.
    pub fn is_view(&self) -> bool {
        self.kind() == Kind::View
    }

    /// Returns true if the value takes memory of its own: it is neither a view nor a constant.
    pub fn is_stored(&self) -> bool {
        !matches!(self.kind(), Kind::View | Kind::Constant)
    }

    /// Returns true if the operation has no inputs.
    pub fn is_source(&self) -> bool {
        matches!(self.kind(), Kind::Constant | Kind::Source)
    }

    /// Returns true if computing an element takes tens of instructions, so that storing it is better than computing
    /// it twice.
    pub fn is_heavy(&self) -> bool {
        matches!(self, Op::Unary(f) if f.is_heavy())
    }

    /// Floating-point operations: two for each multiply-accumulate of a contraction, none for all other kinds.
    ///
    /// `out` is the number of the output's elements; `inner` is the size of the first input's last axis.
    pub fn flops(&self, out: usize, inner: Option<usize>) -> u64 {
        match self {
            Op::MatMul => 2 * (out * inner.unwrap_or(1)) as u64,
            Op::Conv(conv) => conv.flops(),
            _ => 0,
        }
    }
}
