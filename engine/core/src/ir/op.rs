//! The closed set of operations, and the table of their names and kinds.

use super::{Binary, Compare, Conv, Draw, Logic, PadAxis, SliceAxis, Unary, Window};

/// An operation with its attributes. Shapes and types are stored with its inputs and its output.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Op {
    // sources
    /// A value from outside the graph.
    Data,
    /// One value for all elements.
    Full(f64),
    /// The integers `0..n`.
    Iota,
    /// Random numbers.
    Random(Draw),
    // control
    /// The input's value as a new tensor, with respect to which a transform differentiates.
    Alias,
    /// The input's value, which no plan merges with the input, so that results computed from it are computed again.
    Fence,
    /// The input's value, through which no derivative flows.
    Detach,
    /// An output of a function with its own derivative rule, such as a checkpoint. Before it is evaluated, its last
    /// input is the function's result.
    Call {
        /// The number of the output, counted from 0.
        output: usize,
    },
    // elementwise
    /// A function of one number.
    Unary(Unary),
    /// A function of two numbers; the inputs have equal shapes.
    Binary(Binary),
    /// A comparison of two numbers; the inputs have equal shapes.
    Compare(Compare),
    /// A logical operation.
    Logic(Logic),
    /// Tests that an element is neither infinite nor NaN.
    IsFinite,
    /// `c ? a : b`; the inputs `c`, `a` and `b` have equal shapes.
    Select,
    /// The values converted to the output's type.
    Cast,
    // reductions and order
    /// Sum over some axes, which remain with size 1.
    Sum(Vec<usize>),
    /// Index of the largest element along an axis, which remains with size 1.
    ArgMax(usize),
    /// The indices that sort the input along an axis.
    ArgSort {
        /// The axis.
        axis: usize,
        /// True if the largest comes first.
        descending: bool,
    },
    // layout
    /// The elements in row-major order in the output's shape.
    Reshape,
    /// Axes of size 1 repeated to the output's sizes; the ranks are equal.
    Broadcast,
    /// The axes in another order: entry `i` of the list is the input's axis that becomes axis `i` of the output.
    Permute(Vec<usize>),
    /// The elements at evenly spaced indices of each axis.
    Slice(Vec<SliceAxis>),
    /// Zeros around and between the elements, for each axis.
    Pad(Vec<PadAxis>),
    /// The inputs one after another along an axis.
    Concat(usize),
    // indexing
    /// Elements of the first input at the indices of the second, along an axis.
    Gather(usize),
    /// Sums of the first input's elements at the indices of the second, along an axis: the transpose of `Gather`.
    ScatterAdd(usize),
    // contractions and windows
    /// Matrix product of the last two axes, `[.., m, k] · [.., k, n]`; axes of size 1 before them broadcast.
    MatMul,
    /// A convolution or one of its transposes; [`ConvKind`](super::ConvKind) names the inputs.
    Conv(Conv),
    /// Index of the largest pixel of each window.
    MaxPoolIndex(Window),
    /// Pixels of the first input at the indices of the second, one for each window: the values of a max pool.
    PoolGather(Window),
    /// Sums of the windows' values at the pixels of the indices: the transpose of `PoolGather`.
    PoolScatter(Window),
}

/// Kind of an operation: the relation between its output and its inputs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Kind {
    /// A value from outside the graph.
    Data,
    /// One value for all elements, which takes no memory.
    Constant,
    /// Values computed from no inputs, such as random numbers.
    Source,
    /// The elements of the first input, in its memory.
    View,
    /// The value of the last input, with a derivative rule of its own.
    Call,
    /// A function of the inputs' elements at the same index.
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

    /// Returns the name used in messages and plans.
    pub fn name(&self) -> &'static str {
        self.row().0
    }

    /// Returns the kind: the relation between the output and the inputs.
    pub fn kind(&self) -> Kind {
        self.row().1
    }

    /// Returns true if the value shares the memory of the first input.
    pub(crate) fn is_view(&self) -> bool {
        self.kind() == Kind::View
    }

    /// Returns true if the value takes memory of its own: it is neither a view nor a constant.
    pub(crate) fn is_stored(&self) -> bool {
        !matches!(self.kind(), Kind::View | Kind::Constant)
    }

    /// Returns true if the operation has no inputs.
    pub(crate) fn is_source(&self) -> bool {
        matches!(self.kind(), Kind::Constant | Kind::Source)
    }

    /// Returns true if computing an element takes tens of instructions, so that storing it is better than computing
    /// it twice.
    pub(crate) fn is_heavy(&self) -> bool {
        matches!(self, Op::Unary(f) if f.is_heavy())
    }

    /// Returns the floating-point operations: two for each multiply-accumulate of a contraction, 0 for all other
    /// kinds.
    ///
    /// `out` is the number of the output's elements; `inner` is the size of the first input's last axis.
    pub(crate) fn flops(&self, out: usize, inner: Option<usize>) -> u64 {
        match self {
            Op::MatMul => 2 * (out * inner.unwrap_or(1)) as u64,
            Op::Conv(conv) => conv.flops(),
            _ => 0,
        }
    }
}
