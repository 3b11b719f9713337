//! Programs on the CPU. A block of a few hundred elements goes through all instructions while it is in the first-level
//! cache.

use burn_backend::{Element, TensorData};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::block::{self, BLOCK};
use super::bound::BoundProgram;
use super::machine::{BlockMachine, OutputStart};
use super::walk::Walk;
use crate::DType;
use crate::ir::elementwise::Real;
use crate::ir::program::{Output, Program};
use crate::ir::shape::{numel, physical};
use crate::runtime::Value;

/// Smallest number of elements for which work is divided among threads.
const PARALLEL: usize = 1 << 14;
/// Number of elements in a partial sum. It is fixed, so that results do not depend on the number of threads.
const PIECE: usize = 1 << 14;

/// Computes the outputs of a program.
pub(crate) fn run(program: &Program, inputs: Vec<Value<Flex>>) -> Vec<Value<Flex>> {
    let inputs: Vec<FlexTensor> = inputs
        .into_iter()
        .map(|value| match value {
            Value::Float(t) | Value::Int(t) | Value::Bool(t) => t,
            Value::Fill(_) => unreachable!("inputs are dense"),
        })
        .collect();
    let values = match program.float {
        DType::F64 => BoundProgram::<f64>::new(program, &inputs).outputs(),
        _ => BoundProgram::<f32>::new(program, &inputs).outputs(),
    };
    let kind = |(t, o): (FlexTensor, &Output)| match o.dtype {
        DType::Bool => Value::Bool(t),
        _ => Value::Float(t),
    };
    values.into_iter().zip(&program.outputs).map(kind).collect()
}

impl<'a, T: Real + Element> BoundProgram<'a, T> {
    /// Computes all outputs.
    fn outputs(&self) -> Vec<FlexTensor> {
        let reduces = self.program.is_reduction();
        let mut values: Vec<Vec<T>> =
            self.program.outputs.iter().map(|o| Vec::with_capacity(numel(&o.shape))).collect();
        if numel(&self.program.domain) == 0 {
            values
                .iter_mut()
                .zip(&self.program.outputs)
                .for_each(|(v, o)| v.resize(numel(&o.shape), T::ZERO));
        } else if !reduces {
            let outs: Vec<OutputStart<T>> =
                values.iter_mut().map(|v| OutputStart(v.as_mut_ptr())).collect();
            self.store(&outs);
            for (v, o) in values.iter_mut().zip(&self.program.outputs) {
                // SAFETY: `store` wrote every element of the domain, which is the output's shape.
                unsafe { v.set_len(numel(&o.shape)) };
            }
        } else if *self.loops.summed.last().expect("an axis") {
            self.sum_rows(&mut values);
        } else {
            self.sum_columns(&mut values);
        }
        let tensor = |(v, o): (Vec<T>, &Output)| {
            let shape = physical(&o.shape);
            FlexTensor::from_data(match o.dtype {
                DType::Bool => {
                    let truths: Vec<bool> = v.iter().map(|&x| x != T::ZERO).collect();
                    TensorData::new(truths, shape)
                }
                _ => TensorData::new(v, shape),
            })
        };
        values.into_iter().zip(&self.program.outputs).map(tensor).collect()
    }

    /// Returns the size of the innermost axis.
    fn inner(&self) -> usize {
        *self.loops.sizes.last().expect("there is an axis")
    }

    /// Writes every output's elements in the order of the domain.
    fn store(&self, outs: &[OutputStart<T>]) {
        let inner = self.inner();
        let axes: Vec<usize> = (0..self.loops.sizes.len() - 1).collect();
        let rows: usize = axes.iter().map(|&a| self.loops.sizes[a]).product();
        let total = rows * inner;
        // Blocks of whole rows, or parts of one row.
        let group = (BLOCK / inner).max(1);
        let tasks = if total < PARALLEL { 1 } else { 4 * rayon::current_num_threads() };
        let split_rows = rows >= tasks;
        let run = |task: usize| {
            let mut machine = BlockMachine::new(self);
            let (from, to, left, right) = match split_rows {
                true => (rows * task / tasks, rows * (task + 1) / tasks, 0, inner),
                false => (0, rows, inner * task / tasks, inner * (task + 1) / tasks),
            };
            let mut walk = Walk::new(&self.loops, &axes, from, vec![0; self.sources.len()]);
            let mut row = from;
            while row < to {
                let count = if left == 0 && right == inner { group.min(to - row) } else { 1 };
                machine.starts.clear();
                for _ in 0..count {
                    machine.starts.extend_from_slice(&walk.offsets);
                    walk.advance();
                }
                let mut column = left;
                while column < right {
                    let len = (right - column).min(BLOCK);
                    machine.block(count, column, len, Some((outs, row * inner + column)));
                    column += len;
                }
                row += count;
            }
        };
        match tasks {
            1 => run(0),
            _ => (0..tasks).into_par_iter().for_each(run),
        }
    }

