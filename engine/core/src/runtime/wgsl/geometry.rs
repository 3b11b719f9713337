//! Geometry of a convolution as products of weights with gathered pixels.
//!
//! The input gradient of a strided convolution is computed in phases: the input pixels `(s·t + a, s·u + b)` of one
//! phase `(a, b)` use the same taps, so that they are a convolution of the output's gradient, of stride 1, with these
//! taps.

use crate::ir::{Conv, ConvKind};

/// A tap of a window: the pixel that it reads, relative to `stride` times the output pixel, and its index in the
/// weight.
#[derive(Clone, Copy)]
pub(super) struct Tap {
    pub row: i64,
    pub column: i64,
    pub index: usize,
}

/// One pass of a convolution: a grid of output pixels that use the same taps.
pub(super) struct Pass {
    /// Height and width of the grid.
    pub grid: [usize; 2],
    pub stride: [usize; 2],
    pub taps: Vec<Tap>,
    /// Offset of the grid's first pixel in an output image, and the distances of its lines and columns there, in
    /// elements.
    pub base: usize,
    pub line: usize,
    pub column: usize,
}

/// Sizes of the operands of a convolution or of one of its gradients.
pub(super) struct Geometry {
    pub images: usize,
    pub groups: usize,
    /// Channels of the result, and channels that are summed over, of one group.
    pub rows: usize,
    pub channels: usize,
    /// Height and width of the images that pixels are gathered from, and of the result.
    pub size: [usize; 2],
    pub out_size: [usize; 2],
    /// Number of taps, and strides of the weight in elements.
    pub taps: usize,
    pub w_group: usize,
    pub w_row: usize,
    pub w_channel: usize,
    pub passes: Vec<Pass>,
}

impl Pass {
    pub fn pixels(&self) -> usize {
        self.grid[0] * self.grid[1]
    }

    /// Returns true if the pixels of the grid follow each other without gaps in an output image.
    pub fn in_one_piece(&self) -> bool {
        self.column == 1 && self.line == self.grid[1]
    }
}

impl Geometry {
    /// Returns the geometry of a convolution. A weight gradient has the geometry of its forward pass; its rows are the
    /// output's channels.
    pub fn of(conv: &Conv) -> Geometry {
        let o = conv.options;
        let (outs, ins) = (conv.w[0] / o.groups, conv.w[1]);
        let taps = conv.w[2] * conv.w[3];
        let (x, y) = ([conv.x[2], conv.x[3]], [conv.y[2], conv.y[3]]);
        let common = Geometry {
            images: conv.x[0],
            groups: o.groups,
            rows: outs,
            channels: ins,
            size: x,
            out_size: y,
            taps,
            w_group: outs * ins * taps,
            w_row: ins * taps,
            w_channel: taps,
            passes: Vec::new(),
        };
        match conv.kind {
            ConvKind::Forward | ConvKind::WeightGrad => {
                Geometry { passes: vec![forward(conv)], ..common }
            }
            ConvKind::InputGrad => Geometry {
                rows: ins,
                channels: outs,
                size: y,
                out_size: x,
                w_row: taps,
                w_channel: ins * taps,
                passes: phases(conv),
                ..common
            },
        }
    }
}

/// Returns the only pass of a forward convolution.
fn forward(conv: &Conv) -> Pass {
    let o = conv.options;
    let place = |k: usize, i: usize| (k * o.dilation[i]) as i64 - o.padding[i] as i64;
    let taps = (0..conv.w[2] * conv.w[3])
        .map(|index| Tap {
            row: place(index / conv.w[3], 0),
            column: place(index % conv.w[3], 1),
            index,
        })
        .collect();
    Pass {
        grid: [conv.y[2], conv.y[3]],
        stride: o.stride,
        taps,
        base: 0,
        line: conv.y[3],
        column: 1,
    }
}

/// Returns one pass for each phase of an input gradient.
fn phases(conv: &Conv) -> Vec<Pass> {
    let (o, width) = (conv.options, conv.x[3]);
    // Output row t + (a + padding − k·dilation) / s sees input row s·t + a through tap k, if the quotient is an
    // integer.
    let place = |phase: usize, k: usize, i: usize| {
        let distance = (phase + o.padding[i]) as i64 - (k * o.dilation[i]) as i64;
        let step = o.stride[i] as i64;
        (distance % step == 0).then_some(distance / step)
    };
    let mut passes = Vec::new();
    for a in 0..o.stride[0].min(conv.x[2]) {
        for b in 0..o.stride[1].min(width) {
            let taps = (0..conv.w[2] * conv.w[3])
                .filter_map(|index| {
                    Some(Tap {
                        row: place(a, index / conv.w[3], 0)?,
                        column: place(b, index % conv.w[3], 1)?,
                        index,
                    })
                })
                .collect();
            passes.push(Pass {
                grid: [(conv.x[2] - a).div_ceil(o.stride[0]), (width - b).div_ceil(o.stride[1])],
                stride: [1, 1],
                taps,
                base: a * width + b,
                line: o.stride[0] * width,
                column: o.stride[1],
            });
        }
    }
    passes
}
