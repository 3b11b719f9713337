//! Elementwise arithmetic, functions, comparisons and selection, with NumPy's broadcasting.

use std::ops::{Add, Div, Mul, Neg, Sub};

use super::{Op, add_terms};
use crate::shape::{broadcast, lift};
use crate::{DType, Tensor};

/// Functions of one argument.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Unary {
    Neg,
    Exp,
    Log,
    Log1p,
    Sqrt,
    Recip,
    Abs,
    Sign,
    Floor,
    Sin,
    Cos,
    Tanh,
    Sigmoid,
    Softplus,
    Relu,
    Erf,
    Powf(f64),
}

/// Functions of two arguments.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Binary {
    Add,
    Sub,
    Mul,
    Div,
}

/// Comparisons; the result is Bool.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Compare {
    Eq,
    Gt,
    Ge,
    Lt,
    Le,
}

/// Truth functions of Bool tensors.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Logic {
    And,
    Or,
    Not,
}

impl Unary {
    pub fn name(self) -> &'static str {
        match self {
            Unary::Neg => "neg",
            Unary::Exp => "exp",
            Unary::Log => "log",
            Unary::Log1p => "log1p",
            Unary::Sqrt => "sqrt",
            Unary::Recip => "recip",
            Unary::Abs => "abs",
            Unary::Sign => "sign",
            Unary::Floor => "floor",
            Unary::Sin => "sin",
            Unary::Cos => "cos",
            Unary::Tanh => "tanh",
            Unary::Sigmoid => "sigmoid",
            Unary::Softplus => "softplus",
            Unary::Relu => "relu",
            Unary::Erf => "erf",
            Unary::Powf(_) => "powf",
        }
    }

    /// `t · f'(x)`, given `y = f(x)`: both the forward and the reverse rule, for the Jacobian is diagonal.
    pub fn scale_by_derivative(self, x: &Tensor, y: &Tensor, t: &Tensor) -> Option<Tensor> {
        Some(match self {
            Unary::Neg => -t,
            Unary::Exp => t * y,
            Unary::Log => t / x,
            Unary::Log1p => t / (x + 1.0),
            Unary::Sqrt => t * 0.5 / y,
            Unary::Recip => -(t * (y * y)),
            Unary::Abs => t * x.sign(),
            Unary::Sign | Unary::Floor => return None,
            Unary::Sin => t * x.cos(),
            Unary::Cos => -(t * x.sin()),
            Unary::Tanh => t * (1.0 - y * y),
            Unary::Sigmoid => t * (y * (1.0 - y)),
            Unary::Softplus => t * x.sigmoid(),
            Unary::Relu => x.gt(&x.zeros_like()).where_(t, &t.zeros_like()),
            Unary::Erf => t * ((x * x).neg().exp() * std::f64::consts::FRAC_2_SQRT_PI),
            Unary::Powf(p) => t * (x.powf(p - 1.0) * p),
        })
    }
}

impl Binary {
    pub fn name(self) -> &'static str {
        match self {
            Binary::Add => "add",
            Binary::Sub => "sub",
            Binary::Mul => "mul",
            Binary::Div => "div",
        }
    }

    pub fn vjp(self, out: &Tensor, inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
        let (a, b) = (&inputs[0], &inputs[1]);
        let (da, db) = match self {
            Binary::Add => (ct.clone(), ct.clone()),
            Binary::Sub => (ct.clone(), -ct),
            Binary::Mul => (ct * b, ct * a),
            Binary::Div => {
                let scaled = ct / b;
                let db = -(&scaled * out);
                (scaled, db)
            }
        };
        vec![Some(da.sum_to(a.shape())), Some(db.sum_to(b.shape()))]
    }

    pub fn jvp(
        self,
        out: &Tensor,
        inputs: &[Tensor],
        tangents: &[Option<Tensor>],
    ) -> Option<Tensor> {
        let (a, b) = (&inputs[0], &inputs[1]);
        let (ta, tb) = (tangents[0].as_ref(), tangents[1].as_ref());
        let (da, db) = match self {
            Binary::Add => (ta.cloned(), tb.cloned()),
            Binary::Sub => (ta.cloned(), tb.map(|t| -t)),
            Binary::Mul => (ta.map(|t| t * b), tb.map(|t| a * t)),
            Binary::Div => (ta.map(|t| t / b), tb.map(|t| -(out * t / b))),
        };
        add_terms(da, db).map(|t| t.broadcast_to(out.shape()))
    }
}

impl Compare {
    pub fn name(self) -> &'static str {
        match self {
            Compare::Eq => "eq",
            Compare::Gt => "gt",
            Compare::Ge => "ge",
            Compare::Lt => "lt",
            Compare::Le => "le",
        }
    }
}

