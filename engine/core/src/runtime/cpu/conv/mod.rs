//! Convolutions on the CPU, for any geometry, in f32 and f64.

mod correlate;
mod geometry;
mod plan;
#[cfg(test)]
mod tests;
mod tile;
mod weight;

use super::isa::{Float, Isa};
use crate::ir::{Conv, ConvKind};
use correlate::correlate;
use geometry::Axis;
use plan::{Correlation, Weight};
use weight::{WeightGrad, weight_grad};

/// Smallest number of multiplications for which work is divided among threads.
const SMALL: usize = 1 << 20;

/// Consecutive rows of a matrix that one register tile computes.
#[derive(Clone, Copy, Debug)]
struct Panel {
    index: usize,
    first: usize,
    len: usize,
}

/// Divides rows into as few panels as possible, of about the same length.
fn panels(rows: usize, longest: usize) -> Vec<Panel> {
    let count = rows.div_ceil(longest);
    (0..count)
        .map(|i| {
            let (first, end) = (i * rows / count, (i + 1) * rows / count);
            Panel { index: i, first, len: end - first }
        })
        .collect()
}

/// Computes a convolution or one of its gradients, of row-major operands.
pub(super) fn convolve<T: Float>(isa: &'static Isa<T>, conv: &Conv, a: &[T], b: &[T]) -> Vec<T> {
    let groups = conv.options.groups;
    let per_group = |[_, c, h, w]: [usize; 4]| [c / groups, h, w];
    let [c_out, c_in, kh, kw] = conv.w;
    let taps = kh * kw;
    let weight = |of_row, of_channel| Weight {
        elements: b,
        strides: [c_out / groups * c_in * taps, of_row, of_channel, kw, 1],
    };
    match conv.kind {
        ConvKind::Forward => {
            let correlation = Correlation {
                images: conv.x[0],
                groups,
                source: per_group(conv.x),
                out: per_group(conv.y),
                rows: vec![Axis::forward(conv, 0)],
                cols: vec![Axis::forward(conv, 1)],
            };
            correlate(isa, &correlation, a, &weight(c_in * taps, taps))
        }
        ConvKind::InputGrad => {
            let correlation = Correlation {
                images: conv.x[0],
                groups,
                source: per_group(conv.y),
                out: per_group(conv.x),
                rows: Axis::backward(conv, 0),
                cols: Axis::backward(conv, 1),
            };
            correlate(isa, &correlation, a, &weight(taps, c_in * taps))
        }
        ConvKind::WeightGrad => {
            let grad = WeightGrad {
                images: conv.x[0],
                groups,
                x: per_group(conv.x),
                y: per_group(conv.y),
                rows: Axis::forward(conv, 0),
                cols: Axis::forward(conv, 1),
            };
            weight_grad(isa, &grad, a, b)
        }
    }
}
