//! Networks that `prospr verify` infers from files written by these tests, and equality of the library's networks with
//! those of the fixtures.

use std::sync::Arc;

use prospr::models::{Block, Head, PoolKind, ResNet, Shortcut, Stage, Vgg, VggLayer};
use prospr::nn::{Batch, Mode, Net, Network};
use prospr::optim::Sgd;
use prospr::prelude::*;
use prospr::pruners::{
    Grasp, Mask, MaskOptions, NormMode, ProsPr, Pruner, Rounds, Snip, Sparsity, SynFlow, Task,
};
use serde_json::{Value, json};

use crate::networks::{self, Kinks};
use crate::support::{Archive, Fixture, each_device, relative_l2};
use crate::verify::{run, save};

/// Returns initial parameters, running statistics that differ from 0 and 1, and batches.
fn start(net: &dyn Network, image: [usize; 3]) -> (Params, Params, Vec<Batch>) {
    let device = Device::cpu();
    let [init, noise, data] = Key::new(7).split();
    let (params, state) = net.init(init, &image, DType::F64, &device);
    let state = state.map_leaves(|s| {
        let noise = noise.uniform(s.shape(), DType::F64, &device);
        s + noise * 0.1
    });
    let [c, h, w] = image;
    let batch = |i| {
        let key = data.fold_in(i);
        let labels: Vec<i32> = (0..4).map(|n| (n + i as i32) % 3).collect();
        Batch {
            images: key.normal(&[4, c, h, w], DType::F64, &device),
            labels: Tensor::new(&labels, &[4], &device).unwrap(),
        }
    };
    (params, state, (0..4).map(batch).collect())
}

fn insert(archive: &mut Archive, prefix: &str, params: &Params) {
    for (name, _, tensor) in params.iter() {
        let array = (tensor.shape().to_vec(), tensor.to_f64s().unwrap());
        archive.tensors.insert(format!("{prefix}{name}"), array);
    }
}

