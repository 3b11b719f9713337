//! The engine's own kernels for the CPU, for operations where Burn's use only a part of the processor.

mod backend;
mod block;
mod bound;
mod conv;
mod isa;
mod kernels;
mod machine;
pub(super) mod pad;
pub(super) mod pool;
pub(crate) mod program;
mod registers;
mod scratch;
mod simd;
mod walk;

use burn_backend::ops::FloatTensorOps;
use burn_backend::{DType, Element, Shape, TensorData, TensorMetadata};
use burn_flex::{Flex, FlexTensor};

use crate::ir::{Conv, ConvKind};
use isa::Float;

/// Computes a convolution or one of its gradients.
pub(super) fn convolve(conv: &Conv, a: FlexTensor, b: FlexTensor) -> FlexTensor {
    match a.dtype() {
        DType::F32 => convolve_as::<f32>(conv, &a, &b),
        DType::F64 => convolve_as::<f64>(conv, &a, &b),
        _ => super::fallback::convolve::<Flex>(conv, a, b, None),
    }
}

/// Computes a convolution or one of its gradients in type `T`.
fn convolve_as<T: Float + Element + bytemuck::Pod>(
    conv: &Conv,
    a: &FlexTensor,
    b: &FlexTensor,
) -> FlexTensor {
    let (a, b) = (a.to_contiguous(), b.to_contiguous());
    let out = conv::convolve(T::isa(), conv, elements::<T>(&a), elements(&b));
    let shape = match conv.kind {
        ConvKind::Forward => conv.y,
        ConvKind::InputGrad => conv.x,
        ConvKind::WeightGrad => conv.w,
    };
    FlexTensor::from_data(TensorData::new(out, Shape::from(shape)))
}

/// Returns the elements of a contiguous tensor, in order.
fn elements<T: Element + bytemuck::Pod>(t: &FlexTensor) -> &[T] {
    t.as_slice().expect("a contiguous tensor of the operation's type")
}

/// Adds values at indices along `axis` to zeros of length `size`, in order.
pub(super) fn scatter_add(
    axis: usize,
    values: FlexTensor,
    indices: FlexTensor,
    size: usize,
) -> FlexTensor {
    let mut shape = values.shape();
    shape[axis] = size;
    let zeros = FlexTensor::zeros(shape, values.dtype());
    let add = burn_backend::tensor::IndexingUpdateOp::Add;
    Flex::float_scatter(axis, zeros, indices, values, add)
}
