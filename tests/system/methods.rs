//! Properties of single pruning methods: derivatives, ranges, memory.

use std::sync::Arc;

use prospr::models::by_name;
use prospr::nn::init::{Bias, Init};
use prospr::nn::{Batch, Net, Scope};
use prospr::optim::{Adam, Optimizer, Sgd, UpdateRule};
use prospr::prelude::*;
use prospr::pruners::{
    Force, Grasp, Loss, Magnitude, NtkSap, ProsPr, Pruner, Rounds, Snip, Sparsity, SynFlow, Task,
    prunable,
};
use prospr::verify::Agreement;

use crate::sandbox::{SMALL_BLIND, Sandbox};
use crate::support::{alone, gpu, relative_l2};

/// Meta-gradients of every update rule, also with clipping and a decaying learning rate, equal finite
/// differences of the
/// loss after the steps, `(L(c + h) − L(c − h)) / 2h` for every mask element.
#[test]
fn meta_gradients_equal_finite_differences() {
    let device = Device::cpu();
    let net: Net = Arc::new(|s: &Scope, images: &Tensor| {
        let s = s.with_weights(Init::Normal(1.0)).with_bias(Bias::None);
        let hidden = s.at("fc1").linear(&images.flatten_from(1), 3).tanh();
        s.at("fc2").linear(&hidden, 2)
    });
    let (params, _) = net.init(Key::new(5), &[1, 2, 2], DType::F64, &device);
    let batch = |i| Batch {
        images: Key::new(6).fold_in(i).normal(&[5, 1, 2, 2], DType::F64, &device),
        labels: Tensor::new(&[0, 1, 1, 0, 1], &[5], &device).unwrap(),
    };
    let sgd = Sgd::new(0.3);
    let plain = |rule: UpdateRule| ProsPr::new(3, rule);
    let cases = [
        plain(sgd.momentum(0.9).weight_decay(0.01).into()),
        plain(sgd.momentum(0.9).nesterov().into()),
        plain(Adam::new(0.05).into()),
        ProsPr { clip: Some(0.2), inner_decay: 0.5, ..plain(sgd.into()) },
        ProsPr { clip: Some(100.0), inner_decay: 0.5, ..plain(Adam::new(0.05).into()) },
    ];
    for pruner in cases {
        let of = |params: &Params, pruner: &ProsPr| {
            let batches = &mut (0..4).map(batch);
            let state = Params::new();
            let mut task = Task::new(&net, params, &state, batches, Key::new(0));
            pruner.magnitudes(&mut task).unwrap()
        };
        // The loss after the steps, computed directly.
        let loss = |params: &Params| {
            let mut w = params.clone();
            let rule = |i: i32| match pruner.inner_decay {
                1.0 => pruner.optimizer,
                decay => pruner.optimizer.with_lr(pruner.optimizer.lr() * decay.powi(i)),
            };
            let mut state = pruner.optimizer.init(&w);
            let of = |w: &Params, batch: &Batch| {
                let (logits, _) =
                    net.apply(w, &Params::new(), &batch.images, prospr::nn::Mode::Eval);
                prospr::nn::cross_entropy(&logits, &batch.labels)
            };
            for i in 0..3 {
                let mut g = grad(|w: &Params| of(w, &batch(i)))(&w);
                let norm = prospr::tree_dot(&g, &g).item().unwrap().sqrt();
                if let Some(clip) = pruner.clip.filter(|clip| norm > *clip) {
                    g = g.map_leaves(|g| g * (clip / norm));
                }
                (w, state) = rule(i as i32).update(&w, &g, &state);
            }
            of(&w, &batch(3)).item().unwrap()
        };
        let h = 1e-5;
        let mut expected = Vec::new();
        for (name, _, weight) in params.iter() {
            let values = weight.to_f64s().unwrap();
            for at in 0..values.len() {
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values[at] *= 1.0 + by;
                    let mut params = params.clone();
                    let moved = Tensor::new(&values, weight.shape(), &device).unwrap();
                    params.insert(name, Role::Weight, moved);
                    loss(&params)
                };
                expected.push(((moved(h) - moved(-h)) / (2.0 * h)).abs());
            }
        }
        let found = of(&params, &pruner);
        let found: Vec<f64> = found.iter().flat_map(|(.., t)| t.to_f64s().unwrap()).collect();
        let error = relative_l2(&found, &expected);
        println!("{:?}, clip {:?}: {error:.1e}", pruner.optimizer, pruner.clip);
        assert!(error < 1e-7, "{pruner:?}: {error:.2e}");
    }
}

