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

use super::super::kernels::{Float, Isa, Segment};
use super::super::scratch;
use super::geometry::{Axis, Padded};
use super::{Panel, SMALL, panels};

/// How many `k` a gathered tile has: it should stay in the nearest cache.
const DEPTH: usize = 192;

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
struct Phase<'a, T> {
    rows: &'a Axis,
    cols: &'a Axis,
    /// Offset of each `k` in a padded image.
    offsets: Vec<usize>,
    /// By group: panels `[k][m]`.
    weights: Vec<T>,
    /// Whether views of the padded source are read in place.
    in_place: bool,
}

/// What all tasks share.
struct Plan<'a, T: 'static> {
    isa: &'static Isa<T>,
    correlation: &'a Correlation,
    padded: Padded,
    panels: Vec<Panel>,
    phases: Vec<Phase<'a, T>>,
    /// Offsets of the rows of a gathered tile.
    dense: Vec<usize>,
    /// Images of a task.
    images: usize,
    /// Into how many parts an image's channels (or groups) are divided.
    parts: usize,
}

/// The output, by `weight(group, m, c, kernel row, kernel column)`.
pub(super) fn correlate<T: Float>(
    isa: &'static Isa<T>,
    correlation: &Correlation,
    source: &[T],
    weight: impl Fn(usize, usize, usize, usize, usize) -> T,
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
    fn pixels(&self) -> usize {
        self.rows.grid * self.cols.grid
    }

    /// Multiplications for one output channel.
    fn products(&self) -> usize {
        self.pixels() * self.offsets.len()
    }
}

impl<'a, T: Float> Plan<'a, T> {
    fn new(
        isa: &'static Isa<T>,
        c: &'a Correlation,
        weight: impl Fn(usize, usize, usize, usize, usize) -> T,
    ) -> Plan<'a, T> {
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
                let mut weights = Vec::with_capacity(c.groups * c.out[0] * offsets.len());
                for group in 0..c.groups {
                    for panel in &panels {
                        for ch in 0..channels {
                            for &u in &rows.kernel {
                                for &v in &cols.kernel {
                                    let row = |m| weight(group, panel.first + m, ch, u, v);
                                    weights.extend((0..panel.len).map(row));
                                }
                            }
                        }
                    }
                }
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
                        weights: &phase.weights[group * c.out[0] * phase.offsets.len()..],
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

/// One phase of one group of a task.
struct Work<'w, T: 'static> {
    plan: &'w Plan<'w, T>,
    phase: &'w Phase<'w, T>,
    panels: &'w [Panel],
    /// Of all the group's panels.
    weights: &'w [T],
    padded: &'w [T],
    tile: &'w mut [T],
    sums: &'w mut [T],
    segments: &'w mut Vec<Segment>,
    out: &'w mut [MaybeUninit<T>],
    /// Where the group's first channel lies in an image of `out`.
    first: usize,
    out_image: usize,
}

impl<T: Float> Work<'_, T> {
    fn in_place(&mut self, image: usize) {
        let (isa, padded) = (self.plan.isa, &self.plan.padded);
        let base = image * self.plan.correlation.source[0] * padded.len;
        let gaps = padded.pitch;
        let total = (self.phase.rows.grid - 1) * gaps + self.phase.cols.grid;
        let mut from = 0;
        while from < total {
            let vectors = isa.next_vectors((total - from).div_ceil(isa.lanes));
            let to = (from + vectors * isa.lanes).min(total);
            self.segments.clear();
            self.segments(image, gaps, from, to);
            // SAFETY: a tile ends less than a vector after the last pixel, which itself is in the padded image;
            // after the images there is more than a vector.
            let b = unsafe { self.padded.as_ptr().add(base + from) };
            self.multiply(b, &self.phase.offsets, 0, vectors);
            self.scatter();
            from = to;
        }
    }

