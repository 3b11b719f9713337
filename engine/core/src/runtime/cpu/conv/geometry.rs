//! Where the taps of a convolution fall.

use crate::ir::Conv;

/// One axis of a correlation `out[i] = Σ_t weight[t] · source[i · step + taps[t]]`, with zeros outside of the
/// source.
#[derive(Clone, Debug)]
pub(super) struct Axis {
    /// Positions of the output.
    pub grid: usize,
    pub step: usize,
    /// Offset at which the source is read, relative to `i · step`.
    pub taps: Vec<isize>,
    /// Which of the kernel's taps those are.
    pub kernel: Vec<usize>,
    /// Position `i` of the correlation is `first + i · every` of the output.
    pub first: usize,
    pub every: usize,
}

impl Axis {
    /// The output of a convolution, from its input.
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

    /// The input's gradient, from the output's: one correlation for each phase of the stride, as
    /// `y[(h + padding − k·dilation) / stride]` is seen from `x[h]` where the division leaves no remainder.
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

    /// Number of zeros that are read before and after a source of this size.
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
    /// Elements in all.
    pub len: usize,
}

impl Padded {
    /// With margins around, and rows of at least `grid`.
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

    /// Offset of the pixel that is `row` and `col` from the first; it may be one of the zeros.
    pub fn at(&self, row: isize, col: isize) -> usize {
        let at = self.origin as isize + row * self.pitch as isize + col;
        debug_assert!(at >= 0 && (at as usize) < self.len);
        at as usize
    }
}