/// Writes the scores of a pruner on a network, and verifies the file.
fn round_trip(
    net: impl Network + std::fmt::Display + Clone + 'static,
    image: [usize; 3],
    scores: impl FnOnce(&mut Task<'_>) -> Params,
    case: Value,
) {
    let (params, state, batches) = start(&net, image);
    let (name, net): (String, Net) = (net.to_string(), Arc::new(net));
    let mut archive = Archive::default();
    let mut task = Task {
        net: &net,
        params: &params,
        state: &state,
        batches: &mut batches.clone().into_iter(),
        key: Key::new(0),
    };
    let scores = scores(&mut task);
    insert(&mut archive, "score.", &scores);
    let sparsity = Sparsity::new(0.5).unwrap();
    let mask = Mask::new(&scores, sparsity, &MaskOptions::default()).unwrap();
    insert(&mut archive, "mask.", &mask.tensors(DType::F64, &Device::cpu()).unwrap());
    insert(&mut archive, "init.", &params);
    insert(&mut archive, "init.", &state);
    if case["method"] != "synflow" {
        for (i, batch) in batches.iter().enumerate() {
            let mut both = Params::new();
            both.insert("x", Role::Buffer, batch.images.clone());
            both.insert("y", Role::Buffer, batch.labels.clone());
            insert(&mut archive, &format!("batch.{i}."), &both);
        }
    }
    archive.metadata.insert("case".into(), case.to_string());
    let report = run(save(&archive), Device::cpu()).unwrap();
    println!("{report}\n");
    assert!(report.ok && report.agreement.error() < 1e-12, "{report}");
    assert_eq!((report.network, report.agreement.mask_agreement), (name, Some(1.0)));
}

fn layers(text: &str) -> Vec<VggLayer> {
    text.split(',').map(|layer| layer.parse().unwrap()).collect()
}

/// Returns a network without a pool at the end, batch norm or biases, with average pools, a flattening classifier, and
/// other names.
fn plain_vgg() -> Vgg {
    Vgg {
        batch_norm: false,
        conv_bias: false,
        linear_bias: false,
        pool: PoolKind::Average,
        head: Head::Flatten,
        prefix: "net.body.".into(),
        classifier: "head".into(),
        ..Vgg::new(layers("4k5,M,6,3"), 3)
    }
}

#[test]
fn other_vggs_are_recognised() {
    let prospr = ProsPr::new(2, Sgd::new(0.1).momentum(0.9));
    round_trip(
        plain_vgg(),
        [1, 6, 5],
        |task| prospr.magnitudes(task).unwrap(),
        json!({"num_steps": 2, "inner_lr": 0.1, "inner_momentum": 0.9}),
    );
    round_trip(
        Vgg { prefix: String::new(), ..Vgg::new(layers("5,4,M,6"), 3) },
        [3, 8, 8],
        |task| prospr.first_order().same_batch().structured().magnitudes(task).unwrap(),
        json!({
            "method": "first_order", "num_steps": 2, "inner_lr": 0.1, "inner_momentum": 0.9,
            "new_data_in_inner": false, "structured": true,
        }),
    );
    let square = Vgg { head: Head::Flatten, ..plain_vgg() };
    round_trip(
        square,
        [1, 8, 8],
        |task| {
            SynFlow { rounds: Rounds::new(7, Sparsity::new(0.5).unwrap()), input: Some([1, 8, 8]) }
                .scores(task)
                .unwrap()
        },
        json!({"method": "synflow", "iterations": 7, "density": 0.5}),
    );
}

#[test]
fn other_resnets_are_recognised() {
    let small = ResNet {
        stem: 4,
        stages: vec![Stage { width: 5, blocks: 2 }, Stage { width: 6, blocks: 1 }],
        shortcut: Shortcut::Project,
        linear: "fc".into(),
        ..ResNet::resnet20(3)
    };
    let snip = Snip { abs_per_batch: false, batches: 3, mode: NormMode::Train };
    round_trip(
        small.clone(),
        [2, 7, 7],
        |task| snip.scores(task).unwrap(),
        json!({"method": "snip", "sum_over_batches": 3, "bn": "train mode"}),
    );
    let grasp = Grasp { batches: 2, mode: NormMode::Eval, ..Grasp::default() };
    round_trip(
        ResNet {
            large_images: true,
            block: Block::Bottleneck,
            projection: "downsample".into(),
            ..small.clone()
        },
        [2, 17, 17],
        |task| snip.scores(task).unwrap(),
        json!({"method": "snip", "sum_over_batches": 3, "bn": "train mode"}),
    );
    round_trip(
        ResNet { shortcut: Shortcut::Pad, ..small },
        [2, 7, 7],
        |task| grasp.scores(task).unwrap(),
        json!({"method": "grasp", "sum_over_batches": 2, "bn": "eval mode"}),
    );
}

#[test]
fn models_equal_the_fixtures_networks() {
    let vgg = Vgg::new(layers("8,M,16,M,32,32,M"), 10);
    let cases: [(&str, &dyn Network, networks::Network); 2] = [
        ("smallvgg_full_m1", &vgg, networks::vgg),
        ("resnet20_full_m3", &ResNet::resnet20(10), networks::resnet20),
    ];
    for (name, net, reference) in cases {
        let fixture = Fixture::load(name);
        each_device(|device, dtype| {
            let params = fixture.params(dtype, device);
            let (x, _) = fixture.batch(0, dtype, device);
            let (_, state) = net.init(Key::new(0), &x.shape()[1..], dtype, device);
            let (logits, next) = net.apply(&params, &state, &x, Mode::Train(Key::new(0)));
            let expected = reference(&params, &x, Kinks::Kept).to_f64s().unwrap();
            assert!(relative_l2(&logits.to_f64s().unwrap(), &expected) < 1e-6, "{name}");
            assert_eq!(next.len(), state.len());
        });
    }
}