impl Logic {
    pub fn name(self) -> &'static str {
        match self {
            Logic::And => "and",
            Logic::Or => "or",
            Logic::Not => "not",
        }
    }
}

/// `where(c, a, b)`: the cotangent goes to the side that was taken.
pub(super) fn select_vjp(inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
    let (cond, zero) = (&inputs[0], ct.zeros_like());
    vec![
        None,
        Some(cond.where_(ct, &zero)),
        Some(cond.where_(&zero, ct)),
    ]
}

pub(super) fn select_jvp(
    out: &Tensor,
    inputs: &[Tensor],
    tangents: &[Option<Tensor>],
) -> Option<Tensor> {
    let side = |t: &Option<Tensor>| t.clone().unwrap_or_else(|| out.zeros_like());
    if tangents[1].is_none() && tangents[2].is_none() {
        return None;
    }
    Some(inputs[0].where_(&side(&tangents[1]), &side(&tangents[2])))
}

/// Both operands with the same rank, and the shape of the result.
#[track_caller]
fn align(op: &str, a: &Tensor, b: &Tensor) -> (Tensor, Tensor, Vec<usize>) {
    let Some(shape) = broadcast(a.shape(), b.shape()) else {
        panic!(
            "{op}: shapes {:?} and {:?} do not broadcast",
            a.shape(),
            b.shape()
        );
    };
    assert!(
        a.dtype() == b.dtype(),
        "{op}: types {} and {} differ (shapes {:?} and {:?}); convert one with `to_dtype`",
        a.dtype(),
        b.dtype(),
        a.shape(),
        b.shape()
    );
    let rank = shape.len();
    (
        a.reshape(&lift(a.shape(), rank)),
        b.reshape(&lift(b.shape(), rank)),
        shape,
    )
}

impl Tensor {
    fn unary(&self, op: Unary) -> Tensor {
        let needs_float = !matches!(op, Unary::Neg | Unary::Abs | Unary::Sign);
        assert!(
            self.dtype().is_float() || (self.dtype() == DType::I32 && !needs_float),
            "{}: not defined for {} (shape {:?})",
            op.name(),
            self.dtype(),
            self.shape()
        );
        Tensor::apply(Op::Unary(op), &[self], self.shape(), self.dtype())
    }

    #[track_caller]
    fn binary(&self, op: Binary, other: &Tensor) -> Tensor {
        let (a, b, shape) = align(op.name(), self, other);
        assert!(
            !matches!(a.dtype(), DType::Bool | DType::U8),
            "{}: not defined for {}; convert with `to_dtype`",
            op.name(),
            a.dtype()
        );
        Tensor::apply(Op::Binary(op), &[&a, &b], shape, a.dtype())
    }

    #[track_caller]
    fn compare(&self, op: Compare, other: &Tensor) -> Tensor {
        let (a, b, shape) = align(op.name(), self, other);
        Tensor::apply(Op::Compare(op), &[&a, &b], shape, DType::Bool)
    }

    #[track_caller]
    fn logic(&self, op: Logic, others: &[&Tensor]) -> Tensor {
        let mut shape = self.shape().to_vec();
        for other in others {
            let Some(joint) = broadcast(&shape, other.shape()) else {
                panic!(
                    "{}: shapes {:?} and {:?} do not broadcast",
                    op.name(),
                    shape,
                    other.shape()
                );
            };
            shape = joint;
        }
        let spread: Vec<Tensor> = std::iter::once(&self)
            .chain(others)
            .map(|t| t.broadcast_to(&shape))
            .collect();
        for tensor in &spread {
            assert!(
                tensor.dtype() == DType::Bool,
                "{}: needs Bool, found {}",
                op.name(),
                tensor.dtype()
            );
        }
        Tensor::apply(
            Op::Logic(op),
            &spread.iter().collect::<Vec<_>>(),
            shape,
            DType::Bool,
        )
    }

