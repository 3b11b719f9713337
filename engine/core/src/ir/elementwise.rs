//! Elementwise functions: one table row for each function of one or two numbers.
//!
//! A row gives the name, the cost, the function in Rust (which the compiler vectorises) and the expression in WGSL.
//! The derivatives are in `ops/elementwise.rs`, because they are expressed with tensors.

use libm::Libm;

/// A float type in which the CPU computes elementwise functions.
pub(crate) trait Real:
    bytemuck::Pod
    + Send
    + Sync
    + PartialOrd
    + std::ops::Add<Output = Self>
    + std::ops::Sub<Output = Self>
    + std::ops::Mul<Output = Self>
    + std::ops::Div<Output = Self>
{
    const ZERO: Self;
    const ONE: Self;
    /// Returns the nearest value of this type.
    fn of(value: f64) -> Self;
    /// Returns the same value as f64.
    fn wide(self) -> f64;
    /// Applies a unary function to elements: `out[i] = f(x[i])`.
    fn unary(f: Unary, out: &mut [Self], x: &[Self]);
}

/// Applies a function to elements: `out[i] = f(x[i])`. It is inlined, so that the loop is compiled for the instruction
/// set of the caller.
#[inline(always)]
pub(crate) fn map<T: Copy>(out: &mut [T], x: &[T], f: impl Fn(T) -> T) {
    for (out, &x) in out.iter_mut().zip(x) {
        *out = f(x);
    }
}

/// `out[i] = f(a[i], b[i])`
#[inline(always)]
pub(crate) fn map2<T: Copy>(out: &mut [T], a: &[T], b: &[T], f: impl Fn(T, T) -> T) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = f(a, b);
    }
}

/// Returns a truth value as a number: 1 for true, 0 for false.
#[inline(always)]
pub(crate) fn truth<T: Real>(yes: bool) -> T {
    if yes { T::ONE } else { T::ZERO }
}

/// `out[i] = 1` where `a[i]` and `b[i]` satisfy the comparison, else 0.
#[inline(always)]
fn compare2<T: Real>(out: &mut [T], a: &[T], b: &[T], holds: impl Fn(T, T) -> bool) {
    map2(out, a, b, |a, b| truth(holds(a, b)));
}

/// Cost of computing one element.
#[derive(Clone, Copy, PartialEq)]
enum Cost {
    /// A few instructions.
    Light,
    /// Tens of instructions.
    Heavy,
}
use Cost::{Heavy, Light};

macro_rules! unary {
    (
        $($name:ident $(($p:ident: $t:ty))?, $text:literal, $cost:expr, $value:expr, $wgsl:literal;)*
        $([$special:ident($at:literal), $short:expr, $short_wgsl:literal])*
    ) => {
        /// Functions of one number.
        #[derive(Clone, Copy, Debug, PartialEq)]
        #[non_exhaustive]
        pub enum Unary {
            $(#[doc = concat!("`", $text, "`")] $name $(($t))?,)*
        }

        impl Unary {
            /// Returns the name used in messages and plans.
            pub fn name(self) -> &'static str {
                match self { $(Unary::$name { .. } => $text,)* }
            }
            /// Returns true if computing an element takes tens of instructions.
            pub(crate) fn is_heavy(self) -> bool {
                Cost::Heavy == match self { $(Unary::$name { .. } => $cost,)* }
            }
            /// Returns a WGSL expression of the argument `{x}`, which may call the functions of [`WGSL`]. `NUM` stands
            /// for the type of `{x}`, and `{p}` for the function's parameter.
            pub(crate) fn wgsl(self) -> &'static str {
                match self {
                    $(Unary::$special($at) => $short_wgsl,)*
                    $(Unary::$name { .. } => $wgsl,)*
                }
            }
        }

        unary!(@real f32: $($special($at), $short;)* $($name $(($p))?, $value;)*);
        unary!(@real f64: $($special($at), $short;)* $($name $(($p))?, $value;)*);
    };
    (@real $float:ident: $($name:ident $(($p:pat))?, $value:expr;)*) => {
        impl Real for $float {
            const ZERO: Self = 0.0;
            const ONE: Self = 1.0;
            fn of(value: f64) -> Self { value as $float }
            fn wide(self) -> f64 { f64::from(self) }
            #[inline(always)]
            fn unary(f: Unary, out: &mut [Self], x: &[Self]) {
                match f { $(Unary::$name $(($p))? => map(out, x, $value),)* }
            }
        }
    };
}

