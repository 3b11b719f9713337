//! Memory that a plan needs, computed before it runs.

use super::Plan;
use crate::Result;
use crate::graph::values::{Graph, Id};
use crate::ir::Op;
use crate::runtime::{Buffer, Device, MemoryRequest};

/// Peak of the memory that a run needs on a device.
pub(crate) struct Peak {
    /// Bytes in addition to those in use before the run, the leaves included.
    pub grown: u64,
    /// Index of the step at which the peak occurs.
    pub at: usize,
}

/// Returns for each node the slot that owns its memory, and the bytes that the node itself allocates.
pub(super) fn memory(graph: &Graph) -> (Vec<Id>, Vec<u64>) {
    let mut owners: Vec<Id> = Vec::with_capacity(graph.nodes.len());
    // True for a view whose elements are in another order than in memory, so that a reshape must copy them.
    let mut strided = vec![false; graph.nodes.len()];
    let mut bytes = Vec::with_capacity(graph.nodes.len());
    for (id, node) in graph.nodes.iter().enumerate() {
        let element = node.device.element_bytes(node.dtype);
        let stored = node.stored_bytes() / node.dtype.size() as u64 * element;
        let dense = node.numel() as u64 * element;
        let input = node.inputs.first().copied().filter(|_| node.op.is_view());
        let (owner, size) = match (input, &node.op) {
            (Some(input), Op::Reshape) if strided[input] => (id, dense),
            (Some(input), op) => {
                strided[id] = strided[input] || !matches!(op, Op::Reshape | Op::Fence);
                (owners[input], 0)
            }
            (None, _) => (id, stored),
        };
        owners.push(owner);
        bytes.push(size);
    }
    (owners, bytes)
}

impl Plan {
    /// Computes the peak of a run's memory on a device. `own(leaf)` is the number of bytes freed when a leaf is
    /// dropped.
    pub fn peak(&self, device: &Device, own: impl Fn(usize) -> u64) -> Peak {
        let (mut live, mut peak) = (0, Peak { grown: 0, at: 0 });
        self.walk(device, own, |at, change, _| {
            live += change;
            if live > peak.grown as i64 {
                peak = Peak { grown: live as u64, at };
            }
        });
        peak
    }

    /// Simulates a run's memory. `see` gets the step's index, the bytes that it allocates for outputs (positive) or
    /// frees from inputs (negative), and the number of live values in each slot's memory.
    fn walk(
        &self,
        device: &Device,
        own: impl Fn(usize) -> u64,
        mut see: impl FnMut(usize, i64, &[u32]),
    ) {
        let mut holders = vec![0u32; self.owners.len()];
        let mut returned = self.bytes.clone();
        for (number, &slot) in self.leaves.iter().enumerate() {
            holders[slot] = 1;
            returned[slot] = own(number);
        }
        for (index, step) in self.steps.iter().enumerate() {
            let here = step.device == *device;
            let mut come = 0;
            for &(slot, _) in &step.outputs {
                holders[self.owners[slot]] += 1;
                come += self.bytes[slot];
            }
            if here {
                see(index, come as i64, &holders);
            }
            let mut go = 0;
            for operand in step.inputs.iter().filter(|operand| operand.last) {
                let owner = self.owners[operand.slot];
                holders[owner] -= 1;
                if holders[owner] == 0 {
                    go += returned[owner];
                }
            }
            if here {
                see(index, -(go as i64), &holders);
            }
        }
    }

    /// Returns the values that are in memory at a step on a device, leaves included, with their bytes.
    pub fn alive(&self, device: &Device, at: usize) -> Vec<(String, u64)> {
        let mut alive: Option<Vec<Id>> = None;
        self.walk(
            device,
            |_| 0,
            |step, _, holders| {
                if step == at && alive.is_none() {
                    let held = (0..holders.len()).filter(|&slot| holders[slot] > 0);
                    alive = Some(held.collect());
                }
            },
        );
        let makers = self.steps.iter().flat_map(|step| {
            let what = step.action.to_string();
            let maker = move |(slot, meta): &(Id, crate::runtime::Meta)| {
                (*slot, format!("{} {:?}", short(&what), meta.shape))
            };
            step.outputs.iter().map(maker)
        });
        let mut names: std::collections::HashMap<Id, String> = makers.collect();
        let leaf = |slot: Id| {
            let user = self.steps.iter().flat_map(|step| &step.inputs);
            let shape = user
                .filter(|operand| operand.slot == slot)
                .map(|operand| format!(" {:?}", operand.meta.shape))
                .next();
            format!("input{}", shape.unwrap_or_default())
        };
        let named = |slot: Id| {
            let name = names.remove(&slot).unwrap_or_else(|| leaf(slot));
            (name, self.bytes[slot])
        };
        alive.unwrap_or_default().into_iter().map(named).collect()
    }

    /// Checks that every device has room for a run.
    ///
    /// # Errors
    /// [`Error::OutOfMemory`](crate::Error::OutOfMemory) if one does not.
    pub fn check_memory(&self, leaves: &[Buffer]) -> Result<()> {
        for device in &self.devices {
            let peak = self.peak(device, |number| leaves[number].own_bytes());
            self.request(device, &peak, |request| device.check_memory(request))?;
        }
        Ok(())
    }

    /// Passes a run's request for memory to a function.
    pub fn request<T>(
        &self,
        device: &Device,
        peak: &Peak,
        with: impl FnOnce(&MemoryRequest) -> T,
    ) -> T {
        let outputs = self.steps.iter().filter(|step| step.device == *device);
        let outputs = outputs.flat_map(|step| &step.outputs);
        with(&MemoryRequest {
            more: peak.grown,
            largest: outputs.map(|(slot, _)| self.bytes[*slot]).max().unwrap_or(0),
            during: &|| {
                let step = &self.steps[peak.at];
                let shape = &step.outputs[0].1.shape;
                format!("computing {} of shape {shape:?}", short(&step.action.to_string()))
            },
            alive: &|| self.alive(device, peak.at),
        })
    }
}

/// Shortens a long expression to its first 60 characters.
fn short(text: &str) -> String {
    const LONG: usize = 60;
    match text.char_indices().nth(LONG) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.into(),
    }
}