    /// `-x`
    #[allow(clippy::should_implement_trait)]
    pub fn neg(&self) -> Tensor {
        self.unary(Unary::Neg)
    }
    /// `eˣ`
    pub fn exp(&self) -> Tensor {
        self.unary(Unary::Exp)
    }
    /// `ln x`
    pub fn log(&self) -> Tensor {
        self.unary(Unary::Log)
    }
    /// `ln(1 + x)`, accurate near 0.
    pub fn log1p(&self) -> Tensor {
        self.unary(Unary::Log1p)
    }
    /// `√x`. Its derivative at 0 is infinite; add a small constant first where that can happen.
    pub fn sqrt(&self) -> Tensor {
        self.unary(Unary::Sqrt)
    }
    /// `1/x`
    pub fn recip(&self) -> Tensor {
        self.unary(Unary::Recip)
    }
    /// `|x|`, with derivative `sign(x)` (0 at 0).
    pub fn abs(&self) -> Tensor {
        self.unary(Unary::Abs)
    }
    /// `-1`, `0` or `1`.
    pub fn sign(&self) -> Tensor {
        self.unary(Unary::Sign)
    }
    /// The largest integer not above `x`.
    pub fn floor(&self) -> Tensor {
        self.unary(Unary::Floor)
    }
    /// `sin x`
    pub fn sin(&self) -> Tensor {
        self.unary(Unary::Sin)
    }
    /// `cos x`
    pub fn cos(&self) -> Tensor {
        self.unary(Unary::Cos)
    }
    /// `tanh x`
    pub fn tanh(&self) -> Tensor {
        self.unary(Unary::Tanh)
    }
    /// `1/(1 + e⁻ˣ)`
    pub fn sigmoid(&self) -> Tensor {
        self.unary(Unary::Sigmoid)
    }
    /// `ln(1 + eˣ)`, without overflow.
    pub fn softplus(&self) -> Tensor {
        self.unary(Unary::Softplus)
    }
    /// `max(x, 0)`, with derivative 0 at 0, as PyTorch and JAX.
    pub fn relu(&self) -> Tensor {
        self.unary(Unary::Relu)
    }
    /// The error function.
    pub fn erf(&self) -> Tensor {
        self.unary(Unary::Erf)
    }
    /// `x²`
    pub fn square(&self) -> Tensor {
        self * self
    }
    /// `xᵖ`. Small whole exponents are products, and so right for negative `x`.
    pub fn powf(&self, p: f64) -> Tensor {
        if p == 0.0 {
            self.ones_like()
        } else if p == 0.5 {
            self.sqrt()
        } else if p.fract() == 0.0 && p.abs() <= 16.0 {
            let power = self.powi(p.abs() as u32);
            if p < 0.0 { power.recip() } else { power }
        } else {
            self.unary(Unary::Powf(p))
        }
    }

    /// `xⁿ` for `n ≥ 1`, by repeated squaring.
    fn powi(&self, n: u32) -> Tensor {
        match n {
            1 => self.clone(),
            n if n % 2 == 0 => self.powi(n / 2).square(),
            n => self.powi(n - 1) * self,
        }
    }

    /// The larger of two values; the derivative is shared equally where they are equal.
    #[track_caller]
    pub fn maximum(&self, other: &Tensor) -> Tensor {
        let (a, b, _) = align("maximum", self, other);
        let even = &a * 0.5 + &b * 0.5;
        a.gt(&b).where_(&a, &a.lt(&b).where_(&b, &even))
    }

    /// The smaller of two values; the derivative is shared equally where they are equal.
    #[track_caller]
    pub fn minimum(&self, other: &Tensor) -> Tensor {
        let (a, b, _) = align("minimum", self, other);
        let even = &a * 0.5 + &b * 0.5;
        a.lt(&b).where_(&a, &a.gt(&b).where_(&b, &even))
    }

    /// `x` limited to `[low, high]`; the derivative is 1 inside and on the bounds, else 0.
    pub fn clamp(&self, low: f64, high: f64) -> Tensor {
        let (low, high) = (self.full_like(low), self.full_like(high));
        self.lt(&low)
            .where_(&low, &self.gt(&high).where_(&high, self))
    }

    /// `x = y`, elementwise.
    #[track_caller]
    pub fn eq(&self, other: &Tensor) -> Tensor {
        self.compare(Compare::Eq, other)
    }
    /// `x > y`, elementwise.
    #[track_caller]
    pub fn gt(&self, other: &Tensor) -> Tensor {
        self.compare(Compare::Gt, other)
    }
    /// `x ≥ y`, elementwise.
    #[track_caller]
    pub fn ge(&self, other: &Tensor) -> Tensor {
        self.compare(Compare::Ge, other)
    }
    /// `x < y`, elementwise.
    #[track_caller]
    pub fn lt(&self, other: &Tensor) -> Tensor {
        self.compare(Compare::Lt, other)
    }
    /// `x ≤ y`, elementwise.
    #[track_caller]
    pub fn le(&self, other: &Tensor) -> Tensor {
        self.compare(Compare::Le, other)
    }
    /// Both true.
    #[track_caller]
    pub fn and(&self, other: &Tensor) -> Tensor {
        self.logic(Logic::And, &[other])
    }
    /// At least one true.
    #[track_caller]
    pub fn or(&self, other: &Tensor) -> Tensor {
        self.logic(Logic::Or, &[other])
    }
    /// The opposite.
    #[allow(clippy::should_implement_trait)]
    pub fn not(&self) -> Tensor {
        self.logic(Logic::Not, &[])
    }

