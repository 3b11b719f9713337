//! One block of a program's elements, by the widest instructions that the processor has.
//!
//! Every instruction is a plain loop over a block that lies in the first-level cache, which the compiler
//! vectorises for each instruction set.

use crate::ir::program::Instr;
use crate::ir::{Binary, Compare, Logic, Unary};

/// Elements of a block.
pub(super) const BLOCK: usize = 512;

/// A float type that programs compute in.
pub(super) trait Real:
    bytemuck::Pod
    + Send
    + Sync
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
    + std::ops::Neg<Output = Self>
{
    const ZERO: Self;
    const ONE: Self;
    fn of(value: f64) -> Self;
    fn wide(self) -> f64;
    fn abs(self) -> Self;
    fn sqrt(self) -> Self;
    fn floor(self) -> Self;
    fn exp(self) -> Self;
    fn ln(self) -> Self;
    fn ln_1p(self) -> Self;
    fn sin(self) -> Self;
    fn cos(self) -> Self;
    fn tanh(self) -> Self;
    fn erf(self) -> Self;
    fn powf(self, p: Self) -> Self;
}

macro_rules! real {
    ($($t:ident, $erf:path;)*) => {$(
        impl Real for $t {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn of(value: f64) -> Self { value as $t }
            fn wide(self) -> f64 { f64::from(self) }
            fn abs(self) -> Self { $t::abs(self) }
            fn sqrt(self) -> Self { $t::sqrt(self) }
            fn floor(self) -> Self { $t::floor(self) }
            fn exp(self) -> Self { $t::exp(self) }
            fn ln(self) -> Self { $t::ln(self) }
            fn ln_1p(self) -> Self { $t::ln_1p(self) }
            fn sin(self) -> Self { $t::sin(self) }
            fn cos(self) -> Self { $t::cos(self) }
            fn tanh(self) -> Self { $t::tanh(self) }
            fn erf(self) -> Self { $erf(self) }
            fn powf(self, p: Self) -> Self { $t::powf(self, p) }
        }
    )*};
}
real! {
    f32, libm::erff;
    f64, libm::erf;
}

/// Where a block's registers lie: `n` elements behind each pointer.
pub(super) struct Block<'a, T> {
    pub code: &'a [Instr],
    /// By register; loads and constants are in place, all others are written.
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
        let truth = |yes: bool| if yes { T::ONE } else { T::ZERO };
        match *instr {
            Instr::Load(_) | Instr::Const(_) => {}
            Instr::Unary(op, x) => unary(op, out, at(x)),
            Instr::Binary(op, a, b) => {
                let (a, b) = (at(a), at(b));
                match op {
                    Binary::Add => map2(out, a, b, |a, b| a + b),
                    Binary::Sub => map2(out, a, b, |a, b| a - b),
                    Binary::Mul => map2(out, a, b, |a, b| a * b),
                    Binary::Div => map2(out, a, b, |a, b| a / b),
                }
            }
            Instr::Compare(op, a, b) => {
                let (a, b) = (at(a), at(b));
                match op {
                    Compare::Eq => map2(out, a, b, |a, b| truth(a == b)),
                    Compare::Gt => map2(out, a, b, |a, b| truth(a > b)),
                    Compare::Ge => map2(out, a, b, |a, b| truth(a >= b)),
                    Compare::Lt => map2(out, a, b, |a, b| truth(a < b)),
                    Compare::Le => map2(out, a, b, |a, b| truth(a <= b)),
                }
            }
            Instr::Logic(op, a, b) => {
                let (a, b) = (at(a), at(b));
                match op {
                    Logic::And => map2(out, a, b, |a, b| a * b),
                    Logic::Or => map2(out, a, b, |a, b| truth(a + b != T::ZERO)),
                    Logic::Not => map(out, a, |a| T::ONE - a),
                }
            }
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

#[inline(always)]
fn map<T: Real>(out: &mut [T], x: &[T], f: impl Fn(T) -> T) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

#[inline(always)]
fn map2<T: Real>(out: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = f(a, b);
    }
}

#[inline(always)]
fn unary<T: Real>(op: Unary, out: &mut [T], x: &[T]) {
    let (zero, one) = (T::ZERO, T::ONE);
    match op {
        Unary::Neg => map(out, x, |x| -x),
        Unary::Exp => map(out, x, T::exp),
        Unary::Log => map(out, x, T::ln),
        Unary::Log1p => map(out, x, T::ln_1p),
        Unary::Sqrt => map(out, x, T::sqrt),
        Unary::Recip => map(out, x, |x| one / x),
        Unary::Abs => map(out, x, T::abs),
        Unary::Sign => map(out, x, |x| {
            let up = if x > zero { one } else { zero };
            let down = if x < zero { one } else { zero };
            up - down
        }),
        Unary::Floor => map(out, x, T::floor),
        Unary::Sin => map(out, x, T::sin),
        Unary::Cos => map(out, x, T::cos),
        Unary::Tanh => map(out, x, T::tanh),
        Unary::Sigmoid => map(out, x, |x| one / (one + (-x).exp())),
        // max(x, 0) + ln(1 + e^−|x|)
        Unary::Softplus => map(out, x, |x| {
            let high = if x > zero { x } else { zero };
            high + (-x.abs()).exp().ln_1p()
        }),
        // What is not a number stays so.
        Unary::Relu => map(out, x, |x| if x <= zero { zero } else { x }),
        Unary::Erf => map(out, x, T::erf),
        Unary::Powf(-0.5) => map(out, x, |x| one / x.sqrt()),
        Unary::Powf(p) => map(out, x, |x| x.powf(T::of(p))),
    }
}

/// The sum of a block: sixteen partial sums in the type itself, then in f64.
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
