//! Programs on the CPU: blocks of a few hundred elements go through all instructions while they are in the
//! first-level cache.

use burn_backend::{DType as BurnDType, Element, TensorData};
use burn_flex::{Flex, FlexTensor};
use rayon::prelude::*;

use super::block::{self, BLOCK, Block, Real};
use crate::DType;
use crate::graph::program::{Instr, Loops, Output, Program};
use crate::runtime::Value;
use crate::shape::{numel, physical};

/// From how many elements on the work is shared by threads.
const PARALLEL: usize = 1 << 14;
/// Elements that one sum adds up before it is added to others: fixed, so that results do not depend on threads.
const PIECE: usize = 1 << 14;

/// The outputs of a program.
pub(crate) fn run(program: &Program, inputs: Vec<Value<Flex>>) -> Vec<Value<Flex>> {
    let inputs: Vec<FlexTensor> = inputs
        .into_iter()
        .map(|value| match value {
            Value::Float(t) | Value::Int(t) | Value::Bool(t) => t,
            Value::Fill(_) => unreachable!("inputs are dense"),
        })
        .collect();
    let values = match program.float {
        DType::F64 => Run::<f64>::new(program, &inputs).outputs(),
        _ => Run::<f32>::new(program, &inputs).outputs(),
    };
    let kind = |(t, o): (FlexTensor, &Output)| match o.dtype {
        DType::Bool => Value::Bool(t),
        _ => Value::Float(t),
    };
    values.into_iter().zip(&program.outputs).map(kind).collect()
}

/// Elements of an input, from its first on.
enum Source<'a, T> {
    Float(&'a [T]),
    Int(&'a [i32]),
    Byte(&'a [u8]),
}

/// Where a register's block lies.
#[derive(Clone, Copy)]
enum Place {
    /// Scratch block of this number.
    Scratch(usize),
    /// The output of this number itself.
    Output(usize),
}

struct Run<'a, T> {
    program: &'a Program,
    loops: Loops,
    sources: Vec<Source<'a, T>>,
    places: Vec<Place>,
    scratch: usize,
}

/// Rows of the innermost axis that one block holds: their first elements in each input, and a part of the row.
struct Rows<'a> {
    starts: &'a [usize],
    /// Elements of each row.
    len: usize,
}

