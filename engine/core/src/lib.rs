//! The engine of prospr: lazy tensors and functional transforms, exact to any order, on GPUs through Burn's
//! wgpu backend and on the CPU.
//!
//! ```
//! use prospr_engine::{DType, Device, Key, Tensor, grad, hvp};
//!
//! let device = Device::cpu();
//! let [kx, kw] = Key::new(0).split();
//! let x = kx.normal(&[8, 3], DType::F32, &device);
//! let w = kw.normal(&[3, 1], DType::F32, &device);
//!
//! let loss = |w: &Tensor| x.matmul(w).square().mean();
//! let g = grad(loss)(&w);
//! let h = hvp(loss, &w, &g);
//! assert_eq!(h.shape(), [3, 1]);
//! # h.eval()?;
//! # Ok::<(), prospr_engine::Error>(())
//! ```
//!
//! A program is an ordinary closure over [`Tensor`]s and [`Tree`]s of them. It has no hidden state: parameters,
//! statistics, optimiser state and random [`Key`]s come in as arguments and go out as results.

#[cfg(test)]
extern crate self as prospr_engine;

mod explain;
mod graph;
mod ops;
mod params;
mod random;
mod runtime;
mod tensor;
mod top_k;
mod transform;
mod tree;

pub mod baseline;
pub mod bridge;
pub mod check;
pub mod images;
pub mod ir;
pub mod testing;

pub use explain::{Explanation, explain};
pub use graph::Kernel;
pub use ir::{ConvOptions, DType, Element, Error, Interpolation, PoolOptions, Precision, Result};
pub use params::{Params, Role};
pub use prospr_derive::Tree;
pub use random::Key;
pub use runtime::{Device, DeviceInfo, MemoryUse, Selection, keep_freed_memory, limit_memory};
pub use tensor::{EvalStats, Tensor, eval, eval_stats, flops, flops_by_weight};
pub use top_k::top_k_masks;
pub use transform::{
    JitCache, Node, Policy, Pullback, UnrollOptions, checkpoint, custom_vjp, grad, hvp, interpret,
    jit, jit_with, jvp, rewrite, stream, try_value_and_grad, unroll, value_and_grad,
    value_and_grad_aux, vjp,
};
pub use tree::{Static, Tree, tree_dot};
