//! Requirements that every pruning method must meet.

use prospr::config::{RunConfig, Settings};
use prospr::datasets::{Augment, Loader, mnist5k};
use prospr::experiment::Experiment;
use prospr::models::by_name;
use prospr::nn::{Batch, Net};
use prospr::prelude::*;
use prospr::pruners::{Mask, Method, NormMode, Setup, Sparsity, Task, methods};
use prospr::run_folder::RunFolder;

use crate::support::gpu;

/// A small network with batch norm.
const NETWORK: &str = "vgg:8,M,16";
const IMAGE: [usize; 3] = [1, 28, 28];

fn net() -> Net {
    by_name(NETWORK, IMAGE, 10).unwrap()
}

fn batches(device: &Device, count: usize) -> Vec<Batch> {
    let data = mnist5k();
    let loader = Loader {
        split: data.train,
        normalization: data.normalization,
        batch_size: 8,
        augment: Augment::default(),
        skipped: None,
        device: device.clone(),
        dtype: DType::F32,
    };
    let batches = loader.epoch(Key::new(1)).take(count);
    batches.map(Result::unwrap).collect()
}

/// Returns the settings of a method: two batches, four rounds. Each layer keeps at least one weight, because
/// GraSP would
/// otherwise remove the whole classifier.
fn config(method: Method, sparsity: f64) -> RunConfig {
    let mut config = RunConfig::defaults();
    (config.pruner, config.sparsity) = (method, sparsity);
    config.common.network.model = NETWORK.into();
    let prune = &mut config.common.prune;
    (prune.prune_batch_size, prune.steps) = (8, 2);
    (prune.prune_batches, prune.iterations) = (Some(2), Some(4));
    prune.min_per_layer = 1;
    config
}

fn setup(config: &RunConfig) -> anyhow::Result<Setup> {
    config.common.prune.setup(config.pruner, config.sparsity)
}

/// Returns the methods that read a setting.
fn readers(name: &str) -> Vec<Method> {
    let reads = |method: &Method| {
        let read = setup(&config(*method, 0.8)).unwrap().settings;
        read.iter().any(|setting| setting.name == name)
    };
    methods().into_iter().filter(reads).collect()
}

/// Computes the mask from these batches.
fn mask(config: &RunConfig, device: &Device, batches: Vec<Batch>) -> anyhow::Result<Mask> {
    let net = net();
    let (params, state) = net.init(Key::new(3), &IMAGE, DType::F32, device);
    let setup = setup(config)?;
    let batches = &mut batches.into_iter();
    let mut task = Task::new(&net, &params, &state, batches, Key::new(4));
    let scores = setup.pruner.scores(&mut task)?;
    let sparsity = Sparsity::new(config.sparsity)?;
    Ok(Mask::new(&scores, sparsity, &setup.mask)?)
}

fn values(scores: &Params) -> Vec<f64> {
    let values = scores.iter().flat_map(|(.., s)| s.to_f64s().unwrap());
    values.collect()
}

fn entries(mask: &Mask) -> Vec<bool> {
    mask.layers().iter().flat_map(|l| l.keep.clone()).collect()
}

fn differing(a: &Mask, b: &Mask) -> f64 {
    let (a, b) = (entries(a), entries(b));
    a.iter().zip(&b).filter(|(a, b)| a != b).count() as f64 / a.len() as f64
}

/// Number of prunable weights: layers with 8, 16 and 10 outputs.
const WEIGHTS: usize = 8 * 9 + 16 * 8 * 9 + 10 * 16;

#[test]
fn masks_are_exact_and_the_same_on_the_cpu_and_the_gpu() {
    for method in methods() {
        let config = config(method, 0.8);
        let of = |device: &Device| mask(&config, device, batches(device, 8)).unwrap();
        let (cpu, gpu) = (of(&Device::cpu()), of(&gpu()));
        let kept = (WEIGHTS as f64 * 0.2 - 1e-9).ceil() as usize;
        assert_eq!((cpu.weights(), cpu.kept()), (WEIGHTS, kept), "{method:?}");
        assert_eq!(gpu.kept(), kept, "{method:?}");
        assert!(cpu == of(&Device::cpu()), "{method:?} is not deterministic");
        let share = differing(&cpu, &gpu);
        println!("{}: {:.3} % differ", method.name, 100.0 * share);
        assert!(share <= 1e-3, "{method:?}: {share}");
    }
}

#[test]
fn sums_do_not_depend_on_the_order_of_batches() {
    for method in readers("prune_batches") {
        let mut config = config(method, 0.8);
        config.common.prune.iterations = Some(1);
        let forth = batches(&Device::cpu(), 2);
        let back = forth.iter().rev().cloned().collect();
        let a = mask(&config, &Device::cpu(), forth).unwrap();
        let share = differing(&a, &mask(&config, &Device::cpu(), back).unwrap());
        assert!(share <= 1e-3, "{method:?}: {share}");
    }
}

