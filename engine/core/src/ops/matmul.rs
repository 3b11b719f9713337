//! Matrix products over the last two axes.

use super::add_terms;
use crate::Tensor;
use crate::ir::Op;
use crate::ir::shape::{broadcast, lift};

/// Reverse rule of `C = AB`: `Ā = C̄Bᵀ`, `B̄ = AᵀC̄`, summed over axes that were broadcast.
pub(super) fn vjp(inputs: &[Tensor], ct: &Tensor) -> Vec<Option<Tensor>> {
    let (a, b) = (&inputs[0], &inputs[1]);
    let da = ct.matmul(&b.transpose(-1, -2)).sum_to(a.shape());
    let db = a.transpose(-1, -2).matmul(ct).sum_to(b.shape());
    vec![Some(da), Some(db)]
}

/// Forward rule: `Ċ = ȦB + AḂ`.
pub(super) fn jvp(inputs: &[Tensor], tangents: &[Option<Tensor>]) -> Option<Tensor> {
    let left = tangents[0].as_ref().map(|t| t.matmul(&inputs[1]));
    let right = tangents[1].as_ref().map(|t| inputs[0].matmul(t));
    add_terms(left, right)
}

impl Tensor {
    /// Matrix product of the last two axes, `[.., m, k] · [.., k, n] → [.., m, n]`; the others broadcast.
    #[track_caller]
    pub fn matmul(&self, other: &Tensor) -> Tensor {
        let fits = self.rank() >= 2 && other.rank() >= 2 && self.size(-1) == other.size(-2);
        assert!(
            fits && self.dtype() == other.dtype() && self.dtype().is_float(),
            "matmul: {} {:?} and {} {:?} do not multiply",
            self.dtype(),
            self.shape(),
            other.dtype(),
            other.shape()
        );
        let (ra, rb) = (self.rank() - 2, other.rank() - 2);
        let Some(mut shape) = broadcast(&self.shape()[..ra], &other.shape()[..rb]) else {
            panic!(
                "matmul: leading axes of {:?} and {:?} do not broadcast",
                self.shape(),
                other.shape()
            );
        };
        let rank = shape.len() + 2;
        shape.extend([self.size(-2), other.size(-1)]);
        let a = self.reshape(&lift(self.shape(), rank));
        let b = other.reshape(&lift(other.shape(), rank));
        Tensor::apply(Op::MatMul, &[&a, &b], shape, self.dtype())
    }
}

#[cfg(test)]
mod tests {
    use crate::Tensor;
    use crate::testing::{each_device, gradients};

    #[test]
    fn gradients_of_products() {
        for (a, b) in [
            (&[2, 3][..], &[3, 4][..]),
            (&[2, 2, 3], &[3, 2]),
            (&[2, 3], &[2, 1, 3, 2]),
            (&[2, 2, 3], &[2, 3, 1]),
        ] {
            gradients("matmul", &[a, b], 2, |x| x[0].matmul(&x[1]).square());
        }
    }

    #[test]
    fn values() {
        each_device(|device, dtype| {
            let range = |n: usize, shape: &[usize]| {
                Tensor::arange(n, device).to_dtype(dtype).reshape(shape)
            };
            let (a, b) = (range(12, &[2, 2, 3]), range(6, &[3, 2]));
            let expected = [10.0, 13.0, 28.0, 40.0, 46.0, 67.0, 64.0, 94.0];
            assert_eq!(a.matmul(&b).to_f64s().unwrap(), expected);
        });
    }

    #[test]
    #[should_panic(expected = "matmul: F32 [2, 3] and F32 [2, 3] do not multiply")]
    fn wrong_shapes_name_the_operation() {
        let a = Tensor::ones(&[2, 3], crate::DType::F32, &crate::Device::cpu());
        let _ = a.matmul(&a);
    }
}
