//! Max pooling and its gradient, one plane per task.

use burn_backend::{DType, Element, Shape, TensorData, TensorMetadata};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::elements;
use crate::ir::Window;

/// Largest number of elements for which one thread does all the work.
const SMALL: usize = 1 << 15;

/// A float type with its smallest value.
trait Pixel: Element + bytemuck::Pod + PartialOrd + std::ops::AddAssign {
    const LEAST: Self;
    /// `yes ? a : b`, without a branch.
    fn choose(yes: bool, a: Self, b: Self) -> Self;
}

impl Pixel for f32 {
    const LEAST: f32 = f32::NEG_INFINITY;
    #[inline(always)]
    fn choose(yes: bool, a: f32, b: f32) -> f32 {
        let mask = u32::from(yes).wrapping_neg();
        f32::from_bits((a.to_bits() & mask) | (b.to_bits() & !mask))
    }
}

impl Pixel for f64 {
    const LEAST: f64 = f64::NEG_INFINITY;
    #[inline(always)]
    fn choose(yes: bool, a: f64, b: f64) -> f64 {
        let mask = u64::from(yes).wrapping_neg();
        f64::from_bits((a.to_bits() & mask) | (b.to_bits() & !mask))
    }
}

/// Returns the flat index of the first largest pixel of each window; NaN counts as larger than every number.
pub(in crate::runtime) fn max_pool_index(x: &FlexTensor, window: &Window) -> FlexTensor {
    match x.dtype() {
        DType::F64 => index::<f64>(x, window),
        _ => index::<f32>(x, window),
    }
}

/// Returns the values of the pixels that the indices select.
pub(in crate::runtime) fn pool_gather(x: &FlexTensor, indices: &FlexTensor) -> FlexTensor {
    match x.dtype() {
        DType::F64 => gather::<f64>(x, indices),
        _ => gather::<f32>(x, indices),
    }
}

/// Returns for each pixel the sum of the values of the windows that selected it, added in order.
pub(in crate::runtime) fn pool_scatter(
    dy: &FlexTensor,
    indices: &FlexTensor,
    size: [usize; 2],
) -> FlexTensor {
    match dy.dtype() {
        DType::F64 => scatter::<f64>(dy, indices, size),
        _ => scatter::<f32>(dy, indices, size),
    }
}

/// Calls `f` with the index and the elements of each plane of `out`.
fn planes<T: Send>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let size = size.max(1);
    if out.len() <= SMALL {
        out.chunks_mut(size).enumerate().for_each(|(n, out)| f(n, out));
        return;
    }
    let together = (SMALL / 8 / size).max(1);
    out.par_chunks_mut(size).with_min_len(together).enumerate().for_each(|(n, out)| f(n, out));
}

