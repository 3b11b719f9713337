//! Programs on GPUs: generated kernels that are compiled once and launched with parameters.

mod loops;
#[cfg(test)]
mod tests;
mod text;

use std::sync::OnceLock;

use burn_backend::cubecl::Device as CubeDevice;
use burn_backend::{DType as BurnDType, TensorMetadata};
use burn_wgpu::{CubeTensor, KernelSource, SourceTemplate, Wgpu, into_contiguous};
use cubecl::prelude::{ExecutionMode, KernelId};
use cubecl::server::Handle;
use std::sync::Arc;

use super::device::Class;
use super::wgsl;
use super::{Backed, Value};
use crate::DType;
use crate::ir::program::{Input, Instr, Loops, Output, Program};
use crate::ir::shape::{numel, physical, strides};
use text::{Division, KernelText, Width};

/// Elements (or groups of four) that an invocation of a software rasterizer stores; operands that do not change among
/// them are read once.
const RUN: usize = 16;
/// Largest number of elements (or groups of four) that one invocation sums in order.
const SERIAL: usize = 1024;
/// Invocations of a workgroup on a GPU.
const WORKGROUP: usize = 256;
/// Invocations of a workgroup on a software rasterizer.
const NARROW: usize = 32;
/// Number of workgroups that keeps a large GPU busy.
const BUSY: usize = 1024;

/// A generated kernel with its parameters, ready to be launched on contiguous inputs.
pub(crate) struct GeneratedKernel {
    source: Arc<str>,
    words: Vec<u32>,
    params: OnceLock<Handle>,
    groups: usize,
    workgroup: usize,
    outputs: Vec<Output>,
    /// Number of partial sums per output element.
    splits: usize,
    /// The kernel that sums partial sums.
    second: Option<Box<GeneratedKernel>>,
}

impl GeneratedKernel {
    /// Generates the kernels of a program for inputs of these shapes on a device of this class.
    pub fn new(program: &Program, shapes: &[&[usize]], class: Class) -> GeneratedKernel {
        let own: Vec<Vec<usize>> = shapes
            .iter()
            .enumerate()
            .map(|(i, shape)| program.strides(i, &strides(shape)))
            .collect();
        let (loops, width) = grouped(program, Loops::new(program, &own), class);
        let software = class != Class::Gpu;
        let workgroup = if software { NARROW } else { WORKGROUP };
        let division = division(program, &loops, software);
        let KernelText { source, words, tasks, splits } =
            text::write(program, &loops, width, division, workgroup);
        let groups = match division {
            Division::Tree { .. } => tasks,
            _ => tasks.div_ceil(workgroup),
        };
        let second = (splits > 1).then(|| {
            let outputs: Vec<usize> = program.outputs.iter().map(|o| numel(&o.shape)).collect();
            let adder = adder(program, splits, outputs[0]);
            let shape = [splits, outputs[0]];
            Box::new(GeneratedKernel::new(&adder, &vec![&shape[..]; outputs.len()], class))
        });
        GeneratedKernel {
            source: source.into(),
            words,
            params: OnceLock::new(),
            groups,
            workgroup,
            outputs: program.outputs.clone(),
            splits,
            second,
        }
    }

    /// Launches the kernels and returns the outputs' values.
    pub fn run(
        &self,
        inputs: Vec<Value<Wgpu>>,
        device: &CubeDevice,
    ) -> Result<Vec<Value<Wgpu>>, String> {
        let inputs: Vec<CubeTensor> = inputs
            .into_iter()
            .map(|value| match value {
                Value::Float(t) | Value::Int(t) | Value::Bool(t) => into_contiguous(t),
                Value::Fill(_) => unreachable!("inputs are dense"),
            })
            .collect();
        let client = device.client();
        let bool_dtype: BurnDType = Wgpu::bool_dtype(device).into();
        let outputs: Vec<CubeTensor> = self
            .outputs
            .iter()
            .map(|o| {
                let mut shape = physical(&o.shape);
                if self.splits > 1 {
                    shape = vec![self.splits, numel(&o.shape)];
                }
                let dtype = if o.dtype == DType::Bool { bool_dtype } else { BurnDType::F32 };
                wgsl::output(&client, device, &shape, dtype)
            })
            .collect();
        if self.groups > 0 {
            let params = self
                .params
                .get_or_init(|| client.create_from_slice(bytemuck::cast_slice(&self.words)));
            let buffers = inputs.iter().chain(&outputs).map(|t| &t.handle).chain([params]);
            let source = WgslSource(self.source.clone());
            wgsl::launch_generated(&client, source, self.workgroup, self.groups, buffers);
        }
        let values = outputs.into_iter().zip(&self.outputs).map(|(t, o)| match o.dtype {
            DType::Bool => Value::Bool(t),
            _ => Value::Float(t),
        });
        match &self.second {
            None => Ok(values.collect()),
            Some(second) => second.run(values.collect(), device).map(|values| {
                let shaped = values.into_iter().zip(&self.outputs).map(|(value, o)| match value {
                    Value::Float(t) => Value::Float(reshaped(t, &physical(&o.shape))),
                    other => other,
                });
                shaped.collect()
            }),
        }
    }

