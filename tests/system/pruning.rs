//! Pruning and training: scores, masks, and training of the masked network.

use std::sync::Arc;

use prospr::config::{RunConfig, Settings};
use prospr::datasets::{Augment, Loader, mnist5k};
use prospr::experiment::{Experiment, Outcome, Unwatched};
use prospr::models::{LeNet5, by_name};
use prospr::nn::{Batch, Mode, Net};
use prospr::optim::Sgd;
use prospr::prelude::*;
use prospr::pruners::{
    Grasp, Mask, MaskOptions, Method, ProsPr, Pruner, Random, Rounds, Snip, Sparsity, SynFlow,
    Task, prunable,
};
use prospr::run_folder::RunFolder;
use prospr::train::Trainer;

use crate::support::{Fixture, each_device, gpu, relative_l2};

/// Shape of LeNet-5's images.
const MNIST: [usize; 3] = [1, 28, 28];

fn scores(
    pruner: &dyn Pruner,
    net: &Net,
    batches: Vec<Batch>,
    device: &Device,
    dtype: DType,
) -> Params {
    let start = net.init(Key::new(3), &MNIST, dtype, device);
    scores_from(&start, pruner, net, batches)
}

fn scores_from(
    (params, state): &(Params, Params),
    pruner: &dyn Pruner,
    net: &Net,
    batches: Vec<Batch>,
) -> Params {
    let batches = &mut batches.into_iter();
    let mut task = Task::new(net, params, state, batches, Key::new(4));
    pruner.scores(&mut task).unwrap()
}

fn flat(params: &Params) -> Vec<f64> {
    params.iter().flat_map(|(.., t)| t.to_f64s().unwrap()).collect()
}

#[test]
fn the_pruner_computes_algorithm_one() {
    for (name, steps, sgd) in [
        ("smallvgg_full_m1", 1, Sgd::new(0.1)),
        ("smallvgg_full_m3_mom", 3, Sgd::new(0.1).momentum(0.9).stop_first_momentum_gradient()),
    ] {
        let fixture = Fixture::load(name);
        each_device(|device, dtype| {
            let net = by_name("vgg:8,M,16,M,32,32,M", [3, 8, 8], 10).unwrap();
            let (_, state) = net.init(Key::new(0), &[3, 8, 8], dtype, device);
            let batch = |i| {
                let (images, labels) = fixture.batch(i, dtype, device);
                Batch { images, labels }
            };
            let found = scores_from(
                &(fixture.params(dtype, device), state),
                &ProsPr::new(steps, sgd),
                &net,
                (0..=steps).map(batch).collect(),
            );
            let mut expected: Vec<f64> = found
                .iter()
                .flat_map(|(name, ..)| fixture.tensors[&format!("score.{name}")].1.clone())
                .collect();
            let total: f64 = expected.iter().sum();
            expected.iter_mut().for_each(|score| *score /= total);
            let error = relative_l2(&flat(&found), &expected);
            assert!(
                error <= if dtype == DType::F64 { 1e-5 } else { 1e-3 },
                "{name} on {device}: {error:.2e}"
            );
        });
    }
}

fn loader(device: &Device, batch_size: usize) -> Loader {
    let data = mnist5k();
    Loader {
        split: data.train,
        normalization: data.normalization,
        batch_size,
        augment: Augment::default(),
        skipped: None,
        device: device.clone(),
        dtype: DType::F32,
    }
}

fn batches(device: &Device, size: usize, count: usize) -> Vec<Batch> {
    loader(device, size).epoch(Key::new(1)).take(count).map(|b| b.unwrap()).collect()
}

#[test]
fn masks_agree_between_cpu_and_gpu() {
    let net: Net = Arc::new(LeNet5 { classes: 10 });
    let mask = |pruner: &dyn Pruner, device: &Device| {
        let scores = scores(pruner, &net, batches(device, 16, 3), device, DType::F32);
        let mask =
            Mask::new(&scores, Sparsity::new(0.9).unwrap(), &MaskOptions::default()).unwrap();
        assert_eq!(mask.kept(), 43_050);
        flat(&mask.tensors(DType::F32, &Device::cpu()).unwrap())
    };
    let prospr = ProsPr::new(2, Sgd::new(0.1));
    let grasp = Grasp { batches: 2, ..Grasp::default() };
    let synflow = SynFlow { rounds: Rounds::new(5, Sparsity::new(0.9).unwrap()), input: None };
    let cases: [&dyn Pruner; 7] = [
        &prospr,
        &prospr.first_order(),
        &prospr.same_batch(),
        &Snip::default(),
        &grasp,
        &synflow,
        &Random,
    ];
    for pruner in cases {
        let (a, b) = (mask(pruner, &Device::cpu()), mask(pruner, &gpu()));
        let differing = a.iter().zip(&b).filter(|(a, b)| a != b).count();
        println!("{}: {differing} of {} mask entries differ", pruner.name(), a.len());
        assert!(differing as f64 <= 1e-3 * a.len() as f64, "{}: {differing} differ", pruner.name());
    }
}

