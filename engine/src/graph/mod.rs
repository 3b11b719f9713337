//! Walks over the recorded graph. Every walk is iterative.

mod eval;

pub use eval::{EvalStats, eval, eval_stats};
pub(crate) use eval::eval_scratch;
