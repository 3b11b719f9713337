//! In what convolutions and matrix products multiply.

/// In what the convolutions and matrix products of a [compiled](crate::jit_with) function multiply. Everything else is
/// computed in the tensors' own type, and what is evaluated without being compiled, always: scores are.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Precision {
    /// In f32.
    #[default]
    F32,
    /// Operands are rounded to f16 where they are multiplied, and the products summed in f32, on devices whose shaders
    /// can ([`Device::mixed_precision`](crate::Device::mixed_precision)); in f32 on all others. Values in memory
    /// remain f32. Numbers above 65,504 become infinite and those below 6·10⁻⁸ zero, so gradients need a loss scale.
    Mixed,
}
