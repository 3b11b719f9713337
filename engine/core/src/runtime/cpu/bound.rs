//! Programs bound to the memory of their inputs.

use burn_backend::{DType as BurnDType, Element};
use burn_flex::FlexTensor;

use super::registers::{RegisterPlace, places};
use crate::ir::elementwise::Real;
use crate::ir::program::{Loops, Program};

/// Memory of an input, from its first element on.
pub(super) enum InputElements<'a, T> {
    Float(&'a [T]),
    Int(&'a [i32]),
    Byte(&'a [u8]),
}

/// A program with the memory of its inputs and the places of its registers.
pub(super) struct BoundProgram<'a, T> {
    pub(super) program: &'a Program,
    pub(super) loops: Loops,
    pub(super) sources: Vec<InputElements<'a, T>>,
    pub(super) places: Vec<RegisterPlace>,
    /// Number of scratch blocks.
    pub(super) scratch: usize,
}

/// Rows along the innermost axis (or a part of one row) that one block holds.
pub(super) struct Rows<'a> {
    /// Offset of each row's first element in each input, row by row.
    pub(super) starts: &'a [usize],
    /// Number of elements of each row.
    pub(super) len: usize,
}

impl<'a, T: Real + Element> BoundProgram<'a, T> {
    /// Binds a program to the memory of its inputs.
    pub(super) fn new(program: &'a Program, inputs: &'a [FlexTensor]) -> Self {
        let strides: Vec<Vec<usize>> = inputs
            .iter()
            .enumerate()
            .map(|(i, t)| {
                let own: Vec<usize> = t.layout().strides().iter().map(|&s| s as usize).collect();
                program.strides(i, &own)
            })
            .collect();
        let sources = inputs
            .iter()
            .map(|t| {
                let start = t.layout().start_offset();
                match t.dtype() {
                    BurnDType::I32 => InputElements::Int(&t.storage::<i32>()[start..]),
                    BurnDType::U8 | BurnDType::Bool(_) => {
                        InputElements::Byte(&t.storage::<u8>()[start..])
                    }
                    _ => InputElements::Float(&t.storage::<T>()[start..]),
                }
            })
            .collect();
        let (places, scratch) = places(program);
        BoundProgram { program, loops: Loops::new(program, &strides), sources, places, scratch }
    }

    /// Returns a pointer to a block of an input: into the input's memory if the block is contiguous there, else to a
    /// copy at `to`. Not inlined, because the caller's loops become slower otherwise.
    #[inline(never)]
    pub(super) fn load(&self, input: usize, rows: &Rows<'_>, column: usize, to: *mut T) -> *mut T {
        let stride = *self.loops.strides[input].last().expect("there is an axis");
        let inputs = self.sources.len();
        let starts = rows.starts[input..].iter().step_by(inputs).map(|s| s + column * stride);
        let len = rows.len;
        // SAFETY: a block has at most `BLOCK` elements, which is what there is room for.
        let block = unsafe { std::slice::from_raw_parts_mut(to, starts.len() * len) };
        match &self.sources[input] {
            InputElements::Float(x) => {
                let first = rows.starts[input] + column;
                let follows = |(row, start): (usize, usize)| start == first + row * len;
                if stride == 1 && starts.clone().enumerate().all(follows) {
                    return x[first..first + block.len()].as_ptr().cast_mut();
                }
                gather(x, starts, stride, block, len, |v| v);
            }
            InputElements::Int(x) => gather(x, starts, stride, block, len, |v| T::of(f64::from(v))),
            InputElements::Byte(x) => {
                gather(x, starts, stride, block, len, |v| T::of(f64::from(v)))
            }
        }
        to
    }
}

/// Copies rows of `len` elements, each read with a stride, to a block.
fn gather<S: Copy, T: Copy>(
    x: &[S],
    starts: impl Iterator<Item = usize>,
    stride: usize,
    block: &mut [T],
    len: usize,
    convert: impl Fn(S) -> T,
) {
    for (start, row) in starts.zip(block.chunks_mut(len)) {
        match stride {
            0 => row.fill(convert(x[start])),
            1 => row.iter_mut().zip(&x[start..start + len]).for_each(|(to, &v)| *to = convert(v)),
            _ => row
                .iter_mut()
                .zip(x[start..].iter().step_by(stride))
                .for_each(|(to, &v)| *to = convert(v)),
        }
    }
}
