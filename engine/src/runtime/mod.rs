//! Devices, memory and kernels: the only place (beside the [bridge](crate::bridge)) that names Burn or wgpu.

mod adapters;
mod backend;
mod cpu;
mod device;
mod kernels;
mod memory;
mod wgsl;

use burn_flex::{Flex, FlexDevice};
use burn_wgpu::Wgpu;

pub(crate) use device::DeviceKind;
pub use device::{Device, DeviceInfo, Selection};
pub use memory::MemoryUse;

pub(crate) use backend::{Backed, Value};
use memory::Charge;

use crate::DType;
use crate::op::Op;
use crate::shape::{numel, physical};
use crate::tensor::{Node, Tensor};
use kernels::Arg;

/// A computed value and its entry in the device's memory account. Clones share both.
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
    /// One value for all elements, not spread out.
    Fill(f64),
    /// Bytes in host memory, waiting to be used again.
    Host(std::sync::Arc<Vec<u8>>),
}

impl Buffer {
    fn fill(value: f64) -> Buffer {
        Buffer {
            storage: Storage::Fill(value),
            charge: Charge::none(),
        }
    }

    /// Puts a backend's primitive tensor on the account; views of inputs cost nothing more.
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

/// Computes one node. The message of an error is the backend's.
pub(crate) fn execute(
    node: &Node,
    inputs: &[Tensor],
    buffers: Vec<Buffer>,
) -> Result<Buffer, String> {
    match (&node.op, buffers.as_slice()) {
        (Op::Full(value), _) => return Ok(Buffer::fill(*value)),
        // Layout changes of a constant are constants.
        (
            Op::Alias
            | Op::Detach
            | Op::Reshape
            | Op::Broadcast
            | Op::Permute(_)
            | Op::Slice(_)
            | Op::Cast,
            [
                Buffer {
                    storage: Storage::Fill(value),
                    ..
                },
            ],
        ) => {
            return Ok(Buffer::fill(if node.dtype.is_float() {
                *value
            } else {
                value.trunc()
            }));
        }
        (
            Op::Alias | Op::Detach,
            [
                Buffer {
                    storage: Storage::Cpu(_) | Storage::Gpu(_),
                    ..
                },
            ],
        ) => {
            return Ok(buffers.into_iter().next().expect("matched"));
        }
        _ => {}
    }
    match node.device.kind() {
        DeviceKind::Cpu => execute_on::<Flex>(node, inputs, buffers, &FlexDevice, None),
        DeviceKind::Gpu(gpu) => {
            execute_on::<Wgpu>(node, inputs, buffers, &gpu.burn, gpu.loop_limit)
        }
    }
}

fn execute_on<B: Backed>(
    node: &Node,
    inputs: &[Tensor],
    buffers: Vec<Buffer>,
    device: &B::Device,
    loop_limit: Option<usize>,
) -> Result<Buffer, String> {
    let shapes: Vec<(Vec<usize>, DType)> = inputs
        .iter()
        .map(|t| (physical(t.shape()), t.dtype()))
        .collect();
    // The inputs stay on the account until the output is on it too: that is the honest peak.
    let charged: Vec<Charge> = buffers.iter().map(|b| b.charge.clone()).collect();
    let is_view = matches!(
        node.op,
        Op::Alias | Op::Detach | Op::Reshape | Op::Broadcast | Op::Permute(_) | Op::Slice(_)
    );
    let mut sources = Vec::new();
    let mut args = Vec::new();
    for (buffer, (shape, dtype)) in buffers.into_iter().zip(shapes) {
        if is_view {
            sources.push(buffer.clone());
        }
        let value = match buffer.storage {
            Storage::Fill(value) => Value::Fill(value),
            Storage::Host(bytes) => B::from_bytes(&bytes, &shape, dtype, device),
            storage => B::take(storage).expect("inputs live on the node's device"),
        };
        args.push(Arg {
            value,
            shape,
            dtype,
            device: device.clone(),
        });
    }
    let out = kernels::Out {
        shape: physical(&node.shape),
        dtype: node.dtype,
        device: device.clone(),
        loop_limit,
    };
    let value = kernels::run::<B>(&node.op, args, &out)?;
    let buffer = Buffer::track(value, &node.device, &sources);
    drop(charged);
    Ok(buffer)
}

/// Bytes in row-major order to a device.
pub(crate) fn upload(
    bytes: &[u8],
    shape: &[usize],
    dtype: DType,
    device: &Device,
) -> crate::Result<Buffer> {
    device.require(dtype)?;
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

/// A tensor's value as a backend's primitive, constants spread out.
pub(crate) fn primitive<B: Backed>(tensor: &Tensor) -> crate::Result<Value<B>> {
    let value = tensor.value()?;
    if let Some(value) = B::unwrap(&value.storage) {
        return Ok(value.clone());
    }
    let spread = Tensor::from_bytes(
        &tensor.to_bytes()?,
        tensor.shape(),
        tensor.dtype(),
        tensor.device(),
    )?;
    Ok(B::take(spread.value()?.storage).expect("uploaded to the tensor's own device"))
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
