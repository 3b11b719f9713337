//! The 2-D data sets PhC-C2DH-U373 and DIC-C2DH-HeLa of the Cell Tracking Challenge, for segmentation of cells and
//! background.
//!
//! A sequence `01` has frames `01/t000.tif` and masks `01_GT/SEG/man_seg000.tif` (gold truth, drawn by hand) and
//! `01_ST/SEG/man_seg000.tif` (silver truth, computed), in which each cell has a number and the background is 0. The
//! gold mask is used if there is one, otherwise the silver one; frames without a mask are left out. A fixed 30 % of the
//! frames are the test split. All are resized to 256 × 256 (ProsPr's appendix D).

use std::path::{Path, PathBuf};
use std::sync::Arc;

use prospr_engine::Key;

use crate::files::{is_image, names, unpacked};
use crate::findings::Findings;
use crate::{
    Augment, Error, Fit, ImageSet, ImageSource, Label, Normalization, Result, Sample, Split, decode,
};

/// Source of frames with their masks.
struct Frames(Vec<[PathBuf; 2]>);

impl ImageSource for Frames {
    fn len(&self) -> usize {
        self.0.len()
    }

    fn sample(&self, index: usize) -> Result<Sample<'_>> {
        let [frame, mask] = self.0[index].each_ref().map(|path| {
            let bytes = std::fs::read(path).map_err(|source| Error::io(path, source));
            bytes.map(|bytes| (path.display().to_string(), bytes))
        });
        let ((frame_name, frame), (mask_name, mask)) = (frame?, mask?);
        let image = decode::grey(&frame_name, &frame)?;
        let mask = decode::foreground(&mask_name, &mask)?;
        if (image.height, image.width) != (mask.height, mask.width) {
            return Err(Error::Format {
                name: mask_name,
                expected: format!("{} × {} pixels, as its frame", image.height, image.width),
                found: format!("{} × {}", mask.height, mask.width),
            });
        }
        let label = Label::Pixels(mask);
        Ok(Sample { image, label })
    }

    fn name(&self, index: usize) -> String {
        self.0[index][0].display().to_string()
    }
}

/// Reads one of the two data sets; `archive` is the folder inside its archive. Pixels are scaled to −1…1, without
/// augmentation.
pub(crate) fn cells(
    name: &str,
    archive: &str,
    folder: &Path,
    findings: &mut Findings,
) -> Option<ImageSet> {
    let folder = unpacked(folder, archive);
    let mut frames = Vec::new();
    let sequences = findings.ok(names(&folder, is_sequence))?;
    if sequences.is_empty() {
        findings.problems.push(Error::Missing {
            folder: folder.clone(),
            names: vec!["01/".into(), "02/".into()],
        });
    }
    for sequence in sequences {
        if let Some(found) = findings.ok(pairs(&folder, &sequence)) {
            if found.unmarked > 0 {
                findings.remarks.push(format!(
                    "{}: {} frames without a mask are left out",
                    folder.join(&sequence).display(),
                    found.unmarked
                ));
            }
            frames.extend(found.pairs);
        }
    }
    let mut order = Key::new(0).permutation(frames.len());
    let mut train = order.split_off((3 * frames.len()).div_ceil(10));
    let mut test = order;
    train.sort_unstable();
    test.sort_unstable();
    let split = |part: Vec<usize>| Split {
        source: Arc::new(Frames(part.iter().map(|&at| frames[at].clone()).collect())),
        shape: [1, 256, 256],
        fit: Fit::Stretch,
    };
    Some(ImageSet {
        name: name.into(),
        classes: 2,
        per_pixel: true,
        train: split(train),
        test: split(test),
        normalization: Normalization { mean: vec![0.5], std: vec![0.5] },
        augment: Augment::default(),
    })
}

/// Returns true for the folders `01`, `02`, …
fn is_sequence(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    path.is_dir() && !name.is_empty() && name.iter().all(u8::is_ascii_digit)
}

/// Frames of a sequence with their masks, and the number of frames without a mask.
struct Pairs {
    pairs: Vec<[PathBuf; 2]>,
    unmarked: usize,
}

/// Pairs the frames of a sequence with their masks.
fn pairs(folder: &Path, sequence: &str) -> Result<Pairs> {
    let masks = ["GT", "ST"].map(|kind| format!("{sequence}_{kind}/SEG"));
    let mut found = Pairs { pairs: Vec::new(), unmarked: 0 };
    for frame in names(&folder.join(sequence), is_image)? {
        let number = frame.trim_start_matches('t');
        let mut marked =
            masks.iter().map(|masks| folder.join(masks).join(format!("man_seg{number}")));
        match marked.find(|path| path.is_file()) {
            Some(mask) => found.pairs.push([folder.join(sequence).join(&frame), mask]),
            None => found.unmarked += 1,
        }
    }
    if found.pairs.is_empty() {
        return Err(Error::Missing {
            folder: folder.into(),
            names: masks.map(|masks| format!("{masks}/man_seg000.tif")).into(),
        });
    }
    Ok(found)
}
