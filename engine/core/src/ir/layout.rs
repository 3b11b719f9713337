//! Slices and paddings by axis.

/// One axis of a slice: the `len` indices `start, start + step, …`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SliceAxis {
    /// First index.
    pub start: usize,
    /// Distance between indices.
    pub step: usize,
    /// Number of indices.
    pub len: usize,
}

/// One axis of a zero padding.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PadAxis {
    /// Zeros before the first element.
    pub low: usize,
    /// Zeros after the last element.
    pub high: usize,
    /// Zeros between neighbours.
    pub interior: usize,
}
