//! Plans: kernels in order, over numbered slots, that can run many times with different leaves.

use std::fmt;

use super::fuse::{Fused, fuse};
use super::values::{Graph, Id};
use crate::ir::Op;
use crate::runtime::{self, Buffer, CompiledProgram, Device, Meta};
use crate::{DType, Error, Precision, Result};

mod footprint;

/// One kernel of a plan.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kernel {
    /// The operation, or the expression of a fused program, whose inputs are called `in0`, `in1`, ….
    pub what: String,
    /// Shapes of the inputs.
    pub inputs: Vec<Vec<usize>>,
    /// Shapes of the outputs.
    pub outputs: Vec<Vec<usize>>,
    /// Bytes read and written; each tensor counts once.
    pub bytes: u64,
    /// Floating-point operations: two for each multiply-accumulate of convolutions and matrix products, 0 for other
    /// work.
    pub flops: u64,
}

/// A compiled graph.
pub(crate) struct Plan {
    steps: Vec<PlanStep>,
    slots: usize,
    /// The slot of each leaf, in the order in which the leaves were added.
    pub leaves: Vec<Id>,
    /// The slot of each target.
    targets: Vec<Id>,
    /// Shape, type and device of each target.
    results: Vec<(Vec<usize>, DType, Device)>,
    /// Bytes that each slot's value allocates; 0 for views.
    pub bytes: Vec<u64>,
    /// The slot that owns the memory of each slot's value.
    owners: Vec<Id>,
    /// The devices of all steps, without duplicates.
    pub devices: Vec<Device>,
    precision: Precision,
}

/// One kernel of a plan with its operands.
struct PlanStep {
    pub action: Action,
    pub device: Device,
    pub inputs: Vec<Operand>,
    pub outputs: Vec<(Id, Meta)>,
}

/// Computation of a step.
enum Action {
    Op(Op),
    Program(Box<CompiledProgram>),
}

/// An input of a step.
struct Operand {
    pub slot: Id,
    pub meta: Meta,
    /// True if no later step needs the value.
    pub last: bool,
}

impl Plan {
    /// Compiles the nodes that the targets need.
    pub fn new(graph: &Graph, targets: &[Id], precision: Precision) -> Plan {
        let meta = |id: Id| Meta {
            shape: crate::ir::shape::physical(&graph.nodes[id].shape),
            dtype: graph.nodes[id].dtype,
        };
        let mut steps: Vec<PlanStep> = fuse(graph, targets)
            .into_iter()
            .map(|kernel| {
                let device = graph.nodes[kernel.outputs()[0]].device.clone();
                let operand = |&slot: &Id| Operand { slot, meta: meta(slot), last: false };
                let inputs: Vec<Operand> = kernel.inputs(graph).iter().map(operand).collect();
                let outputs = kernel.outputs().iter().map(|&id| (id, meta(id))).collect();
                let action = match kernel {
                    Fused::Op(id) => Action::Op(graph.nodes[id].op.clone()),
                    Fused::Program { program, .. } => {
                        let metas: Vec<&Meta> = inputs.iter().map(|i| &i.meta).collect();
                        Action::Program(Box::new(CompiledProgram::new(program, &metas, &device)))
                    }
                };
                PlanStep { action, device, inputs, outputs }
            })
            .collect();
        let mut ended: Vec<bool> = vec![false; graph.nodes.len()];
        for &id in targets {
            ended[id] = true;
        }
        for step in steps.iter_mut().rev() {
            for operand in step.inputs.iter_mut().rev() {
                operand.last = !std::mem::replace(&mut ended[operand.slot], true);
            }
        }
        let (owners, bytes) = footprint::memory(graph);
        let mut devices: Vec<Device> = Vec::new();
        for step in &steps {
            if !devices.contains(&step.device) {
                devices.push(step.device.clone());
            }
        }
        let result = |&id: &Id| {
            let node = &graph.nodes[id];
            (node.shape.to_vec(), node.dtype, node.device.clone())
        };
        let is_leaf = |id: &Id| graph.nodes[*id].op == Op::Data;
        Plan {
            steps,
            slots: graph.nodes.len(),
            leaves: (0..graph.nodes.len()).filter(is_leaf).collect(),
            targets: targets.to_vec(),
            results: targets.iter().map(result).collect(),
            owners,
            bytes,
            devices,
            precision,
        }
    }

