//! Trait of the engine's backends: Burn's operations, and the kernels that the engine adds.

use burn_backend::tensor::{BoolTensor, FloatTensor, IntTensor};
use burn_backend::{Backend, TensorData, TensorMetadata};
use burn_backend::{BoolDType, FloatDType, IntDType};
use burn_flex::{Flex, FlexTensor};
use burn_wgpu::{CubeTensor, Wgpu};

use super::Storage;
use crate::DType;
use crate::ir::Draw;

/// A primitive tensor of any kind.
#[derive(Clone)]
pub(crate) enum Value<B: Backend> {
    Float(FloatTensor<B>),
    Int(IntTensor<B>),
    Bool(BoolTensor<B>),
    /// A tensor whose elements are all this value.
    Fill(f64),
}

/// Padding of an axis: element `i` of `size` moves to index `low + i · step` of `out_size`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Padding {
    pub size: usize,
    pub out_size: usize,
    pub low: usize,
    pub step: usize,
}

/// A backend of the engine.
pub(crate) trait Backed: Backend {
    /// Stores a tensor of this backend.
    fn wrap(value: Value<Self>) -> Storage;
    /// Returns the stored tensor, if it belongs to this backend.
    fn unwrap(storage: &Storage) -> Option<&Value<Self>>;
    /// Takes the stored tensor out, if it belongs to this backend.
    fn take(storage: Storage) -> Option<Value<Self>>;

    /// Returns the type in which the backend stores a logical integer type.
    fn int_dtype(dtype: DType) -> IntDType;
    /// Returns true if two float tensors are views of one allocation; so for the types that follow.
    fn same_float_memory(a: &FloatTensor<Self>, b: &FloatTensor<Self>) -> bool;
    fn same_int_memory(a: &IntTensor<Self>, b: &IntTensor<Self>) -> bool;
    fn same_bool_memory(a: &BoolTensor<Self>, b: &BoolTensor<Self>) -> bool;

    /// Runs one of the engine's own kernels, which has a form for the CPU and a form for GPUs.
    fn kernel<const N: usize>(
        inputs: [Value<Self>; N],
        cpu: impl FnOnce([FlexTensor; N]) -> Value<Flex>,
        gpu: impl FnOnce([CubeTensor; N]) -> Value<Wgpu>,
    ) -> Value<Self>;
    /// Pads `x` with zeros to a shape; `None` if there is no kernel for its type.
    fn pad(x: &Value<Self>, padding: &[Padding], shape: &[usize]) -> Option<Value<Self>>;
    /// Draws random numbers in f32. They depend on the key alone, and so are the same on all devices.
    fn random(draw: Draw, shape: &[usize], device: &Self::Device) -> FloatTensor<Self>;

    /// Type in which the backend stores Bool tensors.
    fn bool_dtype(device: &Self::Device) -> BoolDType {
        burn_backend::get_or_init_device_settings::<Self>(device).bool_dtype
    }

    /// Makes a primitive tensor from row-major bytes.
    fn from_bytes(
        bytes: &[u8],
        shape: &[usize],
        dtype: DType,
        device: &Self::Device,
    ) -> Value<Self> {
        use crate::Element;
        let shape = shape.to_vec();
        match dtype {
            DType::F64 => Value::Float(Self::float_from_data(
                TensorData::new(f64::from_bytes(bytes), shape),
                device,
            )),
            DType::F32 => Value::Float(Self::float_from_data(
                TensorData::new(f32::from_bytes(bytes), shape),
                device,
            )),
            DType::I32 => Value::Int(Self::int_from_data(
                TensorData::new(i32::from_bytes(bytes), shape),
                device,
            )),
            DType::U8 => {
                let data =
                    TensorData::new(bytes.iter().map(|&b| i32::from(b)).collect::<Vec<_>>(), shape);
                Value::Int(Self::int_cast(
                    Self::int_from_data(data, device),
                    Self::int_dtype(DType::U8),
                ))
            }
            DType::Bool => {
                let data = TensorData::new(bool::from_bytes(bytes), shape)
                    .convert_dtype(Self::bool_dtype(device).into());
                Value::Bool(Self::bool_from_data(data, device))
            }
        }
    }
}

pub(crate) fn float_dtype(dtype: DType) -> FloatDType {
    match dtype {
        DType::F64 => FloatDType::F64,
        _ => FloatDType::F32,
    }
}

impl<B: Backed> Value<B> {
    /// Returns true if both are views of one allocation.
    pub fn shares_memory(&self, other: &Value<B>) -> bool {
        match (self, other) {
            (Value::Float(a), Value::Float(b)) => B::same_float_memory(a, b),
            (Value::Int(a), Value::Int(b)) => B::same_int_memory(a, b),
            (Value::Bool(a), Value::Bool(b)) => B::same_bool_memory(a, b),
            _ => false,
        }
    }

    /// Number of bytes that the elements take on the device.
    pub fn bytes(&self) -> u64 {
        let of = |shape: burn_backend::Shape, dtype: burn_backend::DType| {
            (shape.num_elements() * dtype.size()) as u64
        };
        match self {
            Value::Float(t) => of(t.shape(), t.dtype()),
            Value::Int(t) => of(t.shape(), t.dtype()),
            Value::Bool(t) => of(t.shape(), t.dtype()),
            Value::Fill(_) => 0,
        }
    }

    /// Reads the elements as row-major bytes of a type of the engine.
    pub fn to_bytes(&self, dtype: DType) -> Result<Vec<u8>, String> {
        let data = match self {
            Value::Float(t) => pollster::block_on(B::float_into_data(t.clone())),
            Value::Int(t) => pollster::block_on(B::int_into_data(t.clone())),
            Value::Bool(t) => pollster::block_on(B::bool_into_data(t.clone())),
            Value::Fill(_) => unreachable!("a fill is no primitive"),
        };
        let data = data.map_err(|e| format!("{e:?}"))?;
        let wanted = match dtype {
            DType::F64 => burn_backend::DType::F64,
            DType::F32 => burn_backend::DType::F32,
            DType::I32 => burn_backend::DType::I32,
            DType::U8 => burn_backend::DType::U8,
            DType::Bool => burn_backend::DType::Bool(burn_backend::BoolStore::Native),
        };
        Ok(data.convert_dtype(wanted).as_bytes().to_vec())
    }
}
