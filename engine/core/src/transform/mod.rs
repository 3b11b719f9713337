//! Functional transforms: they take closures, return closures or results, and nest to any depth.
//!
//! A transform runs its closure on fresh aliases of the inputs and then walks the recorded graph. There is no global
//! tape and there are no levels: a derivative is with respect to an alias, and only tensors computed from the alias
//! depend on it.

mod checkpoint;
mod custom;
mod grad;
mod jit;
mod jvp;
mod rewrite;
mod tape;
mod unroll;
mod vjp;

pub use checkpoint::checkpoint;
pub use custom::custom_vjp;
pub use grad::{grad, try_value_and_grad, value_and_grad, value_and_grad_aux};
pub use jit::{JitCache, jit, jit_with};
pub use jvp::{hvp, jvp};
pub use rewrite::{Node, interpret, rewrite};
pub use unroll::{Policy, UnrollOptions, stream, unroll};
pub use vjp::{Pullback, vjp};

use std::sync::Arc;

use crate::tensor::trace::{Trace, TraceGuard};
use crate::{Tensor, Tree};

/// Returns the tree with fresh aliases as leaves, the aliases, and the guard that keeps their trace open.
fn open<T: Tree>(tree: &T) -> (T, Vec<Tensor>, TraceGuard) {
    let trace: Arc<Trace> = Arc::default();
    let guard = TraceGuard::open(vec![trace.clone()]);
    let aliased = tree.map_leaves(|leaf| leaf.alias(Some(trace.clone())));
    let leaves = aliased.leaves();
    (aliased, leaves, guard)
}

/// Returns the structure of `like` with the given leaves.
pub(crate) fn unflatten<T: Tree>(like: &T, leaves: Vec<Tensor>) -> T {
    let mut leaves = leaves.into_iter();
    like.rebuild(&mut || leaves.next().expect("as many tensors as leaves"))
}

/// Returns a tree with constants in place of its tensors, so that keeping it keeps no memory.
fn skeleton<T: Tree>(tree: &T) -> T {
    tree.map_leaves(Tensor::zeros_like)
}
