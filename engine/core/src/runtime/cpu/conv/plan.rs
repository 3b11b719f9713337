//! Preparation of a correlation: padded weights, tap offsets, and the division into tasks.

use rayon::prelude::*;

use super::super::isa::{Float, Isa};
use super::geometry::{Axis, Padded};
use super::{Panel, SMALL, panels};

/// Largest number of `k` in a gathered tile, which should stay in the first-level cache.
pub(super) const DEPTH: usize = 192;

/// A correlation of `images` images in `groups` groups, in one or more phases that divide the output's pixels.
pub(super) struct Correlation {
    pub images: usize,
    pub groups: usize,
    /// Shape of the source: channels of a group, height, width.
    pub source: [usize; 3],
    /// Shape of the output: channels of a group, height, width.
    pub out: [usize; 3],
    pub rows: Vec<Axis>,
    pub cols: Vec<Axis>,
}

/// One phase, prepared for the kernels.
pub(super) struct StridePhase<'a, T> {
    pub rows: &'a Axis,
    pub cols: &'a Axis,
    /// Offset of each `k` in a padded image.
    pub offsets: Vec<usize>,
    /// Weights of each group in panels `[k][m]`, each with room for the largest number of rows.
    pub weights: Vec<T>,
    /// True if the kernel reads the padded source in place, without gathering tiles.
    pub in_place: bool,
}

/// Plan of a correlation: the data that all its tasks share.
pub(super) struct CorrelationPlan<'a, T: 'static> {
    pub isa: &'static Isa<T>,
    pub correlation: &'a Correlation,
    pub padded: Padded,
    pub panels: Vec<Panel>,
    pub phases: Vec<StridePhase<'a, T>>,
    /// Offset of each row of a gathered tile.
    pub dense: Vec<usize>,
    /// Number of images of a task.
    pub images: usize,
    /// Number of parts into which an image's channels (or groups) are divided.
    pub parts: usize,
}

/// A weight, and the strides of its groups, rows `m`, channels `c`, kernel rows and kernel columns.
pub(super) struct Weight<'a, T> {
    pub elements: &'a [T],
    pub strides: [usize; 5],
}

impl<T> StridePhase<'_, T> {
    pub fn pixels(&self) -> usize {
        self.rows.grid * self.cols.grid
    }

    /// Returns the number of multiplications for one output channel.
    pub fn products(&self) -> usize {
        self.pixels() * self.offsets.len()
    }
}

impl<'a, T: Float> CorrelationPlan<'a, T> {
    /// Prepares a correlation: packs the weights, and chooses the division into tasks.
    pub fn new(
        isa: &'static Isa<T>,
        c: &'a Correlation,
        weight: &Weight<T>,
    ) -> CorrelationPlan<'a, T> {
        let [channels, height, width] = c.source;
        let margins = |axes: &[Axis], size| {
            axes.iter()
                .map(|axis| axis.margins(size))
                .fold([0, 0], |a, b| [a[0].max(b[0]), a[1].max(b[1])])
        };
        let grid = c.cols.iter().map(|axis| axis.grid).max().unwrap_or(0);
        let (rows, cols) = (margins(&c.rows, height), margins(&c.cols, width));
        let padded = Padded::new(height, width, rows, cols, grid);
        let panels = panels(c.out[0], isa.rows());
        // Small images are gathered together, so that tiles are full.
        let pixels = c.rows[0].grid * c.cols[0].grid;
        let images = (2 * isa.vectors * isa.lanes / pixels.max(1)).clamp(1, c.images.max(1));
        let phases: Vec<_> = c
            .rows
            .iter()
            .flat_map(|rows| c.cols.iter().map(move |cols| (rows, cols)))
            .filter(|(rows, cols)| rows.taps.len() * cols.taps.len() * channels > 0)
            .map(|(rows, cols)| {
                let mut offsets = Vec::new();
                for ch in 0..channels {
                    for &row in &rows.taps {
                        for &col in &cols.taps {
                            offsets.push(ch * padded.len + padded.at(row, col));
                        }
                    }
                }
                let weights = pack(c, rows, cols, &panels, isa.rows(), weight);
                StridePhase {
                    rows,
                    cols,
                    offsets,
                    weights,
                    in_place: in_place(isa.lanes, c.out[0], rows, cols, padded.pitch, images),
                }
            })
            .collect();
        let images = if phases.iter().all(|p| p.in_place) { 1 } else { images };
        let per_image = if c.groups > 1 {
            c.groups
        } else {
            // Each part has at least two panels of the largest number of rows.
            let two = 2 * isa.rows();
            if c.out[0].is_multiple_of(two) { c.out[0] / two } else { 1 }
        };
        let parts = if images > 1 {
            1
        } else {
            (1..=per_image)
                .filter(|&parts| per_image.is_multiple_of(parts) && (parts - 1) * c.images < 16)
                .max()
                .unwrap_or(1)
        };
        CorrelationPlan {
            isa,
            correlation: c,
            padded,
            panels,
            phases,
            dense: (0..DEPTH).map(|k| k * isa.vectors * isa.lanes).collect(),
            images,
            parts,
        }
    }
}

/// Returns the weights in panels, in the order in which the kernel reads them.
fn pack<T: Float>(
    c: &Correlation,
    rows: &Axis,
    cols: &Axis,
    panels: &[Panel],
    room: usize,
    weight: &Weight<T>,
) -> Vec<T> {
    let depth = c.source[0] * rows.taps.len() * cols.taps.len();
    let mut weights = vec![T::default(); c.groups * panels.len() * room * depth];
    let fill = |(i, to): (usize, &mut [T])| {
        let (group, panel) = (i / panels.len(), panels[i % panels.len()]);
        let mut to = to.chunks_mut(panel.len);
        let [of_group, of_row, of_channel, of_u, of_v] = weight.strides;
        let first = group * of_group + panel.first * of_row;
        for ch in 0..c.source[0] {
            for &u in &rows.kernel {
                for &v in &cols.kernel {
                    let to = to.next().expect("room for all rows");
                    let from = &weight.elements[first + ch * of_channel + u * of_u + v * of_v..];
                    for (to, &w) in to.iter_mut().zip(from.iter().step_by(of_row)) {
                        *to = w;
                    }
                }
            }
        }
    };
    if weights.len() < SMALL / 16 {
        weights.chunks_mut(room * depth).enumerate().for_each(fill);
    } else {
        weights.par_chunks_mut(room * depth).enumerate().for_each(fill);
    }
    weights
}

/// Returns true if reading in place, gaps included, is less work than gathering for all rows `m`.
fn in_place(lanes: usize, m: usize, rows: &Axis, cols: &Axis, pitch: usize, images: usize) -> bool {
    if rows.step != 1 || cols.step != 1 || rows.grid == 0 {
        return false;
    }
    let with_gaps = ((rows.grid - 1) * pitch + cols.grid).div_ceil(lanes) * images;
    let gathered = (images * rows.grid * cols.grid).div_ceil(lanes);
    // Costs in multiplications: gathering a vector takes about four.
    with_gaps * m <= gathered * (m + 4)
}
