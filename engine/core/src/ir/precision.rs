//! Numeric precision inside convolutions and matrix products.

use std::fmt;
use std::str::FromStr;

/// Numeric precision used inside convolutions and matrix products of a [compiled](crate::jit_with) function.
/// Everything else is computed in the tensors' own type, and so are functions that are not compiled, such as pruning
/// scores.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// Operands, products and sums in f32.
    #[default]
    F32,
    /// Operands are rounded to f16 where they are multiplied, and the products summed in f32, on devices whose shaders
    /// can ([`Device::mixed_precision`](crate::Device::mixed_precision)); in f32 on all others. Values in memory
    /// remain f32. Numbers above 65,504 become infinite and those below 6·10⁻⁸ zero, so gradients need a loss scale.
    Mixed,
}

impl fmt::Display for Precision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Precision::F32 => "f32",
            Precision::Mixed => "mixed",
        })
    }
}

impl FromStr for Precision {
    type Err = String;

    fn from_str(text: &str) -> Result<Precision, String> {
        [Precision::F32, Precision::Mixed]
            .into_iter()
            .find(|precision| precision.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no precision; write f32 or mixed"))
    }
}
