//! Compares the engine's kernels of every class with the CPU.

use std::cell::{Cell, RefCell};

use prospr_shaders::Arithmetic;

use super::Class;
use crate::ir::{Conv, ConvKind, ConvOptions, Op};
use crate::runtime::adapters;
use crate::{DType, Device, Key, PoolOptions, Precision, Tensor, jit_with, value_and_grad};

thread_local! {
    /// Class and arithmetic that launches of this thread use instead of their device's, during a test.
    static FORCED: Cell<Option<(Class, Arithmetic)>> = const { Cell::new(None) };
}

pub(super) fn forced() -> Option<(Class, Arithmetic)> {
    FORCED.get()
}

const CLASSES: [Class; 3] = [
    Class::Gpu,
    Class::SoftwareRasterizer { wide: false },
    Class::SoftwareRasterizer { wide: true },
];
const KINDS: [ConvKind; 3] = [ConvKind::Forward, ConvKind::InputGrad, ConvKind::WeightGrad];

fn gpu() -> Device {
    Device::gpu().unwrap_or_else(|e| panic!("the tests need a GPU, which may be lavapipe: {e}"))
}

/// Runs on the GPU as if it were of a class. (Kernels for rasterizers with 64-bit loads run on GPUs that have them.)
fn on(class: Class, run: impl Fn(&Device) -> Tensor) -> Vec<f64> {
    in_arithmetic(class, Arithmetic::Full, run)
}

fn in_arithmetic(
    class: Class,
    arithmetic: Arithmetic,
    run: impl Fn(&Device) -> Tensor,
) -> Vec<f64> {
    FORCED.set(Some((class, arithmetic)));
    let values = run(&gpu()).to_f64s();
    FORCED.set(None);
    values.unwrap()
}

/// Returns the GPU's arithmetics in f16. Newer versions of lavapipe have matrix units.
fn halves() -> Vec<Arithmetic> {
    let device = gpu();
    let adapter = adapters::adapters()
        .iter()
        .find(|adapter| adapter.get_info().name == device.info().name)
        .expect("an open adapter");
    let best = adapters::half_arithmetic(adapter);
    assert!(
        best != Arithmetic::Full,
        "the tests of mixed precision need a GPU with 16-bit floats, which lavapipe has"
    );
    println!("running on {device} in {best:?}");
    let mut halves = vec![Arithmetic::Half, best];
    halves.dedup();
    halves
}

/// Sets the last bit of each value, so that none lies halfway between two f16: drivers round those differently.
fn untied(tensor: &Tensor) -> Tensor {
    mapped(tensor, |x| f32::from_bits(x.to_bits() | 1))
}

fn mapped(tensor: &Tensor, f: impl Fn(f32) -> f32) -> Tensor {
    let values: Vec<f32> = tensor.to_vec().unwrap();
    let values: Vec<f32> = values.into_iter().map(f).collect();
    Tensor::new(&values, tensor.shape(), tensor.device()).unwrap()
}

/// Rounds to f16: magnitudes from 6·10⁻⁵ to 65,504 to 11 bits, smaller ones to multiples of 6·10⁻⁸.
fn rounded(tensor: &Tensor) -> Tensor {
    let round = |x: f32| {
        let (bits, least) = (x.to_bits(), 2f32.powi(-24));
        match x.abs() < 2f32.powi(-14) {
            true => (x / least).round_ties_even() * least,
            false => f32::from_bits((bits + 0xfff + (bits >> 13 & 1)) & !0x1fff),
        }
    };
    let values: Vec<f32> = tensor.to_vec::<f32>().unwrap().into_iter().map(round).collect();
    Tensor::new(&values, tensor.shape(), tensor.device()).unwrap()
}

#[track_caller]
fn close(what: &str, found: &[f64], expected: &[f64]) {
    let scale = expected.iter().fold(1.0, |m: f64, v| m.max(v.abs()));
    for (i, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() <= 2e-5 * scale, "{what}: element {i} is {a}, not {b}");
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
    Some(Conv { kind, options, x, w, y: [x[0], w[0], size(0)?, size(1)?] })
}

fn shapes(conv: &Conv) -> [[usize; 4]; 3] {
    match conv.kind {
        ConvKind::Forward => [conv.x, conv.w, conv.y],
        ConvKind::InputGrad => [conv.y, conv.w, conv.x],
        ConvKind::WeightGrad => [conv.x, conv.y, conv.w],
    }
}

fn apply(conv: &Conv, seed: u64, device: &Device) -> Tensor {
    apply_to(conv, seed, device, Tensor::clone)
}

