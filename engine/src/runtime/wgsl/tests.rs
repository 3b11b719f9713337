//! Our kernels of both classes against the CPU.

use std::sync::{Mutex, MutexGuard};

use burn_wgpu::{CubeTensor, Wgpu};

use super::Class;
use crate::op::{Conv, ConvKind, ConvOptions, Op};
use crate::runtime::{Backed, DeviceKind, Value, kernels};
use crate::{DType, Device, Key, Tensor};

/// The class that every launch takes for its device's, while a test says so.
pub(super) fn forced() -> MutexGuard<'static, Option<Class>> {
    static FORCED: Mutex<Option<Class>> = Mutex::new(None);
    FORCED
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}

const CLASSES: [Class; 3] = [
    Class::Gpu,
    Class::Software { wide: false },
    Class::Software { wide: true },
];
const KINDS: [ConvKind; 3] = [ConvKind::Forward, ConvKind::InputGrad, ConvKind::WeightGrad];

fn gpu() -> Device {
    Device::gpu().unwrap_or_else(|e| panic!("the tests need a GPU, which may be lavapipe: {e}"))
}

/// Runs on the GPU as if it were of this class. (Software kernels with 64-bit loads run on GPUs that have them.)
fn on(class: Class, run: impl Fn(&Device) -> Tensor) -> Vec<f64> {
    *forced() = Some(class);
    let values = run(&gpu()).to_f64s();
    *forced() = None;
    values.unwrap()
}

#[track_caller]
fn close(what: &str, found: &[f64], expected: &[f64]) {
    let scale = expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!(
            (a - b).abs() <= 2e-5 * scale,
            "{what}: element {i} is {a}, not {b}"
        );
    }
    assert_eq!(found.len(), expected.len(), "{what}");
}

fn conv(kind: ConvKind, x: [usize; 4], w: [usize; 4], options: ConvOptions) -> Option<Conv> {
    let size = |i: usize| {
        let span = options.dilation[i] * (w[2 + i] - 1) + 1;
        (x[2 + i] + 2 * options.padding[i])
            .checked_sub(span)
            .map(|room| room / options.stride[i] + 1)
    };
    Some(Conv {
        kind,
        options,
        x,
        w,
        y: [x[0], w[0], size(0)?, size(1)?],
    })
}

fn shapes(conv: &Conv) -> [[usize; 4]; 3] {
    match conv.kind {
        ConvKind::Forward => [conv.x, conv.w, conv.y],
        ConvKind::InputGrad => [conv.y, conv.w, conv.x],
        ConvKind::WeightGrad => [conv.x, conv.y, conv.w],
    }
}

fn apply(conv: &Conv, seed: u64, device: &Device) -> Tensor {
    let [a, b, out] = shapes(conv);
    let draw = |shape: [usize; 4], i: u64| {
        let values = Key::new(seed)
            .fold_in(i)
            .normal(&shape, DType::F32, &Device::cpu());
        values.to_device(device).unwrap()
    };
    let (a, b) = (draw(a, 0), draw(b, 1));
    Tensor::apply(Op::Conv(conv.clone()), &[&a, &b], out, DType::F32)
}

/// Geometries of all sorts, small enough for a software rasterizer.
fn geometries() -> Vec<([usize; 4], [usize; 4], ConvOptions)> {
    let mut all = Vec::new();
    for seed in 0..60 {
        let draws = Key::new(77).fold_in(seed).uniforms(16);
        let mut draws = draws.into_iter();
        let mut pick = |from: usize, to: usize| {
            let u = draws.next().expect("enough draws");
            from + (f64::from(u) * (to - from + 1) as f64) as usize
        };
        let (kind, kernel) = (pick(0, 3), [pick(1, 7).min(5), pick(1, 7)]);
        let (groups, ins, outs) = match kind {
            0 => (pick(2, 20), 1, pick(1, 2)),
            1 => (pick(2, 3), pick(2, 17), pick(1, 17)),
            _ => (1, pick(1, 67), pick(1, 67)),
        };
        let options = ConvOptions {
            stride: [pick(1, 3), pick(1, 3)],
            padding: [pick(0, 3), pick(0, 3)],
            dilation: [pick(1, 2), pick(1, 2)],
            groups,
        };
        let x = [pick(1, 3), ins * groups, pick(1, 14), pick(1, 14)];
        all.push((x, [outs * groups, ins, kernel[0], kernel[1]], options));
    }
    let o = ConvOptions::default();
    all.extend([
        ([2, 64, 8, 8], [64, 64, 3, 3], o.padding(1)),
        ([2, 3, 12, 12], [16, 3, 3, 3], o.padding(1)),
        ([1, 3, 23, 23], [64, 3, 7, 7], o.padding(3).stride(2)),
        ([3, 130, 4, 4], [70, 130, 1, 1], o),
        ([2, 16, 9, 9], [130, 16, 1, 1], o.stride(2)),
        ([1, 1, 1, 1], [1, 1, 1, 1], o),
    ]);
    all
}

