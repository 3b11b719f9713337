//! Geometry of two-dimensional convolutions.

/// Options of a convolution, with PyTorch's meaning and defaults.
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
        ConvOptions {
            stride: [1, 1],
            padding: [0, 0],
            dilation: [1, 1],
            groups: 1,
        }
    }
}

impl ConvOptions {
    /// Sets the same stride for both axes.
    pub fn stride(self, stride: usize) -> Self {
        ConvOptions {
            stride: [stride; 2],
            ..self
        }
    }
    /// Sets the same padding for both axes.
    pub fn padding(self, padding: usize) -> Self {
        ConvOptions {
            padding: [padding; 2],
            ..self
        }
    }
    /// Sets the same dilation for both axes.
    pub fn dilation(self, dilation: usize) -> Self {
        ConvOptions {
            dilation: [dilation; 2],
            ..self
        }
    }
    /// Sets the number of groups.
    pub fn groups(self, groups: usize) -> Self {
        ConvOptions { groups, ..self }
    }

    /// Computes the size of the output along an axis (0 vertical, 1 horizontal). Returns none if the window does not
    /// fit.
    pub(crate) fn output_size(&self, input: usize, kernel: usize, axis: usize) -> Option<usize> {
        let span = self.dilation[axis] * (kernel - 1) + 1;
        (input + 2 * self.padding[axis])
            .checked_sub(span)
            .map(|room| room / self.stride[axis] + 1)
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

/// One convolution operation; the three shapes belong to the geometry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Conv {
    /// The inputs and the output.
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

    /// The three kinds multiply the same pairs: each output pixel with each tap of its window.
    pub(crate) fn flops(&self) -> u64 {
        let product = |sizes: &[usize]| sizes.iter().map(|&n| n as u64).product::<u64>();
        2 * product(&self.y) * product(&self.w[1..])
    }

    pub(crate) fn with(&self, kind: ConvKind) -> Conv {
        Conv {
            kind,
            ..self.clone()
        }
    }
}
