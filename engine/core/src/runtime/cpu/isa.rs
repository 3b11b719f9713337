//! The kernels compiled for each instruction set; the best set is chosen at run time.

use super::kernels::{self, Pixels, Segment};
use super::simd::{Portable, Simd};

/// Matrix product `c[i][p] (+)= Σ_k a[k][i] · b[offsets[k] + p]` for `M` rows and `N` vectors of `p`. Rows of `c` are
/// `pitch` apart; if `add`, the sum is added to the values in `c`.
///
/// # Safety
/// The processor must have the instruction set; `a` must be readable for `offsets.len() · M` elements, `b`
/// for `N` vectors from each offset, and `c` writable (readable, if `add`) for `N` vectors in each row.
pub(super) type Gemm<T> =
    unsafe fn(a: *const T, b: *const T, offsets: &[usize], c: *mut T, pitch: usize, add: bool);

/// Sum of outer products `c[i][j] += Σ_p y[p][i] · x[p + offsets[j] ..]` for `M` rows and `N` vectors `j`. Rows of `c`
/// are `pitch` apart.
///
/// # Safety
/// The processor must have the instruction set; `offsets` must have `N` elements; `x` must be readable for a
/// vector at each offset from each pixel, `y` for `M` elements at each pixel, and `c` readable and writable
/// for `N` vectors in each row.
pub(super) type Outer<T> = unsafe fn(
    x: *const T,
    y: *const T,
    offsets: &[usize],
    pixels: &Pixels,
    c: *mut T,
    pitch: usize,
);

/// The kernels of one element type for one instruction set.
pub(super) struct Isa<T: 'static> {
    /// Number of elements in a vector.
    pub lanes: usize,
    /// Largest number of vectors in a register tile.
    pub vectors: usize,
    /// Matrix products: `gemm[N − 1][M − 1]` is the kernel for `N` vectors and `M` rows.
    pub gemm: &'static [&'static [Gemm<T>]],
    /// Outer products: `outer[N − 1][M − 1]` is the kernel for `N` vectors and `M` rows.
    pub outer: &'static [&'static [Outer<T>]],
    /// `to[r·pitch ..][..width] = from[r·width ..][..width]`; each row may be followed by zeros up to the
    /// next multiple of a vector.
    ///
    /// # Safety
    /// The processor must have the instruction set; `from` must be readable for `rows · width` elements, and
    /// `to` writable for `rows · pitch` and a vector more.
    pub copy_rows: unsafe fn(from: *const T, rows: usize, width: usize, to: *mut T, pitch: usize),
    /// `tile[k][s.tile + j] = source[offsets[k] + s.source + j·step]` for the segments `s` (in order) and
    /// `j < s.len`; the tile's rows are `pitch` apart.
    ///
    /// # Safety
    /// The processor must have the instruction set; all sources must be readable, and a vector more if
    /// `step` is one; the tile must be writable for `offsets.len() · pitch` elements and a vector more.
    pub gather: unsafe fn(
        source: *const T,
        offsets: &[usize],
        segments: &[Segment],
        step: usize,
        tile: *mut T,
        pitch: usize,
    ),
    /// `out[m·plane + s.out + j·step] = tile[m·pitch + s.tile + j]` for `m < rows` and each segment `s`.
    ///
    /// # Safety
    /// The processor must have the instruction set; all these elements must be readable and writable.
    pub scatter: unsafe fn(
        tile: *const T,
        pitch: usize,
        rows: usize,
        segments: &[Segment],
        out: *mut T,
        plane: usize,
        step: usize,
    ),
    /// `to[j·channels + c] = from[c·plane + j]` for `c < channels` and `j < len`.
    ///
    /// # Safety
    /// The processor must have the instruction set; all these elements must be readable and writable.
    pub transpose: unsafe fn(from: *const T, plane: usize, channels: usize, len: usize, to: *mut T),
}

impl<T> Isa<T> {
    /// Returns the largest number of rows in a register tile.
    pub fn rows(&self) -> usize {
        self.gemm[0].len()
    }

    /// Returns how many of the `left` vectors the next register tile takes: about half if a full tile would leave only
    /// one.
    pub fn next_vectors(&self, left: usize) -> usize {
        if left == self.vectors + 1 { left.div_ceil(2) } else { left.min(self.vectors) }
    }
}

