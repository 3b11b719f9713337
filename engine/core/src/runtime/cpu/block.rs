//! Execution of a program on one block of elements, with the widest vector instructions of the processor.
//!
//! Every instruction is a plain loop over a block that lies in the first-level cache, which the compiler
//! vectorises for each instruction set.

use crate::ir::elementwise::{Real, map, truth};
use crate::ir::program::Instr;

/// Number of elements in a block.
pub(super) const BLOCK: usize = 512;

/// A program and the memory of its registers for one block.
pub(super) struct Block<'a, T> {
    pub code: &'a [Instr],
    /// Memory of each register, `len` elements. Those of loads and constants hold their values; [`run`] writes the
    /// others.
    pub registers: &'a [*mut T],
    pub len: usize,
}

/// Runs the code on one block.
///
/// # Safety
/// Every register has room for `len` elements; loads and constants hold them.
pub(super) unsafe fn run<T: Real>(block: &Block<'_, T>) {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            // SAFETY: the feature was detected; the rest is the caller's promise.
            return unsafe { run_avx512(block) };
        }
        if std::arch::is_x86_feature_detected!("avx2") {
            // SAFETY: the feature was detected; the rest is the caller's promise.
            return unsafe { run_avx2(block) };
        }
    }
    // SAFETY: the caller's promise.
    unsafe { run_plain(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw")]
unsafe fn run_avx512<T: Real>(block: &Block<'_, T>) {
    // SAFETY: the caller's promise.
    unsafe { run_plain(block) }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
unsafe fn run_avx2<T: Real>(block: &Block<'_, T>) {
    // SAFETY: the caller's promise.
    unsafe { run_plain(block) }
}

/// Runs the code as plain loops, which are vectorised for the instruction set of the caller.
#[inline(always)]
unsafe fn run_plain<T: Real>(block: &Block<'_, T>) {
    let n = block.len;
    for (index, instr) in block.code.iter().enumerate() {
        let to = block.registers[index];
        // SAFETY: registers have room for `len` elements. A register's memory is shared only with registers
        // that are not used any more, so what is written differs from what is read.
        let (out, at) = unsafe {
            let at = |r: usize| std::slice::from_raw_parts(block.registers[r].cast_const(), n);
            match instr {
                Instr::Load(_) | Instr::Const(_) => continue,
                _ => (std::slice::from_raw_parts_mut(to, n), at),
            }
        };
        match *instr {
            Instr::Load(_) | Instr::Const(_) => {}
            Instr::Unary(f, x) => T::unary(f, out, at(x)),
            Instr::Binary(f, a, b) => f.map(out, at(a), at(b)),
            Instr::Compare(f, a, b) => f.map(out, at(a), at(b)),
            Instr::Logic(f, a, b) => f.map(out, at(a), at(b)),
            Instr::Select(c, a, b) => {
                let (c, a, b) = (at(c), at(a), at(b));
                for (((out, &c), &a), &b) in out.iter_mut().zip(c).zip(a).zip(b) {
                    *out = if c != T::ZERO { a } else { b };
                }
            }
            Instr::IsFinite(x) => map(out, at(x), |x| truth(x.wide().is_finite())),
            Instr::Number(c) => out.copy_from_slice(at(c)),
        }
    }
}

/// Returns the sum of a block: sixteen partial sums in `T`, which are added in f64.
#[inline]
pub(super) fn sum<T: Real>(x: &[T]) -> f64 {
    let mut lanes = [T::ZERO; 16];
    let (chunks, rest) = x.as_chunks::<16>();
    for chunk in chunks {
        for (lane, &x) in lanes.iter_mut().zip(chunk) {
            *lane = *lane + x;
        }
    }
    lanes.iter().chain(rest).map(|x| x.wide()).sum()
}
