//! Devices, memory and kernels. Only this module and the [bridge](crate::bridge) name Burn or wgpu.

mod adapters;
mod allocator;
mod backend;
pub mod baseline;
mod budget;
mod cpu;
mod device;
mod device_info;
mod fallback;
mod generated;
mod kernels;
mod memory;
mod refusals;
mod selection;
mod top_k;
mod wgsl;

use burn_flex::{Flex, FlexDevice};
use burn_wgpu::Wgpu;

pub use allocator::keep_freed_memory;
pub use device::Device;
pub(crate) use device::DeviceKind;
pub use device_info::DeviceInfo;
pub use memory::{MemoryUse, limit_memory};
pub use selection::Selection;
pub(crate) use top_k::top_k;

pub(crate) use backend::{Backed, Value};
use memory::Charge;
pub(crate) use refusals::MemoryRequest;

use crate::ir::Op;
use crate::ir::program::Program;
use crate::ir::shape::numel;
use crate::{DType, Precision};
use kernels::Arg;

/// A computed value, and the charge of its memory to the device. Clones share both.
#[derive(Clone)]
pub(crate) struct Buffer {
    pub storage: Storage,
    charge: Charge,
}

/// Memory that holds a value.
#[derive(Clone)]
pub(crate) enum Storage {
    // Boxed: Burn's tensors are large, and every node has room for one.
    Cpu(Box<Value<Flex>>),
    Gpu(Box<Value<Wgpu>>),
    /// One value that all elements have, without memory for each.
    Fill(f64),
    /// A GPU's value in host memory, until it is used again.
    Host(std::sync::Arc<Vec<u8>>),
}

impl Buffer {
    fn fill(value: f64) -> Buffer {
        Buffer { storage: Storage::Fill(value), charge: Charge::none() }
    }

    /// Returns the value of all elements if it is stored only once.
    pub fn constant(&self) -> Option<f64> {
        match self.storage {
            Storage::Fill(value) => Some(value),
            _ => None,
        }
    }

    /// Returns the bytes that are freed when this handle is dropped: 0 if other handles hold them too.
    pub fn own_bytes(&self) -> u64 {
        self.charge.own_bytes()
    }

    /// Charges a primitive tensor to the device's memory account. If it shares memory with one of `views`, it shares
    /// that buffer's charge instead.
    pub fn track<B: Backed>(value: Value<B>, device: &Device, views: &[Buffer]) -> Buffer {
        let charge = views
            .iter()
            .find(|b| B::unwrap(&b.storage).is_some_and(|other| value.shares_memory(other)))
            .map_or_else(|| Charge::new(device.meter(), value.bytes()), |b| b.charge.clone());
        Buffer { storage: B::wrap(value), charge }
    }
}

/// Shape and type of an operand. The shape is physical: a scalar has shape `[1]`.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub shape: Vec<usize>,
    pub dtype: DType,
}

/// Computes one operation. An error is the backend's message.
pub(crate) fn execute(
    op: &Op,
    metas: &[&Meta],
    buffers: Vec<Buffer>,
    out: &Meta,
    (device, precision): (&Device, Precision),
) -> Result<Buffer, String> {
    match op {
        Op::Full(value) => return Ok(Buffer::fill(*value)),
        Op::Fence => return Ok(buffers.into_iter().next().expect("there is one")),
        op if op.is_view() && buffers[0].constant().is_some() => {
            return Ok(buffers.into_iter().next().expect("there is one"));
        }
        _ => {}
    }
    match device.kind() {
        DeviceKind::Cpu => {
            let wanted = kernels::Out {
                shape: out.shape.clone(),
                dtype: out.dtype,
                device: FlexDevice,
                loop_limit: None,
                precision,
            };
            execute_on::<Flex>(op, metas, buffers, &wanted, device)
        }
        DeviceKind::Gpu(gpu) => {
            let wanted = kernels::Out {
                shape: out.shape.clone(),
                dtype: out.dtype,
                device: gpu.burn.clone(),
                loop_limit: gpu.loop_limit,
                precision,
            };
            execute_on::<Wgpu>(op, metas, buffers, &wanted, device)
        }
    }
}

/// Computes one operation on one backend.
fn execute_on<B: Backed>(
    op: &Op,
    metas: &[&Meta],
    buffers: Vec<Buffer>,
    wanted: &kernels::Out<B>,
    device: &Device,
) -> Result<Buffer, String> {
    // The inputs stay charged until the output is charged too, because both are in memory at the peak.
    let charged: Vec<Charge> = buffers.iter().map(|b| b.charge.clone()).collect();
    let sources = if op.is_view() { buffers.clone() } else { Vec::new() };
    let args = args::<B>(metas, buffers, &wanted.device);
    let value = kernels::run::<B>(op, args, wanted)?;
    let buffer = Buffer::track(value, device, &sources);
    drop(charged);
    Ok(buffer)
}

/// Moves buffers to a backend's device as a kernel's arguments.
fn args<B: Backed>(metas: &[&Meta], buffers: Vec<Buffer>, place: &B::Device) -> Vec<Arg<B>> {
    let arg = |(buffer, meta): (Buffer, &&Meta)| Arg {
        value: match buffer.storage {
            Storage::Fill(value) => Value::Fill(value),
            Storage::Host(bytes) => B::from_bytes(&bytes, &meta.shape, meta.dtype, place),
            storage => B::take(storage).expect("inputs live on the node's device"),
        },
        shape: meta.shape.clone(),
        dtype: meta.dtype,
        device: place.clone(),
    };
    buffers.into_iter().zip(metas).map(arg).collect()
}