#[test]
fn snip_is_prospr_without_steps() {
    let device = Device::cpu();
    let net: Net = Arc::new(LeNet5 { classes: 10 });
    let data = batches(&device, 16, 1);
    let found = scores(&ProsPr::new(0, Sgd::new(0.1)), &net, data.clone(), &device, DType::F32);
    let (params, state) = net.init(Key::new(3), &MNIST, DType::F32, &device);
    let grads = grad(|w: &Params| {
        let (logits, _) = net.apply(w, &state, &data[0].images, Mode::Train(Key::new(0)));
        prospr::nn::cross_entropy(&logits, &data[0].labels)
    })(&params);
    let mut expected = flat(&prunable(&grads).zip_leaves(&prunable(&params), |g, w| (g * w).abs()));
    let total: f64 = expected.iter().sum();
    expected.iter_mut().for_each(|score| *score /= total);
    assert!(relative_l2(&flat(&found), &expected) < 1e-5);
    let snip = scores(&Snip::default(), &net, data, &device, DType::F32);
    assert_eq!(flat(&snip), flat(&found));
}

/// Weights removed by SynFlow's iterations have score 0, and the mask at the final sparsity keeps the best of the others.
#[test]
fn synflow_removes_weights_in_each_iteration() {
    let device = Device::cpu();
    let net: Net = Arc::new(LeNet5 { classes: 10 });
    let run = |iterations, input, data| {
        let final_sparsity = Sparsity::new(0.9).unwrap();
        let pruner = SynFlow { rounds: Rounds::new(iterations, final_sparsity), input };
        flat(&scores(&pruner, &net, data, &device, DType::F64))
    };
    let zeros = |scores: &[f64]| scores.iter().filter(|s| **s == 0.0).count();
    let once = run(1, Some([1, 28, 28]), Vec::new());
    assert_eq!(zeros(&once), 0);
    // Two iterations: the first one keeps a fraction √0.1 of the weights.
    let twice = run(2, None, batches(&device, 8, 1));
    let kept = (430_500.0 * 0.1f64.sqrt()).ceil() as usize;
    assert_eq!(zeros(&twice), 430_500 - kept);
    assert_eq!(twice, run(2, Some([1, 28, 28]), Vec::new()));
}

/// If the weights of all four layers are multiplied by 2³⁰ (in f64 by 2³⁰⁰), the scores exceed the range of the type.
/// Rescaled, they equal the scores of the original weights times one power of two, bit for bit.
#[test]
fn synflow_rescales_scores_beyond_the_range_of_the_type() {
    each_device(|device, dtype| {
        let net: Net = Arc::new(LeNet5 { classes: 10 });
        let (params, state) = net.init(Key::new(3), &MNIST, dtype, device);
        let biased = params.map_leaves(|w| w + 0.01);
        let pruner = SynFlow {
            rounds: Rounds::new(2, Sparsity::new(0.9).unwrap()),
            input: Some([1, 28, 28]),
        };
        let scores = |factor: f64| {
            let mut depth = 0;
            let large = biased.map_leaves(|w| {
                // A bias comes after its weight and is scaled like the sum that it is added to.
                depth += usize::from(w.rank() > 1);
                w * match w.rank() {
                    1 => factor.powi(depth as i32),
                    _ => factor,
                }
            });
            let none = &mut std::iter::empty();
            let mut task = Task::new(&net, &large, &state, none, Key::new(4));
            pruner.scores(&mut task).map(|scores| flat(&scores))
        };
        let factor = if dtype == DType::F64 { 300.0 } else { 30.0 };
        let (plain, large) = (scores(1.0).unwrap(), scores(f64::exp2(factor)).unwrap());
        let ratios = large.iter().zip(&plain).filter(|(_, p)| **p > 0.0);
        let ratios: Vec<f64> = ratios.map(|(l, p)| l / p).collect();
        assert!(ratios.len() >= 43_050 && ratios[0].log2().fract() == 0.0);
        assert!(ratios.iter().all(|r| *r == ratios[0]), "on {device}");
        assert!(plain.iter().zip(&large).all(|(p, l)| (*p > 0.0) == (*l > 0.0)));
        if dtype == DType::F32 {
            let error = scores(1e37).unwrap_err().to_string();
            assert!(error.contains("leave the range of F32"), "{error}");
        }
    });
}

#[test]
fn too_little_data_is_an_error() {
    let device = Device::cpu();
    let net: Net = Arc::new(LeNet5 { classes: 10 });
    let (params, state) = net.init(Key::new(3), &MNIST, DType::F32, &device);
    let mut two = batches(&device, 8, 2).into_iter();
    let mut task = Task::new(&net, &params, &state, &mut two, Key::new(4));
    let error = ProsPr::new(3, Sgd::new(0.1)).scores(&mut task).unwrap_err().to_string();
    assert!(error.contains("4 batches are needed") && error.contains("gave 2"), "{error}");
}