    fn gathered(&mut self, images: usize) {
        let (isa, phase) = (self.plan.isa, self.phase);
        let pitch = isa.vectors * isa.lanes;
        let (pixels, width) = (phase.pixels(), phase.cols.grid);
        let total = images * pixels;
        let mut from = 0;
        while from < total {
            let vectors = isa.next_vectors((total - from).div_ceil(isa.lanes));
            let to = (from + vectors * isa.lanes).min(total);
            self.segments.clear();
            for image in from / pixels..to.div_ceil(pixels) {
                let before = image * pixels;
                let (a, b) = (from.max(before) - before, to.min(before + pixels) - before);
                let first = self.segments.len();
                self.segments(image, width, a, b);
                for s in &mut self.segments[first..] {
                    s.tile = s.tile + before + a - from;
                }
            }
            for (block, offsets) in phase.offsets.chunks(DEPTH).enumerate() {
                // SAFETY: the segments' pixels lie in the padded images, after which there is more than a vector;
                // the tile has room for the most offsets, vectors and one more.
                unsafe {
                    (isa.gather)(
                        self.padded.as_ptr(),
                        offsets,
                        self.segments,
                        phase.cols.step,
                        self.tile.as_mut_ptr(),
                        pitch,
                    )
                }
                let dense = &self.plan.dense[..offsets.len()];
                self.multiply(self.tile.as_ptr(), dense, block * DEPTH, vectors);
            }
            self.scatter();
            from = to;
        }
    }

    /// Appends the segments of pixels `from..to` of an image, with rows `pitch` apart.
    fn segments(&mut self, image: usize, pitch: usize, from: usize, to: usize) {
        let (plan, rows, cols) = (self.plan, self.phase.rows, self.phase.cols);
        let [_, _, out_width] = plan.correlation.out;
        let source = image * plan.correlation.source[0] * plan.padded.len;
        for i in from / pitch..to.div_ceil(pitch) {
            let start = from.max(i * pitch) - i * pitch;
            let end = (to - i * pitch).min(cols.grid);
            if start < end {
                self.segments.push(Segment {
                    source: source + i * rows.step * plan.padded.pitch + start * cols.step,
                    tile: i * pitch + start - from,
                    out: image * self.out_image
                        + self.first
                        + (rows.first + i * rows.every) * out_width
                        + cols.first
                        + start * cols.every,
                    len: end - start,
                });
            }
        }
    }

    /// `sums[m][p] (+)= Σ_k weights[k][m] · b[offsets[k] + p]` for all panels and the block of `k` from `first`.
    fn multiply(&mut self, b: *const T, offsets: &[usize], first: usize, vectors: usize) {
        let isa = self.plan.isa;
        let (depth, pitch) = (self.phase.offsets.len(), isa.vectors * isa.lanes);
        let skipped = self.panels[0].first;
        for panel in self.panels {
            let a = &self.weights[panel.first * depth + first * panel.len..]
                [..offsets.len() * panel.len];
            let c = &mut self.sums[(panel.first - skipped) * pitch..][..panel.len * pitch];
            // SAFETY: the lengths of `a` and `c` are checked, and callers vouch for `b`.
            unsafe {
                let gemm = isa.gemm[vectors - 1][panel.len - 1];
                gemm(a.as_ptr(), b, offsets, c.as_mut_ptr(), pitch, first > 0);
            }
        }
    }

    /// Writes the sums to their places.
    fn scatter(&mut self) {
        let plan = self.plan;
        let [_, height, width] = plan.correlation.out;
        let channels: usize = self.panels.iter().map(|p| p.len).sum();
        let (plane, step) = (height * width, self.phase.cols.every);
        if step == 1 {
            // Rows without gaps are one segment.
            self.segments.dedup_by(|s, before| {
                let joins = before.tile + before.len == s.tile && before.out + before.len == s.out;
                before.len += if joins { s.len } else { 0 };
                joins
            });
        }
        let end = self
            .segments
            .iter()
            .map(|s| s.out + (s.len - 1) * step + 1)
            .max();
        assert!((channels - 1) * plane + end.unwrap_or(0) <= self.out.len());
        // SAFETY: the segments lie in the tile, and their places in `out`, which is checked.
        unsafe {
            (plan.isa.scatter)(
                self.sums.as_ptr(),
                plan.isa.vectors * plan.isa.lanes,
                channels,
                self.segments,
                self.out.as_mut_ptr().cast(),
                plane,
                step,
            )
        }
    }
}
