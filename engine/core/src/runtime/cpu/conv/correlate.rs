//! Forward convolutions and input gradients: both correlate a source with weights,
//!
//! `out[n][m][i][j] = Σ_{c,u,v} weight[m][c][u][v] · source[n][c][i·step + rows.taps[u]][j·step + cols.taps[v]]`.
//!
//! With `k` for `(c, u, v)` and `p` for `(i, j)` it is a matrix product `out[m][p] = Σ_k weight[m][k] · b[k][p]`,
//! whose rows `b[k]` are views of the padded source, each shifted by `k`'s offset. If the step is one, the kernel
//! reads them in place; the gaps between rows count as pixels whose results are dropped. If the gaps would be too
//! large, or the step is larger, a tile of `b` is gathered first, which all rows `m` then share.

use std::mem::MaybeUninit;

use rayon::prelude::*;

use super::super::isa::{Float, Isa};
use super::super::scratch;
use super::SMALL;
use super::plan::{Correlation, CorrelationPlan, DEPTH, StridePhase, Weight};
use super::tile::PhaseTask;

/// Computes the output `[n][m][i][j]` of a correlation.
pub(super) fn correlate<T: Float>(
    isa: &'static Isa<T>,
    correlation: &Correlation,
    source: &[T],
    weight: &Weight<T>,
) -> Vec<T> {
    let plan = CorrelationPlan::new(isa, correlation, weight);
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
    let products = plan.phases.iter().map(StridePhase::products).sum::<usize>();
    if products * c.images * c.groups * c.out[0] < SMALL {
        memory.chunks_mut(chunk).enumerate().for_each(task);
    } else {
        memory.par_chunks_mut(chunk).enumerate().for_each(task);
    }
    // SAFETY: the tasks write all elements of their chunks.
    unsafe { out.set_len(len) };
    out
}

impl<'a, T: Float> CorrelationPlan<'a, T> {
    /// Computes one part of the channels of some images. All elements of `out` are written.
    fn task(&self, source: &[T], images: usize, part: usize, out: &mut [MaybeUninit<T>]) {
        let c = self.correlation;
        let phases = c.rows.len() * c.cols.len();
        if self.phases.len() < phases {
            // Pixels that no tap reaches are zero.
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
            // Whole vectors are read, also beyond the last pixel.
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
                    let mut task = PhaseTask {
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
                        (0..images).for_each(|image| task.in_place(image));
                    } else {
                        task.gathered(images);
                    }
                }
            }
        });
    }

    /// Copies a group's channels between the zeros of the padded source.
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
