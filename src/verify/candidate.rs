//! Networks inferred from a state dict.

use std::collections::BTreeMap;

use crate::nn::Net;
use crate::{DType, Device, Key, Params};

/// A network that fits a state dict.
pub struct Candidate {
    pub net: Net,
    pub description: String,
    /// Channels, height and width of its input.
    pub input: [usize; 3],
    pub classes: usize,
}

impl Candidate {
    /// Parameters and state of the network, with arbitrary values.
    pub fn initial(&self, dtype: DType, device: &Device) -> (Params, Params) {
        self.net.init(Key::new(0), &self.input, dtype, device)
    }
}

/// Shapes by name.
pub type Shapes<'a> = BTreeMap<&'a str, &'a [usize]>;

/// Side of the images if neither batches nor the classifier determine it: CIFAR's.
pub const SIDE: usize = 32;

/// Description of the known networks, for messages.
pub const KNOWN: &str = "known networks are ResNets (`conv1`, `layer1.0.conv1`, …, `linear` or `fc`) and \
    `Sequential`s of convolutions, batch norms and pools before one linear classifier (`features.0`, …, `classifier`)";
