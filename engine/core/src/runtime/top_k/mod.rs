//! Exact top-k masks by a radix select, on the device of the scores.
//!
//! Scores are mapped to unsigned keys of the same order. Digit by digit from the highest, a histogram of the keys
//! gives the next digit of the k-th largest key. The mask is true for scores above it, and for the first ones equal to
//! it. On a GPU, nothing is copied to the host.

mod cpu;
mod gpu;

use burn_backend::TensorMetadata;
use burn_flex::{Flex, FlexDevice, FlexTensor};
use burn_wgpu::{CubeTensor, Wgpu};

use super::{Backed, Buffer, Device, DeviceKind, Meta, Value, args};

/// Returns for each buffer of float scores a Bool buffer that is true at the `k` largest of all elements together,
/// where `0 < k <` the number of elements. Everything stays on the device.
pub(crate) fn top_k(
    metas: &[&Meta],
    scores: Vec<Buffer>,
    k: usize,
    device: &Device,
) -> Vec<Buffer> {
    match device.kind() {
        DeviceKind::Cpu => {
            let scores: Vec<FlexTensor> = floats::<Flex>(metas, scores, &FlexDevice);
            track::<Flex>(cpu::masks(&scores, k), device)
        }
        DeviceKind::Gpu(gpu) => {
            let scores: Vec<CubeTensor> = floats::<Wgpu>(metas, scores, &gpu.burn);
            track::<Wgpu>(gpu::masks(scores, k), device)
        }
    }
}

/// Moves float buffers to a backend's device.
fn floats<B: Backed>(
    metas: &[&Meta],
    scores: Vec<Buffer>,
    place: &B::Device,
) -> Vec<B::FloatTensorPrimitive> {
    let float = |value: Value<B>| match value {
        Value::Float(value) => value,
        _ => unreachable!("a float tensor has a float value"),
    };
    let args = args::<B>(metas, scores, place).into_iter();
    args.map(|arg| float(arg.dense())).collect()
}

/// Converts Bool tensors of a backend to buffers, whose memory the device counts.
fn track<B: Backed>(masks: Vec<B::BoolTensorPrimitive>, device: &Device) -> Vec<Buffer> {
    let track = |mask: B::BoolTensorPrimitive| {
        debug_assert!(matches!(mask.dtype(), burn_backend::DType::Bool(_)));
        Buffer::track::<B>(Value::Bool(mask), device, &[])
    };
    masks.into_iter().map(track).collect()
}
