//! The CPU backend: Burn's, with the engine's own kernels for some operations.

use burn_backend::IntDType;
use burn_backend::TensorData;
use burn_backend::ops::FloatTensorOps;
use burn_flex::{Flex, FlexTensor};
use burn_wgpu::{CubeTensor, Wgpu};

use crate::DType;
use crate::ir::Draw;
use crate::ir::random::values;
use crate::ir::shape::numel;
use crate::runtime::Storage;
use crate::runtime::backend::{Backed, Padding, Value};

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
        if dtype == DType::U8 { IntDType::U8 } else { IntDType::I32 }
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
    fn kernel<const N: usize>(
        inputs: [Value<Self>; N],
        cpu: impl FnOnce([FlexTensor; N]) -> Value<Flex>,
        _: impl FnOnce([CubeTensor; N]) -> Value<Wgpu>,
    ) -> Value<Self> {
        cpu(inputs.map(|input| match input {
            Value::Float(t) | Value::Int(t) | Value::Bool(t) => t,
            Value::Fill(_) => unreachable!("kernels take dense values"),
        }))
    }
    fn pad(x: &Value<Self>, padding: &[Padding], shape: &[usize]) -> Option<Value<Self>> {
        let pad = |x| super::pad::pad(x, padding, shape);
        match x {
            Value::Float(x) => pad(x).map(Value::Float),
            Value::Int(x) => pad(x).map(Value::Int),
            _ => None,
        }
    }
    fn random(draw: Draw, shape: &[usize], device: &Self::Device) -> FlexTensor {
        Flex::float_from_data(TensorData::new(values(draw, numel(shape)), shape.to_vec()), device)
    }
}
