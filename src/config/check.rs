//! Sanity checks of masks.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// Change to a pruned run that shows if a property of its mask matters: Frankle et al., "Pruning neural networks at
/// initialization: why are we missing the mark?", ICLR 2021.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Shuffle the mask within each layer.
    Shuffle,
    /// Train newly drawn weights under the same mask.
    Reinit,
    /// Keep the lowest scores. Iterative methods score once.
    Invert,
}

impl Check {
    /// Name on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("no check is hidden");
        value.get_name().to_string()
    }

    /// Heading of its column in tables.
    pub fn title(self) -> &'static str {
        match self {
            Check::Shuffle => "shuffled",
            Check::Reinit => "re-initialised",
            Check::Invert => "inverted",
        }
    }
}
