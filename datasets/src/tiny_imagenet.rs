//! TinyImageNet-200 as distributed by Stanford's CS231n: `wnids.txt` names the classes, `train/WNID/images/*.JPEG` has
//! 500 images of each, and `val/val_annotations.txt` gives the class of each of `val/images/*.JPEG`. The images of
//! `test/` have no labels, so `val/` is the test split.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::files::{Files, add_class, is_image, names, unpacked};
use crate::findings::Findings;
use crate::{Augment, Error, ImageSet, Normalization, Split};

/// Reads TinyImageNet-200. Augmentation in training: crops of 64 × 64 after a padding of 4, and flips
/// (ProsPr's appendix
/// A.2). Mean and standard deviation are those of the training images.
pub(crate) fn tiny_imagenet(folder: &Path, findings: &mut Findings) -> Option<ImageSet> {
    let folder = unpacked(folder, "tiny-imagenet-200");
    let text = |below: &str| {
        let path = folder.join(below);
        std::fs::read_to_string(&path).map_err(|source| Error::io(&path, source))
    };
    let wnids = findings.ok(text("wnids.txt"))?;
    let classes: BTreeSet<&str> = wnids.split_whitespace().collect();
    let mut train = Vec::new();
    for (number, class) in classes.iter().enumerate() {
        findings.ok(add_class(&mut train, &folder, &format!("train/{class}/images"), number));
    }
    let numbers: BTreeMap<&str, u16> = classes.iter().copied().zip(0..).collect();
    let annotations = findings.ok(text("val/val_annotations.txt"))?;
    let images = findings.ok(names(&folder.join("val/images"), is_image))?;
    let test = tested(&folder, &annotations, images, &numbers, findings);
    let split = |files| Split::new(Files::new(&folder, files), [3, 64, 64]);
    Some(ImageSet {
        name: "tiny-imagenet".into(),
        classes: classes.len(),
        per_pixel: false,
        train: split(train),
        test: split(test),
        normalization: Normalization {
            mean: vec![0.4802, 0.4481, 0.3975],
            std: vec![0.2770, 0.2691, 0.2821],
        },
        augment: Augment { crop_padding: 4, flip: true, ..Augment::default() },
    })
}

/// Returns the test images with their classes, from `val/`. Each image must have one line in the annotations, and each
/// line an image.
fn tested(
    folder: &Path,
    annotations: &str,
    images: Vec<String>,
    numbers: &BTreeMap<&str, u16>,
    findings: &mut Findings,
) -> Vec<(Box<str>, u16)> {
    let mut images: BTreeSet<String> = images.into_iter().collect();
    let mut files = Vec::new();
    let file = folder.join("val/val_annotations.txt");
    let mut wrong = |expected: String, found: String| {
        let name = file.display().to_string();
        findings.problems.push(Error::Format { name, expected, found });
    };
    for (line, text) in annotations.lines().enumerate() {
        let mut words = text.split_whitespace();
        let (Some(image), Some(wnid)) = (words.next(), words.next()) else {
            wrong(format!("an image and a class in line {}", line + 1), format!("`{text}`"));
            continue;
        };
        match numbers.get(wnid) {
            _ if !images.remove(image) => wrong(
                format!("val/images/{image}, which line {} names", line + 1),
                "no such image, or an earlier line for it".into(),
            ),
            Some(&class) => files.push((format!("val/images/{image}").into(), class)),
            None => wrong(
                format!("a class of wnids.txt for {image} in line {}", line + 1),
                format!("`{wnid}`"),
            ),
        }
    }
    for image in images {
        wrong(format!("a line for val/images/{image}"), "none".into());
    }
    files
}