unary! {
    Neg, "neg", Light, |x| -x, "-{x}";
    Exp, "exp", Heavy, |x| x.exp(), "exp({x})";
    Log, "log", Heavy, |x| x.ln(), "log({x})";
    Log1p, "log1p", Heavy, |x| x.ln_1p(), "log1p({x})";
    Sqrt, "sqrt", Light, |x| x.sqrt(), "sqrt({x})";
    Recip, "recip", Light, |x| 1.0 / x, "1.0 / {x}";
    Abs, "abs", Light, |x| x.abs(), "abs({x})";
    Sign, "sign", Light, |x| truth::<Self>(x > 0.0) - truth::<Self>(x < 0.0), "sign({x})";
    Floor, "floor", Light, |x| x.floor(), "floor({x})";
    Sin, "sin", Heavy, |x| x.sin(), "sin({x})";
    Cos, "cos", Heavy, |x| x.cos(), "cos({x})";
    Tanh, "tanh", Heavy, |x| x.tanh(), "tanh_of({x})";
    Sigmoid, "sigmoid", Heavy, |x| 1.0 / (1.0 + (-x).exp()), "sigmoid({x})";
    // max(x, 0) + ln(1 + e^−|x|)
    Softplus, "softplus", Heavy,
        |x| (if x > 0.0 { x } else { 0.0 }) + (-x.abs()).exp().ln_1p(), "softplus({x})";
    // NaN inputs give NaN.
    Relu, "relu", Light,
        |x| if x <= 0.0 { 0.0 } else { x }, "select({x}, NUM(0.0), {x} <= NUM(0.0))";
    Erf, "erf", Heavy, Libm::<Self>::erf, "erf({x})";
    Powf(p: f64), "powf", Heavy, |x| x.powf(p as Self), "pow({x}, {p})";
    // Special parameters with a faster form; they are matched first.
    [Powf(-0.5), |x| 1.0 / x.sqrt(), "1.0 / sqrt({x})"]
}

/// WGSL functions that the language lacks, or whose built-in form has too narrow a range.
pub(crate) const WGSL: &str = "\
fn log1p(x: NUM) -> NUM {
    let y = x + 1.0;
    return select(log(y) * (x / (y - 1.0)), x, y == NUM(1.0));
}
fn tanh_of(x: NUM) -> NUM { return tanh(clamp(x, NUM(-15.0), NUM(15.0))); }
fn sigmoid(x: NUM) -> NUM { return 1.0 / (1.0 + exp(-x)); }
fn softplus(x: NUM) -> NUM { return max(x, NUM(0.0)) + log1p(exp(-abs(x))); }
fn erf(x: NUM) -> NUM {
    let a = abs(x);
    let t = 1.0 / (1.0 + 0.3275911 * a);
    let q = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
    let near = a * (1.1283791671 - a * a * (0.3761263890 - a * a * (0.1128379167 - a * a * 0.0268661706)));
    return sign(x) * select(1.0 - q * exp(-a * a), near, a < NUM(0.25));
}
";

macro_rules! binary {
    ($(#[$doc:meta])* $Type:ident by $map:ident: $($name:ident, $text:literal, $value:expr, $wgsl:literal;)*) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq)]
        pub enum $Type {
            $(#[doc = concat!("`", $text, "`")] $name,)*
        }

        impl $Type {
            /// Returns the name used in messages and plans.
            pub fn name(self) -> &'static str {
                match self { $($Type::$name => $text,)* }
            }
            /// Returns a WGSL expression of the arguments `{a}` and `{b}`.
            pub(crate) fn wgsl(self) -> &'static str {
                match self { $($Type::$name => $wgsl,)* }
            }
            /// `out[i] = f(a[i], b[i])`
            #[inline(always)]
            pub(crate) fn map<T: Real>(self, out: &mut [T], a: &[T], b: &[T]) {
                match self { $($Type::$name => $map(out, a, b, $value),)* }
            }
        }
    };
}

binary! {
    /// Functions of two numbers.
    Binary by map2:
    Add, "add", |a, b| a + b, "{a} + {b}";
    Sub, "sub", |a, b| a - b, "{a} - {b}";
    Mul, "mul", |a, b| a * b, "{a} * {b}";
    Div, "div", |a, b| a / b, "{a} / {b}";
}

binary! {
    /// Comparisons; the result is Bool.
    Compare by compare2:
    Eq, "eq", |a, b| a == b, "{a} == {b}";
    Gt, "gt", |a, b| a > b, "{a} > {b}";
    Ge, "ge", |a, b| a >= b, "{a} >= {b}";
    Lt, "lt", |a, b| a < b, "{a} < {b}";
    Le, "le", |a, b| a <= b, "{a} <= {b}";
}

binary! {
    /// Logical operations on Bool tensors; `Not` ignores its second argument.
    Logic by map2:
    And, "and", |a, b| a * b, "{a} & {b}";
    Or, "or", |a, b| truth(a + b != T::ZERO), "{a} | {b}";
    Not, "not", |a, _| T::ONE - a, "!{a}";
}