/// SynFlow's scores of ResNet-50 are finite in f32 and have the same order as in f64, by Spearman's rank correlation.
#[test]
fn synflow_ranks_resnet_50_the_same_in_f32() {
    let net = by_name("resnet-50", [3, 224, 224], 1000).unwrap();
    let scores = |device: &Device, dtype| {
        // Both runs start from the same f32 weights.
        let (params, state) = net.init(Key::new(3), &[3, 64, 64], DType::F32, device);
        let like = |p: &Params| p.map_leaves(|t| t.to_dtype(dtype));
        let pruner = SynFlow {
            rounds: Rounds::new(1, Sparsity::new(0.9).unwrap()),
            input: Some([3, 64, 64]),
        };
        let none = &mut std::iter::empty();
        let (params, state) = (like(&params), like(&state));
        let mut task = Task::new(&net, &params, &state, none, Key::new(4));
        let scores = pruner.scores(&mut task).unwrap();
        let flat = scores.iter().flat_map(|(.., s)| s.to_f64s().unwrap());
        flat.collect::<Vec<f64>>()
    };
    let exact = scores(&Device::cpu(), DType::F64);
    assert_eq!(
        exact.len(),
        prunable(&net.init(Key::new(3), &[3, 64, 64], DType::F32, &Device::cpu()).0).numel()
    );
    let largest = exact.iter().copied().fold(0.0, f64::max);
    println!("the largest score is {largest:.1e}");
    assert!(largest > f32::MAX.into());
    for device in [Device::cpu(), gpu()] {
        let agreement = Agreement::of(&scores(&device, DType::F32), &exact).rank_agreement;
        println!("on {device}: {agreement}");
        assert!(agreement >= 0.9999, "on {device}: {agreement}");
    }
}

/// Measures the peak memory of a method on a device in bytes; each batch is made when it is requested.
fn peak(pruner: &dyn Pruner, device: &Device, count: usize) -> u64 {
    let net = by_name("mlp:32", [1, 28, 28], 10).unwrap();
    let (params, state) = net.init(Key::new(3), &[1, 28, 28], DType::F32, device);
    params.eval_leaves().unwrap();
    let labels = Tensor::new(&[3; 64], &[64], device).unwrap();
    let mut made = 0;
    let mut batches = std::iter::from_fn(|| {
        made += 1;
        let images = Key::new(made).normal(&[64, 1, 28, 28], DType::F32, device);
        images.eval().unwrap();
        let labels = labels.clone();
        Some(Batch { images, labels })
    });
    let mut task = Task::new(&net, &params, &state, &mut batches, Key::new(4));
    device.synchronize().unwrap();
    device.reset_peak_memory();
    let before = device.memory().live;
    pruner.scores(&mut task).unwrap();
    let peak = device.memory().peak - before;
    assert_eq!(made as usize, count);
    peak
}

/// First-order steps and sums over batches need the memory of one step and one batch.
#[test]
fn memory_does_not_grow_with_steps_or_batches() {
    alone("methods::memory_does_not_grow_with_steps_or_batches", || {
        let cpu = Device::cpu();
        let first_order = |steps| ProsPr::new(steps, Sgd::new(0.01).momentum(0.9)).first_order();
        let few = peak(&first_order(8), &cpu, 9);
        let many = peak(&first_order(2048), &cpu, 2049);
        println!("first-order: {few} bytes in 8 steps, {many} in 2,048");
        // The only growth is the loss of each step, four bytes.
        assert_eq!(many, few + 4 * 2040);
        let snip = |batches| Snip { batches, abs_per_batch: true, ..Snip::default() };
        assert_eq!(peak(&snip(3), &cpu, 3), peak(&snip(40), &cpu, 40));
        // GraSP keeps its batches in host memory, which does grow.
        let grasp = |batches| Grasp { batches, ..Grasp::default() };
        let gpu = gpu();
        assert_eq!(peak(&grasp(3), &gpu, 3), peak(&grasp(40), &gpu, 40));
    });
}