/// Defines the kernels compiled with some target features, and their table for a vector type.
macro_rules! isa {
    ($isa:ident, [$($features:literal)?], $m:tt, [$($n:literal)*]) => {
        mod $isa {
            use super::{Isa, Pixels, Segment, Simd, kernels};

            $(#[target_feature(enable = $features)])?
            unsafe fn gemm<V: Simd, const M: usize, const N: usize>(
                a: *const V::Elem,
                b: *const V::Elem,
                offsets: &[usize],
                c: *mut V::Elem,
                pitch: usize,
                add: bool,
            ) {
                // SAFETY: the caller's promises are passed on; so in the functions that follow.
                unsafe { kernels::gemm::<V, M, N>(a, b, offsets, c, pitch, add) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn outer<V: Simd, const M: usize, const N: usize>(
                x: *const V::Elem,
                y: *const V::Elem,
                offsets: &[usize],
                pixels: &Pixels,
                c: *mut V::Elem,
                pitch: usize,
            ) {
                // SAFETY: as above.
                unsafe { kernels::outer::<V, M, N>(x, y, offsets, pixels, c, pitch) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn copy_rows<V: Simd>(
                from: *const V::Elem,
                rows: usize,
                width: usize,
                to: *mut V::Elem,
                pitch: usize,
            ) {
                // SAFETY: as above.
                unsafe { kernels::copy_rows::<V>(from, rows, width, to, pitch) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn gather<V: Simd>(
                source: *const V::Elem,
                offsets: &[usize],
                segments: &[Segment],
                step: usize,
                tile: *mut V::Elem,
                pitch: usize,
            ) {
                // SAFETY: as above.
                unsafe { kernels::gather::<V>(source, offsets, segments, step, tile, pitch) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn scatter<V: Simd>(
                tile: *const V::Elem,
                pitch: usize,
                rows: usize,
                segments: &[Segment],
                out: *mut V::Elem,
                plane: usize,
                step: usize,
            ) {
                // SAFETY: as above.
                unsafe { kernels::scatter::<V>(tile, pitch, rows, segments, out, plane, step) }
            }

            $(#[target_feature(enable = $features)])?
            unsafe fn transpose<V: Simd>(
                from: *const V::Elem,
                plane: usize,
                channels: usize,
                len: usize,
                to: *mut V::Elem,
            ) {
                // SAFETY: as above.
                unsafe { kernels::transpose::<V>(from, plane, channels, len, to) }
            }

            pub(super) const fn table<V: Simd>() -> Isa<V::Elem> {
                Isa {
                    lanes: V::LANES,
                    vectors: [$($n),*].len(),
                    gemm: const { &[$(isa!(@rows gemm, $n, $m)),*] },
                    outer: const { &[$(isa!(@rows outer, $n, $m)),*] },
                    copy_rows: copy_rows::<V>,
                    gather: gather::<V>,
                    scatter: scatter::<V>,
                    transpose: transpose::<V>,
                }
            }
        }
    };
    (@rows $f:ident, $n:literal, [$($m:literal)*]) => { &[$($f::<V, $m, $n>),*] };
}

// The largest register tile must fit into the registers: 32, or 16 before AVX-512.
#[cfg(target_arch = "x86_64")]
isa!(avx512, ["avx512f,avx2,fma"], [1 2 3 4 5 6 7 8], [1 2 3]);
#[cfg(target_arch = "x86_64")]
isa!(avx2, ["avx2,fma"], [1 2 3 4 5 6], [1 2]);
#[cfg(target_arch = "aarch64")]
isa!(portable, [], [1 2 3 4 5 6 7 8], [1 2]);
#[cfg(not(target_arch = "aarch64"))]
isa!(portable, [], [1 2 3 4], [1 2]);

/// An element type that has kernels.
pub(super) trait Float:
    Copy + Default + Send + Sync + std::ops::Add<Output = Self> + 'static
{
    /// Returns the kernels for each instruction set of this processor, the best first.
    fn isas() -> Vec<&'static Isa<Self>>;

    /// Returns the kernels for the best instruction set of this processor.
    fn isa() -> &'static Isa<Self> {
        Self::isas()[0]
    }
}

macro_rules! float {
    ($t:ty, $avx512:ident, $avx2:ident, $lanes:literal) => {
        impl Float for $t {
            fn isas() -> Vec<&'static Isa<Self>> {
                static PORTABLE: Isa<$t> = portable::table::<Portable<$t, $lanes>>();
                let mut found = Vec::new();
                #[cfg(target_arch = "x86_64")]
                {
                    use std::arch::x86_64::{$avx2, $avx512};
                    static AVX2: Isa<$t> = avx2::table::<$avx2>();
                    static AVX512: Isa<$t> = avx512::table::<$avx512>();
                    if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                        if is_x86_feature_detected!("avx512f") {
                            found.push(&AVX512);
                        }
                        found.push(&AVX2);
                    }
                }
                found.push(&PORTABLE);
                found
            }
        }
    };
}

float!(f32, __m512, __m256, 4);
float!(f64, __m512d, __m256d, 2);
