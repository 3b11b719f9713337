//! Padding with zeros, by copying rows.

use burn_backend::{DType, Element, Shape, TensorData};
use burn_flex::FlexTensor;
use rayon::prelude::*;

use super::elements;
use crate::runtime::backend::Padding;

/// Approximate number of elements that one task writes.
const TASK: usize = 1 << 16;

/// Pads `x` with zeros; `None` if its type has no kernel.
pub(in crate::runtime) fn pad(
    x: &FlexTensor,
    padding: &[Padding],
    shape: &[usize],
) -> Option<FlexTensor> {
    match x.dtype() {
        DType::F32 => Some(pad_as::<f32>(x, padding, shape)),
        DType::F64 => Some(pad_as::<f64>(x, padding, shape)),
        DType::I32 => Some(pad_as::<i32>(x, padding, shape)),
        DType::U8 => Some(pad_as::<u8>(x, padding, shape)),
        _ => None,
    }
}

/// Pads elements of type `T`; tasks write blocks of rows.
fn pad_as<T: Element + bytemuck::Pod>(
    x: &FlexTensor,
    padding: &[Padding],
    shape: &[usize],
) -> FlexTensor {
    let x = x.to_contiguous();
    let from: &[T] = elements(&x);
    let mut out = vec![T::zeroed(); shape.iter().product()];
    let (row, outer) = padding.split_last().expect("a tensor has an axis");
    let rows = (TASK / row.out_size).max(1);
    out.par_chunks_mut(rows * row.out_size).enumerate().for_each(|(task, out)| {
        for (i, out) in out.chunks_exact_mut(row.out_size).enumerate() {
            let Some(source) = source(outer, task * rows + i) else {
                continue;
            };
            let from = &from[source * row.size..][..row.size];
            let to = &mut out[row.low..];
            match row.step {
                1 => to[..row.size].copy_from_slice(from),
                step => to.iter_mut().step_by(step).zip(from).for_each(|(to, from)| *to = *from),
            }
        }
    });
    FlexTensor::from_data(TensorData::new(out, Shape::from(shape.to_vec())))
}

/// Returns the input's row that is copied to a row of the output; `None` if that row is zeros.
fn source(axes: &[Padding], mut row: usize) -> Option<usize> {
    let (mut source, mut stride) = (0, 1);
    for axis in axes.iter().rev() {
        let place = (row % axis.out_size).checked_sub(axis.low)?;
        if place % axis.step != 0 || place / axis.step >= axis.size {
            return None;
        }
        source += place / axis.step * stride;
        stride *= axis.size;
        row /= axis.out_size;
    }
    Some(source)
}