    /// Returns the number of kernels that a run launches.
    pub fn launches(&self) -> usize {
        1 + self.second.as_ref().map_or(0, |s| s.launches())
    }
}

/// Returns the same elements under another shape.
fn reshaped(t: CubeTensor, shape: &[usize]) -> CubeTensor {
    let shape = burn_backend::Shape::from(shape.to_vec());
    debug_assert_eq!(t.shape().num_elements(), shape.num_elements());
    CubeTensor::new_contiguous(t.client.clone(), t.device.clone(), shape, t.handle.clone(), t.dtype)
}

/// Groups the innermost loop by as many elements as the device reads with one instruction.
fn grouped(program: &Program, loops: Loops, class: Class) -> (Loops, Width) {
    let sums_along = loops.summed.last() == Some(&true);
    let floats = program.inputs.iter().all(|input| input.dtype == DType::F32);
    if class == (Class::SoftwareRasterizer { wide: true }) && sums_along && floats {
        // A software rasterizer reads 64 bits as fast as 32.
        if let Some(groups) = loops.in_groups(8) {
            return (groups, Width::Eight);
        }
    }
    match loops.in_groups(4) {
        Some(groups) => (groups, Width::Four),
        None => (loops, Width::One),
    }
}

/// Chooses how elements are divided among invocations, from the shapes and the device's class alone.
fn division(program: &Program, loops: &Loops, software: bool) -> Division {
    let size = |axes: &[usize]| axes.iter().map(|&a| loops.sizes[a]).product::<usize>();
    let inner = *loops.sizes.last().expect("there is an axis");
    let (kept, rows) = (size(&loops.outer(false)), size(&loops.outer(true)));
    if !program.is_reduction() {
        let run = if software { RUN } else { 1 };
        return Division::Store { run };
    }
    match (loops.summed.last() == Some(&true), software) {
        (true, true) => {
            Division::Serial { rows: (SERIAL / inner.max(1)).max(1), part: inner.clamp(1, SERIAL) }
        }
        (true, false) => {
            let count = rows * inner;
            let splits = BUSY.div_ceil(kept.max(1)).min(count.div_ceil(8 * WORKGROUP)).max(1);
            Division::Tree { each: count.div_ceil(splits).max(1) }
        }
        (false, _) => {
            let wanted = if software { 1 } else { (BUSY * 64).div_ceil((kept * inner).max(1)) };
            let splits = wanted.min(rows.div_ceil(16)).max(rows.div_ceil(SERIAL)).max(1);
            Division::Column { rows: rows.div_ceil(splits).max(1) }
        }
    }
}

/// Returns the program that adds the partial sums `[splits, count]` of each output.
fn adder(program: &Program, splits: usize, count: usize) -> Program {
    let outputs = program.outputs.len();
    Program {
        float: program.float,
        domain: vec![splits, count],
        summed: vec![true, false],
        inputs: vec![Input { dtype: DType::F32, axes: vec![Some(0), Some(1)] }; outputs],
        code: (0..outputs).map(Instr::Load).collect(),
        outputs: (0..outputs)
            .map(|register| Output { register, dtype: DType::F32, shape: vec![1, count] })
            .collect(),
    }
}

#[derive(Clone)]
struct WgslSource(Arc<str>);

impl KernelSource for WgslSource {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.0.to_string())
    }
    fn id(&self) -> KernelId {
        // Unchecked: the compiler adds no bounds checks and no counters to loops. Indices are within bounds, and loops
        // end.
        KernelId::new::<Self>().mode(ExecutionMode::Unchecked).info(self.0.clone())
    }
    fn lang(&self) -> &'static str {
        "wgsl"
    }
}
