//! Kernels of our own for the CPU, where Burn's leave most of the processor idle.

mod block;
mod conv;
mod isa;
mod kernels;
mod machine;
pub(super) mod pad;
pub(super) mod pool;
pub(crate) mod program;
mod scratch;
mod simd;
mod walk;

use burn_backend::{DType, Element, Shape, TensorData};
use burn_flex::{Flex, FlexTensor};

use crate::ir::{Conv, ConvKind};
use isa::Float;

/// A convolution or one of its gradients.
pub(super) fn convolve(conv: &Conv, a: FlexTensor, b: FlexTensor) -> FlexTensor {
    match a.dtype() {
        DType::F32 => convolve_as::<f32>(conv, &a, &b),
        DType::F64 => convolve_as::<f64>(conv, &a, &b),
        _ => super::kernels::conv::convolve::<Flex>(conv, a, b, None),
    }
}

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

/// A contiguous tensor's elements, in order.
fn elements<T: Element + bytemuck::Pod>(t: &FlexTensor) -> &[T] {
    t.as_slice()
        .expect("a contiguous tensor of the operation's type")
}

/// What is known of this machine's processor.
pub(super) fn info() -> super::DeviceInfo {
    let read = |path: &str, key: &str| {
        let text = std::fs::read_to_string(path).ok()?;
        let line = text.lines().find(|line| line.starts_with(key))?;
        Some(line.split_once(':')?.1.trim().to_string())
    };
    let cores = std::thread::available_parallelism().map_or(1, |n| n.get());
    let name =
        read("/proc/cpuinfo", "model name").unwrap_or_else(|| std::env::consts::ARCH.to_string());
    let memory = read("/proc/meminfo", "MemTotal")
        .and_then(|kib| kib.trim_end_matches(" kB").parse::<u64>().ok())
        .map(|kib| kib * 1024);
    super::DeviceInfo {
        selector: "cpu".into(),
        name: format!("{name}, {cores} threads"),
        backend: "burn-flex".into(),
        driver: String::new(),
        software: false,
        memory,
        largest_buffer: None,
        f16: false,
        cooperative_matrices: Vec::new(),
    }
}
