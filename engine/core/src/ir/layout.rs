//! Slices and paddings by axis.

/// One axis of a slice: indices `start, start + step, …` — `len` of them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct SliceAxis {
    pub start: usize,
    pub step: usize,
    pub len: usize,
}

/// One axis of a zero padding: `low` before, `high` after, `interior` between neighbours.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct PadAxis {
    pub low: usize,
    pub high: usize,
    pub interior: usize,
}
