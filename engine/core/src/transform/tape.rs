//! Reverse-mode and forward-mode differentiation of recorded graphs.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::rewrite::{Node, between};
use crate::ir::Op;
use crate::tensor::call::Call;
use crate::{Result, Tensor};

/// The differentiable operations on the paths from `wrt` to the outputs, oldest first.
#[derive(Clone)]
pub(crate) struct Tape {
    nodes: Vec<Node>,
    wrt: Vec<Tensor>,
}

/// Returns the node of a tensor that derivatives flow through, with the inputs that they flow to. The result of a
/// call's function is not among these, because the call's rule replaces the derivatives of its operations.
fn differentiable(output: &Tensor) -> Option<Node> {
    if !output.dtype().is_float() || !output.0.op.is_differentiable() {
        return None;
    }
    let body = output.body();
    let (mut inputs, call) = (body.inputs.clone(), body.call.clone());
    if call.is_some() && body.value.is_none() {
        inputs.pop();
    }
    let output = output.clone();
    Some(Node { output, inputs, call })
}

impl Tape {
    /// Collects the operations in the history of `outputs` that depend on `wrt`.
    pub fn new(outputs: &[Tensor], wrt: &[Tensor]) -> Tape {
        Tape { nodes: between(wrt, outputs, differentiable), wrt: wrt.to_vec() }
    }

    /// Computes the cotangents of `wrt` from those of the outputs, newest node first. Consumes the tape, so that its
    /// tensors can be freed on the way.
    pub fn backward(mut self, seeds: &[(Tensor, Tensor)]) -> Result<Vec<Option<Tensor>>> {
        let mut cts: HashMap<u64, Tensor> = HashMap::new();
        for (output, ct) in seeds {
            accumulate(&mut cts, output.id(), ct.clone());
        }
        let outputs = self.nodes.iter().map(Node::output);
        let needed: HashSet<u64> = outputs.chain(&self.wrt).map(Tensor::id).collect();
        while let Some(node) = self.nodes.pop() {
            let input_cts = match &node.call {
                Some(call) => {
                    let mut outputs = vec![None; call.outputs.len()];
                    let mut sibling = Some(node.clone());
                    while let Some(node) = sibling {
                        put(&mut outputs, node.output);
                        sibling = self.nodes.pop_if(|node| node.is_of(call));
                    }
                    let ct_of = |t: &Option<Tensor>| t.as_ref().and_then(|t| cts.remove(&t.id()));
                    let output_cts: Vec<Option<Tensor>> = outputs.iter().map(ct_of).collect();
                    if output_cts.iter().all(Option::is_none) {
                        continue;
                    }
                    let outputs = fill_in(call, outputs);
                    call.rule.vjp(&node.inputs, &outputs, &output_cts)?
                }
                None => {
                    let Some(ct) = cts.remove(&node.output.id()) else {
                        continue;
                    };
                    node.op().vjp(&node.output, &node.inputs, &ct)
                }
            };
            for (input, ct) in node.inputs.iter().zip(input_cts) {
                if let Some(ct) = ct.filter(|_| needed.contains(&input.id())) {
                    accumulate(&mut cts, input.id(), ct);
                }
            }
        }
        Ok(look_up(&cts, &self.wrt))
    }

    /// Computes the tangents of `outputs` from those of `wrt`, oldest node first.
    pub fn forward(
        self,
        tangents: &[Option<Tensor>],
        outputs: &[Tensor],
    ) -> Result<Vec<Option<Tensor>>> {
        let mut known: HashMap<u64, Tensor> = HashMap::new();
        for (target, tangent) in self.wrt.iter().zip(tangents) {
            if let Some(tangent) = tangent {
                known.insert(target.id(), tangent.clone());
            }
        }
        let mut nodes = self.nodes.into_iter().peekable();
        while let Some(node) = nodes.next() {
            let tangents = look_up(&known, &node.inputs);
            let zero = tangents.iter().all(Option::is_none);
            let Some(call) = &node.call else {
                if !zero && let Some(t) = node.op().jvp(&node.output, &node.inputs, &tangents) {
                    known.insert(node.output.id(), t);
                }
                continue;
            };
            let mut results = vec![None; call.outputs.len()];
            put(&mut results, node.output);
            while let Some(node) = nodes.next_if(|node| node.is_of(call)) {
                put(&mut results, node.output);
            }
            if zero {
                continue;
            }
            let ids: Vec<Option<u64>> =
                results.iter().map(|t| t.as_ref().map(Tensor::id)).collect();
            let outputs = fill_in(call, results);
            let out_tangents = call.rule.jvp(&node.inputs, &outputs, &tangents)?;
            for (id, tangent) in ids.into_iter().zip(out_tangents) {
                if let (Some(id), Some(tangent)) = (id, tangent) {
                    known.insert(id, tangent);
                }
            }
        }
        Ok(look_up(&known, outputs))
    }
}

impl Node {
    /// Returns true if this is an output of `call`. All outputs of a call are neighbours on a tape.
    fn is_of(&self, call: &Arc<Call>) -> bool {
        self.call.as_ref().is_some_and(|c| Arc::ptr_eq(c, call))
    }
}

/// Stores an output of a call at its index.
fn put(outputs: &mut [Option<Tensor>], tensor: Tensor) {
    if let Op::Call { output } = tensor.0.op {
        outputs[output] = Some(tensor);
    }
}

/// Returns the value of each tensor, if it has one.
fn look_up(values: &HashMap<u64, Tensor>, tensors: &[Tensor]) -> Vec<Option<Tensor>> {
    let value = |t: &Tensor| values.get(&t.id()).cloned();
    tensors.iter().map(value).collect()
}

/// Returns a call's outputs, with zeros for those that no path reaches; their cotangents are zero too.
fn fill_in(call: &Call, outputs: Vec<Option<Tensor>>) -> Vec<Tensor> {
    let stand_in = |(t, (shape, dtype, device)): (Option<Tensor>, &(Vec<usize>, _, _))| {
        t.unwrap_or_else(|| Tensor::zeros(shape, *dtype, device))
    };
    outputs.into_iter().zip(&call.outputs).map(stand_in).collect()
}

/// Adds a cotangent to the cotangent of a tensor.
fn accumulate(cts: &mut HashMap<u64, Tensor>, id: u64, ct: Tensor) {
    let sum = match cts.remove(&id) {
        Some(before) => before + ct,
        None => ct,
    };
    cts.insert(id, sum);
}

/// Returns the traced tensors that a closure captured: float tensors in the history of `outputs` that are older than
/// `mark`, without the history of the aliases of the closure's arguments.
pub(crate) fn captured(outputs: &[Tensor], aliases: &[Tensor], mark: u64) -> Vec<Tensor> {
    let mut found = Vec::new();
    let mut seen: HashSet<u64> = aliases.iter().map(Tensor::id).collect();
    let mut stack = outputs.to_vec();
    while let Some(tensor) = stack.pop() {
        if !tensor.is_traced() || !seen.insert(tensor.id()) {
            continue;
        }
        if tensor.id() >= mark {
            stack.extend(tensor.inputs());
        } else if tensor.dtype().is_float() {
            found.push(tensor);
        }
    }
    found.sort_unstable_by_key(Tensor::id);
    found
}
