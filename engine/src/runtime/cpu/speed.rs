//! Measurements, beside Burn's kernels: `cargo test --release --workspace --lib speed -- --ignored --nocapture`.

use std::time::{Duration, Instant};

use burn_backend::{Shape, TensorData};
use burn_flex::{Flex, FlexTensor};

use crate::op::{Conv, ConvKind, ConvOptions};

fn operand(shape: [usize; 4]) -> FlexTensor {
    let len = shape.iter().product::<usize>();
    let elements: Vec<f32> = (0..len)
        .map(|i| (i * 7919 % 1021) as f32 / 512.0 - 1.0)
        .collect();
    FlexTensor::from_data(TensorData::new(elements, Shape::from(shape)))
}

/// Seconds of the fastest of some calls.
fn fastest(call: impl Fn() -> FlexTensor) -> f64 {
    let begin = Instant::now();
    let mut best = f64::INFINITY;
    while begin.elapsed() < Duration::from_millis(400) {
        let start = Instant::now();
        std::hint::black_box(call());
        best = best.min(start.elapsed().as_secs_f64());
    }
    best
}

#[test]
#[ignore = "a measurement"]
fn speed_of_convolutions() {
    // Images, channels in and out, size, kernel, stride.
    let shapes = [
        [8, 64, 64, 32, 3, 1],
        [128, 16, 16, 32, 3, 1],
        [128, 32, 32, 16, 3, 1],
        [128, 64, 64, 8, 3, 1],
        [128, 3, 16, 32, 3, 1],
        [128, 16, 32, 32, 3, 2],
        [128, 16, 32, 32, 1, 2],
        [32, 512, 512, 4, 3, 1],
    ];
    for [n, c_in, c_out, size, kernel, stride] in shapes {
        let out = (size + 2 * (kernel / 2) - kernel) / stride + 1;
        let forward = Conv {
            kind: ConvKind::Forward,
            options: ConvOptions::default().stride(stride).padding(kernel / 2),
            x: [n, c_in, size, size],
            w: [c_out, c_in, kernel, kernel],
            y: [n, c_out, out, out],
        };
        let (x, w, y) = (operand(forward.x), operand(forward.w), operand(forward.y));
        for (kind, a, b) in [
            (ConvKind::Forward, &x, &w),
            (ConvKind::InputGrad, &y, &w),
            (ConvKind::WeightGrad, &x, &y),
        ] {
            let conv = Conv {
                kind,
                ..forward.clone()
            };
            let ours = fastest(|| super::convolve(&conv, a.clone(), b.clone()));
            let burn = fastest(|| {
                let (a, b) = (a.clone(), b.clone());
                super::super::kernels::conv::convolve::<Flex>(&conv, a, b, None)
            });
            let rate = |seconds: f64| conv.flops() as f64 / seconds / 1e9;
            println!(
                "{:18} {:?} by {:?}, stride {stride}: {:6.2} ms, {:4.0} GFLOP/s; Burn {:7.2} ms, {:4.0} GFLOP/s",
                conv.name(),
                conv.x,
                conv.w,
                ours * 1e3,
                rate(ours),
                burn * 1e3,
                rate(burn),
            );
        }
    }
}
