//! Pruning methods: one algorithm, one file, one struct that implements [`Pruner`]. A pruner gives every
//! prunable weight a score; [`Mask`] turns scores into masks, in one place.

mod checks;
mod error;
mod footprint;
mod mask;
mod method;
mod rescale;
mod rounds;
mod scores;
mod statistics;

pub use checks::inverted;
pub use error::{Error, Result};
pub use mask::{Allocation, Mask, MaskLayer, MaskOptions, Sparsity};
pub use method::{Method, ReadSetting, Settings, Setup, methods, register};
pub use rescale::rescaled;
pub use rounds::Rounds;
pub use scores::{Loss, NormMode, Pruner, Task, prunable};
pub use statistics::{LayerOverlap, LayerStatistics, Statistics, connected, overlap};

// Algorithms. A new one has its two lines here and a line in `METHODS`.
mod force;
pub use force::Force;
mod grasp;
pub use grasp::Grasp;
mod magnitude;
pub use magnitude::Magnitude;
mod ntk_sap;
pub use ntk_sap::NtkSap;
mod prospr;
pub use prospr::{Granularity, MetaGradient, ProsPr};
mod random;
pub use random::Random;
mod snip;
pub use snip::Snip;
mod synflow;
pub use synflow::SynFlow;

/// Methods of this crate, in the order in which they are listed.
const METHODS: &[&[Method]] = &[
    prospr::METHODS,
    snip::METHODS,
    grasp::METHODS,
    synflow::METHODS,
    force::METHODS,
    ntk_sap::METHODS,
    magnitude::METHODS,
    random::METHODS,
];
