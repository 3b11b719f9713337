//! Rows of strided inputs, one after the other.

use crate::ir::program::Loops;

/// Offsets into the inputs along some axes, row by row.
pub(super) struct Walk<'a> {
    loops: &'a Loops,
    axes: &'a [usize],
    index: Vec<usize>,
    pub(super) offsets: Vec<usize>,
}

impl<'a> Walk<'a> {
    /// Starts at row number `row`; `base` is added to all offsets.
    pub(super) fn new(
        loops: &'a Loops,
        axes: &'a [usize],
        mut row: usize,
        base: Vec<usize>,
    ) -> Walk<'a> {
        let mut walk = Walk {
            loops,
            axes,
            index: vec![0; axes.len()],
            offsets: base,
        };
        for (at, &axis) in axes.iter().enumerate().rev() {
            walk.index[at] = row % loops.sizes[axis];
            row /= loops.sizes[axis];
            for (offset, strides) in walk.offsets.iter_mut().zip(&loops.strides) {
                *offset += walk.index[at] * strides[axis];
            }
        }
        walk
    }

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
