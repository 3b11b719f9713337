//! Scratch memory that each thread keeps, because fresh memory costs a page fault every 4 KiB.

use std::cell::Cell;

use super::isa::Float;

/// A cache line, to which scratch memory is aligned.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Line([u8; 64]);

thread_local! {
    static SCRATCH: Cell<Vec<Line>> = const { Cell::new(Vec::new()) };
}

/// Calls `f` with a slice for each of `sizes` (in elements), aligned to a cache line. The slices contain data of
/// earlier uses.
pub(super) fn with<T: Float, const N: usize, R>(
    sizes: [usize; N],
    f: impl FnOnce([&mut [T]; N]) -> R,
) -> R {
    let per_line = size_of::<Line>() / size_of::<T>();
    let lines = sizes.map(|size| size.div_ceil(per_line));
    // Taken out, so that a nested call gets memory of its own.
    let mut memory = SCRATCH.take();
    let total: usize = lines.iter().sum();
    if memory.len() < total {
        memory.resize(total, Line([0; 64]));
    }
    let mut rest: &mut [T] =
        // SAFETY: all bytes are initialised, floats have no invalid values, and a line's alignment is stricter.
        unsafe { std::slice::from_raw_parts_mut(memory.as_mut_ptr().cast(), total * per_line) };
    let mut i = 0;
    let slices = [(); N].map(|()| {
        let (slice, after) = std::mem::take(&mut rest).split_at_mut(lines[i] * per_line);
        rest = after;
        i += 1;
        slice
    });
    let result = f(slices);
    SCRATCH.set(memory);
    result
}
