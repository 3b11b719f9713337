//! The engine's functions in WGSL.

use crate::ir::Unary;

/// Two floats lie in 64 bits.
pub(super) const HALVES: &str = "\
fn even(v: vec4<u64>) -> vec4<f32> { return bitcast<vec4<f32>>(vec4<u32>(v)); }
fn odd(v: vec4<u64>) -> vec4<f32> { return bitcast<vec4<f32>>(vec4<u32>(v >> vec4<u32>(32u))); }
";

/// What WGSL lacks, or has with too narrow a range.
pub(super) const HELPERS: &str = "\
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

/// The call of a function on a register; `number` is the register's type.
pub(super) fn unary(
    op: Unary,
    x: &str,
    number: &str,
    mut constant: impl FnMut(f64) -> String,
) -> String {
    match op {
        Unary::Neg => format!("-{x}"),
        Unary::Exp => format!("exp({x})"),
        Unary::Log => format!("log({x})"),
        Unary::Log1p => format!("log1p({x})"),
        Unary::Sqrt => format!("sqrt({x})"),
        Unary::Recip => format!("1.0 / {x}"),
        Unary::Abs => format!("abs({x})"),
        Unary::Sign => format!("sign({x})"),
        Unary::Floor => format!("floor({x})"),
        Unary::Sin => format!("sin({x})"),
        Unary::Cos => format!("cos({x})"),
        Unary::Tanh => format!("tanh_of({x})"),
        Unary::Sigmoid => format!("sigmoid({x})"),
        Unary::Softplus => format!("softplus({x})"),
        // What is not a number stays so.
        Unary::Relu => format!("select({x}, {number}(0.0), {x} <= {number}(0.0))"),
        Unary::Erf => format!("erf({x})"),
        Unary::Powf(-0.5) => format!("1.0 / sqrt({x})"),
        Unary::Powf(p) => format!("pow({x}, {})", constant(p)),
    }
}
