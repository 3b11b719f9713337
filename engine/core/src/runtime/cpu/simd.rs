//! Vectors of the instruction sets that the kernels are compiled for.

/// A register of `LANES` elements.
pub(super) trait Simd: Copy {
    type Elem: Copy;
    const LANES: usize;

    /// Makes a vector with the same element in all lanes.
    ///
    /// # Safety
    /// The processor must have the vector's instruction set; so for every function of this trait.
    unsafe fn splat(x: Self::Elem) -> Self;
    /// Makes a vector of zeros.
    ///
    /// # Safety
    /// As [`splat`](Simd::splat).
    unsafe fn zero() -> Self;
    /// Loads `LANES` elements from memory of any alignment.
    ///
    /// # Safety
    /// As [`splat`](Simd::splat), and `from` must be readable for `LANES` elements.
    unsafe fn load(from: *const Self::Elem) -> Self;
    /// Loads `n < LANES` elements from memory into the first lanes, and zeros into the others.
    ///
    /// # Safety
    /// As [`splat`](Simd::splat), and `from` must be readable for `n` elements.
    unsafe fn load_first(from: *const Self::Elem, n: usize) -> Self;
    /// Stores all lanes to memory of any alignment.
    ///
    /// # Safety
    /// As [`splat`](Simd::splat), and `to` must be writable for `LANES` elements.
    unsafe fn store(self, to: *mut Self::Elem);
    /// Stores the first `n < LANES` lanes to memory.
    ///
    /// # Safety
    /// As [`splat`](Simd::splat), and `to` must be writable for `n` elements.
    unsafe fn store_first(self, to: *mut Self::Elem, n: usize);
    /// Computes `self + a · b`.
    ///
    /// # Safety
    /// As [`splat`](Simd::splat).
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
}

/// `N` elements in plain code, for the compiler to make vectors of.
#[derive(Clone, Copy)]
pub(super) struct Portable<T, const N: usize>([T; N]);

macro_rules! portable {
    ($t:ty) => {
        impl<const N: usize> Simd for Portable<$t, N> {
            type Elem = $t;
            const LANES: usize = N;

            #[inline(always)]
            unsafe fn splat(x: $t) -> Self {
                Portable([x; N])
            }
            #[inline(always)]
            unsafe fn zero() -> Self {
                Portable([0.0; N])
            }
            #[inline(always)]
            unsafe fn load(from: *const $t) -> Self {
                // SAFETY: the caller vouches for `N` elements; arrays of elements have their alignment.
                Portable(unsafe { from.cast::<[$t; N]>().read() })
            }
            #[inline(always)]
            unsafe fn load_first(from: *const $t, n: usize) -> Self {
                let mut lanes = [0.0; N];
                // SAFETY: the caller vouches for `n` elements.
                let from = unsafe { std::slice::from_raw_parts(from, n) };
                lanes[..n].copy_from_slice(from);
                Portable(lanes)
            }
            #[inline(always)]
            unsafe fn store(self, to: *mut $t) {
                // SAFETY: the caller vouches for `N` elements; arrays of elements have their alignment.
                unsafe { to.cast::<[$t; N]>().write(self.0) }
            }
            #[inline(always)]
            unsafe fn store_first(self, to: *mut $t, n: usize) {
                for (i, &x) in self.0[..n].iter().enumerate() {
                    // SAFETY: the caller vouches for `n` elements.
                    unsafe { to.add(i).write(x) }
                }
            }
            #[inline(always)]
            unsafe fn add_product(mut self, a: Self, b: Self) -> Self {
                for i in 0..N {
                    self.0[i] = if cfg!(target_arch = "aarch64") {
                        a.0[i].mul_add(b.0[i], self.0[i])
                    } else {
                        // Fused multiply-add is a slow call on processors that lack the instruction.
                        a.0[i] * b.0[i] + self.0[i]
                    };
                }
                self
            }
        }
    };
}

portable!(f32);
portable!(f64);

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Simd;
    use std::arch::x86_64::*;

    macro_rules! vector {
        (
            $v:ty, $t:ty, $lanes:literal,
            $splat:ident, $zero:ident, $load:ident, $store:ident, $fma:ident,
            |$n:ident| $mask:expr, |$p:ident, $m:ident| $load_first:expr, $store_first:ident
        ) => {
            impl Simd for $v {
                type Elem = $t;
                const LANES: usize = $lanes;

                #[inline(always)]
                unsafe fn splat(x: $t) -> Self {
                    // SAFETY: the caller vouches for the instruction set.
                    unsafe { $splat(x) }
                }
                #[inline(always)]
                unsafe fn zero() -> Self {
                    // SAFETY: the caller vouches for the instruction set.
                    unsafe { $zero() }
                }
                #[inline(always)]
                unsafe fn load(from: *const $t) -> Self {
                    // SAFETY: the caller vouches for the instruction set and the memory.
                    unsafe { $load(from) }
                }
                #[inline(always)]
                unsafe fn load_first($p: *const $t, $n: usize) -> Self {
                    // SAFETY: the caller vouches for the instruction set and the first `n` elements; lanes that
                    // the mask leaves out are not accessed.
                    unsafe {
                        let $m = $mask;
                        $load_first
                    }
                }
                #[inline(always)]
                unsafe fn store(self, to: *mut $t) {
                    // SAFETY: the caller vouches for the instruction set and the memory.
                    unsafe { $store(to, self) }
                }
                #[inline(always)]
                unsafe fn store_first(self, to: *mut $t, $n: usize) {
                    // SAFETY: the caller vouches for the instruction set and the first `n` elements; lanes that
                    // the mask leaves out are not accessed.
                    unsafe { $store_first(to, $mask, self) }
                }
                #[inline(always)]
                unsafe fn add_product(self, a: Self, b: Self) -> Self {
                    // SAFETY: the caller vouches for the instruction set.
                    unsafe { $fma(a, b, self) }
                }
            }
        };
    }

    vector!(
        __m512,
        f32,
        16,
        _mm512_set1_ps,
        _mm512_setzero_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps,
        |n| (1u16 << n) - 1,
        |p, m| _mm512_maskz_loadu_ps(m, p),
        _mm512_mask_storeu_ps
    );
    vector!(
        __m512d,
        f64,
        8,
        _mm512_set1_pd,
        _mm512_setzero_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_fmadd_pd,
        |n| (1u8 << n) - 1,
        |p, m| _mm512_maskz_loadu_pd(m, p),
        _mm512_mask_storeu_pd
    );
    vector!(
        __m256,
        f32,
        8,
        _mm256_set1_ps,
        _mm256_setzero_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        |n| _mm256_cmpgt_epi32(
            _mm256_set1_epi32(n as i32),
            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7)
        ),
        |p, m| _mm256_maskload_ps(p, m),
        _mm256_maskstore_ps
    );
    vector!(
        __m256d,
        f64,
        4,
        _mm256_set1_pd,
        _mm256_setzero_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_fmadd_pd,
        |n| _mm256_cmpgt_epi64(_mm256_set1_epi64x(n as i64), _mm256_setr_epi64x(0, 1, 2, 3)),
        |p, m| _mm256_maskload_pd(p, m),
        _mm256_maskstore_pd
    );
}
