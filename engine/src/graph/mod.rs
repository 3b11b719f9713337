//! Walks over the recorded graph. Every walk is iterative.

mod eval;

pub(crate) use eval::eval_scratch;
pub use eval::{EvalStats, eval, eval_stats, flops};