#[test]
fn convolutions_of_every_class_agree_with_the_cpu() {
    let mut cases = 0;
    for (i, (x, w, options)) in geometries().into_iter().enumerate() {
        for kind in KINDS {
            let Some(conv) = conv(kind, x, w, options) else {
                continue;
            };
            let expected = apply(&conv, i as u64, &Device::cpu()).to_f64s().unwrap();
            for class in CLASSES {
                let found = on(class, |device| apply(&conv, i as u64, device));
                close(&format!("{class:?} {conv:?}"), &found, &expected);
                cases += 1;
            }
        }
    }
    assert!(cases > 300, "only {cases} cases have outputs");
}

fn draw(shape: &[usize], seed: u64, device: &Device) -> Tensor {
    let values = Key::new(seed).normal(shape, DType::F32, &Device::cpu());
    values.to_device(device).unwrap()
}

#[test]
fn products_of_every_class_agree_with_the_cpu() {
    type Shape = &'static [usize];
    let cases: [(Shape, Shape); 9] = [
        (&[1, 1], &[1, 1]),
        (&[7, 5], &[5, 3]),
        (&[33, 67], &[67, 129]),
        (&[64, 64], &[64, 64]),
        (&[130, 16], &[16, 200]),
        (&[5, 9, 17], &[5, 17, 11]),
        (&[3, 1, 6, 8], &[2, 8, 8]),
        (&[4, 8, 8], &[8, 24]),
        (&[2, 70_000], &[70_000, 3]),
    ];
    for (a, b) in cases {
        for turned in 0..4 {
            // A transposed operand is a view with other strides.
            let operand = |shape: &[usize], seed: u64, turn: bool, device: &Device| {
                let mut stored = shape.to_vec();
                if turn {
                    stored.swap(shape.len() - 2, shape.len() - 1);
                }
                let t = draw(&stored, seed, device);
                if turn { t.transpose(-1, -2) } else { t }
            };
            let product = |device: &Device| {
                let left = operand(a, 1, turned & 1 != 0, device);
                left.matmul(&operand(b, 2, turned & 2 != 0, device))
            };
            let expected = product(&Device::cpu()).to_f64s().unwrap();
            for class in CLASSES {
                let found = on(class, product);
                close(
                    &format!("{class:?} {a:?} {b:?} {turned}"),
                    &found,
                    &expected,
                );
            }
        }
    }
}

/// One buffer at two bindings.
#[test]
fn a_matrix_times_itself() {
    let product = |device: &Device| {
        let a = draw(&[40, 40], 9, device);
        a.matmul(&a)
    };
    let expected = product(&Device::cpu()).to_f64s().unwrap();
    for class in CLASSES {
        close(&format!("{class:?}"), &on(class, product), &expected);
    }
}

#[test]
fn results_are_the_same_to_the_bit() {
    let options = ConvOptions::default().padding(1);
    for kind in KINDS {
        let conv = conv(kind, [4, 17, 11, 11], [19, 17, 3, 3], options).unwrap();
        for class in CLASSES {
            let run = || on(class, |device| apply(&conv, 3, device));
            assert_eq!(run(), run(), "{class:?} {kind:?}");
        }
    }
}

/// Processor time of this process' threads, where the system tells.
fn cpu_seconds() -> Option<f64> {
    let mut total = 0.0;
    for task in std::fs::read_dir("/proc/self/task").ok()? {
        let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
        total += text.split(' ').next()?.parse::<f64>().ok()? * 1e-9;
    }
    Some(total)
}

