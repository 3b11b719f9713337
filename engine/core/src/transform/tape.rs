//! Walks over a recorded graph, backwards and forwards.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::ir::Op;
use crate::tensor::call::Call;
use crate::{Result, Tensor};

/// The part of a graph that lies between `wrt` and the outputs, oldest first.
///
/// Entries hold their inputs themselves: the graph may forget its history while the tape is in use.
#[derive(Clone)]
pub(crate) struct Tape {
    entries: Vec<Entry>,
    wrt: Vec<Tensor>,
}

#[derive(Clone)]
struct Entry {
    tensor: Tensor,
    inputs: Vec<Tensor>,
    call: Option<Arc<Call>>,
}

/// The inputs that derivatives flow to; a call's primal result is not among them.
fn differentiable_inputs(tensor: &Tensor) -> (Vec<Tensor>, Option<Arc<Call>>) {
    let body = tensor.body();
    let mut inputs = body.inputs.clone();
    if matches!(tensor.0.op, Op::Call { .. }) && body.value.is_none() {
        inputs.pop();
    }
    (inputs, body.call.clone())
}

impl Tape {
    /// Records what depends on `wrt` among the history of `outputs`.
    pub fn new(outputs: &[Tensor], wrt: &[Tensor]) -> Tape {
        let targets: HashSet<u64> = wrt.iter().map(Tensor::id).collect();
        let oldest = targets.iter().copied().min().unwrap_or(u64::MAX);
        let mut seen = HashSet::new();
        let mut stack = outputs.to_vec();
        let mut entries = Vec::new();
        while let Some(tensor) = stack.pop() {
            let id = tensor.id();
            // Nodes older than the oldest target cannot depend on any.
            let passes =
                tensor.dtype().is_float() && tensor.0.op.is_differentiable() && id > oldest;
            if !passes || targets.contains(&id) || !seen.insert(id) {
                continue;
            }
            let (inputs, call) = differentiable_inputs(&tensor);
            stack.extend(inputs.iter().cloned());
            entries.push(Entry {
                tensor,
                inputs,
                call,
            });
        }
        entries.sort_unstable_by_key(|entry| entry.tensor.id());
        let mut dependent = targets;
        entries.retain(|entry| {
            let depends = entry
                .inputs
                .iter()
                .any(|input| dependent.contains(&input.id()));
            if depends {
                dependent.insert(entry.tensor.id());
            }
            depends
        });
        Tape {
            entries,
            wrt: wrt.to_vec(),
        }
    }

    /// Reverse walk: the cotangents of the targets from those of the outputs. Uses the tape up, so that what
    /// it holds can be freed on the way.
    pub fn backward(mut self, seeds: &[(Tensor, Tensor)]) -> Result<Vec<Option<Tensor>>> {
        let mut cts: HashMap<u64, Tensor> = HashMap::new();
        for (output, ct) in seeds {
            accumulate(&mut cts, output.id(), ct.clone());
        }
        let needed: HashSet<u64> = self
            .entries
            .iter()
            .map(|entry| entry.tensor.id())
            .chain(self.wrt.iter().map(Tensor::id))
            .collect();
        while let Some(entry) = self.entries.pop() {
            let input_cts = match &entry.call {
                Some(call) => {
                    let outputs = self.siblings(&entry);
                    let output_cts: Vec<_> = outputs
                        .iter()
                        .map(|t| t.as_ref().and_then(|t| cts.remove(&t.id())))
                        .collect();
                    if output_cts.iter().all(Option::is_none) {
                        continue;
                    }
                    let outputs = fill_in(call, outputs);
                    call.rule.vjp(&entry.inputs, &outputs, &output_cts)?
                }
                None => {
                    let Some(ct) = cts.remove(&entry.tensor.id()) else {
                        continue;
                    };
                    entry.tensor.0.op.vjp(&entry.tensor, &entry.inputs, &ct)
                }
            };
            for (input, ct) in entry.inputs.iter().zip(input_cts) {
                if let Some(ct) = ct.filter(|_| needed.contains(&input.id())) {
                    accumulate(&mut cts, input.id(), ct);
                }
            }
        }
        Ok(self
            .wrt
            .iter()
            .map(|target| cts.get(&target.id()).cloned())
            .collect())
    }

