//! ImageNet-1k, and any folder with `train/CLASS/…` and `val/CLASS/…` (or `test/CLASS/…`). Classes are numbered in
//! alphabetical order of their folders, as in torchvision.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use crate::files::{Files, add_class, names};
use crate::findings::Findings;
use crate::{Augment, Error, Fit, ImageSet, ImageSource, Normalization, Split};

/// The commonly used mean and standard deviation of ImageNet's training images.
fn imagenet_normalization() -> Normalization {
    Normalization { mean: vec![0.485, 0.456, 0.406], std: vec![0.229, 0.224, 0.225] }
}

/// Reads ImageNet-1k: `train/WNID/*.JPEG` and `val/WNID/*.JPEG`. In training, images get resized crops of 224 × 224 and
/// flips (ProsPr's appendix A.2). In tests, the shorter side is resized to 256 and the center 224 × 224 is cropped.
pub(crate) fn imagenet(folder: &Path, findings: &mut Findings) -> Option<ImageSet> {
    let set = any("imagenet", folder, findings, |_| 224)?;
    if set.classes != 1000 {
        findings.remarks.push(format!(
            "{}: {} classes, ImageNet-1k has 1000",
            folder.display(),
            set.classes
        ));
    }
    Some(set)
}

/// Reads any folder with that layout and prepares it like ImageNet. If the shorter side of the first image
/// has fewer than 224
/// pixels, images are served at that size.
pub(crate) fn image_folder(folder: &Path, findings: &mut Findings) -> Option<ImageSet> {
    any("image-folder", folder, findings, |files| {
        let side = |sample: crate::Sample| sample.image.height.min(sample.image.width);
        (0..files.len())
            .find_map(|index| files.sample(index).ok())
            .map_or(224, |sample| side(sample).min(224))
    })
}

fn any(
    name: &str,
    folder: &Path,
    findings: &mut Findings,
    side: fn(&Files) -> usize,
) -> Option<ImageSet> {
    let part = |names: &[&str]| {
        let mut found = names.iter().map(|name| folder.join(name));
        found.find(|path| path.is_dir()).ok_or(Error::Missing {
            folder: folder.into(),
            names: names.iter().map(|name| format!("{name}/")).collect(),
        })
    };
    let train = findings.ok(part(&["train"]));
    let test = findings.ok(part(&["val", "test"]));
    let (train, test) = (train?, test?);
    let mut classes = BTreeSet::new();
    for part in [&train, &test] {
        classes.extend(findings.ok(names(part, Path::is_dir))?);
    }
    let [train, test] = [train, test].map(|part| {
        let mut files = Vec::new();
        for (number, class) in classes.iter().enumerate() {
            findings.ok(add_class(&mut files, &part, class, number));
        }
        Files::new(&part, files)
    });
    let side = side(&train);
    let split = |files| Split {
        source: Arc::new(files),
        shape: [3, side, side],
        fit: Fit::Center(side * 8 / 7),
    };
    Some(ImageSet {
        name: name.into(),
        classes: classes.len(),
        per_pixel: false,
        train: split(train),
        test: split(test),
        normalization: imagenet_normalization(),
        augment: Augment { resized_crop: true, flip: true, ..Augment::default() },
    })
}
