//! What the tests share.

use std::collections::HashMap;

use prospr::prelude::*;

/// The GPU of the tests. There must be one; lavapipe will do. Nothing is skipped where it is missing.
pub fn gpu() -> Device {
    Device::gpu().unwrap_or_else(|e| panic!("the tests need a GPU, which may be lavapipe: {e}"))
}

/// The CPU in both precisions and the GPU.
pub fn each_device(mut test: impl FnMut(&Device, DType)) {
    for (device, dtype) in [
        (Device::cpu(), DType::F64),
        (Device::cpu(), DType::F32),
        (gpu(), DType::F32),
    ] {
        println!("running on {device} in {dtype}");
        test(&device, dtype);
    }
}

/// The tensors of a safetensors file, as f64 with their shapes, and its metadata.
pub struct Fixture {
    pub tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
    pub case: serde_json::Value,
}

impl Fixture {
    pub fn load(name: &str) -> Fixture {
        let path = format!(
            "{}/tests/fixtures/{name}.safetensors",
            env!("CARGO_MANIFEST_DIR")
        );
        let bytes = std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"));
        let (_, metadata) = safetensors::SafeTensors::read_metadata(&bytes).unwrap();
        let case = metadata
            .metadata()
            .as_ref()
            .and_then(|m| m.get("case"))
            .map(|s| serde_json::from_str(s).unwrap());
        let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let read = |view: &safetensors::tensor::TensorView<'_>| -> Vec<f64> {
            let data = view.data();
            match view.dtype() {
                safetensors::Dtype::F32 => data
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes(b.try_into().unwrap()).into())
                    .collect(),
                safetensors::Dtype::I32 => data
                    .chunks_exact(4)
                    .map(|b| i32::from_le_bytes(b.try_into().unwrap()).into())
                    .collect(),
                safetensors::Dtype::I64 => data
                    .chunks_exact(8)
                    .map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64)
                    .collect(),
                other => panic!("{path}: unexpected type {other:?}"),
            }
        };
        let tensors = file
            .iter()
            .map(|(name, view)| (name.to_string(), (view.shape().to_vec(), read(&view))))
            .collect();
        Fixture {
            tensors,
            case: case.unwrap_or_default(),
        }
    }

    pub fn tensor(&self, name: &str, dtype: DType, device: &Device) -> Tensor {
        let (shape, values) = &self.tensors[name];
        if dtype == DType::F64 {
            return Tensor::new(values, shape, device).unwrap();
        }
        let narrow: Vec<f32> = values.iter().map(|&v| v as f32).collect();
        Tensor::new(&narrow, shape, device).unwrap().to_dtype(dtype)
    }

    /// Inputs and labels of one batch.
    pub fn batch(&self, index: usize, dtype: DType, device: &Device) -> (Tensor, Tensor) {
        let x = self.tensor(&format!("batch.{index}.x"), dtype, device);
        (
            x,
            self.tensor(&format!("batch.{index}.y"), DType::I32, device),
        )
    }

    /// The trainable parameters under `init.`, in the order of their names.
    pub fn params(&self, dtype: DType, device: &Device) -> Params {
        let mut names: Vec<&str> = self
            .tensors
            .keys()
            .filter_map(|k| k.strip_prefix("init."))
            .collect();
        names.sort_unstable();
        let mut params = Params::new();
        for name in names {
            let buffer = ["running_mean", "running_var", "num_batches_tracked"]
                .iter()
                .any(|s| name.ends_with(s));
            if buffer {
                continue;
            }
            let tensor = self.tensor(&format!("init.{name}"), dtype, device);
            let role = match (name.ends_with("weight"), tensor.rank()) {
                (true, 1) => Role::NormScale,
                (true, _) => Role::Weight,
                (false, _) => Role::Bias,
            };
            params.insert(name, role, tensor);
        }
        params
    }
}

/// `‖a − b‖ / ‖b‖`
pub fn relative_l2(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let norm = |it: &mut dyn Iterator<Item = f64>| it.map(|v| v * v).sum::<f64>().sqrt();
    norm(&mut a.iter().zip(b).map(|(x, y)| x - y)) / norm(&mut b.iter().copied())
}
