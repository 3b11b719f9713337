//! Kernels of our own on the CPU.

pub(crate) mod program;
mod simd;
