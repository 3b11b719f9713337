//! Benchmarks of a device: single kernels, a training step, ProsPr's meta-gradient, pruning methods. Rates are compared
//! with those of a plain copy or a plain matrix product on the same device in the same run, and kernels also with
//! Burn's.

mod kernels;
mod measure;
mod network;
pub mod table;

use serde::Serialize;

use crate::{Device, Precision};

pub use kernels::kernels;
pub use network::{meta, prune, train};

/// Settings of a benchmark.
#[derive(Clone, Debug)]
pub struct Options {
    /// Device to measure.
    pub device: Device,
    /// Images per batch; `None` selects a size that suits the device.
    pub batch: Option<usize>,
    /// Number of measurements for the median; fewer if they take too long.
    pub repeats: usize,
    /// Numeric precision used inside convolutions and matrix products.
    pub precision: Precision,
    /// Use tiny sizes, to check that everything runs.
    pub quick: bool,
}

impl Options {
    /// Returns true for CPUs and software rasterizers, which get smaller sizes.
    fn is_slow(&self) -> bool {
        self.device.is_cpu() || self.device.info().software
    }
}

/// One measurement. Times are medians in milliseconds; the clock stops when the device has finished.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct Row {
    /// Name of the computation.
    pub name: String,
    /// Direction of a convolution: `forward`, `input_grad` or `weight_grad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// Shape of the input.
    pub size: String,
    /// Numeric precision used inside convolutions and matrix products.
    pub precision: Precision,
    /// Number of inner steps of a meta-gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// Values that a meta-gradient keeps for its reverse sweep (the unroll policy).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// Median time.
    pub ms: f64,
    /// Shortest time. If it is far below the median, the machine was not idle.
    pub min_ms: f64,
    /// Time of the first execution, including one-time work such as compiling shaders.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<f64>,
    /// Number of measurements for the median.
    pub repeats: usize,
    /// Images per second of a training step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// Floating-point operations of the convolutions and matrix products: two per multiply-accumulate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<u64>,
    /// Rate in 10¹² floating-point operations per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tflops: Option<f64>,
    /// The rate divided by that of a plain matrix product, the faster of the engine's and Burn's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_matmul: Option<f64>,
    /// Minimum memory traffic in bytes: every input read once, every output written once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Rate in 10⁹ bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gbps: Option<f64>,
    /// The rate divided by that of a plain copy of 64 MiB. Above 1, the data are in a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_copy: Option<f64>,
    /// Time of Burn's own kernels for the same computation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burn_ms: Option<f64>,
    /// Burn's time divided by ours.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_vs_burn: Option<f64>,
    /// Number of kernels launched, including views and copies.
    pub launches: u64,
    /// Peak memory of tensors on the device in bytes, inputs included.
    pub peak_bytes: u64,
    /// The peak predicted before anything was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_peak_bytes: Option<u64>,
    /// The device.
    pub device: String,
}

/// The resource that limits a kernel, with the amount that it needs.
#[derive(Clone, Copy, Debug)]
enum Bound {
    /// Arithmetic, in floating-point operations.
    Flops(u64),
    /// Memory traffic, in bytes.
    Bytes(u64),
}

/// Rates that the device reaches in simple kernels, per second.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    /// Bytes read and written by a copy; 0 if not measured.
    copy: f64,
    /// Floating-point operations of a matrix product.
    matmul: f64,
}

impl Row {
    /// Adds rates and shares, computed from the time.
    fn rated(self, bound: Bound, limits: Limits) -> Row {
        let seconds = self.ms / 1e3;
        match bound {
            Bound::Flops(flops) => Row {
                flops: Some(flops),
                tflops: Some(flops as f64 / seconds / 1e12),
                share_of_matmul: Some(flops as f64 / seconds / limits.matmul),
                ..self
            },
            Bound::Bytes(bytes) => Row {
                bytes: Some(bytes),
                gbps: Some(bytes as f64 / seconds / 1e9),
                share_of_copy: Some(bytes as f64 / seconds / limits.copy),
                ..self
            },
        }
    }

    /// Name, direction, steps and policy in one text.
    pub fn label(&self) -> String {
        let direction = self.direction.map(|d| format!(", {}", d.replace('_', " ")));
        let steps = self.steps.map(|m| format!(", M = {m}"));
        let policy = self.policy.as_ref().map(|p| format!(", {p}"));
        let [direction, steps, policy] = [direction, steps, policy].map(Option::unwrap_or_default);
        format!("{}{direction}{steps}{policy}", self.name)
    }
}

/// Formats a shape as `8x64x32x32`.
fn sizes(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    sizes.join("x")
}
