//! Devices, memory and kernels: the only place (beside the [bridge](crate::bridge)) that names Burn or wgpu.

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

#[derive(Clone)]
pub(crate) enum Storage {
    // Boxed: Burn's tensors are large, and every node has room for one.
    Cpu(Box<Value<Flex>>),
    Gpu(Box<Value<Wgpu>>),
    /// One value that stands for all elements.
    Fill(f64),
    /// Elements that were moved to host memory until they are used again.
    Host(std::sync::Arc<Vec<u8>>),
}

impl Buffer {
    fn fill(value: f64) -> Buffer {
        Buffer {
            storage: Storage::Fill(value),
            charge: Charge::none(),
        }
    }

    /// Returns the value of all elements, if the buffer stores only this one.
    pub fn constant(&self) -> Option<f64> {
        match self.storage {
            Storage::Fill(value) => Some(value),
            _ => None,
        }
    }

    /// Number of bytes that dropping this buffer would free; 0 if other buffers hold them too.
    pub fn own_bytes(&self) -> u64 {
        self.charge.own_bytes()
    }

    /// Makes a buffer of a backend's tensor and charges its memory to the device. A tensor that shares the memory of
    /// one of `views` is not charged again.
    pub fn track<B: Backed>(value: Value<B>, device: &Device, views: &[Buffer]) -> Buffer {
        let charge = views
            .iter()
            .find(|b| B::unwrap(&b.storage).is_some_and(|other| value.shares_memory(other)))
            .map_or_else(
                || Charge::new(device.meter(), value.bytes()),
                |b| b.charge.clone(),
            );
        Buffer {
            storage: B::wrap(value),
            charge,
        }
    }
}

/// Shape and type of an operand. The shape is physical: a scalar has shape `[1]`.
#[derive(Clone, Debug)]
pub(crate) struct Meta {
    pub shape: Vec<usize>,
    pub dtype: DType,
}

/// Computes one operation. The message of an error is the backend's.
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

/// Computes one operation on a backend.
fn execute_on<B: Backed>(
    op: &Op,
    metas: &[&Meta],
    buffers: Vec<Buffer>,
    wanted: &kernels::Out<B>,
    device: &Device,
) -> Result<Buffer, String> {
    // Inputs stay charged until the output is charged too, because all are in memory at the peak.
    let charged: Vec<Charge> = buffers.iter().map(|b| b.charge.clone()).collect();
    let sources = if op.is_view() {
        buffers.clone()
    } else {
        Vec::new()
    };
    let args = args::<B>(metas, buffers, &wanted.device);
    let value = kernels::run::<B>(op, args, wanted)?;
    let buffer = Buffer::track(value, device, &sources);
    drop(charged);
    Ok(buffer)
}

/// Converts the inputs of an operation to tensors of a backend.
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

/// A program that is ready to run on a device.
pub(crate) struct CompiledProgram {
    program: Program,
    gpu: Option<generated::GeneratedKernel>,
}

impl CompiledProgram {
    /// Prepares a program for a device and inputs of these shapes. A GPU gets a generated kernel.
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

    /// Returns the program from which this was made.
    pub fn program(&self) -> &Program {
        &self.program
    }

    /// Number of kernels that a run launches.
    pub fn launches(&self) -> usize {
        self.gpu
            .as_ref()
            .map_or(1, generated::GeneratedKernel::launches)
    }

    /// Runs the program and returns its outputs. The message of an error is the backend's.
    pub fn run(
        &self,
        metas: &[&Meta],
        buffers: Vec<Buffer>,
        device: &Device,
    ) -> Result<Vec<Buffer>, String> {
        match (device.kind(), &self.gpu) {
            (DeviceKind::Gpu(place), Some(gpu)) => {
                on(metas, buffers, device, &place.burn, |inputs| {
                    gpu.run(inputs, &place.burn)
                })
            }
            _ => on::<Flex>(metas, buffers, device, &FlexDevice, |inputs| {
                Ok(cpu::program::run(&self.program, inputs))
            }),
        }
    }
}

/// Runs a program on a backend: converts its inputs, and makes buffers of its outputs.
fn on<B: Backed>(
    metas: &[&Meta],
    buffers: Vec<Buffer>,
    device: &Device,
    place: &B::Device,
    run: impl FnOnce(Vec<Value<B>>) -> Result<Vec<Value<B>>, String>,
) -> Result<Vec<Buffer>, String> {
    let charged: Vec<Charge> = buffers.iter().map(|b| b.charge.clone()).collect();
    let inputs = args::<B>(metas, buffers, place)
        .into_iter()
        .map(Arg::dense)
        .collect();
    let track = |value| Buffer::track(value, device, &[]);
    let outputs = run(inputs)?.into_iter().map(track).collect();
    drop(charged);
    Ok(outputs)
}

/// Converts a batch of image bytes to an F32 tensor on a GPU. Returns none for the CPU.
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

/// Bytes in row-major order to a device.
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
        DeviceKind::Cpu => Buffer::track::<Flex>(
            Flex::from_bytes(bytes, shape, dtype, &FlexDevice),
            device,
            &[],
        ),
        DeviceKind::Gpu(gpu) => Buffer::track::<Wgpu>(
            Wgpu::from_bytes(bytes, shape, dtype, &gpu.burn),
            device,
            &[],
        ),
    })
}

/// A value's bytes in row-major order.
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
    // A value that was refused memory was not computed, even if it could be read.
    device.refused()?;
    bytes.map_err(|reason| crate::Error::Device {
        device: device.to_string(),
        during: format!("reading a tensor of shape {shape:?}"),
        reason,
    })
}

/// The same value held in host memory.
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