/// Random masks of all three layer-wise densities, and magnitude pruning, in one comparison.
#[test]
fn random_masks_have_their_layer_densities() {
    let sandbox = Sandbox::new();
    let methods = "random,random-uniform,random-erk,magnitude";
    sandbox.good(&format!(
        "compare {} --epochs 1 --pruners {methods} --sparsities 0.9 --min-per-layer 1 --out c",
        SMALL_BLIND.replace("--sparsity 0.9", "")
    ));
    let densities = |method: &str| -> Vec<f64> {
        let text = sandbox.bytes(&format!("c/{method}-0.9-s0/pruning.json"));
        let file: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let layers = file["layers"].as_array().unwrap().iter();
        layers.map(|l| 1.0 - l["sparsity"].as_f64().unwrap()).collect()
    };
    let spread = |densities: &[f64]| {
        densities.iter().copied().fold(0.0, f64::max)
            - densities.iter().copied().fold(1.0, f64::min)
    };
    assert!(spread(&densities("random-uniform")) < 0.02);
    let erk = densities("random-erk");
    assert!(spread(&erk) > 0.3 && erk[0] > 0.3, "{erk:?}");
    sandbox.bad(
        "prune --keep conv9 --device cpu --out p",
        &["conv9", "first, last or one of conv1.weight"],
    );
    sandbox
        .bad("prune --inner-nesterov --device cpu --out q", &["inner_nesterov", "inner_momentum"]);
    sandbox
        .bad("prune --prune-per-class 0 --device cpu --out r", &["prune_per_class", "1 or more"]);
}

/// Returns a network with the logits `W x` of three inputs, whose scores have closed forms.
fn linear_net(device: &Device) -> (Net, Params) {
    let net: Net = Arc::new(|s: &Scope, images: &Tensor| {
        let s = s.with_weights(Init::Normal(1.0)).with_bias(Bias::None);
        s.at("fc").linear(&images.flatten_from(1), 2)
    });
    let (params, _) = net.init(Key::new(5), &[1, 1, 3], DType::F64, device);
    (net, params)
}

fn linear_batch(seed: u64, images: usize, device: &Device) -> Batch {
    let labels: Vec<i32> = (0..images as i32).map(|i| i % 2).collect();
    Batch {
        images: Key::new(seed).normal(&[images, 1, 1, 3], DType::F64, device),
        labels: Tensor::new(&labels, &[images], device).unwrap(),
    }
}

fn scores_of(pruner: &dyn Pruner, batches: &[Batch]) -> Vec<f64> {
    let (net, params) = linear_net(&Device::cpu());
    let (state, batches) = (Params::new(), &mut batches.iter().cloned());
    let mut task = Task::new(&net, &params, &state, batches, Key::new(0));
    let scores = pruner.scores(&mut task).unwrap();
    scores["fc.weight"].to_f64s().unwrap()
}

/// Computes `∂L/∂W = Σᵢ (softmax(W xᵢ) − onehot(yᵢ)) xᵢᵀ / n` of cross-entropy, or `−Σᵢ onehot(yᵢ) xᵢᵀ / n`
/// of raw logits.
fn gradient_by_hand(weight: &[f64], batch: &Batch, loss: Loss) -> Vec<f64> {
    let (x, y) = (batch.images.to_f64s().unwrap(), batch.labels.to_f64s().unwrap());
    let n = y.len() as f64;
    let mut gradient = vec![0.0; 6];
    for (x, y) in x.chunks(3).zip(y) {
        let dot = |k: usize| (0..3).map(|j| weight[3 * k + j] * x[j]).sum::<f64>();
        let (a, b) = (dot(0).exp(), dot(1).exp());
        for (k, p) in [a / (a + b), b / (a + b)].into_iter().enumerate() {
            let p = if loss == Loss::RawLogit { 0.0 } else { p };
            let error = p - f64::from(u8::from(y as usize == k));
            (0..3).for_each(|j| gradient[3 * k + j] += error * x[j] / n);
        }
    }
    gradient
}

