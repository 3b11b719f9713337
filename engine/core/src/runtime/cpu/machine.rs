//! Execution of a program by one thread, block by block.

use burn_backend::Element;

use super::block::{self, BLOCK, Block};
use super::bound::{BoundProgram, Rows};
use super::registers::RegisterPlace;
use crate::ir::elementwise::Real;
use crate::ir::program::Instr;

/// Registers and scratch memory of one thread.
pub(super) struct BlockMachine<'r, 'a, T> {
    bound: &'r BoundProgram<'a, T>,
    scratch: Vec<T>,
    registers: Vec<*mut T>,
    /// Offsets of each row's first element in each input, row by row.
    pub(super) starts: Vec<usize>,
}

impl<'r, 'a, T: Real + Element> BlockMachine<'r, 'a, T> {
    /// Allocates the registers and fills those of constants.
    pub(super) fn new(bound: &'r BoundProgram<'a, T>) -> Self {
        let mut machine = BlockMachine {
            bound,
            scratch: vec![T::ZERO; bound.scratch * BLOCK],
            registers: vec![std::ptr::null_mut(); bound.program.code.len()],
            starts: Vec::new(),
        };
        for (register, instr) in bound.program.code.iter().enumerate() {
            if let (Instr::Const(value), RegisterPlace::Scratch(block)) =
                (instr, bound.places[register])
            {
                machine.scratch[block * BLOCK..][..BLOCK].fill(T::of(*value));
            }
        }
        machine
    }

    /// Computes `rows × len` elements (at most [`BLOCK`]): `len` elements from `column` on of each row in `starts`.
    /// `outs` has the outputs and the index of the first element to write; without it, results stay in registers.
    pub(super) fn block(
        &mut self,
        rows: usize,
        column: usize,
        len: usize,
        outs: Option<(&[OutputStart<T>], usize)>,
    ) {
        let bound = self.bound;
        let n = rows * len;
        let base = self.scratch.as_mut_ptr();
        for (register, instr) in bound.program.code.iter().enumerate() {
            // SAFETY: scratch block numbers are below `bound.scratch`.
            let own = |block: usize| unsafe { base.add(block * BLOCK) };
            self.registers[register] = match (bound.places[register], instr) {
                (RegisterPlace::Scratch(block), Instr::Load(input)) => {
                    let rows = Rows { starts: &self.starts, len };
                    bound.load(*input, &rows, column, own(block))
                }
                (RegisterPlace::Scratch(block), _) => own(block),
                (RegisterPlace::Output(output), _) => {
                    let (outs, at) = outs.expect("programs that store have outputs");
                    // SAFETY: the output has room for the whole domain.
                    unsafe { outs[output].0.add(at) }
                }
            };
        }
        let block = Block { code: &bound.program.code, registers: &self.registers, len: n };
        // SAFETY: all registers point to `BLOCK` elements of scratch, to elements of an input that are only
        // read, or into an output; `n` is at most `BLOCK`.
        unsafe { block::run(&block) };
        if let Some((outs, at)) = outs {
            for (index, output) in bound.program.outputs.iter().enumerate() {
                if !matches!(bound.places[output.register], RegisterPlace::Output(i) if i == index)
                {
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

    /// Returns the elements that the last block left in a register.
    pub(super) fn register(&self, register: usize, len: usize) -> &[T] {
        // SAFETY: `block` left `len` elements there.
        unsafe { std::slice::from_raw_parts(self.registers[register], len) }
    }
}

/// Pointer to an output's first element; tasks write disjoint parts.
pub(super) struct OutputStart<T>(pub(super) *mut T);
// SAFETY: tasks write disjoint elements, and nobody reads before all are done.
unsafe impl<T: Send> Sync for OutputStart<T> {}
