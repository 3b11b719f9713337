//! Pruning of neural networks before training, by differentiating through training: ProsPr (Alizadeh et al., ICLR
//! 2022) on every GPU that wgpu supports and on the CPU.
//!
//! This page shows the whole public API. [`prelude`] has the items that most programs need.

pub mod bench;
pub mod cli;
pub mod comparison;
pub mod config;
pub mod experiment;
pub mod forecast;
pub mod inspection;
pub mod report;
pub mod results;
pub mod run_folder;
pub mod run_report;
pub mod verify;

pub use prospr_datasets as datasets;
// The trait `Tree` comes with the engine; this is its derive macro, which has the same name.
pub use prospr_derive::FacadeTree as Tree;
pub use prospr_engine::*;
pub use prospr_nn::{models, nn, optim, train};
pub use prospr_pruners as pruners;
pub use prospr_store::{TensorFile, pickle, write_atomically};

/// The items that most programs need.
pub mod prelude {
    pub use crate::{
        ConvOptions, DType, Device, Error, Key, Params, Policy, PoolOptions, Result, Role, Tensor,
        Tree, checkpoint, custom_vjp, grad, hvp, jit, jvp, nn, optim, try_value_and_grad, unroll,
        value_and_grad, value_and_grad_aux, vjp,
    };
}

/// Compiles and runs the examples of the README and of `docs/library.md` as doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
#[doc = include_str!("../docs/library.md")]
pub struct Readme;
