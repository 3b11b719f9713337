//! Tests that plans compute what the single operations compute, in fewer kernels.

use crate::testing::each_device;
use crate::{DType, Device, Key, Tensor, explain, grad, jit};

/// Pseudorandom numbers from a seed, for making random expressions.
struct Draws(u64);

impl Draws {
    fn below(&mut self, n: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// Returns the tensors of a random expression over leaves; `step` is called with each of them.
pub(crate) fn expression(
    seed: u64,
    leaves: &[Tensor],
    mut step: impl FnMut(&Tensor),
) -> Vec<Tensor> {
    let mut draws = Draws(seed);
    let mut pool = leaves.to_vec();
    for _ in 0..25 {
        let mut pick = || pool[draws.below(pool.len())].clone();
        let (a, b, c) = (pick(), pick(), pick());
        let fits =
            |a: &Tensor, b: &Tensor| crate::ir::shape::broadcast(a.shape(), b.shape()).is_some();
        let next = match draws.below(14) {
            0 if fits(&a, &b) => &a + &b,
            1 if fits(&a, &b) => &a - &b,
            2 if fits(&a, &b) => &a * &b,
            3 if fits(&a, &b) => &a / (b.square() + 1.0),
            4 if fits(&a, &b) => a
                .gt(&b)
                .where_(&a.broadcast_to((&a + &b).shape()), &b.broadcast_to((&a + &b).shape())),
            5 => a.relu(),
            6 => a.tanh() * 0.7,
            7 => (a.abs() + 0.3).powf(-0.5),
            8 if a.rank() > 1 => a.transpose(0, 1),
            9 if a.rank() > 0 => a.mean_axes(&[draws.below(a.rank()) as isize], true),
            10 => a.sum() * (1.0 / a.numel() as f64),
            11 if a.rank() > 1 => {
                a.mean_axes(&[0, -1], false).reshape(&[1, 1, a.numel() / a.shape()[0] / a.size(-1)])
            }
            12 => a.lt(&b.mean()).to_dtype(a.dtype()) - &a * 0.25,
            13 => c.sigmoid(),
            _ => -&a,
        };
        step(&next);
        pool.push(next);
    }
    pool.split_off(leaves.len())
}

pub(crate) fn leaves(device: &Device, dtype: DType, sizes: [usize; 3]) -> Vec<Tensor> {
    let [a, b, c] = sizes;
    let shapes: [&[usize]; 4] = [&[a, b, c], &[b, 1], &[1, b, c], &[a, 1, 1]];
    let draw = |(i, shape): (usize, &&[usize])| Key::new(i as u64).normal(shape, dtype, device);
    let leaves: Vec<Tensor> = shapes.iter().enumerate().map(draw).collect();
    crate::eval(&leaves).unwrap();
    leaves
}

#[test]
fn fused_expressions_equal_their_operations() {
    each_device(|device, dtype| {
        for (seed, sizes) in [[2, 3, 5], [4, 1, 7], [1, 6, 1], [3, 8, 70], [2, 2, 600], [5, 40, 3]]
            .into_iter()
            .cycle()
            .take(36)
            .enumerate()
        {
            let leaves = leaves(device, dtype, sizes);
            let fused = expression(seed as u64, &leaves, |_| {});
            // Only some of the tensors are evaluated, as in a program that keeps a few.
            let asked: Vec<Tensor> = fused
                .into_iter()
                .enumerate()
                .filter(|(i, _)| i % 4 == seed % 4)
                .map(|(_, t)| t)
                .collect();
            crate::eval(&asked).unwrap();
            let single = expression(seed as u64, &leaves, |t| t.eval().unwrap());
            let single =
                single.iter().enumerate().filter(|(i, _)| i % 4 == seed % 4).map(|(_, t)| t);
            let tolerance = if dtype == DType::F64 { 1e-11 } else { 2e-3 };
            for (number, (a, b)) in asked.iter().zip(single).enumerate() {
                for (x, y) in a.to_f64s().unwrap().into_iter().zip(b.to_f64s().unwrap()) {
                    let same =
                        (x - y).abs() <= tolerance * (1.0 + y.abs()) || (x.is_nan() && y.is_nan());
                    assert!(
                        same,
                        "seed {seed}, tensor {number} {a:?}: {x} against {y} on {device}"
                    );
                }
            }
        }
    });
}

/// Compares sums over every pattern of axes, long and short, with sums computed on the host.
#[test]
fn sums_over_any_axes() {
    each_device(|device, dtype| {
        for shape in [[3, 5, 7], [2, 1, 5000], [70, 3, 90], [1, 900, 2], [2, 20_000, 1]] {
            let x = Key::new(3).normal(&shape, dtype, device);
            let values = x.to_f64s().unwrap();
            for axes in [&[0isize][..], &[1], &[2], &[0, 1], &[0, 2], &[1, 2], &[0, 1, 2]] {
                let kept = |a: usize| !axes.contains(&(a as isize));
                let size = |a: usize| if kept(a) { shape[a] } else { 1 };
                let mut expected = vec![(0.0, 0.0); size(0) * size(1) * size(2)];
                for (i, v) in values.iter().enumerate() {
                    let at = [i / (shape[1] * shape[2]), i / shape[2] % shape[1], i % shape[2]];
                    let at = (0..3).map(|a| if kept(a) { at[a] } else { 0 }).collect::<Vec<_>>();
                    let sum = &mut expected[(at[0] * size(1) + at[1]) * size(2) + at[2]];
                    *sum = (sum.0 + v * v, sum.1 + v.abs());
                }
                let (squares, sizes) =
                    (x.square().sum_axes(axes, true), x.abs().sum_axes(axes, true));
                crate::eval(&[squares.clone(), sizes.clone()]).unwrap();
                let found = squares.to_f64s().unwrap().into_iter().zip(sizes.to_f64s().unwrap());
                for ((a, b), (c, d)) in found.zip(expected) {
                    let close = |x: f64, y: f64| (x - y).abs() <= 1e-5 * y.abs() + 1e-30;
                    assert!(
                        close(a, c) && close(b, d),
                        "{shape:?} over {axes:?} on {device}: {a}, {b} against {c}, {d}"
                    );
                }
            }
        }
    });
}

#[test]
fn equal_values_are_computed_once() {
    let x = Tensor::ones(&[100], DType::F64, &Device::cpu());
    let plan = explain(
        |x: &Tensor| (x.exp().sum() + (x * 1.0 + 0.0).exp().sum(), x.stop_gradient().exp().sum()),
        &x,
    );
    let sums = plan.unwrap().kernels.iter().filter(|k| k.what.starts_with("sum")).count();
    assert_eq!(sums, 1);
}

#[test]
fn horizontal_fusion_reads_once() {
    let x = Tensor::ones(&[64, 32], DType::F32, &Device::cpu());
    let plan =
        explain(|x: &Tensor| (x.sum_axes(&[0], false), x.square().sum_axes(&[0], false)), &x)
            .unwrap();
    let programs = plan.kernels.iter().filter(|k| k.what.starts_with("sum")).count();
    assert_eq!(programs, 1, "{plan}");
}

#[test]
fn peak_counts_what_is_alive() {
    let x = Tensor::ones(&[1000], DType::F64, &Device::cpu());
    // The input has 1000 elements and the product 100; reshapes take no memory.
    let plan =
        explain(|x: &Tensor| x.reshape(&[10, 100]).matmul(&x.reshape(&[100, 10])), &x).unwrap();
    assert_eq!(plan.peak_bytes, 8 * (1000 + 100));
}

#[test]
fn jit_replays_and_traces_again_for_other_shapes() {
    each_device(|device, dtype| {
        let traced = std::sync::atomic::AtomicUsize::new(0);
        let f = jit(|x: &Tensor| {
            traced.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            grad(|x: &Tensor| (x.sin() * x).sum())(x)
        });
        for n in [3usize, 3, 5, 3, 5] {
            let x = Key::new(n as u64).normal(&[n], dtype, device);
            let expected = x.sin() + &x * x.cos();
            let found = f(&x).unwrap().to_f64s().unwrap();
            for (a, b) in found.iter().zip(expected.to_f64s().unwrap()) {
                assert!((a - b).abs() < 1e-5);
            }
        }
        assert_eq!(traced.load(std::sync::atomic::Ordering::Relaxed), 2);
    });
}

#[test]
fn jit_inside_a_transform_is_differentiated() {
    let x = Tensor::new(&[0.5, 2.0], &[2], &Device::cpu()).unwrap();
    let cube = jit(|x: &Tensor| x * x * x);
    let slope = grad(|x: &Tensor| cube(x).unwrap().sum())(&x);
    assert_eq!(slope.to_vec::<f64>().unwrap(), [0.75, 12.0]);
    // Tensors that the function captures are differentiated too.
    let slope = grad(|w: &Tensor| {
        let w = w.clone();
        jit(move |x: &Tensor| x * &w)(&x).unwrap().sum()
    })(&x);
    assert_eq!(slope.to_vec::<f64>().unwrap(), [0.5, 2.0]);
}

#[test]
fn jit_draws_anew_and_says_when_a_value_is_asked_for() {
    let x = Tensor::zeros(&[4], DType::F32, &Device::cpu());
    let count = std::sync::atomic::AtomicU64::new(0);
    let noisy = jit(|x: &Tensor| {
        let key = Key::new(count.fetch_add(1, std::sync::atomic::Ordering::Relaxed));
        x + key.uniform(&[4], DType::F32, x.device())
    });
    let first = noisy(&x).unwrap().to_vec::<f32>().unwrap();
    assert_ne!(first, noisy(&x).unwrap().to_vec::<f32>().unwrap());
    let asks = jit(|x: &Tensor| {
        x * x.sum().item().err().map_or(0.0, |e| {
            assert!(e.to_string().contains("being traced"), "{e}");
            2.0
        })
    });
    assert_eq!(asks(&x).unwrap().to_vec::<f32>().unwrap(), [0.0; 4]);
}
