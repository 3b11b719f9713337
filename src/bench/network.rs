//! `prospr bench train`, `prospr bench meta` and `prospr bench prune`: whole networks on random images.

use std::time::Duration;

use super::kernels::matmul_rate;
use super::measure::measure;
use super::{Bound, Limits, Options, Row, sizes};
use crate::config::{RunConfig, Settings};
use crate::forecast::Forecast;
use crate::models::{Model, by_name};
use crate::nn::{Batch, Net, Summary};
use crate::optim::Sgd;
use crate::pruners::{Method, ProsPr, Task};
use crate::train::Trainer;
use crate::{DType, Key, Params, Policy, Tensor, Tree};

/// Time limit for the measurements of one row.
const ALLOWED: Duration = Duration::from_secs(120);

/// A network with initial values and a batch of random images of its usual size.
struct Subject {
    net: Net,
    params: Params,
    state: Params,
    batch: Batch,
    /// Floating-point operations of a training step.
    step_flops: u64,
}

impl Subject {
    fn new(name: &str, options: &Options) -> anyhow::Result<Subject> {
        let Model { image, classes, .. } = *Model::of(name)?;
        let net = by_name(name, image, classes)?;
        let device = &options.device;
        let summary = Summary::of(&*net, image, device);
        let usual = if device.info().software { 8 } else { 128 };
        let n = options.batch.unwrap_or(usual);
        let (params, state) = net.init(Key::new(0), &image, DType::F32, device);
        let images = Key::new(1).normal(&[n, image[0], image[1], image[2]], DType::F32, device);
        // One label per image, or per pixel.
        let mut shape = vec![n];
        shape.extend(&summary.output[1..]);
        let count: usize = shape.iter().product();
        let labels: Vec<i32> = (0..count).map(|i| (i % classes) as i32).collect();
        let labels = Tensor::new(&labels, &shape, device)?;
        let batch = Batch { images, labels };
        (params.clone(), (state.clone(), batch.clone())).eval_leaves()?;
        Ok(Subject { net, params, state, batch, step_flops: summary.step_flops * n as u64 })
    }

    fn image(&self) -> [usize; 3] {
        let shape = self.batch.images.shape();
        [shape[1], shape[2], shape[3]]
    }

    fn size(&self) -> String {
        sizes(self.batch.images.shape())
    }
}

/// Measures a training step of a network by SGD with momentum and weight decay, without a mask. Before the measurement,
/// `watch` is called with a line about the predicted memory.
///
/// # Errors
/// If there is no such network, or the device fails.
pub fn train(model: &str, options: &Options, watch: impl FnOnce(&str)) -> anyhow::Result<Row> {
    let subject = Subject::new(model, options)?;
    let rule = Sgd::new(0.01).momentum(0.9).weight_decay(5e-4);
    let trainer = Trainer::new(&subject.net, rule).precision(options.precision);
    let forecast = Forecast::new(&subject.net, subject.image(), &options.device);
    let images = subject.batch.images.shape()[0];
    let predicted = forecast.training(rule, false, images)?.peak_bytes;
    watch(&crate::forecast::line(
        &options.device,
        vec![(format!("training step, batch {images}"), predicted)],
    ));
    let mut now = trainer.start(&subject.params, &subject.state);
    // Drop the initial values, so that they do not count in the measured peak.
    let (size, step_flops, batch) = (subject.size(), subject.step_flops, subject.batch.clone());
    drop(subject);
    let timing = measure(options, ALLOWED, || {
        now = trainer.step(&now, &batch)?;
        Ok(())
    })?;
    let row = Row {
        images_per_second: Some(images as f64 / timing.seconds),
        predicted_peak_bytes: Some(predicted),
        ..timing.row_with_first(options, format!("train {model}"), size)
    };
    drop((now, trainer));
    // Measured last, because the time of the first training step must include the device's one-time work.
    let limits = Limits { matmul: matmul_rate(options)?, ..Limits::default() };
    Ok(row.rated(Bound::Flops(step_flops), limits))
}

/// Measures ProsPr's exact meta-gradient of a network through `steps` steps of gradient descent on one batch.
///
/// # Errors
/// If there is no such network or policy, or the device fails.
pub fn meta(model: &str, steps: usize, policy: &str, options: &Options) -> anyhow::Result<Row> {
    let method = ProsPr {
        unroll: policy.parse::<Policy>().map_err(anyhow::Error::msg)?.into(),
        ..ProsPr::new(steps, Sgd::new(0.1)).same_batch()
    };
    let subject = Subject::new(model, options)?;
    let timing = measure(options, ALLOWED, || {
        let mut batches = std::iter::once(subject.batch.clone());
        let (params, state) = (&subject.params, &subject.state);
        let mut task = Task::new(&subject.net, params, state, &mut batches, Key::new(2));
        method.magnitudes(&mut task)?;
        Ok(())
    })?;
    let forecast = Forecast::new(&subject.net, subject.image(), &options.device);
    let predicted = forecast.pruning_peak(&method, subject.batch.images.shape()[0])?;
    Ok(Row {
        predicted_peak_bytes: predicted,
        steps: Some(steps),
        policy: Some(policy.into()),
        ..timing.row_with_first(options, format!("meta {model}"), subject.size())
    })
}

/// Default number of images per batch of [`prune`].
const PRUNING_BATCH: usize = 64;

/// Measures the scores of pruning methods with their default settings, all on the same batch. Iterative methods make
/// `iterations` iterations. Dense networks have no scores.
///
/// # Errors
/// If there is no such network, or the device fails.
pub fn prune(
    model: &str,
    methods: &[Method],
    iterations: usize,
    options: &Options,
    watch: &mut dyn FnMut(&Row),
) -> anyhow::Result<Vec<Row>> {
    let options = Options { batch: options.batch.or(Some(PRUNING_BATCH)), ..options.clone() };
    let subject = Subject::new(model, &options)?;
    let RunConfig { sparsity, common, .. } = RunConfig::defaults();
    let mut settings = common.prune;
    settings.iterations = Some(iterations);
    let mut rows = Vec::new();
    for method in methods {
        if *method == Method::DENSE {
            continue;
        }
        let pruner = settings.setup(*method, sparsity)?.pruner;
        let timing = measure(&options, ALLOWED, || {
            let mut batches = std::iter::repeat(subject.batch.clone());
            let (params, state) = (&subject.params, &subject.state);
            let mut task = Task::new(&subject.net, params, state, &mut batches, Key::new(2));
            pruner.scores(&mut task)?;
            Ok(())
        })?;
        let name = format!("{} {model}", method.name);
        let row = timing.row_with_first(&options, name, subject.size());
        watch(&row);
        rows.push(row);
    }
    Ok(rows)
}
