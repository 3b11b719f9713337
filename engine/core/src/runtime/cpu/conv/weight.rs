//! Weight gradients,
//!
//! `dw[m][c][u][v] = Σ_{n,i,j} dy[n][m][i][j] · x[n][c][i·step + rows.taps[u]][j·step + cols.taps[v]]`.
//!
//! Both operands are transposed to channels-last, `x` with zeros around it. Then one pixel's taps of a kernel row are
//! neighbours `(v, c)` in `x`, which vectors read, and its `dy` are neighbours too: each pixel adds an outer product
//! to a tile of `dw` that stays in registers. The pixels are divided into bands that fit into a cache, and the bands
//! into a fixed number of chunks, whose sums are added in order, whatever the number of threads.

use std::ops::Range;

use rayon::prelude::*;

use super::super::isa::{Float, Isa};
use super::super::kernels::Pixels;
use super::super::scratch;
use super::geometry::{Axis, Padded};
use super::{Panel, SMALL, panels};

/// Number of elements of a band's operands: half of a second-level cache in f32.
const BAND: usize = 1 << 17;
/// Largest number of elements of all chunks' sums.
const SUMS: usize = 1 << 22;
/// Largest number of chunks.
const CHUNKS: usize = 16;
/// Desired number of products that a task computes for each pixel of `x` that it transposes: channels of `dy` times
/// taps.
const PRODUCTS: usize = 64 * 9;

/// The weight gradient of a convolution.
pub(super) struct WeightGrad {
    pub images: usize,
    pub groups: usize,
    /// Channels of a group, height, width.
    pub x: [usize; 3],
    /// Channels of a group, height, width.
    pub y: [usize; 3],
    pub rows: Axis,
    pub cols: Axis,
}

/// A vector of a tile: some neighbours `(v, c)` of a kernel row, called its run.
struct Slot {
    /// Row of the kernel.
    u: usize,
    /// Column of the kernel where the run begins.
    v: usize,
    /// Index of the first element in the run.
    first: usize,
    len: usize,
}

/// Rows of some images that are processed together.
struct Band {
    images: Range<usize>,
    rows: Range<usize>,
}

/// Data that all tasks share.
struct WeightGradPlan<'a, T: 'static> {
    isa: &'static Isa<T>,
    grad: &'a WeightGrad,
    /// Layout of a band of `x`, in pixels.
    padded: Padded,
    slots: Vec<Slot>,
    /// Offset of each slot's vector from a pixel.
    offsets: Vec<usize>,
    bands: Vec<Band>,
    /// Number of channels of `dy` that a task computes.
    block: usize,
}

/// Computes `dw` as `[m][c][u][v]`, with the `m` of all groups.
pub(super) fn weight_grad<T: Float>(
    isa: &'static Isa<T>,
    grad: &WeightGrad,
    x: &[T],
    dy: &[T],
) -> Vec<T> {
    let g = grad;
    let [channels, height, width] = g.x;
    let [m, grid_height, grid_width] = g.y;
    assert_eq!(x.len(), g.images * g.groups * channels * height * width);
    assert_eq!(dy.len(), g.images * g.groups * m * grid_height * grid_width);
    let taps = g.rows.taps.len() * g.cols.taps.len();
    let mut out = vec![T::default(); g.groups * m * channels * taps];
    if out.is_empty() || dy.is_empty() {
        return out;
    }
    let plan = WeightGradPlan::new(isa, grad);
    let block = plan.block;
    let blocks = m.div_ceil(block);
    let per_task = block * plan.slots.len() * isa.lanes;
    let chunks = (SUMS / (per_task * blocks * g.groups)).clamp(1, CHUNKS).min(plan.bands.len());
    let task = |i: usize| {
        let (chunk, i) = (i / (blocks * g.groups), i % (blocks * g.groups));
        let bands = chunk * plan.bands.len() / chunks..(chunk + 1) * plan.bands.len() / chunks;
        let (group, first) = (i / blocks, i % blocks * block);
        plan.task(x, dy, group, first..m.min(first + block), &plan.bands[bands])
    };
    let tasks = chunks * blocks * g.groups;
    let sums: Vec<Vec<T>> = if dy.len() * channels * taps < SMALL {
        (0..tasks).map(task).collect()
    } else {
        (0..tasks).into_par_iter().map(task).collect()
    };
    let row = |(i, out): (usize, &mut [T])| {
        let (group, m_) = (i / m, i % m);
        let pitch = plan.slots.len() * isa.lanes;
        let mut sum = vec![T::default(); pitch];
        for sums in sums.chunks(blocks * g.groups) {
            let sums = &sums[group * blocks + m_ / block];
            for (a, &b) in sum.iter_mut().zip(&sums[m_ % block * pitch..]) {
                *a = *a + b;
            }
        }
        plan.place(&sum, out);
    };
    if out.len() < SMALL / 16 {
        out.chunks_mut(channels * taps).enumerate().for_each(row);
    } else {
        out.par_chunks_mut(channels * taps).enumerate().for_each(row);
    }
    out
}

