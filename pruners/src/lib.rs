//! Pruning methods: one algorithm, one file, one struct that implements [`Pruner`]. A pruner gives every
//! prunable weight a score; [`Mask`] turns scores into masks, in one place.

mod error;
mod mask;
mod prospr;
mod random;
mod scores;

pub use error::{Error, Result};
pub use mask::{Mask, MaskLayer, MaskOptions, Sparsity};
pub use prospr::{MetaGradient, ProsPr};
pub use random::Random;
pub use scores::{Pruner, Task, prunable};