    /// Returns the number of kernels that a run launches.
    pub fn launches(&self) -> usize {
        let of = |step: &PlanStep| match &step.action {
            Action::Op(_) => 1,
            Action::Program(compiled) => compiled.launches(),
        };
        self.steps.iter().map(of).sum()
    }

    /// Shape, type and device of each target.
    pub fn results(&self) -> &[(Vec<usize>, DType, Device)] {
        &self.results
    }

    /// Iterates over the kernels in order.
    pub fn kernels(&self) -> impl Iterator<Item = Kernel> + '_ {
        self.steps.iter().map(|step| {
            let shapes =
                |metas: &mut dyn Iterator<Item = &Meta>| metas.map(|m| m.shape.clone()).collect();
            let inputs = step.inputs.iter().map(|operand| self.bytes[operand.slot]);
            let outputs = step.outputs.iter().map(|(slot, _)| self.bytes[*slot]);
            Kernel {
                what: step.action.to_string(),
                inputs: shapes(&mut step.inputs.iter().map(|o| &o.meta)),
                outputs: shapes(&mut step.outputs.iter().map(|(_, m)| m)),
                bytes: inputs.chain(outputs).sum(),
                flops: match &step.action {
                    Action::Op(op) => {
                        let inner = step.inputs.first().and_then(|o| o.meta.shape.last());
                        op.flops(crate::ir::shape::numel(&step.outputs[0].1.shape), inner.copied())
                    }
                    Action::Program(_) => 0,
                },
            }
        })
    }

    /// Returns true if a step draws random numbers.
    pub fn is_random(&self) -> bool {
        self.steps.iter().any(|step| matches!(step.action, Action::Op(Op::Random(_))))
    }

    /// Computes the targets' values from the leaves' values. A value is dropped after its last use.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`] if there is no room; [`Error::Device`] if the device fails.
    pub fn run(&self, leaves: Vec<Buffer>) -> Result<Vec<Buffer>> {
        self.check_memory(&leaves)?;
        let mut slots: Vec<Option<Buffer>> = vec![None; self.slots];
        for (&slot, buffer) in self.leaves.iter().zip(leaves) {
            slots[slot] = Some(buffer);
        }
        for step in &self.steps {
            let buffers: Vec<Buffer> = step
                .inputs
                .iter()
                .map(|operand| {
                    let slot = &mut slots[operand.slot];
                    let value = if operand.last { slot.take() } else { slot.clone() };
                    value.expect("operands are computed before their users")
                })
                .collect();
            let metas: Vec<&Meta> = step.inputs.iter().map(|operand| &operand.meta).collect();
            let outs: Vec<&Meta> = step.outputs.iter().map(|(_, meta)| meta).collect();
            let values = match &step.action {
                Action::Op(op) => {
                    let how = (&step.device, self.precision);
                    runtime::execute(op, &metas, buffers, outs[0], how).map(|v| vec![v])
                }
                Action::Program(program) => program.run(&metas, buffers, &step.device),
            };
            let values = values.map_err(|reason| Error::Device {
                device: step.device.to_string(),
                during: format!("computing {} of shape {:?}", step.action, outs[0].shape),
                reason,
            })?;
            for ((slot, _), value) in step.outputs.iter().zip(values) {
                slots[*slot] = Some(value);
            }
        }
        let value = |&slot: &Id| slots[slot].clone().expect("targets are computed");
        Ok(self.targets.iter().map(value).collect())
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Action::Op(op) => f.write_str(op.name()),
            Action::Program(compiled) => compiled.program().fmt(f),
        }
    }
}