#[test]
fn scores_of_a_linear_layer_are_the_closed_forms() {
    let device = Device::cpu();
    let batches: Vec<Batch> = (1..5).map(|seed| linear_batch(seed, 7, &device)).collect();
    let weight = linear_net(&device).1["fc.weight"].to_f64s().unwrap();
    let close = |found: Vec<f64>, expected: Vec<f64>| {
        assert!(relative_l2(&found, &expected) < 1e-12, "{found:?}, {expected:?}");
    };
    close(scores_of(&Magnitude, &[]), weight.iter().map(|w| w.abs()).collect());
    let times = |g: &[f64], w: &[f64]| -> Vec<f64> {
        g.iter().zip(w).map(|(g, w)| (g * w).abs()).collect()
    };
    let ce = |w: &[f64], batch| gradient_by_hand(w, batch, Loss::CrossEntropy);
    let add = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
    let normalised = |scores: Vec<f64>| -> Vec<f64> {
        let total: f64 = scores.iter().sum();
        scores.iter().map(|s| s / total).collect()
    };
    let (first, second) = (ce(&weight, &batches[0]), ce(&weight, &batches[1]));
    let snip = Snip { batches: 2, ..Snip::default() };
    close(scores_of(&snip, &batches), normalised(times(&add(&first, &second), &weight)));
    let abs_per_batch = Snip { abs_per_batch: true, ..snip };
    close(
        scores_of(&abs_per_batch, &batches),
        normalised(add(&times(&first, &weight), &times(&second, &weight))),
    );
    // Two rounds of two batches: after the first round 6 · √0.25 = 3 weights are kept.
    let force = Force {
        rounds: Rounds::new(2, Sparsity::new(0.75).unwrap()),
        batches: 2,
        ..Force::new(Sparsity::new(0.75).unwrap())
    };
    let mut order: Vec<usize> = (0..6).collect();
    let once = times(&add(&first, &second), &weight);
    order.sort_by(|&a, &b| once[b].total_cmp(&once[a]));
    let left: Vec<f64> =
        (0..6).map(|at| if order[..3].contains(&at) { weight[at] } else { 0.0 }).collect();
    let mean: Vec<f64> =
        add(&ce(&left, &batches[2]), &ce(&left, &batches[3])).iter().map(|g| g / 2.0).collect();
    close(scores_of(&force, &batches), times(&mean, &weight));
    close(scores_of(&force.clone().iter_snip(), &batches), times(&mean, &left));
    let raw = Force {
        loss: Loss::RawLogit,
        batches: 1,
        rounds: Rounds::new(1, Sparsity::new(0.75).unwrap()),
        ..force
    };
    close(
        scores_of(&raw, &batches),
        times(&gradient_by_hand(&weight, &batches[0], Loss::RawLogit), &weight),
    );
}

/// For a linear layer, the expected score of NTK-SAP is `2 ε²` times the number of images: `‖m ⊙ ε Δθ z‖²` has the derivative
/// `2 ε² Δθₖⱼ zⱼ Σₗ mₖₗ Δθₖₗ zₗ`, and `Δθ` and `z` are standard normal. 1,000 draws of 64 images leave a deviation of 5 %.
#[test]
fn ntk_sap_of_a_linear_layer_is_its_expectation() {
    let pruner = NtkSap {
        rounds: Rounds::new(1, Sparsity::new(0.5).unwrap()),
        batches: 1000,
        ..NtkSap::new(Sparsity::new(0.5).unwrap())
    };
    let expected = 2.0 * 0.01f64.powi(2) * 64_000.0;
    for score in scores_of(&pruner, &[linear_batch(1, 64, &Device::cpu())]) {
        assert!((score / expected - 1.0).abs() < 0.2, "{score} against {expected}");
    }
}
