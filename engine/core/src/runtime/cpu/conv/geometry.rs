//! Offsets of a convolution's taps in its source, axis by axis.

use crate::ir::Conv;

/// One axis of a correlation `out[i] = Σ_t weight[t] · source[i · step + taps[t]]`; the source is zero outside its
/// bounds.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Number of output positions.
    pub grid: usize,
    pub step: usize,
    /// Offset at which each tap reads the source, relative to `i · step`.
    pub taps: Vec<isize>,
    /// Indices of these taps in the kernel.
    pub kernel: Vec<usize>,
    /// Position `i` of the correlation is `first + i · every` of the output.
    pub first: usize,
    pub every: usize,
}

impl Axis {
    /// Returns the axis of a forward pass: the output as a correlation of the input.
    pub fn forward(conv: &Conv, axis: usize) -> Axis {
        let o = &conv.options;
        let kernel: Vec<usize> = (0..conv.w[2 + axis]).collect();
        Axis {
            grid: conv.y[2 + axis],
            step: o.stride[axis],
            taps: kernel
                .iter()
                .map(|&k| (k * o.dilation[axis]) as isize - o.padding[axis] as isize)
                .collect(),
            kernel,
            first: 0,
            every: 1,
        }
    }

    /// Returns the axes of an input gradient: one correlation of the output's gradient for each phase of the stride,
    /// because `x[h]` contributes to `y[(h + padding − k·dilation) / stride]` only if the division leaves no
    /// remainder.
    pub fn backward(conv: &Conv, axis: usize) -> Vec<Axis> {
        let o = &conv.options;
        let (size, stride) = (conv.x[2 + axis], o.stride[axis]);
        (0..stride.min(size))
            .map(|first| {
                let at =
                    |k: usize| (first + o.padding[axis]) as isize - (k * o.dilation[axis]) as isize;
                let kernel: Vec<usize> = (0..conv.w[2 + axis])
                    .filter(|&k| at(k).rem_euclid(stride as isize) == 0)
                    .collect();
                Axis {
                    grid: (size - first).div_ceil(stride),
                    step: 1,
                    taps: kernel.iter().map(|&k| at(k) / stride as isize).collect(),
                    kernel,
                    first,
                    every: stride,
                }
            })
            .collect()
    }

    /// Returns the number of zeros that are read before and after a source of this size.
    pub fn margins(&self, size: usize) -> [usize; 2] {
        let before = self.taps.iter().map(|&t| -t).max().unwrap_or(0);
        let last = ((self.grid.max(1) - 1) * self.step) as isize;
        let after = self.taps.iter().map(|&t| last + t + 1).max().unwrap_or(0) - size as isize;
        [before.max(0) as usize, after.max(0) as usize]
    }
}

/// A plane with zeros around it. The zeros after a row are also those before the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Padded {
    pub height: usize,
    pub width: usize,
    /// Distance between rows.
    pub pitch: usize,
    /// Offset of the first pixel.
    pub origin: usize,
    /// Number of elements, zeros included.
    pub len: usize,
}

impl Padded {
    /// Creates the layout of a plane with margins (before, after) of rows and columns; rows are at least `grid` apart.
    pub fn new(
        height: usize,
        width: usize,
        rows: [usize; 2],
        cols: [usize; 2],
        grid: usize,
    ) -> Padded {
        let pitch = (width + cols[0].max(cols[1])).max(grid);
        Padded {
            height,
            width,
            pitch,
            origin: rows[0] * pitch + cols[0],
            len: (rows[0] + height + rows[1]) * pitch + cols[0],
        }
    }

    /// Returns the offset of the pixel at `row` and `col` relative to the first; it may be one of the zeros.
    pub fn at(&self, row: isize, col: isize) -> usize {
        let at = self.origin as isize + row * self.pitch as isize + col;
        debug_assert!(at >= 0 && (at as usize) < self.len);
        at as usize
    }
}
