//! One thread's blocks of a program.

use burn_backend::Element;

use super::block::{self, BLOCK, Block, Real};
use super::program::{Out, Rows, Run};
use crate::ir::program::{Instr, Program};

/// Where a register's block lies.
#[derive(Clone, Copy)]
pub(super) enum Place {
    /// Scratch block of this number.
    Scratch(usize),
    /// The output of this number itself.
    Output(usize),
}

/// Which register lies where: scratch blocks are used again after a register's last use.
pub(super) fn places(program: &Program) -> (Vec<Place>, usize) {
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
pub(super) struct Machine<'r, 'a, T> {
    run: &'r Run<'a, T>,
    scratch: Vec<T>,
    registers: Vec<*mut T>,
    /// Offsets of each row's first element in each input, row by row.
    pub(super) starts: Vec<usize>,
}

impl<'r, 'a, T: Real + Element> Machine<'r, 'a, T> {
    pub(super) fn new(run: &'r Run<'a, T>) -> Self {
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
    pub(super) fn block(
        &mut self,
        rows: usize,
        column: usize,
        len: usize,
        outs: Option<(&[Out<T>], usize)>,
    ) {
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

    pub(super) fn register(&self, register: usize, len: usize) -> &[T] {
        // SAFETY: `block` left `len` elements there.
        unsafe { std::slice::from_raw_parts(self.registers[register], len) }
    }
}
