//! Register allocation of programs on the CPU.

use crate::ir::program::{Instr, Program};

/// Memory of a register's block.
#[derive(Clone, Copy)]
pub(super) enum RegisterPlace {
    /// The scratch block with this index.
    Scratch(usize),
    /// The memory of the output with this index.
    Output(usize),
}

/// Returns the place of each register and the number of scratch blocks. A scratch block is reused after its register's
/// last use.
pub(super) fn places(program: &Program) -> (Vec<RegisterPlace>, usize) {
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
        let found =
            program.outputs.iter().position(|o| o.register == register && o.dtype.is_float());
        found.filter(|_| computed && !program.is_reduction())
    };
    let (mut free, mut count) = (Vec::new(), 0);
    let mut places = Vec::with_capacity(program.code.len());
    for (index, instr) in program.code.iter().enumerate() {
        let place = match direct(index) {
            Some(output) => RegisterPlace::Output(output),
            None => {
                // Loads are read before all instructions run, so they cannot take the blocks of earlier results.
                let shared = match instr {
                    Instr::Load(_) | Instr::Const(_) => None,
                    _ => free.pop(),
                };
                RegisterPlace::Scratch(shared.unwrap_or_else(|| {
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
            // The blocks of constants are filled once and never reused.
            if let (RegisterPlace::Scratch(block), false) =
                (places[r], matches!(program.code[r], Instr::Const(_)))
            {
                free.push(block);
            }
        }
    }
    (places, count)
}
