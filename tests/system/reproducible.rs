//! Reproducibility: the same seed gives the same bits on one device, and the same random numbers on all devices.

use prospr::nn::{self, init::Init};
use prospr::optim::{Optimizer, Sgd};
use prospr::prelude::*;

use crate::support::{each_device, gpu};

/// Returns the bytes of the weights after five training steps of a small convolutional network, and of one
/// meta-gradient.
fn run(device: &Device, dtype: DType) -> Vec<Vec<u8>> {
    let [k1, k2, kx, kd] = Key::new(42).split();
    let mut params = Params::new();
    params.insert(
        "conv",
        Role::Weight,
        Init::KAIMING_NORMAL_FAN_IN.draw(k1, &[6, 3, 3, 3], dtype, device),
    );
    params.insert("gamma", Role::NormScale, Tensor::ones(&[6], dtype, device));
    params.insert("beta", Role::NormShift, Tensor::zeros(&[6], dtype, device));
    params.insert("fc", Role::Weight, Init::PyTorchDefault.draw(k2, &[4, 6 * 16], dtype, device));
    let x = kx.normal(&[8, 3, 8, 8], dtype, device);
    let y = Tensor::new(&[0, 1, 2, 3, 3, 2, 1, 0], &[8], device).unwrap();
    let loss = move |w: &Params, step: u64| {
        let h = nn::conv2d(&x, &w["conv"], None, ConvOptions::default().padding(1));
        let (h, _) = nn::batch_norm_train(&h, &w["gamma"], &w["beta"], 1e-5);
        let h = nn::dropout(&h.relu().max_pool2d(PoolOptions::new(2)), 0.1, kd.fold_in(step));
        nn::cross_entropy(&nn::linear(&h.flatten_from(1), &w["fc"], None), &y)
    };
    let sgd = Sgd::new(0.1).momentum(0.9).weight_decay(1e-4);
    let (mut w, mut state) = (params.clone(), sgd.init(&params));
    for step in 0..5 {
        let grads = grad(|w: &Params| loss(w, step))(&w);
        (w, state) = sgd.update(&w, &grads, &state);
        w.eval_leaves().unwrap();
    }
    let meta = grad(move |w: &Params| {
        let moved = w.zip_leaves(&grad(|w: &Params| loss(w, 7))(w), |w, g| w - g * 0.1);
        loss(&moved, 8)
    })(&params);
    w.leaves().iter().chain(&meta.leaves()).map(|t| t.to_bytes().unwrap()).collect()
}

#[test]
fn two_runs_are_bit_identical() {
    each_device(|device, dtype| {
        let first = run(device, dtype);
        for again in 0..2 {
            assert!(run(device, dtype) == first, "run {again} differs on {device} in {dtype}");
        }
    });
}

type Draw = fn(Key, &[usize], &Device) -> Tensor;

#[test]
fn random_numbers_are_the_same_on_every_device() {
    let gpu = gpu();
    for shape in [&[1][..], &[7], &[33, 5], &[100_003]] {
        let bits = |device: &Device, draw: Draw| {
            draw(Key::new(5).fold_in(9), shape, device).to_bytes().unwrap()
        };
        let draws: [Draw; 3] = [
            |k, s, d| k.uniform(s, DType::F32, d),
            |k, s, d| k.normal(s, DType::F32, d),
            |k, s, d| k.bernoulli(0.3, s, d),
        ];
        for draw in draws {
            assert!(bits(&Device::cpu(), draw) == bits(&gpu, draw), "shape {shape:?}");
        }
    }
}