impl<'a, T: Real + Element> Run<'a, T> {
    fn new(program: &'a Program, inputs: &'a [FlexTensor]) -> Self {
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
                    BurnDType::I32 => Source::Int(&t.storage::<i32>()[start..]),
                    BurnDType::U8 | BurnDType::Bool(_) => Source::Byte(&t.storage::<u8>()[start..]),
                    _ => Source::Float(&t.storage::<T>()[start..]),
                }
            })
            .collect();
        let (places, scratch) = places(program);
        Run {
            program,
            loops: Loops::new(program, &strides),
            sources,
            places,
            scratch,
        }
    }

    fn outputs(&self) -> Vec<FlexTensor> {
        let reduces = self.program.is_reduction();
        let mut values: Vec<Vec<T>> = self
            .program
            .outputs
            .iter()
            .map(|o| Vec::with_capacity(numel(&o.shape)))
            .collect();
        if numel(&self.program.domain) == 0 {
            values
                .iter_mut()
                .zip(&self.program.outputs)
                .for_each(|(v, o)| v.resize(numel(&o.shape), T::ZERO));
        } else if !reduces {
            let outs: Vec<Out<T>> = values.iter_mut().map(|v| Out(v.as_mut_ptr())).collect();
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
        values
            .into_iter()
            .zip(&self.program.outputs)
            .map(tensor)
            .collect()
    }

    /// A block of an input: where it lies, or a copy of it at `to`.
    fn load(&self, input: usize, rows: &Rows<'_>, column: usize, to: *mut T) -> *mut T {
        let stride = *self.loops.strides[input].last().expect("there is an axis");
        let inputs = self.sources.len();
        let starts = rows.starts[input..]
            .iter()
            .step_by(inputs)
            .map(|s| s + column * stride);
        let len = rows.len;
        // SAFETY: a block has at most `BLOCK` elements, which is what there is room for.
        let block = unsafe { std::slice::from_raw_parts_mut(to, starts.len() * len) };
        match &self.sources[input] {
            Source::Float(x) => {
                let first = rows.starts[input] + column;
                let follows = |(row, start): (usize, usize)| start == first + row * len;
                if stride == 1 && starts.clone().enumerate().all(follows) {
                    return x[first..first + block.len()].as_ptr().cast_mut();
                }
                gather(x, starts, stride, block, len, |v| v);
            }
            Source::Int(x) => gather(x, starts, stride, block, len, |v| T::of(f64::from(v))),
            Source::Byte(x) => gather(x, starts, stride, block, len, |v| T::of(f64::from(v))),
        }
        to
    }

    /// The elements of the innermost axis, and how many rows of them there are.
    fn inner(&self) -> usize {
        *self.loops.sizes.last().expect("there is an axis")
    }

    /// Writes every output's elements in the order of the domain.
    fn store(&self, outs: &[Out<T>]) {
        let inner = self.inner();
        let axes: Vec<usize> = (0..self.loops.sizes.len() - 1).collect();
        let rows: usize = axes.iter().map(|&a| self.loops.sizes[a]).product();
        let total = rows * inner;
        // Blocks of whole rows, or parts of one row.
        let group = (BLOCK / inner).max(1);
        let tasks = if total < PARALLEL {
            1
        } else {
            4 * rayon::current_num_threads()
        };
        let split_rows = rows >= tasks;
        let run = |task: usize| {
            let mut machine = Machine::new(self);
            let (from, to, left, right) = match split_rows {
                true => (rows * task / tasks, rows * (task + 1) / tasks, 0, inner),
                false => (0, rows, inner * task / tasks, inner * (task + 1) / tasks),
            };
            let mut walk = Walk::new(&self.loops, &axes, from, vec![0; self.sources.len()]);
            let mut row = from;
            while row < to {
                let count = if left == 0 && right == inner {
                    group.min(to - row)
                } else {
                    1
                };
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

    /// Sums where the innermost axis is summed over: each output element is the sum of rows.
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
        let run = |machine: &mut Machine<'_, 'a, T>, output: usize, piece: usize| -> Vec<f64> {
            let base = Walk::new(&self.loops, &kept, output, vec![0; self.sources.len()]).offsets;
            let (from, part) = (piece / parts * rows_each, piece % parts);
            let to = (from + rows_each).min(rows);
            let (left, right) = (
                part * inner.div_ceil(parts),
                ((part + 1) * inner.div_ceil(parts)).min(inner),
            );
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
            let mut machine = Machine::new(self);
            (0..items)
                .map(|i| run(&mut machine, i / pieces, i % pieces))
                .collect()
        } else {
            (0..items)
                .into_par_iter()
                .map_init(
                    || Machine::new(self),
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

    /// Sums where the innermost axis is kept: whole rows are added up.
    fn sum_columns(&self, values: &mut [Vec<T>]) {
        let inner = self.inner();
        let (kept, summed) = (self.loops.outer(false), self.loops.outer(true));
        let size = |axes: &[usize]| axes.iter().map(|&a| self.loops.sizes[a]).product::<usize>();
        let (outer, rows) = (size(&kept), size(&summed));
        let parts = inner.div_ceil(BLOCK);
        let run = |machine: &mut Machine<'_, 'a, T>, item: usize| -> Vec<Vec<T>> {
            let base = Walk::new(
                &self.loops,
                &kept,
                item / parts,
                vec![0; self.sources.len()],
            )
            .offsets;
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
            sums.into_iter()
                .map(|s| s.into_iter().map(T::of).collect())
                .collect()
        };
        let items = outer * parts;
        let parts: Vec<Vec<Vec<T>>> = if outer * rows * inner < PARALLEL {
            let mut machine = Machine::new(self);
            (0..items).map(|i| run(&mut machine, i)).collect()
        } else {
            (0..items)
                .into_par_iter()
                .map_init(|| Machine::new(self), |machine, i| run(machine, i))
                .collect()
        };
        for part in parts {
            for (out, columns) in values.iter_mut().zip(part) {
                out.extend(columns);
            }
        }
    }
}

/// Copies rows of `len` elements, `stride` apart, to a block.
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
            1 => row
                .iter_mut()
                .zip(&x[start..start + len])
                .for_each(|(to, &v)| *to = convert(v)),
            _ => row
                .iter_mut()
                .zip(x[start..].iter().step_by(stride))
                .for_each(|(to, &v)| *to = convert(v)),
        }
    }
}

/// An output's first element; tasks write disjoint parts.
struct Out<T>(*mut T);
// SAFETY: tasks write disjoint elements, and nobody reads before all are done.
unsafe impl<T: Send> Sync for Out<T> {}

/// Offsets into the inputs along some axes, row by row.
struct Walk<'a> {
    loops: &'a Loops,
    axes: &'a [usize],
    index: Vec<usize>,
    offsets: Vec<usize>,
}

impl<'a> Walk<'a> {
    /// From row number `row` on; `base` is added to all offsets.
    fn new(loops: &'a Loops, axes: &'a [usize], mut row: usize, base: Vec<usize>) -> Walk<'a> {
        let mut walk = Walk {
            loops,
            axes,
            index: vec![0; axes.len()],
            offsets: base,
        };
        for (at, &axis) in axes.iter().enumerate().rev() {
            walk.index[at] = row % loops.sizes[axis];
            row /= loops.sizes[axis];
            for (offset, strides) in walk.offsets.iter_mut().zip(&loops.strides) {
                *offset += walk.index[at] * strides[axis];
            }
        }
        walk
    }

    fn advance(&mut self) {
        for (at, &axis) in self.axes.iter().enumerate().rev() {
            let size = self.loops.sizes[axis];
            self.index[at] += 1;
            let back = if self.index[at] == size { size - 1 } else { 0 };
            for (offset, strides) in self.offsets.iter_mut().zip(&self.loops.strides) {
                match back {
                    0 => *offset += strides[axis],
                    back => *offset -= back * strides[axis],
                }
            }
            if back == 0 {
                return;
            }
            self.index[at] = 0;
        }
    }
}

