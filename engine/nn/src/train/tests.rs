//! Training steps with the loss scale of mixed precision (the CPU computes in f32) against f32, and other optimisers.

use super::*;
use crate::models::by_name;
use crate::optim::Adam;
use prospr_engine::{DType, Device, grad};

/// A small network with random parameters, and a batch of noise.
pub(crate) fn subject(device: &Device) -> (Net, Params, Params, Batch) {
    let net = by_name("lenet-5", [1, 28, 28], 10).unwrap();
    let (params, state) = net.init(Key::new(1), &[1, 28, 28], DType::F32, &Device::cpu());
    let to = |params: &Params| params.map_leaves(|t| t.to_device(device).unwrap());
    let images = Key::new(2).normal(&[8, 1, 28, 28], DType::F32, &Device::cpu());
    let labels: Vec<i32> = (0..8).map(|i| i % 3).collect();
    let batch = Batch {
        images: images.to_device(device).unwrap(),
        labels: Tensor::new(&labels, &[8], device).unwrap(),
    };
    (net, to(&params), to(&state), batch)
}

/// The state after some steps on one batch, and the loss before each step.
pub(crate) fn steps(count: usize, precision: Precision, device: &Device) -> (TrainState, Vec<f64>) {
    let (net, params, state, batch) = subject(device);
    let trainer = Trainer::new(&net, Sgd::new(0.005).momentum(0.9)).precision(precision);
    let mut now = trainer.start(&params, &state);
    let mut losses = Vec::new();
    for _ in 0..count {
        let before = now.seen.loss;
        now = trainer.step(&now, &batch).unwrap();
        losses.push((now.seen.loss - before) / 8.0);
    }
    (now, losses)
}

#[test]
fn a_loss_scale_changes_no_step() {
    let cpu = Device::cpu();
    let (a, plain) = steps(5, Precision::F32, &cpu);
    let (b, scaled) = steps(5, Precision::Mixed, &cpu);
    assert!(plain[4] < plain[0]);
    assert_eq!((a.loss_scale.steps, b.loss_scale.steps), (0, 5));
    for (x, y) in plain.iter().zip(&scaled) {
        assert!((x - y).abs() < 1e-6, "{plain:?} and {scaled:?}");
    }
}

#[test]
fn a_step_that_overflows_changes_only_the_scale() {
    let (net, params, state, batch) = subject(&Device::cpu());
    let trainer = Trainer::new(&net, Sgd::new(0.05).momentum(0.9)).precision(Precision::Mixed);
    let mut now = trainer.start(&params, &state);
    now.loss_scale.factor = 2f64.powi(127);
    let next = trainer.step(&now, &batch).unwrap();
    let values = |params: &Params| -> Vec<Vec<f64>> {
        params.leaves().iter().map(|t| t.to_f64s().unwrap()).collect()
    };
    assert_eq!(values(&next.params), values(&now.params));
    assert!(next.optimizer.buffers.is_none());
    assert_eq!(next.loss_scale.factor, 2f64.powi(126));
    assert_eq!((next.step, next.seen.batches), (1, 1));
    // These parameters give infinite gradients at any scale.
    now.loss_scale.factor = 1.0;
    let huge = params.map_leaves(|p| p * 1e12);
    let error = trainer.step(&TrainState { params: huge, ..now }, &batch);
    assert!(matches!(error, Err(Error::NonFinite { .. })));
}

/// A trainer accepts any optimiser: Adam in it equals Adam by hand, bit for bit.
#[test]
fn adam_trains() {
    let (net, params, state, batch) = subject(&Device::cpu());
    let adam = Adam::new(0.01);
    let trainer = Trainer::new(&net, adam).schedule(Schedule::Step { every: 1, gamma: 0.5 });
    let mut now = trainer.start(&params, &state);
    let (mut w, mut moments) = (params.clone(), adam.init(&params));
    for epoch in 0..3 {
        let batches = || [Ok(batch.clone()), Ok::<_, Error>(batch.clone())];
        (now, _) = trainer.epoch(now, batches(), |_| ControlFlow::Continue(())).unwrap();
        for _ in 0..2 {
            let loss = |w: &Params| {
                let (logits, _) = net.apply(w, &state, &batch.images, Mode::Train(Key::new(0)));
                cross_entropy(&logits, &batch.labels)
            };
            let rule = adam.with_lr(0.01 * 0.5f64.powi(epoch));
            (w, moments) = rule.update(&w, &grad(loss)(&w), &moments);
        }
    }
    assert_eq!((now.optimizer.steps, moments.steps), (6, 6));
    for (a, b) in now.params.leaves().iter().zip(w.leaves()) {
        assert_eq!(a.to_f64s().unwrap(), b.to_f64s().unwrap());
    }
}
