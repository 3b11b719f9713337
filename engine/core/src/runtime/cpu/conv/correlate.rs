//! Forward convolutions and input gradients: both correlate a source with weights,
//!
//! `out[n][m][i][j] = Σ_{c,u,v} weight[m][c][u][v] · source[n][c][i·step + rows.taps[u]][j·step + cols.taps[v]]`.
//!
//! With `k` for `(c, u, v)` and `p` for `(i, j)` it is a matrix product `out[m][p] = Σ_k weight[m][k] · b[k][p]`,
//! whose rows `b[k]` are views of the padded source, each shifted by `k`'s offset: where the step is one, the
//! kernel reads them in place, with the gaps between rows as pixels that are dropped. Where those would be too
//! many, or the step is larger, a tile of `b` is gathered first, which all rows `m` then share.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::super::isa::{Float, Isa};
use super::super::scratch;
use super::geometry::{Axis, Padded};
use super::tile::Work;
use super::{Panel, SMALL, panels};

/// How many `k` a gathered tile has: it should stay in the nearest cache.
pub(super) const DEPTH: usize = 192;

/// A correlation of `images` images in `groups` groups, in one or more phases that divide the output's pixels.
pub(super) struct Correlation {
    pub images: usize,
    pub groups: usize,
    /// Channels of a group, height, width.
    pub source: [usize; 3],
    /// Channels of a group, height, width.
    pub out: [usize; 3],
    pub rows: Vec<Axis>,
    pub cols: Vec<Axis>,
}

/// One phase, ready for the kernels.
pub(super) struct Phase<'a, T> {
    pub rows: &'a Axis,
    pub cols: &'a Axis,
    /// Offset of each `k` in a padded image.
    pub offsets: Vec<usize>,
    /// By group: panels `[k][m]`, with room for the most rows each.
    pub weights: Vec<T>,
    /// Whether views of the padded source are read in place.
    pub in_place: bool,
}

/// What all tasks share.
pub(super) struct Plan<'a, T: 'static> {
    pub isa: &'static Isa<T>,
    pub correlation: &'a Correlation,
    pub padded: Padded,
    pub panels: Vec<Panel>,
    pub phases: Vec<Phase<'a, T>>,
    /// Offsets of the rows of a gathered tile.
    pub dense: Vec<usize>,
    /// Images of a task.
    pub images: usize,
    /// Into how many parts an image's channels (or groups) are divided.
    pub parts: usize,
}

/// A weight, and the distances between its groups, rows `m`, channels `c`, kernel rows and kernel columns.
pub(super) struct Weight<'a, T> {
    pub elements: &'a [T],
    pub strides: [usize; 5],
}

/// The output.
pub(super) fn correlate<T: Float>(
    isa: &'static Isa<T>,
    correlation: &Correlation,
    source: &[T],
    weight: &Weight<T>,
) -> Vec<T> {
    let plan = Plan::new(isa, correlation, weight);
    let c = correlation;
    let source_image = c.groups * c.source.iter().product::<usize>();
    let out_image = c.groups * c.out.iter().product::<usize>();
    assert_eq!(source.len(), c.images * source_image);
    let len = c.images * out_image;
    if len == 0 {
        return Vec::new();
    }
    let mut out = Vec::with_capacity(len);
    let memory = &mut out.spare_capacity_mut()[..len];
    let chunk = plan.images * out_image / plan.parts;
    let task = |(i, out): (usize, &mut [MaybeUninit<T>])| {
        let first = i / plan.parts * plan.images;
        let images = plan.images.min(c.images - first);
        let source = &source[first * source_image..][..images * source_image];
        plan.task(source, images, i % plan.parts, out);
    };
    let products = plan.phases.iter().map(Phase::products).sum::<usize>();
    if products * c.images * c.groups * c.out[0] < SMALL {
        memory.chunks_mut(chunk).enumerate().for_each(task);
    } else {
        memory.par_chunks_mut(chunk).enumerate().for_each(task);
    }
    // SAFETY: the tasks write all elements of their chunks.
    unsafe { out.set_len(len) };
    out
}

impl<T> Phase<'_, T> {
    pub fn pixels(&self) -> usize {
        self.rows.grid * self.cols.grid
    }

    /// Multiplications for one output channel.
    fn products(&self) -> usize {
        self.pixels() * self.offsets.len()
    }
}

