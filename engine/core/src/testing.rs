//! Test helpers: running a test on every device, and checking gradients against finite differences.

use crate::check::{Tolerance, check_grads};
use crate::{DType, Device, Key, Tensor};

/// Runs a test on the CPU in both precisions and on the GPU. A GPU must exist; lavapipe counts as one.
pub fn each_device(mut test: impl FnMut(&Device, DType)) {
    let gpu = Device::gpu()
        .unwrap_or_else(|e| panic!("the tests need a GPU, which may be lavapipe: {e}"));
    println!("running on {} and {gpu}", Device::cpu());
    test(&Device::cpu(), DType::F64);
    test(&Device::cpu(), DType::F32);
    test(&gpu, DType::F32);
}

/// Checks the gradients of a function of tensors with these shapes ([`check_grads`]): on the CPU in f64, on the GPU in
/// f32.
#[track_caller]
pub fn gradients(
    name: &str,
    shapes: &[&[usize]],
    order: usize,
    f: impl Fn(&Vec<Tensor>) -> Tensor,
) {
    each_device(|device, dtype| {
        if device.is_cpu() && dtype == DType::F32 {
            return; // f64 is the stricter check
        }
        let draw = |(i, shape): (usize, &&[usize])| {
            Key::new(11).fold_in(i as u64).normal(shape, dtype, device)
        };
        let inputs: Vec<Tensor> = shapes.iter().enumerate().map(draw).collect();
        if let Err(report) = check_grads(&f, &inputs, order, Tolerance::of(dtype)) {
            panic!("{name} {shapes:?} on {device} in {dtype}: {report}");
        }
    });
}