/// Which register lies where: scratch blocks are used again after a register's last use.
fn places(program: &Program) -> (Vec<Place>, usize) {
    let mut last: Vec<usize> = (0..program.code.len()).collect();
    for (index, instr) in program.code.iter().enumerate() {
        for r in instr.operands() {
            last[r] = index;
        }
    }
    for output in &program.outputs {
        last[output.register] = usize::MAX;
    }
    let direct = |register: usize| {
        let computed = !matches!(program.code[register], Instr::Load(_) | Instr::Const(_));
        let found = program
            .outputs
            .iter()
            .position(|o| o.register == register && o.dtype.is_float());
        found.filter(|_| computed && !program.is_reduction())
    };
    let (mut free, mut count) = (Vec::new(), 0);
    let mut places = Vec::with_capacity(program.code.len());
    for (index, instr) in program.code.iter().enumerate() {
        let place = match direct(index) {
            Some(output) => Place::Output(output),
            None => {
                // Loads come before everything else, so they never share with what is computed before them.
                let shared = match instr {
                    Instr::Load(_) | Instr::Const(_) => None,
                    _ => free.pop(),
                };
                Place::Scratch(shared.unwrap_or_else(|| {
                    count += 1;
                    count - 1
                }))
            }
        };
        places.push(place);
        let mut done: Vec<usize> = instr.operands().filter(|&r| last[r] == index).collect();
        done.sort_unstable();
        done.dedup();
        for r in done {
            // Constants are filled in once.
            if let (Place::Scratch(block), false) =
                (places[r], matches!(program.code[r], Instr::Const(_)))
            {
                free.push(block);
            }
        }
    }
    (places, count)
}

/// One thread's blocks.
struct Machine<'r, 'a, T> {
    run: &'r Run<'a, T>,
    scratch: Vec<T>,
    registers: Vec<*mut T>,
    /// Offsets of each row's first element in each input, row by row.
    starts: Vec<usize>,
}

impl<'r, 'a, T: Real + Element> Machine<'r, 'a, T> {
    fn new(run: &'r Run<'a, T>) -> Self {
        let mut machine = Machine {
            run,
            scratch: vec![T::ZERO; run.scratch * BLOCK],
            registers: vec![std::ptr::null_mut(); run.program.code.len()],
            starts: Vec::new(),
        };
        for (register, instr) in run.program.code.iter().enumerate() {
            if let (Instr::Const(value), Place::Scratch(block)) = (instr, run.places[register]) {
                machine.scratch[block * BLOCK..][..BLOCK].fill(T::of(*value));
            }
        }
        machine
    }

    /// Computes `rows × len` elements (at most [`BLOCK`]) from `column` on in the rows that start at `starts`.
    /// Results go to the outputs from the given element on, if there are any, else they stay in registers.
    fn block(&mut self, rows: usize, column: usize, len: usize, outs: Option<(&[Out<T>], usize)>) {
        let run = self.run;
        let n = rows * len;
        let base = self.scratch.as_mut_ptr();
        for (register, instr) in run.program.code.iter().enumerate() {
            // SAFETY: scratch block numbers are below `run.scratch`.
            let own = |block: usize| unsafe { base.add(block * BLOCK) };
            self.registers[register] = match (run.places[register], instr) {
                (Place::Scratch(block), Instr::Load(input)) => {
                    let rows = Rows {
                        starts: &self.starts,
                        len,
                    };
                    run.load(*input, &rows, column, own(block))
                }
                (Place::Scratch(block), _) => own(block),
                (Place::Output(output), _) => {
                    let (outs, at) = outs.expect("programs that store have outputs");
                    // SAFETY: the output has room for the whole domain.
                    unsafe { outs[output].0.add(at) }
                }
            };
        }
        let block = Block {
            code: &run.program.code,
            registers: &self.registers,
            len: n,
        };
        // SAFETY: all registers point to `BLOCK` elements of scratch, to elements of an input that are only
        // read, or into an output; `n` is at most `BLOCK`.
        unsafe { block::run(&block) };
        if let Some((outs, at)) = outs {
            for (index, output) in run.program.outputs.iter().enumerate() {
                if !matches!(run.places[output.register], Place::Output(i) if i == index) {
                    // SAFETY: the output has room for the whole domain, and does not overlap with scratch.
                    unsafe {
                        outs[index]
                            .0
                            .add(at)
                            .copy_from_nonoverlapping(self.registers[output.register], n);
                    }
                }
            }
        }
    }

    fn register(&self, register: usize, len: usize) -> &[T] {
        // SAFETY: `block` left `len` elements there.
        unsafe { std::slice::from_raw_parts(self.registers[register], len) }
    }
}
