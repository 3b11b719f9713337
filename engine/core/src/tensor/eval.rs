//! Evaluation of tensors: the nodes to compute, their order, and the release of their histories.

use std::cell::Cell;
use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use super::Tensor;
use crate::graph::{Graph, Id, Node, Plan};
use crate::ir::{Kind, Op};
use crate::runtime::Buffer;
use crate::{DType, Device, Error, Precision, Result};

thread_local! {
    /// Number of evaluations on this thread that had something to compute.
    static EVALUATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Returns the number of evaluations on this thread. If it has not changed, no value was asked for in between.
pub(crate) fn evaluations() -> u64 {
    EVALUATIONS.get()
}

static LAUNCHES: AtomicU64 = AtomicU64::new(0);

/// Counters of the whole process since its start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EvalStats {
    /// Kernels launched, views and copies included.
    pub launches: u64,
}

/// Returns the counters of the process.
pub fn eval_stats() -> EvalStats {
    EvalStats { launches: LAUNCHES.load(Ordering::Relaxed) }
}

/// Computes tensors and everything that they depend on, each value once.
///
/// Nodes run in the order in which they were recorded, a topological order that keeps a weight's gradient close to the
/// activation gradient from which it is computed. Nodes through which no running transform can differentiate drop
/// their inputs, so that intermediate values are freed after their last use.
///
/// # Errors
/// [`Error::OutOfMemory`] if there is no room; [`Error::Device`] if the device fails.
pub fn eval(outputs: &[Tensor]) -> Result<()> {
    eval_scratch(outputs, u64::MAX)
}

/// Computes tensors as [`eval`] does. Nodes with ids from `scratch` on are in no other history, so they drop their
/// inputs even if a trace is open.
pub(crate) fn eval_scratch(outputs: &[Tensor], scratch: u64) -> Result<()> {
    // One evaluation at a time: threads may share history, and an evaluation takes away the inputs of nodes.
    static RUNNING: Mutex<()> = Mutex::new(());
    let _running = RUNNING.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    let nodes = pending(outputs);
    if nodes.is_empty() {
        return Ok(());
    }
    EVALUATIONS.set(EVALUATIONS.get() + 1);
    let recorded = Recorded::new(&nodes, &[])?;
    let wanted = let_go(nodes, outputs, scratch);
    let targets: Vec<Id> = wanted.iter().map(|tensor| recorded.ids[&tensor.id()]).collect();
    let plan = Plan::new(&recorded.graph, &targets, Precision::F32);
    let values = run(&plan, recorded.leaves)?;
    for (tensor, value) in wanted.into_iter().zip(values) {
        tensor.body().value = Some(value);
    }
    Ok(())
}

/// Runs a plan and counts its launches.
fn run(plan: &Plan, leaves: Vec<Buffer>) -> Result<Vec<Buffer>> {
    LAUNCHES.fetch_add(plan.launches() as u64, Ordering::Relaxed);
    plan.run(leaves)
}

/// A traced function: its plan, and the values that it captured.
pub(crate) struct Traced {
    pub plan: Plan,
    /// Number of nodes that the function recorded.
    pub recorded: usize,
    /// Bytes that these nodes would read and write one by one.
    pub recorded_bytes: u64,
    captured: Vec<Buffer>,
}

impl Traced {
    /// Compiles the plan that computes outputs from arguments. The arguments' own values and histories are ignored.
    pub fn new(arguments: &[Tensor], outputs: &[Tensor], precision: Precision) -> Result<Traced> {
        let nodes = pending(outputs);
        let recorded = Recorded::new(&nodes, arguments)?;
        let mut graph = recorded.graph;
        let mut leaves = recorded.leaves;
        let targets: Vec<Id> = outputs
            .iter()
            .map(|output| match recorded.ids.get(&output.id()) {
                Some(&id) => Ok(id),
                // An output that had a value before.
                None => Recorded::known(output, &mut graph, &mut leaves),
            })
            .collect::<Result<_>>()?;
        Ok(Traced {
            plan: Plan::new(&graph, &targets, precision),
            recorded: nodes.len(),
            recorded_bytes: nodes.iter().map(traffic).sum(),
            captured: leaves,
        })
    }

