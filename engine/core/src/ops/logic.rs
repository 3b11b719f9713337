//! Comparisons, logical operations and selection, with NumPy's broadcasting.

use super::elementwise::align;
use crate::ir::shape::broadcast;
use crate::ir::{Compare, Logic, Op};
use crate::{DType, Tensor};

/// Reverse rule of `where(c, a, b)`: the cotangent goes to the side that was taken.
pub(super) fn select_vjp(inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
    let (cond, zero) = (&inputs[0], ct.zeros_like());
    vec![None, Some(cond.where_(ct, &zero)), Some(cond.where_(&zero, ct))]
}

/// Forward rule of `where(c, a, b)`: takes the tangent of the side that was taken.
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

impl Tensor {
    #[track_caller]
    fn compare(&self, op: Compare, other: &Tensor) -> Tensor {
        let (a, b, shape) = align(op.name(), self, other);
        Tensor::apply(Op::Compare(op), &[&a, &b], shape, DType::Bool)
    }

    /// Records a logical operation on Bool tensors, with broadcasting.
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
        let spread: Vec<Tensor> =
            std::iter::once(&self).chain(others).map(|t| t.broadcast_to(&shape)).collect();
        for tensor in &spread {
            assert!(
                tensor.dtype() == DType::Bool,
                "{}: needs Bool, found {}",
                op.name(),
                tensor.dtype()
            );
        }
        Tensor::apply(Op::Logic(op), &spread.iter().collect::<Vec<_>>(), shape, DType::Bool)
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
    /// Logical `x and y` of Bool tensors, elementwise.
    #[track_caller]
    pub fn and(&self, other: &Tensor) -> Tensor {
        self.logic(Logic::And, &[other])
    }
    /// Logical `x or y` of Bool tensors, elementwise.
    #[track_caller]
    pub fn or(&self, other: &Tensor) -> Tensor {
        self.logic(Logic::Or, &[other])
    }
    /// Logical `not x` of a Bool tensor, elementwise.
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
        assert!(a.dtype() == b.dtype(), "where: types {} and {} differ", a.dtype(), b.dtype());
        let joint = broadcast(a.shape(), b.shape()).and_then(|s| broadcast(self.shape(), &s));
        let Some(shape) = joint else {
            panic!(
                "where: shapes {:?}, {:?} and {:?} do not broadcast",
                self.shape(),
                a.shape(),
                b.shape()
            );
        };
        let (c, x, y) = (self.broadcast_to(&shape), a.broadcast_to(&shape), b.broadcast_to(&shape));
        Tensor::apply(Op::Select, &[&c, &x, &y], shape, a.dtype())
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::each_device;
    use crate::{DType, Tensor};

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
}
