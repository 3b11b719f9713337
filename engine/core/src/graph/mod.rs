//! Walks over the recorded graph. Every walk is iterative.

mod cost;
mod eval;
mod explain;
mod footprint;
mod fuse;
mod ir;
mod plan;
pub(crate) mod program;
#[cfg(test)]
pub(crate) mod tests;
mod views;

#[cfg(test)]
pub(crate) use eval::programs;
pub use eval::{EvalStats, eval, eval_stats, flops, flops_by_weight};
pub(crate) use eval::{Traced, eval_scratch, evaluations};
pub use explain::{Explanation, Kernel, explain};
