//! Calls: functions that the graph treats as one operation with several outputs and a derivative rule of its own.
//!
//! `checkpoint`, `unroll` and `custom_vjp` are calls. A call's inputs are the function's arguments and the
//! traced tensors that its closure captured; derivatives flow to both.

use std::sync::Arc;

use super::trace::open_traces;
use super::{Body, Tensor};
use crate::ir::Op;
use crate::{DType, Device, Result};

/// Derivative rule of a call. Cotangents and tangents that are zero are `None`.
pub(crate) trait Rule: Send + Sync {
    /// Computes the inputs' cotangents from the outputs' cotangents.
    fn vjp(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        cts: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>>;

    /// Computes the outputs' tangents from the inputs' tangents.
    fn jvp(
        &self,
        inputs: &[Tensor],
        outputs: &[Tensor],
        tangents: &[Option<Tensor>],
    ) -> Result<Vec<Option<Tensor>>>;
}

/// Data that the outputs of one call share. It holds no tensors, so dropping it frees no graph.
pub(crate) struct Call {
    pub rule: Arc<dyn Rule>,
    /// Shape, type and device of each output.
    pub outputs: Vec<(Vec<usize>, DType, Device)>,
}

/// Records a call: one node with the value of each of `primals`, the function's results.
///
/// The nodes have consecutive ids, so that a walk meets all outputs of a call together.
pub(crate) fn record(rule: Arc<dyn Rule>, inputs: &[Tensor], primals: &[Tensor]) -> Vec<Tensor> {
    let meta = |t: &Tensor| (t.shape().to_vec(), t.dtype(), t.device().clone());
    let call = Arc::new(Call { rule, outputs: primals.iter().map(meta).collect() });
    let traces = open_traces(inputs);
    let node = |(output, primal): (usize, &Tensor)| {
        let value = primal.body().value.clone();
        let mut inputs = inputs.to_vec();
        if value.is_none() {
            inputs.push(primal.clone());
        }
        let body = Body { inputs, call: Some(call.clone()), value };
        let shape = primal.shape().to_vec();
        Tensor::with_body(
            Op::Call { output },
            body,
            shape,
            primal.dtype(),
            primal.device().clone(),
            traces.clone(),
        )
    };
    primals.iter().enumerate().map(node).collect()
}
