//! Elementwise arithmetic and functions, with NumPy's broadcasting.

use super::add_terms;
use crate::ir::shape::{broadcast, lift};
use crate::ir::{Binary, Op, Unary};
use crate::{DType, Tensor};

impl Unary {
    /// Computes `t · f'(x)`, given `y = f(x)`. This is the forward and the reverse rule, because the Jacobian is
    /// diagonal. Returns none for functions whose derivative is zero.
    pub(crate) fn scale_by_derivative(self, x: &Tensor, y: &Tensor, t: &Tensor) -> Option<Tensor> {
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
    /// Reverse rule: the cotangents of both inputs, summed over broadcast axes.
    pub(crate) fn vjp(self, out: &Tensor, inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
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

    /// Forward rule: the output's tangent.
    pub(crate) fn jvp(
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

/// Returns both operands with the same rank, and the shape of the result.
#[track_caller]
pub(super) fn align(op: &str, a: &Tensor, b: &Tensor) -> (Tensor, Tensor, Vec<usize>) {
    let Some(shape) = broadcast(a.shape(), b.shape()) else {
        panic!("{op}: shapes {:?} and {:?} do not broadcast", a.shape(), b.shape());
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
    (a.reshape(&lift(a.shape(), rank)), b.reshape(&lift(b.shape(), rank)), shape)
}

impl Tensor {
    /// Records a function of one number; panics if it is not defined for the type.
    pub(super) fn unary(&self, op: Unary) -> Tensor {
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

    /// Records a function of two numbers with broadcasting; panics if it is not defined for the type.
    #[track_caller]
    pub(super) fn binary(&self, op: Binary, other: &Tensor) -> Tensor {
        let (a, b, shape) = align(op.name(), self, other);
        assert!(
            !matches!(a.dtype(), DType::Bool | DType::U8),
            "{}: not defined for {}; convert with `to_dtype`",
            op.name(),
            a.dtype()
        );
        Tensor::apply(Op::Binary(op), &[&a, &b], shape, a.dtype())
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
    /// `xᵖ`. Integer exponents up to 16 are computed as products, so that they are right for negative `x`.
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
        self.lt(&low).where_(&low, &self.gt(&high).where_(&high, self))
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
        for (a, b) in
            [(&[2, 3][..], &[2, 3][..]), (&[2, 1], &[3]), (&[], &[2, 2]), (&[1, 3, 1], &[2, 1, 2])]
        {
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
    fn types_convert() {
        each_device(|device, dtype| {
            let bytes = Tensor::new(&[0u8, 128, 255], &[3], device).unwrap();
            assert_eq!(bytes.to_dtype(dtype).to_f64s().unwrap(), [0.0, 128.0, 255.0]);
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

    /// Derivatives flow through a conversion, in its input's type.
    #[test]
    fn conversions_are_linear() {
        let x = Tensor::new(&[1.5, -2.0], &[2], &crate::Device::cpu()).unwrap();
        let f = |x: &Tensor| x.to_dtype(DType::F32).powf(3.0).to_dtype(DType::F64).sum();
        let slope = grad(f)(&x);
        assert_eq!(slope.to_vec::<f64>().unwrap(), [6.75, 12.0]);
        let (_, along) = crate::jvp(f, &x, &x.ones_like());
        assert_eq!(along.item().unwrap(), 18.75);
        assert_eq!(crate::hvp(f, &x, &x.ones_like()).to_vec::<f64>().unwrap(), [9.0, -12.0]);
        let integer = |x: &Tensor| (x.to_dtype(DType::I32).to_dtype(DType::F64) * x).sum();
        assert_eq!(grad(integer)(&x).to_vec::<f64>().unwrap(), [1.0, -2.0]);
    }

    #[test]
    #[should_panic(expected = "add: shapes [2, 3] and [4] do not broadcast")]
    fn wrong_shapes_name_the_operation() {
        let device = crate::Device::cpu();
        let _ =
            Tensor::ones(&[2, 3], DType::F32, &device) + Tensor::ones(&[4], DType::F32, &device);
    }
}
