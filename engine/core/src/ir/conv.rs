//! Geometry of two-dimensional convolutions.

/// Stride, padding, dilation and groups of a convolution, with PyTorch's meaning and defaults.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConvOptions {
    /// Step of the window, (vertical, horizontal).
    pub stride: [usize; 2],
    /// Zeros put around the input, (vertical, horizontal).
    pub padding: [usize; 2],
    /// Distance between the window's taps, (vertical, horizontal).
    pub dilation: [usize; 2],
    /// Number of independent groups that the channels are divided into.
    pub groups: usize,
}

impl Default for ConvOptions {
    fn default() -> Self {
        ConvOptions { stride: [1, 1], padding: [0, 0], dilation: [1, 1], groups: 1 }
    }
}

impl ConvOptions {
    /// Sets one stride for both axes.
    pub fn stride(self, stride: usize) -> Self {
        ConvOptions { stride: [stride; 2], ..self }
    }
    /// Sets one padding for both axes.
    pub fn padding(self, padding: usize) -> Self {
        ConvOptions { padding: [padding; 2], ..self }
    }
    /// Sets one dilation for both axes.
    pub fn dilation(self, dilation: usize) -> Self {
        ConvOptions { dilation: [dilation; 2], ..self }
    }
    /// Sets the number of groups.
    pub fn groups(self, groups: usize) -> Self {
        ConvOptions { groups, ..self }
    }

    /// Returns the output's size along an axis (0 vertical, 1 horizontal), or `None` if the window does not fit.
    pub(crate) fn output_size(&self, input: usize, kernel: usize, axis: usize) -> Option<usize> {
        let span = self.dilation[axis] * (kernel - 1) + 1;
        (input + 2 * self.padding[axis]).checked_sub(span).map(|room| room / self.stride[axis] + 1)
    }
}

/// A convolution or one of its two transposes: the partial gradients of `⟨y, conv(x, w)⟩`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ConvKind {
    /// `(x, w) → y`
    Forward,
    /// `(y, w) → x`
    InputGrad,
    /// `(x, y) → w`
    WeightGrad,
}

/// A convolution operation with the shapes of its input, weight and output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// The tensor that is computed; the other two of `x`, `w` and `y` are the inputs.
    pub kind: ConvKind,
    /// Stride, padding, dilation and groups.
    pub options: ConvOptions,
    /// `[n, c_in, h, w]`
    pub x: [usize; 4],
    /// `[c_out, c_in / groups, kh, kw]`
    pub w: [usize; 4],
    /// `[n, c_out, oh, ow]`
    pub y: [usize; 4],
}

impl Conv {
    pub(crate) fn name(&self) -> &'static str {
        match self.kind {
            ConvKind::Forward => "conv2d",
            ConvKind::InputGrad => "conv2d_input_grad",
            ConvKind::WeightGrad => "conv2d_weight_grad",
        }
    }

    /// Returns the floating-point operations, two for each multiply-accumulate: the same for the three kinds, which
    /// multiply the same pairs of an output pixel and a tap of its window.
    pub(crate) fn flops(&self) -> u64 {
        let product = |sizes: &[usize]| sizes.iter().map(|&n| n as u64).product::<u64>();
        2 * product(&self.y) * product(&self.w[1..])
    }

    /// Returns the convolution of another kind with the same shapes.
    pub(crate) fn with(&self, kind: ConvKind) -> Conv {
        Conv { kind, ..self.clone() }
    }
}
