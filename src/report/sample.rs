//! Invented runs for tests; the numbers are not measured but look realistic.

use super::{ComparedRun, Filters, ScoredLayer};
use crate::results::{EpochRow, LayerResult, Results};

/// Pseudo-random numbers between 0 and 1.
pub fn noise(seed: u64, i: usize) -> f64 {
    let mut x = (seed << 32) + i as u64 + 0x9E37_79B9_7F4A_7C15;
    for _ in 0..3 {
        x = (x ^ (x >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        x ^= x >> 27;
    }
    (x >> 11) as f64 / (1u64 << 53) as f64
}

/// Returns metrics of a training run whose test accuracy approaches `top1`.
pub fn history(epochs: usize, top1: f64, seed: u64) -> Vec<EpochRow> {
    (1..=epochs)
        .map(|epoch| {
            let far = (-6.0 * epoch as f64 / epochs as f64).exp();
            let wobble = 0.01 * (noise(seed, epoch) - 0.5);
            let test = (top1 * (1.0 - 0.5 * far) + wobble).clamp(0.0, 1.0);
            EpochRow {
                epoch,
                lr: 0.01,
                train_loss: 0.1 + 2.0 * far,
                train_top1: (test + 0.02 - 0.1 * far).clamp(0.0, 1.0),
                test_loss: 0.2 + 2.0 * far,
                test_top1: test,
                test_top5: (test + 0.05).min(1.0),
                images_per_second: 3000.0,
                data_wait: 0.01,
                seconds: 1.7 * epoch as f64,
            }
        })
        .collect()
}

/// Returns the layers of LeNet-5 if `n` is 4, otherwise `n` invented ones.
pub fn layers(n: usize, sparsity: f64, seed: u64) -> Vec<LayerResult> {
    let lenet = [("conv1", 500), ("conv2", 25_000), ("fc1", 400_000), ("fc2", 5000)];
    (0..n)
        .map(|i| {
            let (name, weights) = if n == 4 {
                (format!("{}.weight", lenet[i].0), lenet[i].1)
            } else {
                let stage = i / 20;
                (
                    format!("stage{stage}.block{}.conv{}.weight", i % 20 / 2, i % 2),
                    432 << (4 * stage),
                )
            };
            let share = (1.0 - sparsity) * (0.2 + 3.0 * noise(seed, i)).min(1.0 / (1.0 - sparsity));
            let kept = ((weights as f64 * share) as usize).max(1);
            let sparsity = 1.0 - kept as f64 / weights as f64;
            LayerResult { name, weights, kept, sparsity }
        })
        .collect()
}

/// Returns the results of a run with these layers and epochs.
pub fn results(
    pruner: &str,
    requested: f64,
    layers: Vec<LayerResult>,
    history: &[EpochRow],
) -> Results {
    let best = history
        .iter()
        .fold(history[0], |best, row| if row.test_top1 > best.test_top1 { *row } else { best });
    let last = history[history.len() - 1];
    let weights = layers.iter().map(|l| l.weights).sum();
    let weights_kept = layers.iter().map(|l| l.kept).sum();
    Results {
        version: "0.1.0".into(),
        pruner: pruner.into(),
        check: None,
        model: "lenet5".into(),
        data: "mnist5k".into(),
        sparsity_requested: requested,
        sparsity: 1.0 - weights_kept as f64 / weights as f64,
        test_top1: last.test_top1,
        test_top5: last.test_top5,
        test_loss: last.test_loss,
        best_test_top1: best.test_top1,
        best_epoch: best.epoch,
        epochs: history.len(),
        params: weights + 580,
        params_kept: weights_kept + 580,
        weights,
        weights_kept,
        effective_sparsity: Some(requested),
        flops_kept: Some(1.0 - requested),
        layers,
        prune_seconds: 0.53,
        train_seconds: last.seconds,
        device: "CPU (Flex, 2 threads)".into(),
        seed: 0,
    }
}

/// Returns log-normal scores, and a mask with one threshold for all layers.
pub fn scores(sparsity: f64) -> Vec<ScoredLayer> {
    let mut layers: Vec<ScoredLayer> = [("conv1.weight", 500, -4.0), ("fc1.weight", 40_000, -6.0)]
        .into_iter()
        .map(|(name, n, middle)| {
            let normal = |i: usize| (0..6).map(|k| noise(k + 40, i) - 0.5).sum::<f64>();
            let score = |i: usize| {
                if noise(7, i) < 0.05 { 0.0 } else { 10f64.powf(middle + normal(i)) as f32 }
            };
            let scores: Vec<f32> = (0..n).map(score).collect();
            ScoredLayer { name: name.into(), kept: Vec::new(), scores }
        })
        .collect();
    let mut all: Vec<f32> = layers.iter().flat_map(|l| l.scores.clone()).collect();
    all.sort_by(f32::total_cmp);
    let cut = all[(all.len() as f64 * sparsity) as usize];
    for layer in &mut layers {
        layer.kept = layer.scores.iter().map(|&s| s >= cut).collect();
    }
    layers
}

/// Returns random filters, which are smooth after training.
pub fn filters(shape: [usize; 4], sparsity: f64) -> Filters {
    let numel = shape.iter().product();
    let (height, width) = (shape[2] as f64, shape[3] as f64);
    let initial: Vec<f32> = (0..numel).map(|i| (noise(1, i) - 0.5) as f32).collect();
    let kept: Vec<bool> = (0..numel).map(|i| noise(2, i) >= sparsity).collect();
    let trained = (0..numel).map(|i| {
        let filter = (i / (shape[2] * shape[3])) as f64;
        let (y, x) = ((i / shape[3]) as f64 % height / height, (i % shape[3]) as f64 / width);
        let wave = (4.0 * (x * filter.sin() + y * filter.cos()) + filter).sin();
        if kept[i] { wave as f32 + 0.3 * initial[i] } else { 0.0 }
    });
    Filters { layer: "conv1.weight".into(), shape, trained: trained.collect(), initial, kept }
}

/// Returns one run of a comparison.
pub fn compared(pruner: &str, sparsity: f64, seed: u64, top1: f64) -> ComparedRun {
    let spread = 0.02 * (seed as f64 - 0.5);
    let history = history(30, top1 + spread, seed);
    let method = pruner.bytes().map(u64::from).sum::<u64>();
    let layers = match sparsity {
        0.0 => layers(4, 0.0, 0)
            .into_iter()
            .map(|l| LayerResult { kept: l.weights, sparsity: 0.0, ..l })
            .collect(),
        _ => layers(4, sparsity, method + seed),
    };
    let mut results = results(pruner, sparsity, layers, &history);
    results.seed = seed;
    ComparedRun {
        results,
        history,
        filters: Some(filters([20, 1, 5, 5], sparsity)),
        report: format!("{pruner}-{sparsity}-seed{seed}/report.html"),
    }
}