#[test]
fn extreme_sparsities_are_exact_or_errors() {
    for method in methods() {
        let of = |sparsity, change: fn(&mut RunConfig)| {
            let mut config = config(method, sparsity);
            change(&mut config);
            mask(&config, &Device::cpu(), batches(&Device::cpu(), 8))
        };
        assert_eq!(of(0.0, |_| ()).unwrap().kept(), WEIGHTS, "{method:?}");
        let error = of(1.0, |_| ()).unwrap_err().to_string();
        assert!(error.contains("not in [0, 1)"), "{method:?}: {error}");
        // Two kept weights are too few for three layers.
        let error = of(1.0 - 2.0 / WEIGHTS as f64, |c| c.common.prune.min_per_layer = 0);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("--min-per-layer 1"), "{method:?}: {error}");
        let error = of(1.0 - 2.0 / WEIGHTS as f64, |_| ());
        let error = error.unwrap_err().to_string();
        assert!(error.contains("at least 3 weights"), "{method:?}: {error}");
        let few = of(0.99, |c| c.common.prune.min_per_layer = 3).unwrap();
        assert!(few.layers().iter().all(|layer| layer.kept() >= 3));
        assert_eq!(few.kept(), 14, "{method:?}");
        let whole = of(0.9, |c| {
            let prune = &mut c.common.prune;
            (prune.keep, prune.sparsity_excludes_kept) =
                (vec!["first".into(), "last".into()], true);
            prune.min_per_layer = 1;
        });
        let kept: Vec<usize> = whole.unwrap().layers().iter().map(|l| l.kept()).collect();
        assert_eq!(kept, [72, 116, 160], "{method:?}");
    }
}

/// A NaN weight gives NaN scores, and masks of NaN scores are an error.
#[test]
fn nan_scores_are_an_error() {
    let net = net();
    let (params, state) = net.init(Key::new(3), &IMAGE, DType::F32, &Device::cpu());
    let wrong = params.map_leaves(|w| match w.rank() {
        4 => w * f64::NAN,
        _ => w.clone(),
    });
    let halved = params.map_leaves(|w| w * 0.5);
    for method in methods() {
        let setup = setup(&config(method, 0.8)).unwrap();
        let scores = |params: &Params| {
            let batches = &mut batches(&Device::cpu(), 8).into_iter();
            let mut task = Task::new(&net, params, &state, batches, Key::new(4));
            setup.pruner.scores(&mut task)
        };
        // Some methods do not read the weights, so their scores are finite for NaN weights too.
        let blind = values(&scores(&params).unwrap()) == values(&scores(&halved).unwrap());
        let sparsity = Sparsity::new(0.8).unwrap();
        let mask = scores(&wrong).and_then(|scores| Mask::new(&scores, sparsity, &setup.mask));
        assert_eq!(mask.is_ok(), blind, "{method:?}");
        if let Err(error) = mask {
            let error = error.to_string();
            let said =
                ["not finite", "non-finite", "leave the range"].iter().any(|s| error.contains(s));
            assert!(said, "{method:?}: {error}");
        }
    }
}

/// Every method makes a mask from a data set, with usual batches and with batches of two images of each class.
#[test]
fn methods_get_the_batches_that_they_need() {
    for method in methods() {
        let run = |change: fn(&mut RunConfig)| {
            let mut config = config(method, 0.8);
            change(&mut config);
            let folder = tempfile::tempdir().unwrap();
            let folder = RunFolder::create(folder.path(), "").unwrap();
            let experiment = Experiment::new(config, &Device::cpu()).unwrap();
            let initial = experiment.initial().unwrap();
            experiment.prune(&folder, &initial).map(|pruned| pruned.mask.unwrap())
        };
        let kept = run(|_| ()).unwrap().kept();
        let balanced = |c: &mut RunConfig| c.common.prune.prune_per_class = Some(2);
        let first = run(balanced).unwrap();
        assert_eq!(first.kept(), kept);
        assert!(first == run(balanced).unwrap(), "{method:?}");
        let error = run(|c| c.common.prune.prune_per_class = Some(1000)).unwrap_err();
        let error = error.to_string();
        assert!(error.contains("images, but 1000") && error.contains("class"), "{error}");
        run(|c| c.common.prune.prune_norm = NormMode::Eval).unwrap();
    }
}

/// The other iterative methods never restore a removed weight.
#[test]
fn only_force_restores_removed_weights() {
    let zeros = |method| {
        let setup = setup(&config(method, 0.9)).unwrap();
        let (net, device) = (net(), Device::cpu());
        let (params, state) = net.init(Key::new(3), &IMAGE, DType::F32, &device);
        let batches = &mut batches(&device, 8).into_iter();
        let mut task = Task::new(&net, &params, &state, batches, Key::new(4));
        let scores = setup.pruner.scores(&mut task).unwrap();
        values(&scores).iter().filter(|s| **s == 0.0).count()
    };
    // After the third of four rounds, 0.1^(3/4) of the weights are kept.
    let left = (WEIGHTS as f64 * 0.1f64.powf(0.75)).ceil() as usize;
    for method in readers("iterations") {
        let zeros = zeros(method);
        match method.name {
            "force" => assert!(zeros < WEIGHTS - left),
            _ => assert_eq!(zeros, WEIGHTS - left, "{method:?}"),
        }
    }
}
