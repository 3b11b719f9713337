//! The largest of many scores, exactly, where they are: a radix select.
//!
//! Scores become unsigned keys of the same order. Their digits are counted, the highest first, and the digit that holds
//! the k-th largest is fixed, until the k-th largest key is known. Scores above it stay, and as many at it as there is
//! room for, the first ones. On a GPU nothing comes to the host.

mod cpu;
mod gpu;
#[cfg(test)]
mod tests;

use burn_backend::TensorMetadata;
use burn_flex::{Flex, FlexTensor};
use burn_wgpu::{CubeTensor, Wgpu};

use super::{Backed, Buffer, Device, DeviceKind, Value, primitive};
use crate::{DType, Result, Tensor};

/// For each tensor a Bool tensor of its shape that is true at the `k` largest of all elements together, exactly.
///
/// Equal elements rank by place: earlier tensors, then earlier elements in row-major order. −0 is less than +0, and NaN
/// is less than every number. The result does not depend on the device. It is computed at once.
///
/// ```
/// use prospr_engine::{Device, Tensor, top_k_masks};
/// let a = Tensor::new(&[3.0f32, 1.0, 2.0], &[3], &Device::cpu())?;
/// let b = Tensor::new(&[2.0f32, 5.0], &[2], &Device::cpu())?;
/// let masks = top_k_masks(&[a, b], 3)?;
/// assert_eq!(masks[0].to_vec::<bool>()?, [true, false, true]);
/// assert_eq!(masks[1].to_vec::<bool>()?, [false, true]);
/// # Ok::<(), prospr_engine::Error>(())
/// ```
///
/// # Errors
/// [`Error::Device`](crate::Error::Device) if the device fails.
///
/// # Panics
/// If there are fewer than `k` elements, or if the tensors are not floats of one type on one device.
#[track_caller]
pub fn top_k_masks(scores: &[Tensor], k: usize) -> Result<Vec<Tensor>> {
    let Some(first) = scores.first() else {
        assert!(
            k == 0,
            "top_k_masks: there are no {k} elements in no tensors"
        );
        return Ok(Vec::new());
    };
    let (dtype, device) = (first.dtype(), first.device());
    for score in scores {
        assert!(
            score.dtype() == dtype && dtype.is_float() && score.device() == device,
            "top_k_masks: scores must be floats of one type on one device, found {first:?} and {score:?}"
        );
    }
    let total: usize = scores.iter().map(Tensor::numel).sum();
    assert!(k <= total, "top_k_masks: {k} exceeds the {total} elements");
    if k == 0 || k == total {
        let all = |s: &Tensor| Tensor::full((k > 0).into(), s.shape(), DType::Bool, device);
        return Ok(scores.iter().map(all).collect());
    }
    crate::eval(scores)?;
    if device.info().software {
        by_host(scores, k)
    } else {
        in_place(scores, k)
    }
}

/// Where the scores are.
fn in_place(scores: &[Tensor], k: usize) -> Result<Vec<Tensor>> {
    let device = scores[0].device();
    let masks: Vec<Buffer> = match device.kind() {
        DeviceKind::Cpu => {
            let scores: Vec<FlexTensor> = floats::<Flex>(scores)?;
            track::<Flex>(cpu::masks(&scores, k), device)
        }
        DeviceKind::Gpu(_) => {
            let scores: Vec<CubeTensor> = floats::<Wgpu>(scores)?;
            track::<Wgpu>(gpu::masks(scores, k), device)
        }
    };
    let tensor = |(mask, score): (Buffer, &Tensor)| {
        Tensor::from_buffer(mask, score.shape(), DType::Bool, device)
    };
    Ok(masks.into_iter().zip(scores).map(tensor).collect())
}

/// On the host, for rasterizers that are the host: they take ten times as long for a kernel's atomics and barriers as for
/// a copy.
fn by_host(scores: &[Tensor], k: usize) -> Result<Vec<Tensor>> {
    let copy = |score: &Tensor| score.to_device(&Device::cpu());
    let copies: Vec<Tensor> = scores.iter().map(copy).collect::<Result<_>>()?;
    let masks = in_place(&copies, k)?;
    let back = |(mask, score): (&Tensor, &Tensor)| mask.to_device(score.device());
    masks.iter().zip(scores).map(back).collect()
}

fn floats<B: Backed>(tensors: &[Tensor]) -> Result<Vec<B::FloatTensorPrimitive>> {
    let float = |tensor: &Tensor| match primitive::<B>(tensor)? {
        Value::Float(value) => Ok(value),
        _ => unreachable!("a float tensor has a float value"),
    };
    tensors.iter().map(float).collect()
}

fn track<B: Backed>(masks: Vec<B::BoolTensorPrimitive>, device: &Device) -> Vec<Buffer> {
    let track = |mask: B::BoolTensorPrimitive| {
        debug_assert!(matches!(mask.dtype(), burn_backend::DType::Bool(_)));
        Buffer::track::<B>(Value::Bool(mask), device, &[])
    };
    masks.into_iter().map(track).collect()
}
