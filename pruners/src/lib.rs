//! Pruning methods: one algorithm, one file, one struct that implements [`Pruner`]. A pruner gives every
//! prunable weight a score; [`Mask`] turns scores into masks, in one place.

mod checks;
mod error;
mod footprint;
mod grasp;
mod mask;
mod prospr;
mod random;
mod scores;
mod snip;
mod statistics;
mod synflow;

pub use checks::inverted;
pub use error::{Error, Result};
pub use grasp::Grasp;
pub use mask::{Mask, MaskLayer, MaskOptions, Sparsity};
pub use prospr::{Granularity, MetaGradient, ProsPr};
pub use random::Random;
pub use scores::{NormMode, Pruner, Task, prunable};
pub use snip::Snip;
pub use statistics::{LayerOverlap, LayerStatistics, Statistics, connected, overlap};
pub use synflow::SynFlow;