/// Computes a convolution of random operands, after applying `first` to each.
fn apply_to(conv: &Conv, seed: u64, device: &Device, first: impl Fn(&Tensor) -> Tensor) -> Tensor {
    let [a, b, out] = shapes(conv);
    let draw = |shape: [usize; 4], i: u64| {
        let values = Key::new(seed).fold_in(i).normal(&shape, DType::F32, &Device::cpu());
        first(&values).to_device(device).unwrap()
    };
    let (a, b) = (draw(a, 0), draw(b, 1));
    Tensor::apply(Op::Conv(conv.clone()), &[&a, &b], out, DType::F32)
}

/// Returns random and typical geometries, small enough for a software rasterizer.
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
                close(&format!("{class:?} {a:?} {b:?} {turned}"), &found, &expected);
            }
        }
    }
}

/// Both operands are the same buffer, at two bindings.
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

/// With f16 operands and f32 sums, results equal those of operands rounded beforehand.
#[test]
fn mixed_precision_rounds_operands_and_nothing_else() {
    let halves = halves();
    let check = |what: &str, expected: Vec<f64>, run: &dyn Fn(&Device) -> Tensor| {
        for &half in &halves {
            let found = in_arithmetic(Class::Gpu, half, run);
            close(&format!("{half:?} {what}"), &found, &expected);
        }
    };
    for (i, (x, w, options)) in geometries().into_iter().enumerate() {
        // Groups of few channels have kernels without workgroup memory, in f32.
        if options.groups > 1 && w[1].max(w[0] / options.groups) < 4 {
            continue;
        }
        for kind in KINDS {
            let Some(conv) = conv(kind, x, w, options) else {
                continue;
            };
            let expected = apply_to(&conv, i as u64, &Device::cpu(), |t| rounded(&untied(t)));
            check(&format!("{conv:?}"), expected.to_f64s().unwrap(), &|device| {
                apply_to(&conv, i as u64, device, untied)
            });
        }
    }
    for (a, b) in [
        (&[33, 67][..], &[67, 129][..]),
        (&[64, 64], &[64, 64]),
        (&[128, 48], &[48, 160]),
        (&[5, 9, 17], &[5, 17, 11]),
    ] {
        let cpu = Device::cpu();
        let operand = |shape: &[usize], seed: u64| untied(&draw(shape, seed, &cpu));
        let expected = rounded(&operand(a, 1)).matmul(&rounded(&operand(b, 2)));
        check(&format!("{a:?} {b:?}"), expected.to_f64s().unwrap(), &|device| {
            let on = |t: Tensor| t.to_device(device).unwrap();
            on(operand(a, 1)).matmul(&on(operand(b, 2)))
        });
    }
}

/// Returns the losses of some steps of gradient descent: a convolution, a linear layer, cross-entropy on one batch.
fn losses(count: usize, precision: Precision, device: &Device) -> Vec<f64> {
    let draw = |n, shape: &[usize]| {
        let values = Key::new(n).normal(shape, DType::F32, &Device::cpu());
        values.to_device(device).unwrap()
    };
    let one_hot: Vec<f32> = (0..80).map(|i| f32::from(u8::from(i % 10 == i / 10 % 3))).collect();
    let batch = (draw(0, &[8, 1, 28, 28]), Tensor::new(&one_hot, &[8, 10], device).unwrap());
    let step = jit_with(precision, |((w, v), (x, y)): &((Tensor, Tensor), (Tensor, Tensor))| {
        let loss = |(w, v): &(Tensor, Tensor)| {
            let hidden = x.conv2d(w, ConvOptions::default()).relu();
            let hidden = hidden.max_pool2d(PoolOptions::new(2)).flatten_from(1);
            let logits = hidden.matmul(v);
            let log_sum = logits.exp().sum_axes(&[1], true).log();
            ((log_sum - &logits) * y).sum() / 8.0
        };
        let (loss, (dw, dv)) = value_and_grad(loss)(&(w.clone(), v.clone()));
        ((w - dw * 0.02, v - dv * 0.02), loss)
    });
    let mut params = (draw(1, &[6, 1, 5, 5]) * 0.2, draw(2, &[6 * 12 * 12, 10]) * 0.03);
    let mut losses = Vec::new();
    for _ in 0..count {
        let (next, loss) = step(&(params, batch.clone())).unwrap();
        losses.push(loss.item().unwrap());
        params = next;
    }
    losses
}

#[test]
fn training_in_mixed_precision_follows_training_in_f32() {
    let exact = losses(8, Precision::F32, &Device::cpu());
    assert!(exact[7] < 0.9 * exact[0], "{exact:?}");
    for half in halves() {
        let mixed = RefCell::new(Vec::new());
        in_arithmetic(Class::Gpu, half, |device| {
            *mixed.borrow_mut() = losses(8, Precision::Mixed, device);
            Tensor::zeros(&[1], DType::F32, device)
        });
        for (x, y) in exact.iter().zip(mixed.borrow().iter()) {
            assert!(
                (x - y).abs() < 0.01 * exact[0],
                "{half:?}: {:?} beside {exact:?}",
                mixed.borrow()
            );
        }
    }
}
