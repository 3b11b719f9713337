//! Graphs of distinct values, and the plans of kernels that compute them.

mod fuse;
mod plan;
mod values;

#[cfg(test)]
pub(crate) use fuse::{Fused, fuse};
pub use plan::Kernel;
pub(crate) use plan::Plan;
pub(crate) use values::{Graph, Id, Node};