impl<'a, T: Float> WeightGradPlan<'a, T> {
    /// Chooses the bands, the tile's vectors and the blocks of channels.
    fn new(isa: &'static Isa<T>, g: &'a WeightGrad) -> WeightGradPlan<'a, T> {
        let [channels, _, width] = g.x;
        let [m, grid_height, grid_width] = g.y;
        let taps = g.rows.taps.len() * g.cols.taps.len();
        let block = m.min((PRODUCTS / taps).clamp(64, 256));
        // A band has as many rows of an image as fit, or as many whole images.
        let row = g.cols.margins(width).iter().sum::<usize>() + width;
        let per_row = row * g.rows.step * channels + grid_width * block;
        let rows = (BAND / per_row).clamp(1, grid_height);
        let images = if rows == grid_height {
            (BAND / (per_row * rows)).clamp(1, g.images.div_ceil(CHUNKS))
        } else {
            1
        };
        let mut bands = Vec::new();
        for image in (0..g.images).step_by(images) {
            for row in (0..grid_height).step_by(rows) {
                bands.push(Band {
                    images: image..(image + images).min(g.images),
                    rows: row..(row + rows).min(grid_height),
                });
            }
        }
        let (top, bottom) = (g.rows.taps[0], g.rows.taps[g.rows.taps.len() - 1]);
        let height = (rows - 1) * g.rows.step + (bottom - top) as usize + 1;
        let padded = Padded::new(height, width, [0, 0], g.cols.margins(width), 0);
        let columns = g.cols.taps.len();
        // Adjacent columns are one run.
        let joined = columns == 1 || g.cols.taps[1] == g.cols.taps[0] + 1;
        let (runs, run) = if joined { (1, columns * channels) } else { (columns, channels) };
        let mut slots = Vec::new();
        let mut offsets = Vec::new();
        for (u, &tap) in g.rows.taps.iter().enumerate() {
            for v in 0..runs {
                for first in (0..run).step_by(isa.lanes) {
                    offsets.push(padded.at(tap - top, g.cols.taps[v]) * channels + first);
                    slots.push(Slot { u, v, first, len: isa.lanes.min(run - first) });
                }
            }
        }
        WeightGradPlan { isa, grad: g, padded, slots, offsets, bands, block }
    }

    /// Returns a group's sums over some bands for a block of `dy`'s channels, `[m][slot][lane]`.
    fn task(&self, x: &[T], dy: &[T], group: usize, block: Range<usize>, bands: &[Band]) -> Vec<T> {
        let g = self.grad;
        let isa = self.isa;
        let pitch = self.slots.len() * isa.lanes;
        let mut sums = vec![T::default(); block.len() * pitch];
        let panels = panels(block.len(), isa.rows());
        let band = &self.bands[0];
        let sizes = [
            // Whole vectors are read, also beyond the last pixel.
            band.images.len() * self.padded.len * g.x[0] + isa.lanes,
            band.images.len() * band.rows.len() * g.y[2] * block.len(),
        ];
        scratch::with(sizes, |[turned_x, turned_y]| {
            turned_x.fill(T::default());
            for band in bands {
                for (i, image) in band.images.clone().enumerate() {
                    self.turn_x(x, image * g.groups + group, band, i, turned_x);
                    self.turn_y(dy, image * g.groups + group, band, i, block.clone(), turned_y);
                }
                self.add_band(band, &panels, turned_x, turned_y, block.len(), &mut sums);
            }
        });
        sums
    }

    /// Adds the outer products of a band's pixels to the sums.
    fn add_band(
        &self,
        band: &Band,
        panels: &[Panel],
        x: &[T],
        y: &[T],
        channels: usize,
        sums: &mut [T],
    ) {
        let (g, isa) = (self.grad, self.isa);
        let pixels = Pixels {
            images: band.images.len(),
            rows: band.rows.len(),
            cols: g.y[2],
            x_image: self.padded.len * g.x[0],
            x_row: g.rows.step * self.padded.pitch * g.x[0],
            x_col: g.cols.step * g.x[0],
            y_pixel: channels,
        };
        let pitch = self.slots.len() * isa.lanes;
        let mut slot = 0;
        while slot < self.slots.len() {
            let vectors = isa.next_vectors(self.slots.len() - slot);
            let offsets = &self.offsets[slot..slot + vectors];
            for panel in panels {
                let c = &mut sums[panel.first * pitch..(panel.first + panel.len) * pitch];
                // SAFETY: offsets and pixels stay in the padded images, after which there is a vector more; `y` has
                // the panel's channels at each pixel, and `c` the panel's rows.
                unsafe {
                    let outer = isa.outer[vectors - 1][panel.len - 1];
                    outer(
                        x.as_ptr(),
                        y.as_ptr().add(panel.first),
                        offsets,
                        &pixels,
                        c.as_mut_ptr().add(slot * isa.lanes),
                        pitch,
                    );
                }
            }
            slot += vectors;
        }
    }

    /// Transposes a band's rows of `x` to channels-last. The zeros between rows are there already.
    fn turn_x(&self, x: &[T], planes: usize, band: &Band, i: usize, to: &mut [T]) {
        let (g, p) = (self.grad, &self.padded);
        let [channels, height, width] = g.x;
        let x = &x[planes * channels * height * width..][..channels * height * width];
        let to = &mut to[i * p.len * channels..][..p.len * channels];
        let top = (band.rows.start * g.rows.step) as isize + g.rows.taps[0];
        let rows = p.height - (self.bands[0].rows.len() - band.rows.len()) * g.rows.step;
        for r in 0..rows {
            let to = &mut to[p.at(r as isize, 0) * channels..][..width * channels];
            let row = top + r as isize;
            if row < 0 || row >= height as isize {
                to.fill(T::default());
                continue;
            }
            let from = &x[row as usize * width..];
            // SAFETY: the row of each channel lies in `x`, and all their pixels have their places in `to`.
            unsafe {
                (self.isa.transpose)(
                    from.as_ptr(),
                    height * width,
                    channels,
                    width,
                    to.as_mut_ptr(),
                )
            }
        }
    }

    /// Transposes a band's rows of a block of `dy`'s channels to channels-last.
    fn turn_y(
        &self,
        dy: &[T],
        planes: usize,
        band: &Band,
        i: usize,
        block: Range<usize>,
        to: &mut [T],
    ) {
        let [m, height, width] = self.grad.y;
        let first = (planes * m + block.start) * height * width;
        let from = &dy[first..][..block.len() * height * width];
        let pixels = band.rows.len() * width;
        let to = &mut to[i * pixels * block.len()..][..pixels * block.len()];
        let from = &from[band.rows.start * width..];
        // SAFETY: the band of each channel lies in `from`, and all its pixels have their places in `to`.
        unsafe {
            (self.isa.transpose)(
                from.as_ptr(),
                height * width,
                block.len(),
                pixels,
                to.as_mut_ptr(),
            )
        }
    }

    /// Writes one row of sums, `[slot][lane]`, in the weight's order.
    fn place(&self, sums: &[T], out: &mut [T]) {
        let channels = self.grad.x[0];
        let [rows, cols] = [&self.grad.rows, &self.grad.cols].map(|axis| axis.taps.len());
        for (slot, sums) in self.slots.iter().zip(sums.chunks(self.isa.lanes)) {
            let (mut v, mut c) = (slot.v + slot.first / channels, slot.first % channels);
            for &sum in &sums[..slot.len] {
                out[(c * rows + slot.u) * cols + v] = sum;
                c += 1;
                if c == channels {
                    (v, c) = (v + 1, 0);
                }
            }
        }
    }
}