    /// Computes the outputs for these arguments.
    pub fn call(&self, leaves: &[Tensor]) -> Result<Vec<Tensor>> {
        eval(leaves)?;
        let mut values: Vec<Buffer> = leaves.iter().map(Tensor::value).collect::<Result<_>>()?;
        values.extend(self.captured.iter().cloned());
        let results = run(&self.plan, values)?;
        let tensor = |(value, meta): (Buffer, &(Vec<usize>, DType, Device))| {
            Tensor::from_buffer(value, &meta.0, meta.1, &meta.2)
        };
        Ok(results.into_iter().zip(self.plan.results()).map(tensor).collect())
    }
}

/// Returns the bytes that a node reads and writes if it is computed by itself.
fn traffic(tensor: &Tensor) -> u64 {
    let op = &tensor.0.op;
    if !op.is_stored() || matches!(op.kind(), Kind::Data | Kind::Call) {
        return 0;
    }
    tensor.bytes() + tensor.inputs().iter().map(Tensor::bytes).sum::<u64>()
}

/// Graph of recorded tensors that have no values yet.
struct Recorded {
    graph: Graph,
    /// Values of the graph's leaves, without those of the arguments.
    leaves: Vec<Buffer>,
    /// Node of each tensor, by the tensor's id.
    ids: HashMap<u64, Id>,
}

impl Recorded {
    /// Builds the graph of nodes that have no values yet, given oldest first. Arguments become its first leaves.
    fn new(nodes: &[Tensor], arguments: &[Tensor]) -> Result<Recorded> {
        let mut graph = Graph::default();
        let mut leaves = Vec::new();
        let mut ids: HashMap<u64, Id> = HashMap::new();
        for argument in arguments {
            let id = graph.leaf(argument.shape(), argument.dtype(), argument.device());
            ids.insert(argument.id(), id);
        }
        for tensor in nodes {
            if ids.contains_key(&tensor.id()) {
                continue;
            }
            let mut inputs = Vec::new();
            for input in tensor.inputs() {
                let id = match ids.get(&input.id()) {
                    Some(&id) => id,
                    None => Recorded::known(&input, &mut graph, &mut leaves)?,
                };
                ids.insert(input.id(), id);
                inputs.push(id);
            }
            let id = match tensor.0.op {
                // The last input is the function's result; the others are inputs of the derivative rule.
                Op::Call { .. } => *inputs.last().ok_or_else(|| lost(tensor))?,
                Op::Data => return Err(lost(tensor)),
                ref op if inputs.is_empty() && !op.is_source() => return Err(lost(tensor)),
                ref op => graph.push(Node {
                    op: op.clone(),
                    inputs,
                    shape: tensor.shape().into(),
                    dtype: tensor.dtype(),
                    device: tensor.device().clone(),
                }),
            };
            ids.insert(tensor.id(), id);
        }
        Ok(Recorded { graph, leaves, ids })
    }

    /// Adds a tensor that has its value to the graph, as a constant or a leaf.
    fn known(tensor: &Tensor, graph: &mut Graph, leaves: &mut Vec<Buffer>) -> Result<Id> {
        let value = tensor.body().value.clone().ok_or_else(|| lost(tensor))?;
        let (shape, dtype, device) = (tensor.shape(), tensor.dtype(), tensor.device());
        Ok(match value.constant() {
            Some(value) => graph.push(Node {
                op: Op::Full(value),
                inputs: Vec::new(),
                shape: shape.into(),
                dtype,
                device: device.clone(),
            }),
            None => {
                leaves.push(value);
                graph.leaf(shape, dtype, device)
            }
        })
    }
}

