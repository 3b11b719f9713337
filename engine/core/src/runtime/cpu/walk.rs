//! Iteration over the rows of strided inputs.

use crate::ir::program::Loops;

/// Offset of the current row in each input, moving along some axes in row-major order.
pub(super) struct Walk<'a> {
    loops: &'a Loops,
    axes: &'a [usize],
    index: Vec<usize>,
    pub(super) offsets: Vec<usize>,
}

impl<'a> Walk<'a> {
    /// Starts at row `row`; `base` is added to all offsets.
    pub(super) fn new(
        loops: &'a Loops,
        axes: &'a [usize],
        mut row: usize,
        base: Vec<usize>,
    ) -> Walk<'a> {
        let mut walk = Walk { loops, axes, index: vec![0; axes.len()], offsets: base };
        for (at, &axis) in axes.iter().enumerate().rev() {
            walk.index[at] = row % loops.sizes[axis];
            row /= loops.sizes[axis];
            for (offset, strides) in walk.offsets.iter_mut().zip(&loops.strides) {
                *offset += walk.index[at] * strides[axis];
            }
        }
        walk
    }

    /// Moves to the next row.
    pub(super) fn advance(&mut self) {
        for (at, &axis) in self.axes.iter().enumerate().rev() {
            let size = self.loops.sizes[axis];
            self.index[at] += 1;
            let back = if self.index[at] == size { size - 1 } else { 0 };
            for (offset, strides) in self.offsets.iter_mut().zip(&self.loops.strides) {
                match back {
                    0 => *offset += strides[axis],
                    back => *offset -= back * strides[axis],
                }
            }
            if back == 0 {
                return;
            }
            self.index[at] = 0;
        }
    }
}
