//! Operations that change what a transform sees, not the values.

use std::sync::Arc;

use crate::Tensor;
use crate::ir::Op;
use crate::tensor::trace::Trace;

impl Tensor {
    /// The same values, through which no derivative flows.
    ///
    /// ```
    /// use prospr_engine::{Device, Tensor, grad};
    /// let x = Tensor::new(&[3.0], &[1], &Device::cpu())?;
    /// let f = |x: &Tensor| (x * x.stop_gradient()).sum();
    /// assert_eq!(grad(f)(&x).item()?, 3.0);
    /// # Ok::<(), prospr_engine::Error>(())
    /// ```
    pub fn stop_gradient(&self) -> Tensor {
        Tensor::apply(Op::Detach, &[self], self.shape(), self.dtype())
    }

    /// A new node with the same value: what a transform differentiates with respect to. Because only what is
    /// made from the alias depends on it, nested transforms cannot confuse their variables.
    pub(crate) fn alias(&self, trace: Option<Arc<Trace>>) -> Tensor {
        Tensor::record(
            Op::Alias,
            vec![self.clone()],
            self.shape(),
            self.dtype(),
            self.device().clone(),
            trace,
        )
    }

    /// A new node with the same value, which no plan merges with this one: what is computed from it again, to
    /// save memory, is really computed again.
    pub(crate) fn fence(&self) -> Tensor {
        Tensor::apply(Op::Fence, &[self], self.shape(), self.dtype())
    }
}
