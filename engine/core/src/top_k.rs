//! Masks of the largest scores.

use crate::runtime::{self, Meta};
use crate::{DType, Device, Result, Tensor};

/// Returns for each tensor a Bool tensor of its shape that is true at the `k` largest of all elements together,
/// exactly.
///
/// Equal elements rank by position: earlier tensors, then earlier elements in row-major order. −0 is less than +0, and
/// NaN is less than every number. The result does not depend on the device. It is computed immediately, not lazily.
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
        assert!(k == 0, "top_k_masks: {k} elements were asked for, but there are no tensors");
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
    if device.info().software { by_host(scores, k) } else { on_device(scores, k) }
}

/// Computes the masks on the device of the scores.
fn on_device(scores: &[Tensor], k: usize) -> Result<Vec<Tensor>> {
    crate::eval(scores)?;
    let device = scores[0].device();
    let values = scores.iter().map(Tensor::value).collect::<Result<_>>()?;
    let metas: Vec<Meta> = scores.iter().map(Tensor::meta).collect();
    let masks = runtime::top_k(&metas.iter().collect::<Vec<_>>(), values, k, device);
    let tensor =
        |(mask, score)| Tensor::from_buffer(mask, Tensor::shape(score), DType::Bool, device);
    Ok(masks.into_iter().zip(scores).map(tensor).collect())
}

/// Computes the masks on the host for software rasterizers, which need ten times as long for a kernel's atomics and
/// barriers as for a copy.
fn by_host(scores: &[Tensor], k: usize) -> Result<Vec<Tensor>> {
    let copy = |score: &Tensor| score.to_device(&Device::cpu());
    let copies: Vec<Tensor> = scores.iter().map(copy).collect::<Result<_>>()?;
    let masks = on_device(&copies, k)?;
    let back = |(mask, score): (&Tensor, &Tensor)| mask.to_device(score.device());
    masks.iter().zip(scores).map(back).collect()
}

#[cfg(test)]
mod tests;
