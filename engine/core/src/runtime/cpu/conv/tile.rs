//! Tiles of a correlation: the operands that the kernels multiply, their sources and the places of the results.

use std::mem::MaybeUninit;

use super::super::isa::Float;
use super::super::kernels::Segment;
use super::Panel;
use super::plan::{CorrelationPlan, DEPTH, StridePhase};

/// One phase of one group of a task.
pub(super) struct PhaseTask<'w, T: 'static> {
    pub plan: &'w CorrelationPlan<'w, T>,
    pub phase: &'w StridePhase<'w, T>,
    pub panels: &'w [Panel],
    /// Weights from the group's first panel on.
    pub weights: &'w [T],
    pub padded: &'w [T],
    pub tile: &'w mut [T],
    pub sums: &'w mut [T],
    pub segments: &'w mut Vec<Segment>,
    pub out: &'w mut [MaybeUninit<T>],
    /// Offset of the group's first channel in an image of `out`.
    pub first: usize,
    pub out_image: usize,
}

impl<T: Float> PhaseTask<'_, T> {
    /// Computes one image from views of the padded source.
    pub fn in_place(&mut self, image: usize) {
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

    /// Computes the task's images together, from gathered tiles.
    pub fn gathered(&mut self, images: usize) {
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
            let start = panel.index * isa.rows() * depth + first * panel.len;
            let a = &self.weights[start..][..offsets.len() * panel.len];
            let c = &mut self.sums[(panel.first - skipped) * pitch..][..panel.len * pitch];
            // SAFETY: the lengths of `a` and `c` are checked, and callers guarantee `b`.
            unsafe {
                let gemm = isa.gemm[vectors - 1][panel.len - 1];
                gemm(a.as_ptr(), b, offsets, c.as_mut_ptr(), pitch, first > 0);
            }
        }
    }

    /// Writes the sums to the output.
    fn scatter(&mut self) {
        let plan = self.plan;
        let [_, height, width] = plan.correlation.out;
        let channels: usize = self.panels.iter().map(|p| p.len).sum();
        let (plane, step) = (height * width, self.phase.cols.every);
        if step == 1 {
            // Rows without gaps between them become one segment.
            self.segments.dedup_by(|s, before| {
                let joins = before.tile + before.len == s.tile && before.out + before.len == s.out;
                before.len += if joins { s.len } else { 0 };
                joins
            });
        }
        let end = self.segments.iter().map(|s| s.out + (s.len - 1) * step + 1).max();
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
