//! The sanity checks of the command line.

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

/// What is changed about a pruned run to see whether it matters: Frankle et al., "Pruning neural networks at
/// initialization: why are we missing the mark?", ICLR 2021.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Check {
    /// Shuffle the mask within each layer.
    Shuffle,
    /// Train newly drawn weights under the same mask.
    Reinit,
    /// Keep the lowest scores. Methods of several iterations score once.
    Invert,
}

impl Check {
    /// The check's name on the command line.
    pub fn name(self) -> String {
        let value = self.to_possible_value().expect("no check is hidden");
        value.get_name().to_string()
    }

    /// What it makes of a run, as the head of a column.
    pub fn title(self) -> &'static str {
        match self {
            Check::Shuffle => "shuffled",
            Check::Reinit => "re-initialised",
            Check::Invert => "inverted",
        }
    }
}