    /// The outputs with every max pool replaced by the mean of its window; what stands in calls stays as it is.
    pub fn with_mean_pools(self, outputs: &[Tensor]) -> Vec<Tensor> {
        let mut new: HashMap<u64, Tensor> = HashMap::new();
        for Entry { tensor, inputs, .. } in &self.entries {
            let current = |input: &Tensor| new.get(&input.id()).unwrap_or(input).clone();
            let replaced = match &tensor.0.op {
                Op::PoolGather(window) => current(&inputs[0]).avg_pool2d(window.options),
                Op::Call { .. } => continue,
                _ if inputs.iter().all(|input| !new.contains_key(&input.id())) => continue,
                op => {
                    let inputs: Vec<Tensor> = inputs.iter().map(current).collect();
                    let inputs: Vec<&Tensor> = inputs.iter().collect();
                    Tensor::apply(op.clone(), &inputs, tensor.shape(), tensor.dtype())
                }
            };
            new.insert(tensor.id(), replaced);
        }
        let replaced = |output: &Tensor| new.get(&output.id()).unwrap_or(output).clone();
        outputs.iter().map(replaced).collect()
    }

    /// Takes the other outputs of the entry's call off the tape; they stand right before it.
    fn siblings(&mut self, last: &Entry) -> Vec<Option<Tensor>> {
        let call = last.call.as_ref().expect("only calls have siblings");
        let mut outputs = vec![None; call.outputs.len()];
        let mut put = |tensor: &Tensor| {
            if let Op::Call { output } = tensor.0.op {
                outputs[output] = Some(tensor.clone());
            }
        };
        put(&last.tensor);
        while let Some(entry) = self
            .entries
            .pop_if(|e| e.call.as_ref().is_some_and(|c| Arc::ptr_eq(c, call)))
        {
            put(&entry.tensor);
        }
        outputs
    }

    /// Forward walk: the tangents of `outputs` from those of the targets.
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
        let mut entries = self.entries.into_iter().peekable();
        while let Some(entry) = entries.next() {
            let tangents: Vec<_> = entry
                .inputs
                .iter()
                .map(|t| known.get(&t.id()).cloned())
                .collect();
            let zero = tangents.iter().all(Option::is_none);
            let Some(call) = &entry.call else {
                if !zero
                    && let Some(t) = entry
                        .tensor
                        .0
                        .op
                        .jvp(&entry.tensor, &entry.inputs, &tangents)
                {
                    known.insert(entry.tensor.id(), t);
                }
                continue;
            };
            let mut results = vec![None; call.outputs.len()];
            let mut member = Some(entry.clone());
            while let Some(e) = member {
                if let Op::Call { output } = e.tensor.0.op {
                    results[output] = Some(e.tensor);
                }
                member = entries.next_if(|e| e.call.as_ref().is_some_and(|c| Arc::ptr_eq(c, call)));
            }
            if zero {
                continue;
            }
            let ids: Vec<Option<u64>> =
                results.iter().map(|t| t.as_ref().map(Tensor::id)).collect();
            let outputs = fill_in(call, results);
            let out_tangents = call.rule.jvp(&entry.inputs, &outputs, &tangents)?;
            for (id, tangent) in ids.into_iter().zip(out_tangents) {
                if let (Some(id), Some(tangent)) = (id, tangent) {
                    known.insert(id, tangent);
                }
            }
        }
        Ok(outputs
            .iter()
            .map(|t| known.get(&t.id()).cloned())
            .collect())
    }
}

/// Outputs of a call that nobody reached stand in as zeros: their cotangents are zero.
fn fill_in(call: &Call, outputs: Vec<Option<Tensor>>) -> Vec<Tensor> {
    let stand_in = |(t, (shape, dtype, device)): (Option<Tensor>, &(Vec<usize>, _, _))| {
        t.unwrap_or_else(|| Tensor::zeros(shape, *dtype, device))
    };
    outputs
        .into_iter()
        .zip(&call.outputs)
        .map(stand_in)
        .collect()
}

fn accumulate(cts: &mut HashMap<u64, Tensor>, id: u64, ct: Tensor) {
    let sum = match cts.remove(&id) {
        Some(before) => before + ct,
        None => ct,
    };
    cts.insert(id, sum);
}

/// The traced tensors that a closure captured: history of `outputs` that is older than `mark`, not counting
/// what lies behind the aliases of the closure's arguments.
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