fn tensor<T: Element>(values: Vec<T>, shape: [usize; 4]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

/// Computes [`max_pool_index`] in type `T`.
fn index<T: Pixel>(x: &FlexTensor, window: &Window) -> FlexTensor {
    let [n, c, h, w]: [usize; 4] = x.shape().dims();
    let [oh, ow] = window.output;
    let x = x.to_contiguous();
    let pixels: &[T] = elements(&x);
    let (taps, firsts) = (Tap::all(window, w), first_columns(window));
    let mut out = vec![0i32; n * c * oh * ow];
    planes(&mut out, oh * ow, |plane, out| {
        let pixels = &pixels[plane * h * w..][..h * w];
        let mut best = vec![T::LEAST; ow];
        for (i, out) in out.chunks_exact_mut(ow).enumerate() {
            let o = window.options;
            let top = (i * o.stride[0]).max(o.padding[0]) - o.padding[0];
            let bottom = (i * o.stride[0] + o.kernel[0] - o.padding[0]).min(h);
            best.fill(T::LEAST);
            for (out, first) in out.iter_mut().zip(&firsts) {
                *out = (top * w) as i32 + first;
            }
            for y in top..bottom {
                for tap in &taps {
                    let line = &pixels[y * w..][..w];
                    tap.take(line, (y * w) as i32, o.stride[1], &mut best, out);
                }
            }
        }
    });
    tensor(out, [n, c, oh, ow])
}

/// Returns for each window the first column that lies inside the image.
fn first_columns(window: &Window) -> Vec<i32> {
    let (stride, padding) = (window.options.stride[1], window.options.padding[1]);
    let first = |j: usize| ((j * stride).max(padding) - padding) as i32;
    (0..window.output[1]).map(first).collect()
}

/// One column of the windows: the range of windows in which it lies inside the image, and its column of the image in
/// the first of these.
struct Tap {
    from: usize,
    to: usize,
    column: usize,
}

impl Tap {
    /// Returns the columns of the windows that lie inside the image for some window.
    fn all(window: &Window, width: usize) -> Vec<Tap> {
        let o = window.options;
        let (stride, padding) = (o.stride[1], o.padding[1]);
        let tap = |tap: usize| {
            // padding ≤ j · stride + tap < width + padding
            let from = padding.saturating_sub(tap).div_ceil(stride);
            let to = (width + padding).saturating_sub(tap).div_ceil(stride);
            let to = to.min(window.output[1]);
            (from < to).then(|| Tap { from, to, column: from * stride + tap - padding })
        };
        (0..o.kernel[1]).filter_map(tap).collect()
    }

    /// Updates the largest values and their indices with a row of pixels that begins at index `at`.
    fn take<T: Pixel>(&self, line: &[T], at: i32, stride: usize, best: &mut [T], out: &mut [i32]) {
        let (line, at) = (&line[self.column..], at + self.column as i32);
        let (best, out) = (&mut best[self.from..self.to], &mut out[self.from..self.to]);
        // The compiler vectorises loops with constant steps.
        match stride {
            1 => larger(line, 1, at, best, out),
            2 => larger(line, 2, at, best, out),
            step => larger(line, step, at, best, out),
        }
    }
}

/// Number of elements that are compared at once.
const LANES: usize = 8;

/// Replaces best values, and their indices, by values that are larger or NaN.
#[inline(always)]
fn larger<T: Pixel>(line: &[T], step: usize, first: i32, best: &mut [T], out: &mut [i32]) {
    let vectors = best.chunks_exact_mut(LANES).zip(out.chunks_exact_mut(LANES));
    for (n, (best, out)) in vectors.enumerate() {
        let at = n * LANES * step;
        let values = &line[at..][..(LANES - 1) * step + 1];
        let values: [T; LANES] = std::array::from_fn(|lane| values[lane * step]);
        let best: &mut [T; LANES] = best.try_into().expect("a whole chunk");
        let out: &mut [i32; LANES] = out.try_into().expect("a whole chunk");
        for lane in 0..LANES {
            let wins = wins(values[lane], best[lane]);
            best[lane] = T::choose(wins, values[lane], best[lane]);
            // Selects with bit masks, because the branch predictor could not foresee a branch.
            let (mask, place) = (-i32::from(wins), first + (at + lane * step) as i32);
            out[lane] = (place & mask) | (out[lane] & !mask);
        }
    }
    for j in out.len() / LANES * LANES..out.len() {
        if wins(line[j * step], best[j]) {
            best[j] = line[j * step];
            out[j] = first + (j * step) as i32;
        }
    }
}

/// Returns true if a value replaces the best one: it is larger or NaN.
#[inline(always)]
#[allow(clippy::eq_op)]
fn wins<T: Pixel>(value: T, best: T) -> bool {
    (value > best) | (value != value)
}

/// Computes [`pool_gather`] in type `T`.
fn gather<T: Pixel>(x: &FlexTensor, indices: &FlexTensor) -> FlexTensor {
    let ([_, _, h, w], shape): ([usize; 4], [usize; 4]) =
        (x.shape().dims(), indices.shape().dims());
    let (x, indices) = (x.to_contiguous(), indices.to_contiguous());
    let (pixels, at): (&[T], &[i32]) = (elements(&x), elements(&indices));
    let size = shape[2] * shape[3];
    let mut out = vec![T::zeroed(); at.len()];
    planes(&mut out, size, |plane, out| {
        let pixels = &pixels[plane * h * w..][..h * w];
        for (out, &at) in out.iter_mut().zip(&at[plane * size..][..size]) {
            *out = pixels[at as usize];
        }
    });
    tensor(out, shape)
}

/// Computes [`pool_scatter`] in type `T`.
fn scatter<T: Pixel>(dy: &FlexTensor, indices: &FlexTensor, [h, w]: [usize; 2]) -> FlexTensor {
    let [n, c, oh, ow]: [usize; 4] = dy.shape().dims();
    let (dy, indices) = (dy.to_contiguous(), indices.to_contiguous());
    let (values, at): (&[T], &[i32]) = (elements(&dy), elements(&indices));
    let size = oh * ow;
    let mut out = vec![T::zeroed(); n * c * h * w];
    planes(&mut out, h * w, |plane, out| {
        let range = plane * size..(plane + 1) * size;
        for (&value, &at) in values[range.clone()].iter().zip(&at[range]) {
            out[at as usize] += value;
        }
    });
    tensor(out, [n, c, h, w])
}