/// Speed beside Burn's kernels, on the same tensors in the same run:
/// `cargo test --release --workspace --lib -- --ignored speed_of --nocapture`.
#[test]
#[ignore = "measures, asserts nothing"]
fn speed_of_convolutions_and_products() {
    let device = gpu();
    let DeviceKind::Gpu(inner) = device.kind() else {
        unreachable!()
    };
    let clock = std::time::Instant::now();
    let cores = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    let batch: usize = std::env::var("BATCH").map_or(8, |n| n.parse().unwrap());
    let tensor = |shape: &[usize], seed: u64| -> CubeTensor {
        let values = draw(shape, seed, &Device::cpu()).to_bytes().unwrap();
        match Wgpu::from_bytes(&values, shape, DType::F32, &inner.burn) {
            Value::Float(t) => t,
            _ => unreachable!(),
        }
    };
    // Processor time says more than the clock on a machine that others use too; a GPU has the clock alone.
    let now = || match cpu_seconds() {
        Some(seconds) if device.info().software => seconds / cores,
        _ => clock.elapsed().as_secs_f64(),
    };
    let once = |run: &dyn Fn() -> CubeTensor| {
        let start = now();
        let out = run();
        pollster::block_on(out.client.sync()).unwrap();
        now() - start
    };
    let report =
        |name: &str, flops: f64, burn: &dyn Fn() -> CubeTensor, ours: &dyn Fn() -> CubeTensor| {
            let forcing = |class: Class| {
                *forced() = Some(class);
                let t = once(ours);
                *forced() = None;
                t
            };
            let first: Vec<f64> = CLASSES.into_iter().map(forcing).collect();
            once(burn);
            // In turns, so that a change of the machine's speed meets all.
            let mut times = vec![Vec::new(); 4];
            for _ in 0..5 {
                times[0].push(once(burn));
                for (i, class) in CLASSES.into_iter().enumerate() {
                    times[i + 1].push(forcing(class));
                }
            }
            let median = |times: &mut Vec<f64>| {
                times.sort_by(f64::total_cmp);
                times[times.len() / 2]
            };
            let medians: Vec<f64> = times.iter_mut().map(median).collect();
            let mut line = format!("{name:28} Burn {:6.2}", flops / medians[0] / 1e9);
            for (i, class) in ["gpu", "soft", "wide"].into_iter().enumerate() {
                line += &format!(
                    " | {class} {:7.2} GFLOP/s {:5.1}× (first {:4.0} ms)",
                    flops / medians[i + 1] / 1e9,
                    medians[0] / medians[i + 1],
                    first[i] * 1e3
                );
            }
            println!("{line}");
        };
    let o = ConvOptions::default().padding(1);
    for (c, outs, size, options) in [
        (64, 64, 32, o),
        (128, 128, 16, o),
        (256, 256, 8, o),
        (64, 128, 32, o.stride(2)),
        (16, 16, 32, o),
        (3, 16, 32, o),
    ] {
        for kind in KINDS {
            let conv = conv(kind, [batch, c, size, size], [outs, c, 3, 3], options).unwrap();
            let [a, b, _] = shapes(&conv);
            let (a, b) = (tensor(&a, 1), tensor(&b, 2));
            let limit = inner.loop_limit;
            report(
                &format!("{kind:?} {c}→{outs} {size}² /{}", options.stride[0]),
                conv.flops() as f64,
                &|| kernels::conv::convolve::<Wgpu>(&conv, a.clone(), b.clone(), limit),
                &|| super::convolve(&conv, a.clone(), b.clone()),
            );
        }
    }
    let n = if batch > 64 { 4096 } else { 512 };
    let (a, b) = (tensor(&[n, n], 1), tensor(&[n, n], 2));
    report(
        &format!("matmul {n}³"),
        2.0 * (n as f64).powi(3),
        &|| <Wgpu as burn_backend::ops::FloatTensorOps<Wgpu>>::float_matmul(a.clone(), b.clone()),
        &|| super::matmul(a.clone(), b.clone()),
    );
}

/// `MESA_SHADER_CACHE_DISABLE=true cargo test --release --workspace --lib -- --ignored first_step --nocapture`
#[test]
#[ignore = "measures, asserts nothing"]
fn first_step_of_a_network() {
    use crate::models::ResNet;
    use crate::nn::{Batch, Network};
    use crate::train::Trainer;

    let device = gpu();
    let net = std::sync::Arc::new(ResNet::resnet20(10));
    let (params, state) = net.init(Key::new(0), DType::F32, &device);
    let trainer = Trainer::new(&(net as _), crate::optim::Sgd::new(0.1));
    let mut now = trainer.start(&params, &state);
    let batch = Batch {
        images: draw(&[16, 3, 32, 32], 5, &device),
        labels: Tensor::new(&[3; 16], &[16], &device).unwrap(),
    };
    for step in 0..3 {
        let (start, cpu) = (std::time::Instant::now(), cpu_seconds());
        now = trainer.step(&now, &batch).unwrap();
        let busy = cpu_seconds().zip(cpu).map(|(after, before)| after - before);
        println!("step {step}: {:?}, processor {busy:.2?} s", start.elapsed());
    }
}
