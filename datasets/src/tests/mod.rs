//! Tests on tiny data sets in exactly the published formats.

mod archives;
mod damage;
mod serving;
mod speed;

use std::path::{Path, PathBuf};

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use prospr_engine::{DType, Device};
use tempfile::TempDir;

use crate::{Augment, Batches, ImageSet, Label, Loader, Split};

/// A temporary folder.
struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

/// Returns a JPEG of noise on a gradient; each seed gives a different image.
fn jpeg(width: usize, height: usize, seed: usize) -> Vec<u8> {
    let mut noise = seed as u32;
    let byte = |i: usize| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let slope = (i / 3 % width) * 120 / width + 40 * (seed % 3);
        (slope + (noise >> 27) as usize) as u8
    };
    let pixels: Vec<u8> = (0..width * height * 3).map(byte).collect();
    encoded(&pixels, width, height, ExtendedColorType::Rgb8)
}

fn grey_jpeg(width: usize, height: usize) -> Vec<u8> {
    encoded(&vec![90; width * height], width, height, ExtendedColorType::L8)
}

fn encoded(pixels: &[u8], width: usize, height: usize, color: ExtendedColorType) -> Vec<u8> {
    let mut bytes = Vec::new();
    JpegEncoder::new_with_quality(&mut bytes, 90)
        .encode(pixels, width as u32, height as u32, color)
        .unwrap();
    bytes
}

/// Writes ImageNet's layout with a few images per class.
fn imagenet(root: &Folder, classes: usize, [train, val]: [usize; 2]) {
    let images: Vec<Vec<u8>> = (0..8).map(|seed| jpeg(300 + 20 * seed, 260, seed)).collect();
    for class in 0..classes {
        let wnid = format!("n{:08}", 1440764 + class);
        for image in 0..train {
            let name = format!("train/{wnid}/{wnid}_{image}.JPEG");
            root.write(&name, &images[(class + image) % images.len()]);
        }
        for image in 0..val {
            let name = format!("val/{wnid}/ILSVRC2012_val_{class:04}{image:04}.JPEG");
            root.write(&name, &images[(class + image + 3) % images.len()]);
        }
    }
}

fn loader(data: &ImageSet, batch_size: usize) -> Loader {
    Loader {
        split: data.train.clone(),
        normalization: data.normalization.clone(),
        batch_size,
        augment: data.augment,
        skipped: None,
        device: Device::cpu(),
        dtype: DType::F32,
    }
}

/// A loader without augmentation and normalisation: values are bytes divided by 255.
fn plain(split: &Split, batch_size: usize) -> Loader {
    let channels = split.shape[0];
    Loader {
        split: split.clone(),
        normalization: crate::Normalization { mean: vec![0.0; channels], std: vec![1.0; channels] },
        batch_size,
        augment: Augment::default(),
        skipped: None,
        device: Device::cpu(),
        dtype: DType::F32,
    }
}

fn values(batches: Batches) -> Vec<(Vec<f32>, Vec<i32>)> {
    batches
        .map(|batch| {
            let batch = batch.unwrap();
            let images = batch.images.to_vec::<f32>().unwrap();
            (images, batch.labels.to_vec::<i32>().unwrap())
        })
        .collect()
}

fn class(split: &Split, index: usize) -> usize {
    match split.sample(index).unwrap().label {
        Label::Class(class) => class,
        Label::Pixels(_) => panic!("a class was expected"),
    }
}

/// Checks that exactly one of the lines contains all parts.
fn has(lines: &[String], parts: &[&str]) {
    let fits = |line: &&String| parts.iter().all(|part| line.contains(part));
    let found = lines.iter().filter(fits).count();
    assert_eq!(found, 1, "{parts:?} in {lines:#?}");
}