/// A program compiled for a device.
pub(crate) struct CompiledProgram {
    program: Program,
    gpu: Option<generated::GeneratedKernel>,
}

impl CompiledProgram {
    /// Compiles a program for inputs of these shapes.
    pub fn new(program: Program, metas: &[&Meta], device: &Device) -> CompiledProgram {
        let shapes: Vec<&[usize]> = metas.iter().map(|m| m.shape.as_slice()).collect();
        let gpu = match device.kind() {
            DeviceKind::Cpu => None,
            DeviceKind::Gpu(gpu) => {
                let class = device::class_of(&gpu.burn);
                Some(generated::GeneratedKernel::new(&program, &shapes, class))
            }
        };
        CompiledProgram { program, gpu }
    }

    /// Returns the program.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Returns the number of kernels that a run launches.
    pub fn launches(&self) -> usize {
        self.gpu.as_ref().map_or(1, generated::GeneratedKernel::launches)
    }

    /// Computes the outputs. An error is the backend's message.
    pub fn run(
        &self,
        metas: &[&Meta],
        buffers: Vec<Buffer>,
        device: &Device,
    ) -> Result<Vec<Buffer>, String> {
        match (device.kind(), &self.gpu) {
            (DeviceKind::Gpu(place), Some(gpu)) => {
                on(metas, buffers, device, &place.burn, |inputs| gpu.run(inputs, &place.burn))
            }
            _ => on::<Flex>(metas, buffers, device, &FlexDevice, |inputs| {
                Ok(cpu::program::run(&self.program, inputs))
            }),
        }
    }
}

/// Calls `run` with dense inputs on one backend, and charges its outputs to the device.
fn on<B: Backed>(
    metas: &[&Meta],
    buffers: Vec<Buffer>,
    device: &Device,
    place: &B::Device,
    run: impl FnOnce(Vec<Value<B>>) -> Result<Vec<Value<B>>, String>,
) -> Result<Vec<Buffer>, String> {
    let charged: Vec<Charge> = buffers.iter().map(|b| b.charge.clone()).collect();
    let inputs = args::<B>(metas, buffers, place).into_iter().map(Arg::dense).collect();
    let track = |value| Buffer::track(value, device, &[]);
    let outputs = run(inputs)?.into_iter().map(track).collect();
    drop(charged);
    Ok(outputs)
}

/// Makes F32 images from bytes with a kernel on a GPU; `None` on the CPU.
pub(crate) fn place_images(
    batch: &crate::ir::images::Batch<'_>,
    device: &Device,
) -> Option<Buffer> {
    match device.kind() {
        DeviceKind::Cpu => None,
        DeviceKind::Gpu(place) => {
            let images = Value::Float(wgsl::images::place_images(batch, &place.burn));
            Some(Buffer::track::<Wgpu>(images, device, &[]))
        }
    }
}

/// Copies row-major bytes to a device.
pub(crate) fn upload(
    bytes: &[u8],
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> crate::Result<Buffer> {
    device.require(dtype)?;
    let size = numel(shape) as u64 * device.element_bytes(dtype);
    device.check_memory(&MemoryRequest {
        more: size,
        largest: size,
        during: &|| format!("making a tensor of shape {shape:?}"),
        alive: &|| vec![(format!("data of shape {shape:?}"), size)],
    })?;
    Ok(match device.kind() {
        DeviceKind::Cpu => {
            Buffer::track::<Flex>(Flex::from_bytes(bytes, shape, dtype, &FlexDevice), device, &[])
        }
        DeviceKind::Gpu(gpu) => {
            Buffer::track::<Wgpu>(Wgpu::from_bytes(bytes, shape, dtype, &gpu.burn), device, &[])
        }
    })
}

/// Reads a value as row-major bytes.
pub(crate) fn download(
    buffer: &Buffer,
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> crate::Result<Vec<u8>> {
    let bytes = match &buffer.storage {
        Storage::Fill(value) => Ok(fill_bytes(*value, numel(shape), dtype)),
        Storage::Host(bytes) => Ok(bytes.to_vec()),
        Storage::Cpu(value) => value.to_bytes(dtype),
        Storage::Gpu(value) => value.to_bytes(dtype),
    };
    // A value whose memory was refused was never computed, even if it can be read.
    device.refused()?;
    bytes.map_err(|reason| crate::Error::Device {
        device: device.to_string(),
        during: format!("reading a tensor of shape {shape:?}"),
        reason,
    })
}

/// Moves a GPU's value to host memory; any other value is returned as it is.
pub(crate) fn offload(
    buffer: &Buffer,
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> crate::Result<Buffer> {
    match buffer.storage {
        Storage::Gpu(_) => {
            let bytes = download(buffer, shape, dtype, device)?;
            Ok(Buffer {
                storage: Storage::Host(std::sync::Arc::new(bytes)),
                charge: Charge::none(),
            })
        }
        _ => Ok(buffer.clone()),
    }
}

/// Returns the bytes of `count` equal elements.
fn fill_bytes(value: f64, count: usize, dtype: DType) -> Vec<u8> {
    use crate::Element;
    match dtype {
        DType::F64 => f64::to_bytes(&vec![value; count]),
        DType::F32 => f32::to_bytes(&vec![value as f32; count]),
        DType::I32 => i32::to_bytes(&vec![value as i32; count]),
        DType::U8 => vec![value as u8; count],
        DType::Bool => vec![u8::from(value != 0.0); count],
    }
}
