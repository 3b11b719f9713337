//! Geometry of pooling windows.

/// Geometry of a pooling window. The stride is the kernel's size unless it is set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PoolOptions {
    /// Size of the window, (vertical, horizontal).
    pub kernel: [usize; 2],
    /// Step of the window, (vertical, horizontal).
    pub stride: [usize; 2],
    /// Border around the input, (vertical, horizontal); at most half the kernel.
    pub padding: [usize; 2],
}

impl PoolOptions {
    /// Creates a square window whose stride is its size, so that windows do not overlap.
    pub fn new(kernel: usize) -> Self {
        PoolOptions { kernel: [kernel; 2], stride: [kernel; 2], padding: [0, 0] }
    }
    /// Sets one stride for both axes.
    pub fn stride(self, stride: usize) -> Self {
        PoolOptions { stride: [stride; 2], ..self }
    }
    /// Sets one border for both axes.
    pub fn padding(self, padding: usize) -> Self {
        PoolOptions { padding: [padding; 2], ..self }
    }

    /// Returns the output's height and width for an input of this shape `[n, c, h, w]`.
    ///
    /// # Panics
    /// If the window does not fit; the message names the operation.
    #[track_caller]
    pub(crate) fn output(&self, op: &str, shape: &[usize]) -> [usize; 2] {
        assert!(shape.len() == 4, "{op}: the input must have 4 axes, found shape {shape:?}");
        [0, 1].map(|i| {
            let room = (shape[2 + i] + 2 * self.padding[i]).checked_sub(self.kernel[i]);
            match room {
                Some(room) if 2 * self.padding[i] <= self.kernel[i] => room / self.stride[i] + 1,
                _ => panic!("{op}: input {shape:?} does not fit with {self:?}"),
            }
        })
    }
}

/// Interpolation of [`Tensor::resize2d`](crate::Tensor::resize2d) between pixels; pixel centres are at half-integers
/// (PyTorch's `align_corners=False`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Interpolation {
    /// The nearest pixel (the lower of two).
    Nearest,
    /// Weighted mean of the four nearest pixels.
    Bilinear,
}

/// The window of a max pooling, with the size of its output.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Window {
    /// Kernel, stride and padding.
    pub options: PoolOptions,
    /// Height and width of the pooled image.
    pub output: [usize; 2],
}
