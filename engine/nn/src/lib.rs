//! Neural networks on the engine: layers and losses, optimisers, models, and the training loop.

pub mod models;
pub mod nn;
pub mod optim;
pub mod train;
