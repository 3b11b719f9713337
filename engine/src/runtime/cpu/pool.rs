//! Max pooling: a plane at a time, all cores.

use burn_backend::{DType, Element, Shape, TensorData, TensorMetadata};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::elements;
use crate::op::Window;

/// Elements below which a second thread costs more than it brings.
const SMALL: usize = 1 << 15;

/// A float that can be compared, with the least there is.
trait Pixel: Element + bytemuck::Pod + PartialOrd {
    const LEAST: Self;
}

impl Pixel for f32 {
    const LEAST: f32 = f32::NEG_INFINITY;
}

impl Pixel for f64 {
    const LEAST: f64 = f64::NEG_INFINITY;
}

/// For each window the flat index of its first largest pixel; NaN wins.
pub(in crate::runtime) fn max_pool_index(x: &FlexTensor, window: &Window) -> FlexTensor {
    match x.dtype() {
        DType::F64 => index::<f64>(x, window),
        _ => index::<f32>(x, window),
    }
}

/// The picked pixels.
pub(in crate::runtime) fn pool_gather(x: &FlexTensor, indices: &FlexTensor) -> FlexTensor {
    match x.dtype() {
        DType::F64 => gather::<f64>(x, indices),
        _ => gather::<f32>(x, indices),
    }
}

/// The sums of the values that picked each pixel, in order.
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

/// Calls `f` with each plane of `out` and its number.
fn planes<T: Send>(out: &mut [T], size: usize, f: impl Fn(usize, &mut [T]) + Sync) {
    let size = size.max(1);
    if out.len() <= SMALL {
        out.chunks_mut(size)
            .enumerate()
            .for_each(|(n, out)| f(n, out));
        return;
    }
    let together = (SMALL / 8 / size).max(1);
    out.par_chunks_mut(size)
        .with_min_len(together)
        .enumerate()
        .for_each(|(n, out)| f(n, out));
}

fn tensor<T: Element>(values: Vec<T>, shape: [usize; 4]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, Shape::from(shape)))
}

fn index<T: Pixel>(x: &FlexTensor, window: &Window) -> FlexTensor {
    let [n, c, h, w]: [usize; 4] = x.shape().dims();
    let [oh, ow] = window.output;
    let x = x.to_contiguous();
    let pixels: &[T] = elements(&x);
    let mut out = vec![0i32; n * c * oh * ow];
    planes(&mut out, oh * ow, |plane, out| {
        let pixels = &pixels[plane * h * w..][..h * w];
        let mut best = vec![T::LEAST; ow];
        for (i, out) in out.chunks_exact_mut(ow).enumerate() {
            index_row(pixels, [h, w], window, i, &mut best, out);
        }
    });
    tensor(out, [n, c, oh, ow])
}

/// The windows of one row, a tap at a time.
fn index_row<T: Pixel>(
    pixels: &[T],
    [h, w]: [usize; 2],
    window: &Window,
    row: usize,
    best: &mut [T],
    out: &mut [i32],
) {
    let o = window.options;
    let (kernel, stride, padding) = (o.kernel, o.stride, o.padding);
    let top = (row * stride[0]).max(padding[0]) - padding[0];
    let bottom = (row * stride[0] + kernel[0] - padding[0]).min(h);
    best.fill(T::LEAST);
    for (j, out) in out.iter_mut().enumerate() {
        let left = (j * stride[1]).max(padding[1]) - padding[1];
        *out = (top * w + left) as i32;
    }
    for y in top..bottom {
        let line = &pixels[y * w..][..w];
        for tap in 0..kernel[1] {
            // The windows whose tap lies inside: padding ≤ j · stride + tap < w + padding.
            let from = padding[1].saturating_sub(tap).div_ceil(stride[1]);
            let to = (w + padding[1]).saturating_sub(tap).div_ceil(stride[1]);
            let to = to.min(out.len());
            if from >= to {
                continue;
            }
            let first = from * stride[1] + tap - padding[1];
            let at = (y * w + first) as i32;
            let (line, best, out) = (&line[first..], &mut best[from..to], &mut out[from..to]);
            let last = out.len() - 1;
            // Steps that the compiler knows become vectors.
            match stride[1] {
                1 => larger(line.iter(), at, 1, best, out),
                2 => {
                    let pairs = line.chunks_exact(2).map(|pair| &pair[0]);
                    larger(pairs, at, 2, &mut best[..last], &mut out[..last]);
                    let (line, at) = (line[2 * last..].iter(), at + 2 * last as i32);
                    larger(line, at, 2, &mut best[last..], &mut out[last..]);
                }
                step => larger(line.iter().step_by(step), at, step, best, out),
            }
        }
    }
}

/// Takes the values that are larger than the best, or NaN, and where they lie.
#[inline(always)]
fn larger<'a, T: Pixel>(
    values: impl Iterator<Item = &'a T>,
    first: i32,
    step: usize,
    best: &mut [T],
    out: &mut [i32],
) {
    let places = best.iter_mut().zip(out);
    for (j, ((best, out), &value)) in places.zip(values).enumerate() {
        #[allow(clippy::eq_op)]
        let wins = value > *best || value != value;
        *best = if wins { value } else { *best };
        *out = if wins {
            first + (j * step) as i32
        } else {
            *out
        };
    }
}

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

fn scatter<T: Pixel>(dy: &FlexTensor, indices: &FlexTensor, [h, w]: [usize; 2]) -> FlexTensor
where
    T: std::ops::AddAssign,
{
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
