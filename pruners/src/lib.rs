//! Pruning methods: one algorithm, one file, one struct that implements [`Pruner`]. A pruner gives every
//! prunable weight a score; [`Mask`] turns scores into masks, in one place.

mod checks;
mod error;
mod footprint;
mod force;
mod grasp;
mod magnitude;
mod mask;
mod ntk_sap;
mod prospr;
mod random;
mod rescale;
mod rounds;
mod scores;
mod snip;
mod statistics;
mod synflow;

pub use checks::inverted;
pub use error::{Error, Result};
pub use force::Force;
pub use grasp::Grasp;
pub use magnitude::Magnitude;
pub use mask::{Allocation, Mask, MaskLayer, MaskOptions, Sparsity};
pub use ntk_sap::NtkSap;
pub use prospr::{Granularity, MetaGradient, ProsPr};
pub use random::Random;
pub use rescale::rescaled;
pub use rounds::Rounds;
pub use scores::{Loss, NormMode, Pruner, Task, prunable};
pub use snip::Snip;
pub use statistics::{LayerOverlap, LayerStatistics, Statistics, connected, overlap};
pub use synflow::SynFlow;
