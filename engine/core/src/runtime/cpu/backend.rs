//! The CPU backend: Burn's, with kernels of our own where there are such.

use burn_backend::TensorData;
use burn_backend::ops::FloatTensorOps;
use burn_backend::{IntDType, TensorMetadata};
use burn_flex::{Flex, FlexTensor};

use crate::ir::random::values;
use crate::ir::shape::numel;
use crate::ir::{Conv, Draw, Window};
use crate::runtime::Storage;
use crate::runtime::backend::{Backed, Padding, Value};
use crate::{DType, Precision};

fn same_flex(a: &FlexTensor, b: &FlexTensor) -> bool {
    std::ptr::eq(a.bytes().as_ptr(), b.bytes().as_ptr())
}

impl Backed for Flex {
    fn wrap(value: Value<Self>) -> Storage {
        Storage::Cpu(Box::new(value))
    }
    fn unwrap(storage: &Storage) -> Option<&Value<Self>> {
        match storage {
            Storage::Cpu(value) => Some(value),
            _ => None,
        }
    }
    fn take(storage: Storage) -> Option<Value<Self>> {
        match storage {
            Storage::Cpu(value) => Some(*value),
            _ => None,
        }
    }
    fn int_dtype(dtype: DType) -> IntDType {
        if dtype == DType::U8 {
            IntDType::U8
        } else {
            IntDType::I32
        }
    }
    fn same_float_memory(a: &FlexTensor, b: &FlexTensor) -> bool {
        same_flex(a, b)
    }
    fn same_int_memory(a: &FlexTensor, b: &FlexTensor) -> bool {
        same_flex(a, b)
    }
    fn same_bool_memory(a: &FlexTensor, b: &FlexTensor) -> bool {
        same_flex(a, b)
    }
    fn convolve(conv: &Conv, a: FlexTensor, b: FlexTensor, _: Precision) -> FlexTensor {
        super::convolve(conv, a, b)
    }
    fn matmul(a: FlexTensor, b: FlexTensor, _: Precision) -> FlexTensor {
        Flex::float_matmul(a, b)
    }
    fn max_pool_index(x: FlexTensor, window: &Window) -> FlexTensor {
        super::pool::max_pool_index(&x, window)
    }
    fn pool_gather(x: FlexTensor, indices: FlexTensor) -> FlexTensor {
        super::pool::pool_gather(&x, &indices)
    }
    fn pool_scatter(
        values: FlexTensor,
        indices: FlexTensor,
        _: &Window,
        size: [usize; 2],
    ) -> FlexTensor {
        super::pool::pool_scatter(&values, &indices, size)
    }
    fn pad(x: &Value<Self>, padding: &[Padding], shape: &[usize]) -> Option<Value<Self>> {
        let pad = |x| super::pad::pad(x, padding, shape);
        match x {
            Value::Float(x) => pad(x).map(Value::Float),
            Value::Int(x) => pad(x).map(Value::Int),
            _ => None,
        }
    }
    fn scatter_add(
        axis: usize,
        values: FlexTensor,
        indices: FlexTensor,
        size: usize,
        _: Option<usize>,
    ) -> FlexTensor {
        let mut shape = values.shape();
        shape[axis] = size;
        let zeros = FlexTensor::zeros(shape, values.dtype());
        Flex::float_scatter(
            axis,
            zeros,
            indices,
            values,
            burn_backend::tensor::IndexingUpdateOp::Add,
        )
    }
    fn random(draw: Draw, shape: &[usize], device: &Self::Device) -> FlexTensor {
        Flex::float_from_data(
            TensorData::new(values(draw, numel(shape)), shape.to_vec()),
            device,
        )
    }
}