    /// `self ? a : b`, elementwise; `self` is Bool. All three broadcast.
    #[track_caller]
    pub fn where_(&self, a: &Tensor, b: &Tensor) -> Tensor {
        assert!(
            self.dtype() == DType::Bool,
            "where: the condition must be Bool, found {}",
            self.dtype()
        );
        assert!(
            a.dtype() == b.dtype(),
            "where: types {} and {} differ",
            a.dtype(),
            b.dtype()
        );
        let joint = broadcast(a.shape(), b.shape()).and_then(|s| broadcast(self.shape(), &s));
        let Some(shape) = joint else {
            panic!(
                "where: shapes {:?}, {:?} and {:?} do not broadcast",
                self.shape(),
                a.shape(),
                b.shape()
            );
        };
        let (c, x, y) = (
            self.broadcast_to(&shape),
            a.broadcast_to(&shape),
            b.broadcast_to(&shape),
        );
        Tensor::apply(Op::Select, &[&c, &x, &y], shape, a.dtype())
    }

    /// The values converted to another type. Floats become integers by truncation, Bool by `≠ 0`.
    pub fn to_dtype(&self, dtype: DType) -> Tensor {
        if dtype == self.dtype() {
            return self.clone();
        }
        self.device().check_dtype(dtype);
        if dtype == DType::Bool {
            return self.eq(&self.zeros_like()).not();
        }
        Tensor::apply(Op::Cast, &[self], self.shape(), dtype)
    }
}

macro_rules! operator {
    ($Trait:ident, $method:ident, $op:expr) => {
        impl $Trait<&Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                self.binary($op, other)
            }
        }
        impl $Trait<Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.binary($op, &other)
            }
        }
        impl $Trait<&Tensor> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                self.binary($op, other)
            }
        }
        impl $Trait<Tensor> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.binary($op, &other)
            }
        }
        impl $Trait<f64> for &Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: f64) -> Tensor {
                self.binary($op, &self.full_like(other))
            }
        }
        impl $Trait<f64> for Tensor {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: f64) -> Tensor {
                (&self).$method(other)
            }
        }
        impl $Trait<&Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: &Tensor) -> Tensor {
                other.full_like(self).binary($op, other)
            }
        }
        impl $Trait<Tensor> for f64 {
            type Output = Tensor;
            #[track_caller]
            fn $method(self, other: Tensor) -> Tensor {
                self.$method(&other)
            }
        }
    };
}
operator!(Add, add, Binary::Add);
operator!(Sub, sub, Binary::Sub);
operator!(Mul, mul, Binary::Mul);
operator!(Div, div, Binary::Div);

impl Neg for &Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        self.unary(Unary::Neg)
    }
}