/// Drops the inputs of nodes that are about to be computed, oldest first, and returns the nodes whose values must be
/// kept: outputs, nodes of open traces, and nodes that the program still holds.
fn let_go(nodes: Vec<Tensor>, outputs: &[Tensor], scratch: u64) -> Vec<Tensor> {
    let keeps = |tensor: &Tensor| tensor.id() < scratch && tensor.is_traced();
    // Number of handles of each node that are dropped with these inputs.
    let mut uses: HashMap<u64, usize> = HashMap::new();
    for input in nodes.iter().filter(|t| !keeps(t)).flat_map(Tensor::inputs) {
        *uses.entry(input.id()).or_default() += 1;
    }
    let asked: HashSet<u64> = outputs.iter().map(Tensor::id).collect();
    let mut wanted = Vec::new();
    let mut history = Vec::new();
    for tensor in nodes {
        let keep = keeps(&tensor);
        // One handle is in this list.
        let others = 1 + uses.get(&tensor.id()).copied().unwrap_or(0);
        let held = Arc::strong_count(&tensor.0) > others;
        if !keep {
            let mut body = tensor.body();
            history.push((std::mem::take(&mut body.inputs), body.call.take()));
        } else if matches!(tensor.0.op, Op::Call { .. }) {
            tensor.body().inputs.pop();
        }
        if keep || held || asked.contains(&tensor.id()) {
            wanted.push(tensor);
        }
    }
    wanted
}

/// Returns the error of a tensor that cannot be computed: it stands for an argument, or a failed evaluation took its
/// inputs.
fn lost(tensor: &Tensor) -> Error {
    Error::Device {
        device: tensor.device().to_string(),
        during: format!("computing {} of shape {:?}", tensor.0.op.name(), tensor.shape()),
        reason: match tensor.0.op {
            Op::Data => "it stands for an input of a function that is being traced (`jit`), which has no value \
                         yet; return what you need as an output",
            _ => "its inputs were lost in an earlier failure; compute it again from the start",
        }
        .into(),
    }
}

/// Counts the floating-point operations of the convolutions and matrix products needed to compute these tensors: two
/// for each multiply-accumulate, padding included. Values that are already computed count 0.
///
/// ```
/// use prospr_engine::{DType, Device, Key, flops};
/// let x = Key::new(0).normal(&[8, 3], DType::F32, &Device::cpu());
/// let w = Key::new(1).normal(&[3, 5], DType::F32, &Device::cpu());
/// assert_eq!(flops(&[x.matmul(&w).relu()]), 2 * 8 * 3 * 5);
/// ```
pub fn flops(outputs: &[Tensor]) -> u64 {
    pending(outputs).iter().map(node_flops).sum()
}

fn node_flops(node: &Tensor) -> u64 {
    let inputs = node.inputs();
    let inner = inputs.first().and_then(|input| input.shape().last());
    node.0.op.flops(node.numel(), inner.copied())
}

/// Counts the [`flops`] of the operations that take each of these weights, directly or through views.
pub fn flops_by_weight(outputs: &[Tensor], weights: &[Tensor]) -> Vec<u64> {
    let at: HashMap<u64, usize> = weights.iter().map(Tensor::id).zip(0..).collect();
    // Returns the index of the weight that a tensor is a view of.
    let weight_of = |mut tensor: Tensor| loop {
        match (at.get(&tensor.id()), &tensor.0.op) {
            (Some(&index), _) => return Some(index),
            (None, op) if op.is_view() => {
                let input = tensor.inputs().into_iter().next()?;
                tensor = input;
            }
            (None, _) => return None,
        }
    };
    let mut sums = vec![0; weights.len()];
    for node in pending(outputs) {
        let flops = node_flops(&node);
        if flops > 0 {
            for index in node.inputs().into_iter().filter_map(weight_of) {
                sums[index] += flops;
            }
        }
    }
    sums
}

/// Returns the nodes to compute, oldest first. Computed nodes that belong to no open trace drop their inputs here.
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

/// Returns the programs of a graph of F32 tensors, and the shapes of their inputs.
#[cfg(test)]
pub(crate) fn programs(
    arguments: &[Tensor],
    outputs: &[Tensor],
) -> Vec<(crate::ir::program::Program, Vec<Vec<usize>>)> {
    let recorded = Recorded::new(&pending(outputs), arguments).unwrap();
    let targets: Vec<Id> = outputs.iter().map(|t| recorded.ids[&t.id()]).collect();
    let graph = recorded.graph;
    let shape = |id: &Id| crate::ir::shape::physical(&graph.nodes[*id].shape);
    crate::graph::fuse(&graph, &targets)
        .into_iter()
        .filter_map(|kernel| match kernel {
            crate::graph::Fused::Program { program, inputs, .. } => {
                Some((program, inputs.iter().map(shape).collect()))
            }
            crate::graph::Fused::Op(_) => None,
        })
        .collect()
}