impl<'a, T: Float> Plan<'a, T> {
    fn new(isa: &'static Isa<T>, c: &'a Correlation, weight: &Weight<T>) -> Plan<'a, T> {
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
                Phase {
                    rows,
                    cols,
                    offsets,
                    weights,
                    in_place: in_place(isa.lanes, c.out[0], rows, cols, padded.pitch, images),
                }
            })
            .collect();
        let images = if phases.iter().all(|p| p.in_place) {
            1
        } else {
            images
        };
        let per_image = if c.groups > 1 {
            c.groups
        } else {
            // Whole panels of the most rows, two at least.
            let two = 2 * isa.rows();
            if c.out[0].is_multiple_of(two) {
                c.out[0] / two
            } else {
                1
            }
        };
        let parts = if images > 1 {
            1
        } else {
            (1..=per_image)
                .filter(|&parts| per_image.is_multiple_of(parts) && (parts - 1) * c.images < 16)
                .max()
                .unwrap_or(1)
        };
        Plan {
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

    /// One part of some images. All elements of `out` are written.
    fn task(&self, source: &[T], images: usize, part: usize, out: &mut [MaybeUninit<T>]) {
        let c = self.correlation;
        let phases = c.rows.len() * c.cols.len();
        if self.phases.len() < phases {
            // Some pixels are seen by no tap.
            out.fill(MaybeUninit::new(T::default()));
        }
        let (groups, panels) = if c.groups > 1 {
            let groups = c.groups / self.parts;
            (part * groups..(part + 1) * groups, &self.panels[..])
        } else {
            let panels = self.panels.len() / self.parts;
            (0..1, &self.panels[part * panels..][..panels])
        };
        let width = self.isa.vectors * self.isa.lanes;
        let sizes = [
            // Vectors are read whole.
            images * c.source[0] * self.padded.len + 2 * width,
            DEPTH * width + self.isa.lanes,
            c.out[0] * width,
        ];
        scratch::with(sizes, |[padded, tile, sums]| {
            padded.fill(T::default());
            let mut segments = Vec::new();
            for group in groups.clone() {
                self.pad(source, images, group, padded);
                for phase in &self.phases {
                    let mut work = Work {
                        plan: self,
                        phase,
                        panels,
                        weights: &phase.weights
                            [group * self.panels.len() * self.isa.rows() * phase.offsets.len()..],
                        padded,
                        tile,
                        sums,
                        segments: &mut segments,
                        first: (group - groups.start) * c.out.iter().product::<usize>(),
                        out_image: out.len() / images,
                        out,
                    };
                    if phase.in_place {
                        (0..images).for_each(|image| work.in_place(image));
                    } else {
                        work.gathered(images);
                    }
                }
            }
        });
    }

    /// Copies a group's channels between the zeros.
    fn pad(&self, source: &[T], images: usize, group: usize, padded: &mut [T]) {
        let (c, p) = (self.correlation, &self.padded);
        let plane = p.height * p.width;
        for image in 0..images {
            for ch in 0..c.source[0] {
                let from =
                    &source[((image * c.groups + group) * c.source[0] + ch) * plane..][..plane];
                let to = &mut padded[(image * c.source[0] + ch) * p.len + p.origin..];
                assert!(to.len() >= p.height * p.pitch + self.isa.lanes);
                // SAFETY: both lengths are checked; the table is this processor's.
                unsafe {
                    (self.isa.copy_rows)(from.as_ptr(), p.height, p.width, to.as_mut_ptr(), p.pitch)
                }
            }
        }
    }
}

/// The weights in panels, as the kernel reads them.
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
        weights
            .par_chunks_mut(room * depth)
            .enumerate()
            .for_each(fill);
    }
    weights
}

/// Whether reading in place, with the gaps, is less work than gathering for all rows `m`.
fn in_place(lanes: usize, m: usize, rows: &Axis, cols: &Axis, pitch: usize, images: usize) -> bool {
    if rows.step != 1 || cols.step != 1 || rows.grid == 0 {
        return false;
    }
    let with_gaps = ((rows.grid - 1) * pitch + cols.grid).div_ceil(lanes) * images;
    let gathered = (images * rows.grid * cols.grid).div_ceil(lanes);
    // In units of a multiplication: gathering a vector takes about four.
    with_gaps * m <= gathered * (m + 4)
}
