//! Evaluation: which nodes to compute, in which order, and when to let go of values.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::op::Op;
use crate::runtime::{self, Buffer};
use crate::tensor::Tensor;
use crate::{Error, Result};

static NODES: AtomicU64 = AtomicU64::new(0);

/// Counters of the whole process since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalStats {
    /// Nodes computed.
    pub nodes: u64,
}

/// How much has been evaluated since the process started.
pub fn eval_stats() -> EvalStats {
    EvalStats {
        nodes: NODES.load(Ordering::Relaxed),
    }
}

/// Computes the given tensors and all that they need, once each.
///
/// Nodes run in the order in which the program made them, which is a topological order and keeps a weight's
/// gradient next to the activation gradient that it is made of. A node whose history no running transform
/// can need forgets its inputs as soon as it has run, so that intermediate values die at their last use.
///
/// # Errors
/// [`Error::Device`] if the device fails.
pub fn eval(outputs: &[Tensor]) -> Result<()> {
    eval_scratch(outputs, u64::MAX)
}

/// [`eval`], where nodes with ids from `scratch` on are known to be nobody else's history and are let go of
/// even if a trace is open.
pub(crate) fn eval_scratch(outputs: &[Tensor], scratch: u64) -> Result<()> {
    // One evaluation at a time: threads may share history, and a node's inputs are taken while it runs.
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = RUNNING
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    for tensor in pending(outputs) {
        let keep = tensor.id() < scratch && tensor.is_traced();
        compute(&tensor, keep)?;
    }
    Ok(())
}

/// Floating-point operations of the convolutions and matrix products that computing these tensors would run: two
/// for each multiplication of an element by a weight, padding included. What is computed already counts nothing.
///
/// ```
/// use prospr_engine::{DType, Device, Key, flops};
/// let x = Key::new(0).normal(&[8, 3], DType::F32, &Device::cpu());
/// let w = Key::new(1).normal(&[3, 5], DType::F32, &Device::cpu());
/// assert_eq!(flops(&[x.matmul(&w).relu()]), 2 * 8 * 3 * 5);
/// ```
pub fn flops(outputs: &[Tensor]) -> u64 {
    let nodes = pending(outputs);
    nodes
        .iter()
        .map(|node| node.0.op.flops(node, &node.inputs()))
        .sum()
}

/// The nodes to compute, oldest first. Computed nodes that no trace holds any more lose their history here.
fn pending(outputs: &[Tensor]) -> Vec<Tensor> {
    let mut order = Vec::new();
    let mut seen = HashSet::new();
    let mut stack = outputs.to_vec();
    while let Some(tensor) = stack.pop() {
        let mut body = tensor.body();
        if body.value.is_some() {
            if !body.inputs.is_empty() && !tensor.is_traced() {
                let history = (std::mem::take(&mut body.inputs), body.call.take());
                drop(body);
                drop(history);
            }
            continue;
        }
        if seen.insert(tensor.id()) {
            stack.extend(body.inputs.iter().cloned());
            drop(body);
            order.push(tensor);
        }
    }
    order.sort_unstable_by_key(Tensor::id);
    order
}

fn compute(tensor: &Tensor, keep: bool) -> Result<()> {
    let (mut inputs, call) = {
        let mut body = tensor.body();
        if keep {
            (body.inputs.clone(), None)
        } else {
            (std::mem::take(&mut body.inputs), body.call.take())
        }
    };
    if let Op::Call { .. } = tensor.0.op {
        // The last input is the primal result; the others are there for the derivative.
        let primal = inputs.pop().expect("a call records its primal result");
        let mut body = tensor.body();
        body.value = primal.body().value.clone();
        if keep {
            body.inputs.pop();
        }
        drop(body);
        drop((inputs, call, primal));
        return Ok(());
    }
    let buffers: Vec<Buffer> = inputs
        .iter()
        .map(|input| take_or_share(input, keep))
        .collect();
    NODES.fetch_add(1, Ordering::Relaxed);
    let value = runtime::execute(&tensor.0, &inputs, buffers).map_err(|reason| Error::Device {
        device: tensor.device().to_string(),
        during: format!(
            "computing {} of shape {:?}",
            tensor.0.op.name(),
            tensor.shape()
        ),
        reason,
    })?;
    tensor.body().value = Some(value);
    Ok(())
}

/// An input's value: moved out where this is the last use, so that the operation may work in place.
fn take_or_share(input: &Tensor, keep: bool) -> Buffer {
    let last_use = !keep && Arc::strong_count(&input.0) == 1;
    let mut body = input.body();
    let value = if last_use {
        body.value.take()
    } else {
        body.value.clone()
    };
    value.expect("inputs are computed before their users")
}
