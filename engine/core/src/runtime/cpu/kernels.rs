//! The innermost loops, for any vector type. The fields of [`Isa`](super::isa::Isa) give their formulas and their
//! safety conditions in full. They are always inlined into a function that has the target features of their vectors.

use super::simd::Simd;

/// A run of pixels that follow each other, with its offsets in the source, in a tile and in the output.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub source: usize,
    pub tile: usize,
    pub out: usize,
    pub len: usize,
}

/// The pixels that [`outer`] sums over: images of rows of columns, and the distances between them.
#[derive(Clone, Copy)]
pub(super) struct Pixels {
    pub images: usize,
    pub rows: usize,
    pub cols: usize,
    pub x_image: usize,
    pub x_row: usize,
    pub x_col: usize,
    /// Distance between the pixels of `y`, which follow each other without gaps.
    pub y_pixel: usize,
}

/// Multiplies `M` rows of weights by `N` vectors of pixels. See [`Gemm`](super::isa::Gemm).
///
/// # Safety
/// As for [`Gemm`](super::isa::Gemm).
#[inline(always)]
pub(super) unsafe fn gemm<V: Simd, const M: usize, const N: usize>(
    mut a: *const V::Elem,
    b: *const V::Elem,
    offsets: &[usize],
    c: *mut V::Elem,
    pitch: usize,
    add: bool,
) {
    // SAFETY: the accesses are those that the caller vouches for.
    unsafe {
        let mut sums = [[V::zero(); N]; M];
        if add {
            for (i, row) in sums.iter_mut().enumerate() {
                for (j, sum) in row.iter_mut().enumerate() {
                    *sum = V::load(c.add(i * pitch + j * V::LANES));
                }
            }
        }
        for &offset in offsets {
            let mut x = [V::zero(); N];
            for (j, x) in x.iter_mut().enumerate() {
                *x = V::load(b.add(offset + j * V::LANES));
            }
            for (i, row) in sums.iter_mut().enumerate() {
                let w = V::splat(*a.add(i));
                for (sum, &x) in row.iter_mut().zip(&x) {
                    *sum = sum.add_product(w, x);
                }
            }
            a = a.add(M);
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, sum) in row.iter().enumerate() {
                sum.store(c.add(i * pitch + j * V::LANES));
            }
        }
    }
}

/// Sums outer products of `M` rows of `y` and `N` vectors of `x` over pixels. See [`Outer`](super::isa::Outer).
///
/// # Safety
/// As for [`Outer`](super::isa::Outer).
#[inline(always)]
pub(super) unsafe fn outer<V: Simd, const M: usize, const N: usize>(
    x: *const V::Elem,
    mut y: *const V::Elem,
    offsets: &[usize],
    pixels: &Pixels,
    c: *mut V::Elem,
    pitch: usize,
) {
    // SAFETY: the accesses are those that the caller vouches for.
    unsafe {
        let mut sums = [[V::zero(); N]; M];
        for (i, row) in sums.iter_mut().enumerate() {
            for (j, sum) in row.iter_mut().enumerate() {
                *sum = V::load(c.add(i * pitch + j * V::LANES));
            }
        }
        let mut at = [0; N];
        at.copy_from_slice(&offsets[..N]);
        for image in 0..pixels.images {
            for row in 0..pixels.rows {
                let mut p = x.add(image * pixels.x_image + row * pixels.x_row);
                for _ in 0..pixels.cols {
                    let mut x = [V::zero(); N];
                    for (x, &at) in x.iter_mut().zip(&at) {
                        *x = V::load(p.add(at));
                    }
                    for (i, row) in sums.iter_mut().enumerate() {
                        let y = V::splat(*y.add(i));
                        for (sum, &x) in row.iter_mut().zip(&x) {
                            *sum = sum.add_product(y, x);
                        }
                    }
                    p = p.wrapping_add(pixels.x_col);
                    y = y.wrapping_add(pixels.y_pixel);
                }
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, sum) in row.iter().enumerate() {
                sum.store(c.add(i * pitch + j * V::LANES));
            }
        }
    }
}

/// Copies `len` elements in whole vectors; up to a vector of zeros follows them.
#[inline(always)]
pub(super) unsafe fn copy<V: Simd>(from: *const V::Elem, len: usize, to: *mut V::Elem) {
    // SAFETY: the caller vouches for the elements and a vector more of `to`.
    unsafe {
        let mut j = 0;
        while j + V::LANES <= len {
            V::load(from.add(j)).store(to.add(j));
            j += V::LANES;
        }
        if j < len {
            V::load_first(from.add(j), len - j).store(to.add(j));
        }
    }
}

