//! Data sets on the command line and in runs.

use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use prospr::config::{RunConfig, Settings};
use prospr::experiment::{Experiment, Outcome, Unwatched};
use prospr::nn::Scope;
use prospr::nn::init::{Bias, Init};
use prospr::prelude::*;
use prospr::pruners::Method;
use prospr::run_folder::RunFolder;

fn prospr(args: &str, folder: &Path) -> (Output, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_prospr"))
        .args(args.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    let text = [&output.stdout[..], &output.stderr].concat();
    (output, String::from_utf8(text).unwrap())
}

/// Makes a folder with two classes of ten small images; one file of the training images is truncated.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for part in ["train", "val"] {
        for (class, red) in [("a", 40), ("b", 200)] {
            let place = folder.path().join(part).join(class);
            std::fs::create_dir_all(&place).unwrap();
            for number in 0..10 {
                let color = image::Rgb([red, 10 * number, 90]);
                let picture = image::RgbImage::from_pixel(12, 8, color);
                picture.save(place.join(format!("{number}.jpg"))).unwrap();
            }
        }
    }
    let file = folder.path().join("train/b/3.jpg");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() - 9]).unwrap();
    folder
}

#[test]
fn data_sets_are_listed_and_checked_and_measured() {
    let folder = folder();
    let (output, text) = prospr("data list", folder.path());
    assert!(output.status.success());
    for entry in prospr::datasets::DATASETS {
        for part in [entry.name, entry.about, entry.files, entry.size] {
            assert!(text.contains(part), "`{part}` is missing in:\n{text}");
        }
    }
    let (output, text) = prospr("data check --data mnist-5k", folder.path());
    assert!(output.status.success(), "{text}");
    assert!(text.contains("mnist-5k: 5000 images, 0 problems"), "{text}");
    std::fs::remove_dir_all(folder.path().join("val/a")).unwrap();
    let (output, text) = prospr("data check --data image-folder --data-dir .", folder.path());
    assert_eq!(output.status.code(), Some(1));
    for part in ["train/b/3.jpg", "cut short", "val/a", "2 problems"] {
        assert!(text.contains(part), "`{part}` is missing in:\n{text}");
    }
    let bench = "data bench --data mnist-5k --batch-size 500 --rate 10000";
    let (output, text) = prospr(bench, folder.path());
    assert!(output.status.success(), "{text}");
    assert!(text.contains("images/s") && text.contains("waits"), "{text}");
}

/// Trains a linear network on a packed folder of images with one damaged image, which is left out if `skip_bad`.
fn run(folder: &Path, skip_bad: bool) -> anyhow::Result<(Experiment, RunFolder)> {
    let mut config = RunConfig::defaults();
    config.pruner = Method::DENSE;
    let network = &mut config.common.network;
    network.data = "image-folder".into();
    network.data_dir = Some(folder.into());
    network.skip_bad = skip_bad;
    (config.common.train.epochs, config.common.train.batch_size) = (2, 5);
    let data = prospr::datasets::load("image-folder", Some(folder))?;
    let data = data.packed(&folder.join("cache"))?;
    assert_eq!(data.train.shape, [3, 8, 8]);
    let device = Device::cpu();
    let net = |s: &Scope, x: &Tensor| {
        let s = s.with_weights(Init::Normal(0.01)).with_bias(Bias::None);
        s.linear(&x.flatten_from(1), 2)
    };
    let experiment = Experiment {
        unchecked_mask: None,
        skipped: skip_bad.then(Arc::default),
        config,
        device,
        data,
        net: Arc::new(net),
    };
    let runs = RunFolder::create(&folder.join(format!("run-{skip_bad}")), "")?;
    match experiment.run(&runs, &mut Unwatched)? {
        Outcome::Finished(_) => Ok((experiment, runs)),
        Outcome::Stopped { .. } => panic!("nobody stopped it"),
    }
}

#[test]
fn a_damaged_image_is_an_error_or_is_counted() {
    let folder = folder();
    let error = format!("{:#}", run(folder.path(), false).err().unwrap());
    assert!(error.contains("3.jpg") && error.contains("cut short"), "{error}");
    let (experiment, runs) = run(folder.path(), true).unwrap();
    let note = experiment.skip_note().unwrap();
    assert!(note.contains("2 times") && note.contains("3.jpg"), "{note}");
    assert!(folder.path().join("cache/image-folder-train.pack").exists());
    let metrics = std::fs::read_to_string(runs.path("metrics.csv")).unwrap();
    let mut lines = metrics.lines();
    assert!(lines.next().unwrap().ends_with(",data_wait"), "{metrics}");
    for line in lines {
        let share: f64 = line.rsplit(',').next().unwrap().parse().unwrap();
        assert!((0.0..=1.0).contains(&share), "{metrics}");
    }
}
