//! How fast a device computes: kernels one by one, a training step, ProsPr's meta-gradient, pruning methods. Every figure is held against
//! what the same device reaches in the same run with a bare copy or a bare matrix product; a kernel against Burn's too.

mod kernels;
mod measure;
mod network;
pub mod table;

use serde::Serialize;

use crate::{Device, Precision};

pub use kernels::kernels;
pub use network::{meta, prune, train};

/// How to measure.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where.
    pub device: Device,
    /// Images a batch; without it, what suits the device.
    pub batch: Option<usize>,
    /// How many measurements the median is of, unless they take too long.
    pub repeats: usize,
    /// In what convolutions and matrix products multiply.
    pub precision: Precision,
    /// Whether sizes are tiny: to see that everything runs.
    pub quick: bool,
}

impl Options {
    /// Whether the device is a CPU, or pretends to be a GPU: sizes are then such that one can wait for them.
    fn is_slow(&self) -> bool {
        self.device.is_cpu() || self.device.info().software
    }
}

/// One measurement. Times are medians in milliseconds and end when the device is done.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(default)]
pub struct Row {
    /// What was computed.
    pub name: String,
    /// Of a convolution: `forward`, `input_grad` or `weight_grad`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub direction: Option<&'static str>,
    /// Shape of the input.
    pub size: String,
    /// In what convolutions and matrix products multiply.
    pub precision: Precision,
    /// Inner steps of a meta-gradient.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub steps: Option<usize>,
    /// What a meta-gradient keeps for its reverse sweep.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub policy: Option<String>,
    /// How long it takes.
    pub ms: f64,
    /// The shortest measurement: far below the median, it tells of a machine that is not idle.
    pub min_ms: f64,
    /// How long it took the first time, with all that is only done once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first_ms: Option<f64>,
    /// How many measurements the median is of.
    pub repeats: usize,
    /// Images in a second of training.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images_per_second: Option<f64>,
    /// Floating-point operations of the convolutions and matrix products: two for each multiply-accumulate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flops: Option<u64>,
    /// 10¹² of them a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tflops: Option<f64>,
    /// The same as a share of what a bare matrix product reaches: the faster of the engine's and Burn's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_matmul: Option<f64>,
    /// Bytes that must be moved: every input read once, every output written once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// 10⁹ of them a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gbps: Option<f64>,
    /// The same as a share of what a bare copy of 64 MiB reaches. Above 1, data are in a cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub share_of_copy: Option<f64>,
    /// How long Burn's own kernels take for the same.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub burn_ms: Option<f64>,
    /// How many times faster than Burn's kernels.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio_vs_burn: Option<f64>,
    /// Nodes of the graph that the engine computed, views included.
    pub launches: u64,
    /// The most bytes of tensors on the device at any time, inputs included.
    pub peak_bytes: u64,
    /// The same as it was predicted before anything was computed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub predicted_peak_bytes: Option<u64>,
    /// The device.
    pub device: String,
}

/// What bounds a kernel.
#[derive(Clone, Copy, Debug)]
enum Work {
    /// Arithmetic.
    Flops(u64),
    /// Memory.
    Bytes(u64),
}

/// What a device reaches with nothing else to do, a second.
#[derive(Clone, Copy, Debug, Default)]
struct Limits {
    /// Bytes read and written by a copy; 0 if it was not measured.
    copy: f64,
    /// Floating-point operations of a matrix product.
    matmul: f64,
}

impl Row {
    /// Fills in rates and shares from the time.
    fn rated(self, work: Work, limits: Limits) -> Row {
        let seconds = self.ms / 1e3;
        match work {
            Work::Flops(flops) => Row {
                flops: Some(flops),
                tflops: Some(flops as f64 / seconds / 1e12),
                share_of_matmul: Some(flops as f64 / seconds / limits.matmul),
                ..self
            },
            Work::Bytes(bytes) => Row {
                bytes: Some(bytes),
                gbps: Some(bytes as f64 / seconds / 1e9),
                share_of_copy: Some(bytes as f64 / seconds / limits.copy),
                ..self
            },
        }
    }

    /// Name, direction and steps in one.
    pub fn label(&self) -> String {
        let direction = self.direction.map(|d| format!(", {}", d.replace('_', " ")));
        let steps = self.steps.map(|m| format!(", M = {m}"));
        let policy = self.policy.as_ref().map(|p| format!(", {p}"));
        let [direction, steps, policy] = [direction, steps, policy].map(Option::unwrap_or_default);
        format!("{}{direction}{steps}{policy}", self.name)
    }
}

/// A shape, as in `8x64x32x32`.
fn sizes(shape: &[usize]) -> String {
    let sizes: Vec<String> = shape.iter().map(usize::to_string).collect();
    sizes.join("x")
}