impl Neg for Tensor {
    type Output = Tensor;
    fn neg(self) -> Tensor {
        self.unary(Unary::Neg)
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::{each_device, gradients};
    use crate::{DType, Tensor, grad};

    #[test]
    fn functions_of_one_argument() {
        type Function = fn(&Tensor) -> Tensor;
        let functions: [(&str, Function); 20] = [
            ("neg", |x| -x),
            ("exp", Tensor::exp),
            ("log", |x| (x.square() + 0.5).log()),
            ("log1p", |x| x.square().log1p()),
            ("sqrt", |x| (x.square() + 0.5).sqrt()),
            ("recip", |x| (x.square() + 0.5).recip()),
            ("abs", |x| (x + 3.0).abs() * (x - 3.0).abs()),
            ("sign", |x| (x + 5.0).sign() * x),
            ("floor", |x| (x * 0.01 + 0.5).floor() + x.square()),
            ("sin", Tensor::sin),
            ("cos", Tensor::cos),
            ("tanh", Tensor::tanh),
            ("sigmoid", Tensor::sigmoid),
            ("softplus", Tensor::softplus),
            ("relu", |x| (x.square() - 0.3).relu().square()),
            ("erf", Tensor::erf),
            ("powf", |x| (x.square() + 0.5).powf(1.7)),
            ("powi", |x| x.powf(3.0) + (x.square() + 0.5).powf(-2.0)),
            ("clamp", |x| (x * 0.1).clamp(-0.5, 0.5) * x),
            ("square", Tensor::square),
        ];
        for (name, f) in functions {
            gradients(name, &[&[2, 3]], 2, |x| f(&x[0]));
        }
    }

    #[test]
    fn functions_of_two_arguments_broadcast() {
        for (a, b) in [
            (&[2, 3][..], &[2, 3][..]),
            (&[2, 1], &[3]),
            (&[], &[2, 2]),
            (&[1, 3, 1], &[2, 1, 2]),
        ] {
            gradients("add", &[a, b], 2, |x| (&x[0] + &x[1]).square());
            gradients("sub", &[a, b], 2, |x| (&x[0] - &x[1]).square());
            gradients("mul", &[a, b], 2, |x| &x[0] * &x[1]);
            gradients("div", &[a, b], 2, |x| &x[0] / &(x[1].square() + 0.7));
            gradients("maximum", &[a, b], 2, |x| x[0].maximum(&x[1]).square());
            gradients("minimum", &[a, b], 2, |x| x[0].minimum(&x[1]).square());
            gradients("where", &[a, b], 2, |x| {
                x[0].gt(&x[1]).where_(&x[0].sin(), &(&x[1] * &x[0]))
            });
        }
        gradients("scalars", &[&[3]], 2, |x| {
            (2.0 - &x[0]) * (1.0 / &(x[0].square() + 1.0)) + 3.0 - &x[0] / 2.0
        });
    }

    #[test]
    fn kinks_follow_the_convention() {
        each_device(|device, dtype| {
            let x = Tensor::zeros(&[1], dtype, device) + Tensor::zeros(&[1], dtype, device);
            let slope =
                |f: fn(&Tensor) -> Tensor| grad(move |x: &Tensor| f(x).sum())(&x).item().unwrap();
            assert_eq!(slope(Tensor::relu), 0.0);
            assert_eq!(slope(Tensor::abs), 0.0);
            assert_eq!(slope(Tensor::softplus), 0.5);
            assert_eq!(slope(|x| x.maximum(&(x * 3.0))), 2.0);
            assert_eq!(slope(|x| x.clamp(0.0, 1.0)), 1.0);
        });
    }

    #[test]
    fn comparisons_and_logic() {
        each_device(|device, _| {
            let a = Tensor::new(&[1.0f32, 2.0, 3.0], &[3], device).unwrap();
            let two = a.full_like(2.0);
            let read = |t: Tensor| t.to_vec::<bool>().unwrap();
            assert_eq!(read(a.lt(&two)), [true, false, false]);
            assert_eq!(read(a.le(&two)), [true, true, false]);
            assert_eq!(read(a.gt(&two)), [false, false, true]);
            assert_eq!(read(a.ge(&two)), [false, true, true]);
            assert_eq!(read(a.eq(&two)), [false, true, false]);
            assert_eq!(read(two.lt(&a).or(&a.lt(&two))), [true, false, true]);
            assert_eq!(read(a.ge(&two).and(&a.le(&two)).not()), [true, false, true]);
            let i = Tensor::new(&[-1, 0, 7], &[3], device).unwrap();
            assert_eq!(read(i.gt(&i.zeros_like())), [false, false, true]);
            assert_eq!(read(i.to_dtype(DType::Bool)), [true, false, true]);
        });
    }

    #[test]
    fn types_convert() {
        each_device(|device, dtype| {
            let bytes = Tensor::new(&[0u8, 128, 255], &[3], device).unwrap();
            assert_eq!(
                bytes.to_dtype(dtype).to_f64s().unwrap(),
                [0.0, 128.0, 255.0]
            );
            assert_eq!(bytes.to_vec::<u8>().unwrap(), [0, 128, 255]);
            let x = Tensor::new(&[-1.7f32, 0.0, 2.7], &[3], device).unwrap();
            assert_eq!(x.to_dtype(DType::I32).to_vec::<i32>().unwrap(), [-1, 0, 2]);
            let yes = Tensor::new(&[true, false], &[2], device).unwrap();
            assert_eq!(yes.to_dtype(dtype).to_f64s().unwrap(), [1.0, 0.0]);
            assert_eq!(yes.to_dtype(DType::I32).to_vec::<i32>().unwrap(), [1, 0]);
            let doubled = Tensor::new(&[3i32, -4], &[2], device).unwrap();
            assert_eq!((&doubled + &doubled).to_vec::<i32>().unwrap(), [6, -8]);
        });
    }

    #[test]
    #[should_panic(expected = "add: shapes [2, 3] and [4] do not broadcast")]
    fn wrong_shapes_name_the_operation() {
        let device = crate::Device::cpu();
        let _ =
            Tensor::ones(&[2, 3], DType::F32, &device) + Tensor::ones(&[4], DType::F32, &device);
    }
}
