//! ProsPr's scores against those of the reference implementation, computed by PyTorch in f64.

use prospr::nn::cross_entropy;
use prospr::optim::{Optimizer, Sgd};
use prospr::prelude::*;

use crate::networks::{Kinks, Network, resnet20, vgg};
use crate::support::{Fixture, each_device, relative_l2};

/// Computes the scores |∂L(w_M, D_M)/∂c| of Algorithm 1 by name, for the case that the fixture's metadata describes.
fn scores(
    fixture: &Fixture,
    network: Network,
    kinks: Kinks,
    policy: Policy,
    device: &Device,
    dtype: DType,
) -> Params {
    let case = &fixture.case;
    let steps = case["num_steps"].as_u64().unwrap() as usize;
    let mut sgd = Sgd::new(case["inner_lr"].as_f64().unwrap())
        .momentum(case["inner_momentum"].as_f64().unwrap());
    if case["momentum_note"].is_string() {
        sgd = sgd.stop_first_momentum_gradient();
    }
    let structured = case["structured"].as_bool().unwrap_or(false);
    let batches: Vec<(Tensor, Tensor)> =
        (0..=steps).map(|i| fixture.batch(i, dtype, device)).collect();
    let init = fixture.params(dtype, device);

    let scored = init.filter(|name, role| {
        role == Role::Weight && !(structured && name.starts_with("classifier"))
    });
    let masks = scored.map_leaves(|w| match structured {
        true => Tensor::ones(&[w.shape()[0], 1, 1, 1], dtype, device),
        false => w.ones_like(),
    });
    let loss = move |w: &Params, (x, y): &(Tensor, Tensor)| cross_entropy(&network(w, x, kinks), y);
    let step = move |(w, state): &(Params, _), batch: &(Tensor, Tensor)| {
        let (value, grads) = value_and_grad(|w: &Params| loss(w, batch))(w);
        (sgd.update(w, &grads, state), value)
    };

    if case["method"] == "first_order" {
        let mut state = (init.clone(), sgd.init(&init));
        (state, _) = unroll(step, &state, &batches[..steps], policy).unwrap();
        let grads = grad(|w: &Params| loss(w, &batches[steps]))(&state.0);
        return scored
            .zip_leaves(&grads.filter(|name, _| scored.get(name).is_some()), |w, g| (w * g).abs());
    }
    let meta_loss = |masks: &Params| {
        let w = init.with(&masks.zip_leaves(&scored, |c, w| c * w));
        let state = (w.clone(), sgd.init(&w));
        let ((w, _), losses) = unroll(step, &state, &batches[..steps], policy)?;
        Ok::<_, Error>((loss(&w, &batches[steps]), losses))
    };
    let (_, gradient) = try_value_and_grad(meta_loss)(&masks).unwrap();
    gradient.map_leaves(Tensor::abs)
}

/// Returns all scores in the order of their names, and PyTorch's scores in the same order.
fn flat(fixture: &Fixture, scores: &Params) -> (Vec<f64>, Vec<f64>) {
    let (mut found, mut expected) = (Vec::new(), Vec::new());
    for (name, _, score) in scores.iter() {
        found.extend(score.to_f64s().unwrap());
        expected.extend(&fixture.tensors[&format!("score.{name}")].1);
    }
    let all =
        fixture.tensors.iter().filter(|(k, _)| k.starts_with("score.")).map(|(_, t)| t.1.len());
    assert_eq!(expected.len(), all.sum::<usize>(), "every score is compared");
    (found, expected)
}

/// Checks the relative L2 error against PyTorch in f64: at most 1e-5 in f64 and `f32_bar` in f32.
fn check(name: &str, network: Network, f32_bar: f64) {
    let fixture = Fixture::load(name);
    each_device(|device, dtype| {
        let kept = Kinks::Kept;
        let (found, expected) =
            flat(&fixture, &scores(&fixture, network, kept, Policy::PerStep, device, dtype));
        let error = relative_l2(&found, &expected);
        println!("{name} on {device} in {dtype}: relative L2 error {error:.2e}");
        let bar = if dtype == DType::F64 { 1e-5 } else { f32_bar };
        assert!(error <= bar, "{name} on {device} in {dtype}: {error:.2e} exceeds {bar:.0e}");
    });
}

/// Compares f32 with our own f64 for the same case without kinks; `check` compares our f64 with PyTorch's.
fn check_smooth(name: &str, network: Network) {
    let fixture = Fixture::load(name);
    let run = |device: &Device, dtype| {
        flat(&fixture, &scores(&fixture, network, Kinks::Smoothed, Policy::PerStep, device, dtype))
            .0
    };
    let exact = run(&Device::cpu(), DType::F64);
    each_device(|device, dtype| {
        let error = relative_l2(&run(device, dtype), &exact);
        println!("{name} without kinks on {device} in {dtype}: relative L2 error {error:.2e}");
        assert!(error <= 1e-3, "{name} without kinks on {device} in {dtype}: {error:.2e}");
    });
}

#[test]
fn one_step() {
    check("smallvgg_full_m1", vgg, 1e-3);
}

#[test]
fn three_steps_with_momentum() {
    check("smallvgg_full_m3_mom", vgg, 1e-3);
}

#[test]
fn structured() {
    check("smallvgg_structured_m3", vgg, 1e-3);
}

// These two cases are ill-conditioned: some activations are so near a kink that rounding decides on which side they
// are. The errors of PyTorch's own f32 against its f64 are 9.0e-3 and 2.7e-1; docs/decisions/0003 has the measurements.
// So f32 may have twice the error of PyTorch's f32 here, and at most 1e-3 on the same cases without kinks.

#[test]
fn first_order() {
    check("smallvgg_first_order_m5", vgg, 2.0 * 9.0e-3);
    check_smooth("smallvgg_first_order_m5", vgg);
}

#[test]
fn resnet20_three_steps() {
    check("resnet20_full_m3", resnet20, 2.0 * 2.7e-1);
}

#[test]
fn resnet20_three_steps_without_kinks() {
    check_smooth("resnet20_full_m3", resnet20);
}
