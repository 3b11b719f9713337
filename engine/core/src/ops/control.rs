//! Operations that change how transforms and plans treat a value, not the value itself.

use std::sync::Arc;

use crate::Tensor;
use crate::ir::Op;
use crate::tensor::trace::Trace;

impl Tensor {
    /// Returns the same values, through which no derivative flows.
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

    /// Returns a new node with the same value, with respect to which a transform differentiates. Only tensors computed
    /// from the alias depend on it, so nested transforms cannot confuse their variables.
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

    /// Returns a new node with the same value, which no plan merges with this one. Values that are computed from it a
    /// second time, to save memory, are therefore really computed again.
    pub(crate) fn fence(&self) -> Tensor {
        Tensor::apply(Op::Fence, &[self], self.shape(), self.dtype())
    }
}
