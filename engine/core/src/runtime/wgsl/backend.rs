//! The GPU backend: Burn's on wgpu, with the engine's own WGSL kernels.

use burn_backend::ops::FloatTensorOps;
use burn_backend::{IntDType, TensorData};
use burn_flex::{Flex, FlexTensor};
use burn_wgpu::{CubeTensor, Wgpu};

use crate::DType;
use crate::ir::Draw;
use crate::ir::random::{Law, values};
use crate::ir::shape::numel;
use crate::runtime::Storage;
use crate::runtime::backend::{Backed, Padding, Value};

fn same_cube(a: &CubeTensor, b: &CubeTensor) -> bool {
    a.handle.memory.descriptor().id == b.handle.memory.descriptor().id
}

impl Backed for Wgpu {
    fn wrap(value: Value<Self>) -> Storage {
        Storage::Gpu(Box::new(value))
    }
    fn unwrap(storage: &Storage) -> Option<&Value<Self>> {
        match storage {
            Storage::Gpu(value) => Some(value),
            _ => None,
        }
    }
    fn take(storage: Storage) -> Option<Value<Self>> {
        match storage {
            Storage::Gpu(value) => Some(*value),
            _ => None,
        }
    }
    fn int_dtype(_: DType) -> IntDType {
        IntDType::I32
    }
    fn same_float_memory(a: &CubeTensor, b: &CubeTensor) -> bool {
        same_cube(a, b)
    }
    fn same_int_memory(a: &CubeTensor, b: &CubeTensor) -> bool {
        same_cube(a, b)
    }
    fn same_bool_memory(a: &CubeTensor, b: &CubeTensor) -> bool {
        same_cube(a, b)
    }
    fn kernel<const N: usize>(
        inputs: [Value<Self>; N],
        _: impl FnOnce([FlexTensor; N]) -> Value<Flex>,
        gpu: impl FnOnce([CubeTensor; N]) -> Value<Wgpu>,
    ) -> Value<Self> {
        gpu(inputs.map(|input| match input {
            Value::Float(t) | Value::Int(t) | Value::Bool(t) => t,
            Value::Fill(_) => unreachable!("kernels take dense values"),
        }))
    }
    fn pad(x: &Value<Self>, padding: &[Padding], shape: &[usize]) -> Option<Value<Self>> {
        let pad = |x: &CubeTensor| super::images::pad(x.clone(), padding, shape);
        match x {
            Value::Float(x) => pad(x).map(Value::Float),
            Value::Int(x) => pad(x).map(Value::Int),
            Value::Bool(x) => pad(x).map(Value::Bool),
            Value::Fill(_) => None,
        }
    }
    fn random(draw: Draw, shape: &[usize], device: &Self::Device) -> CubeTensor {
        match draw.law {
            Law::Uniform => super::uniform(draw.key, shape, device),
            // Computed on the host, because logarithms and cosines differ between drivers.
            Law::Normal => Wgpu::float_from_data(
                TensorData::new(values(draw, numel(shape)), shape.to_vec()),
                device,
            ),
        }
    }
}