/// Copies rows to rows that are `pitch` apart. See `copy_rows` of [`Isa`](super::isa::Isa).
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn copy_rows<V: Simd>(
    from: *const V::Elem,
    rows: usize,
    width: usize,
    to: *mut V::Elem,
    pitch: usize,
) {
    for r in 0..rows {
        // SAFETY: the caller vouches for the rows; a row's zeros go where the next is written.
        unsafe { copy::<V>(from.add(r * width), width, to.add(r * pitch)) };
    }
}

/// Copies the segments of a source into a tile, once for each offset. See `gather` of [`Isa`](super::isa::Isa).
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn gather<V: Simd>(
    source: *const V::Elem,
    offsets: &[usize],
    segments: &[Segment],
    step: usize,
    tile: *mut V::Elem,
    pitch: usize,
) {
    for (k, &offset) in offsets.iter().enumerate() {
        for s in segments {
            // SAFETY: the caller vouches for the elements. What is written after a segment is written again:
            // by the next segment, the next row or (at the end) the vector that nobody reads.
            unsafe {
                let from = source.add(offset + s.source);
                let to = tile.add(k * pitch + s.tile);
                match step {
                    1 => {
                        let mut j = 0;
                        while j < s.len {
                            V::load(from.add(j)).store(to.add(j));
                            j += V::LANES;
                        }
                    }
                    2 => {
                        for j in 0..s.len {
                            *to.add(j) = *from.add(2 * j);
                        }
                    }
                    _ => {
                        for j in 0..s.len {
                            *to.add(j) = *from.add(step * j);
                        }
                    }
                }
            }
        }
    }
}

/// Copies the rows of a tile to the places of its segments. See `scatter` of [`Isa`](super::isa::Isa).
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn scatter<V: Simd>(
    tile: *const V::Elem,
    pitch: usize,
    rows: usize,
    segments: &[Segment],
    out: *mut V::Elem,
    plane: usize,
    step: usize,
) {
    for m in 0..rows {
        for s in segments {
            // SAFETY: the caller vouches for the elements.
            unsafe {
                let from = tile.add(m * pitch + s.tile);
                let to = out.add(m * plane + s.out);
                if step == 1 {
                    let mut j = 0;
                    while j + V::LANES <= s.len {
                        V::load(from.add(j)).store(to.add(j));
                        j += V::LANES;
                    }
                    if j < s.len {
                        V::load_first(from.add(j), s.len - j).store_first(to.add(j), s.len - j);
                    }
                } else {
                    for j in 0..s.len {
                        *to.add(j * step) = *from.add(j);
                    }
                }
            }
        }
    }
}

/// Transposes planes of `channels` to pixels of `channels`. See `transpose` of [`Isa`](super::isa::Isa).
///
/// # Safety
/// As there.
#[inline(always)]
pub(super) unsafe fn transpose<V: Simd>(
    from: *const V::Elem,
    plane: usize,
    channels: usize,
    len: usize,
    to: *mut V::Elem,
) {
    // Cache lines of both sides are used whole, by small blocks that fit into registers.
    const LINE: usize = 16;
    const B: usize = 4;
    for first_j in (0..len).step_by(LINE) {
        let end_j = len.min(first_j + LINE);
        for first_c in (0..channels).step_by(LINE) {
            let end_c = channels.min(first_c + LINE);
            let (blocks_j, blocks_c) =
                (end_j - (end_j - first_j) % B, end_c - (end_c - first_c) % B);
            // SAFETY: the caller vouches for the elements.
            unsafe {
                for c in (first_c..blocks_c).step_by(B) {
                    for j in (first_j..blocks_j).step_by(B) {
                        let corner = from.add(c * plane + j);
                        let block: [[V::Elem; B]; B] = std::array::from_fn(|i| {
                            corner.add(i * plane).cast::<[V::Elem; B]>().read()
                        });
                        let corner = to.add(j * channels + c);
                        let turned: [[V::Elem; B]; B] =
                            std::array::from_fn(|j| block.map(|row| row[j]));
                        for (j, row) in turned.into_iter().enumerate() {
                            corner.add(j * channels).cast::<[V::Elem; B]>().write(row);
                        }
                    }
                }
                for c in first_c..end_c {
                    let rest = if c < blocks_c { blocks_j } else { first_j };
                    for j in rest..end_j {
                        *to.add(j * channels + c) = *from.add(c * plane + j);
                    }
                }
            }
        }
    }
}