/// Momentum and weight decay must not change pruned weights.
#[test]
fn pruned_weights_stay_exactly_zero() {
    each_device(|device, dtype| {
        if dtype == DType::F64 {
            return; // The loader of this test makes f32.
        }
        let net: Net = Arc::new(LeNet5 { classes: 10 });
        let (params, state) = net.init(Key::new(0), &MNIST, dtype, device);
        let scores = scores(&Random, &net, Vec::new(), device, dtype);
        let mask =
            Mask::new(&scores, Sparsity::new(0.95).unwrap(), &MaskOptions::default()).unwrap();
        let mask = mask.tensors(dtype, device).unwrap();
        let optimizer = Sgd::new(0.05).momentum(0.9).weight_decay(1e-3);
        let trainer = Trainer::new(&net, optimizer).mask(mask.clone());
        let data = batches(device, 8, 3).into_iter().map(Ok::<_, Error>);
        let now = trainer.fit(&params, &state, 1, |_| data.clone()).unwrap();
        assert_eq!((now.step, now.epoch), (3, 1));
        for (name, _, mask) in mask.iter() {
            let (w, m) = (now.params[name].to_f64s().unwrap(), mask.to_f64s().unwrap());
            assert!(w.iter().zip(&m).all(|(w, m)| *m == 1.0 || w.to_bits() << 1 == 0), "{name}");
            assert!(w.iter().any(|w| *w != 0.0));
        }
    });
}

/// The same configuration gives the same losses on the CPU and on the GPU, step by step.
#[test]
fn ten_steps_agree_between_cpu_and_gpu() {
    let net: Net = Arc::new(LeNet5 { classes: 10 });
    let losses = |device: &Device| -> Vec<f64> {
        let (params, state) = net.init(Key::new(3), &MNIST, DType::F32, device);
        let found = scores(
            &ProsPr::new(1, Sgd::new(0.1)),
            &net,
            batches(device, 32, 2),
            device,
            DType::F32,
        );
        let sparsity = Sparsity::new(0.9).unwrap();
        let mask = Mask::new(&found, sparsity, &MaskOptions::default()).unwrap();
        let trainer = Trainer::new(&net, Sgd::new(0.05).momentum(0.9).weight_decay(5e-4))
            .mask(mask.tensors(DType::F32, device).unwrap());
        let mut now = trainer.start(&params, &state);
        let mut seen = 0.0;
        let step = |batch: &Batch| {
            now = trainer.step(&now, batch).unwrap();
            let loss = now.seen.loss / 32.0 - seen;
            seen += loss;
            loss
        };
        batches(device, 32, 10).iter().map(step).collect()
    };
    let (cpu, gpu) = (losses(&Device::cpu()), losses(&gpu()));
    println!("losses on the CPU {cpu:.4?}, on the GPU {gpu:.4?}");
    assert_eq!(cpu.len(), 10);
    for (a, b) in cpu.iter().zip(&gpu) {
        assert!((a - b).abs() <= 1e-3 * a.abs(), "{a} against {b}");
    }
}

#[test]
fn training_stops_at_a_loss_that_is_not_finite() {
    let device = Device::cpu();
    let net: Net = Arc::new(LeNet5 { classes: 10 });
    let (params, state) = net.init(Key::new(3), &MNIST, DType::F32, &device);
    let data = batches(&device, 16, 20).into_iter().map(Ok::<_, Error>);
    let error =
        Trainer::new(&net, Sgd::new(1e6)).fit(&params, &state, 1, |_| data.clone()).err().unwrap();
    assert!(matches!(error, Error::NonFinite { step: 1.., .. }), "{error}");
}

#[test]
fn prospr_beats_random() {
    let run = |pruner| {
        let mut config = RunConfig::defaults();
        config.pruner = Method::named(pruner).unwrap();
        let train = &mut config.common.train;
        (train.epochs, train.batch_size, train.lr) = (2, 64, 0.02);
        train.milestones = Some(Vec::new());
        let folder = tempfile::tempdir().unwrap();
        let folder = RunFolder::create(folder.path(), "").unwrap();
        let experiment = Experiment::new(config, &Device::cpu()).unwrap();
        match experiment.run(&folder, &mut Unwatched).unwrap() {
            Outcome::Finished(results) => results,
            Outcome::Stopped { .. } => panic!("nobody stopped it"),
        }
    };
    let (prospr, random) = (run("prospr"), run("random"));
    println!("top-1: ProsPr {:.3}, random {:.3}", prospr.test_top1, random.test_top1);
    assert_eq!((prospr.weights, prospr.weights_kept), (430_500, 8_610));
    assert_eq!((prospr.params, prospr.params_kept), (431_080, 9_190));
    assert_eq!(random.weights_kept, prospr.weights_kept);
    assert!(prospr.test_top1 > random.test_top1 + 0.1 && prospr.test_top1 > 0.7);
    assert!(prospr.test_top5 >= prospr.test_top1);
}
