//! Helpers of several tests.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use prospr::TensorFile;
use prospr::prelude::*;

/// Returns the GPU of the tests, which may be lavapipe. Without a GPU the tests fail; they are not skipped.
pub fn gpu() -> Device {
    Device::gpu().unwrap_or_else(|e| panic!("the tests need a GPU, which may be lavapipe: {e}"))
}

/// Runs a test on the CPU in f64 and f32, and on the GPU in f32.
pub fn each_device(mut test: impl FnMut(&Device, DType)) {
    for (device, dtype) in
        [(Device::cpu(), DType::F64), (Device::cpu(), DType::F32), (gpu(), DType::F32)]
    {
        println!("running on {device} in {dtype}");
        test(&device, dtype);
    }
}

/// Runs the test of this name in a separate process, so that tensors of other tests do not count as used memory.
pub fn alone(name: &str, test: impl FnOnce()) {
    const INSIDE: &str = "PROSPR_TEST_ALONE";
    if std::env::var_os(INSIDE).is_some() {
        return test();
    }
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(INSIDE, "1")
        .output()
        .unwrap();
    let [out, err] = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
    println!("{out}{err}");
    assert!(output.status.success(), "{name} failed");
    assert!(out.contains("1 passed"), "there is no test {name}");
}

/// Returns the path of a fixture file, relative to the package's folder, in which Cargo runs tests. A path
/// compiled into
/// the test would be wrong after the checkout moves.
pub fn fixture(name: &str) -> PathBuf {
    std::path::absolute(Path::new("tests/fixtures").join(name)).unwrap()
}

/// The contents of a safetensors file, which tests read and change: shapes and values by name, and the metadata.
#[derive(Default)]
pub struct Archive {
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    pub metadata: BTreeMap<String, String>,
}

impl Archive {
    pub fn read(path: impl AsRef<Path>) -> Archive {
        let file = TensorFile::read(path.as_ref()).unwrap();
        let array = |name: &str| (name.to_string(), file.array(name).unwrap());
        Archive { tensors: file.names().map(array).collect(), metadata: file.metadata.clone() }
    }
}

/// A file made by a PyTorch program: a network, batches, scores, and the description of the case.
pub struct Fixture {
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    pub case: serde_json::Value,
}

impl Fixture {
    pub fn load(name: &str) -> Fixture {
        let Archive { tensors, metadata } = Archive::read(fixture(&format!("{name}.safetensors")));
        let case = serde_json::from_str(&metadata["case"]).unwrap();
        Fixture { tensors, case }
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
        (x, self.tensor(&format!("batch.{index}.y"), DType::I32, device))
    }

    /// Returns the trainable parameters whose names begin with `init.`, sorted by name.
    pub fn params(&self, dtype: DType, device: &Device) -> Params {
        let mut names: Vec<&str> =
            self.tensors.keys().filter_map(|k| k.strip_prefix("init.")).collect();
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