    /// Computes sums over the innermost axis and others: each output element is the sum of whole rows.
    fn sum_rows(&self, values: &mut [Vec<T>]) {
        let inner = self.inner();
        let (kept, summed) = (self.loops.outer(false), self.loops.outer(true));
        let size = |axes: &[usize]| axes.iter().map(|&a| self.loops.sizes[a]).product::<usize>();
        let (outputs, rows) = (size(&kept), size(&summed));
        // Pieces of whole rows, or of parts of a row.
        let (rows_each, parts) = match inner <= PIECE {
            true => ((PIECE / inner).min(rows), 1),
            false => (1, inner.div_ceil(PIECE)),
        };
        let pieces = rows.div_ceil(rows_each) * parts;
        let group = (BLOCK / inner).max(1);
        let run =
            |machine: &mut BlockMachine<'_, 'a, T>, output: usize, piece: usize| -> Vec<f64> {
                let base =
                    Walk::new(&self.loops, &kept, output, vec![0; self.sources.len()]).offsets;
                let (from, part) = (piece / parts * rows_each, piece % parts);
                let to = (from + rows_each).min(rows);
                let (left, right) =
                    (part * inner.div_ceil(parts), ((part + 1) * inner.div_ceil(parts)).min(inner));
                let mut walk = Walk::new(&self.loops, &summed, from, base);
                let mut sums = vec![0.0; values.len()];
                let mut row = from;
                while row < to {
                    let count = if parts == 1 { group.min(to - row) } else { 1 };
                    machine.starts.clear();
                    for _ in 0..count {
                        machine.starts.extend_from_slice(&walk.offsets);
                        walk.advance();
                    }
                    let mut column = left;
                    while column < right {
                        let len = (right - column).min(BLOCK);
                        machine.block(count, column, len, None);
                        for (sum, output) in sums.iter_mut().zip(&self.program.outputs) {
                            *sum += block::sum(machine.register(output.register, count * len));
                        }
                        column += len;
                    }
                    row += count;
                }
                sums
            };
        let items = outputs * pieces;
        let partial: Vec<Vec<f64>> = if outputs * rows * inner < PARALLEL {
            let mut machine = BlockMachine::new(self);
            (0..items).map(|i| run(&mut machine, i / pieces, i % pieces)).collect()
        } else {
            (0..items)
                .into_par_iter()
                .map_init(
                    || BlockMachine::new(self),
                    |machine, i| run(machine, i / pieces, i % pieces),
                )
                .collect()
        };
        for chunk in partial.chunks(pieces) {
            for (index, out) in values.iter_mut().enumerate() {
                out.push(T::of(chunk.iter().map(|sums| sums[index]).sum()));
            }
        }
    }

    /// Computes sums that keep the innermost axis: rows are added element by element.
    fn sum_columns(&self, values: &mut [Vec<T>]) {
        let inner = self.inner();
        let (kept, summed) = (self.loops.outer(false), self.loops.outer(true));
        let size = |axes: &[usize]| axes.iter().map(|&a| self.loops.sizes[a]).product::<usize>();
        let (outer, rows) = (size(&kept), size(&summed));
        let parts = inner.div_ceil(BLOCK);
        let run = |machine: &mut BlockMachine<'_, 'a, T>, item: usize| -> Vec<Vec<T>> {
            let base =
                Walk::new(&self.loops, &kept, item / parts, vec![0; self.sources.len()]).offsets;
            let column = item % parts * BLOCK;
            let len = (inner - column).min(BLOCK);
            let mut walk = Walk::new(&self.loops, &summed, 0, base);
            let mut sums = vec![vec![0.0f64; len]; values.len()];
            for _ in 0..rows {
                machine.starts.clear();
                machine.starts.extend_from_slice(&walk.offsets);
                walk.advance();
                machine.block(1, column, len, None);
                for (sums, output) in sums.iter_mut().zip(&self.program.outputs) {
                    for (sum, x) in sums.iter_mut().zip(machine.register(output.register, len)) {
                        *sum += x.wide();
                    }
                }
            }
            sums.into_iter().map(|s| s.into_iter().map(T::of).collect()).collect()
        };
        let items = outer * parts;
        let parts: Vec<Vec<Vec<T>>> = if outer * rows * inner < PARALLEL {
            let mut machine = BlockMachine::new(self);
            (0..items).map(|i| run(&mut machine, i)).collect()
        } else {
            (0..items)
                .into_par_iter()
                .map_init(|| BlockMachine::new(self), |machine, i| run(machine, i))
                .collect()
        };
        for part in parts {
            for (out, columns) in values.iter_mut().zip(part) {
                out.extend(columns);
            }
        }
    }
}
