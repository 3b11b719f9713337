//! All data sets by their names.

use std::path::Path;

use crate::cifar::Cifar;
use crate::{Error, ImageSet, Result, cells, idx, image_folder, mnist5k, tiny_imagenet};

/// A data set: its name and how it is read.
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    /// The files that its folder is to hold.
    pub files: &'static str,
    /// How large it is on disk.
    pub size: &'static str,
    open: Open,
}

enum Open {
    Embedded(fn() -> ImageSet),
    Folder(fn(&Path, &mut Findings) -> Option<ImageSet>),
}

/// What is found in a folder that is not as it should be.
#[derive(Default)]
pub(crate) struct Findings {
    /// What keeps it from being used.
    pub problems: Vec<Error>,
    /// What one should know.
    pub remarks: Vec<String>,
}

impl Findings {
    /// The value, or one more problem.
    pub fn ok<T>(&mut self, result: Result<T>) -> Option<T> {
        result.map_err(|error| self.problems.push(error)).ok()
    }
}

const IDX: &str = "{train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or with .gz";
const CELLS: &str = "01/t000.tif …, 01_GT/SEG and 01_ST/SEG/man_seg000.tif …, 02 likewise";

/// Every data set that there is.
pub const DATASETS: &[Entry] = &[
    Entry {
        name: "mnist-5k",
        about: "5,000 digits of MNIST, part of the program",
        files: "none",
        size: "0",
        open: Open::Embedded(mnist5k),
    },
    Entry {
        name: "mnist",
        about: "MNIST: 60,000 + 10,000 digits, 28 × 28, 10 classes",
        files: IDX,
        size: "55 MB",
        open: Open::Folder(|folder, found| idx::folder(folder, "mnist", [0.1307, 0.3081], found)),
    },
    Entry {
        name: "fashion-mnist",
        about: "Fashion-MNIST: 60,000 + 10,000 pieces of clothing, 28 × 28, 10 classes",
        files: IDX,
        size: "55 MB",
        open: Open::Folder(|folder, found| {
            idx::folder(folder, "fashion-mnist", [0.2860, 0.3530], found)
        }),
    },
    Entry {
        name: "kmnist",
        about: "KMNIST: 60,000 + 10,000 Japanese characters, 28 × 28, 10 classes",
        files: IDX,
        size: "55 MB",
        open: Open::Folder(|folder, found| idx::folder(folder, "kmnist", [0.1918, 0.3483], found)),
    },
    Entry {
        name: "cifar-10",
        about: "CIFAR-10: 50,000 + 10,000 color images, 32 × 32, 10 classes",
        files: "cifar-10-batches-bin/{data_batch_1 … data_batch_5,test_batch}.bin, or cifar-10-batches-py/{data_batch_1 … test_batch}",
        size: "184 MB",
        open: Open::Folder(|folder, found| Cifar::Ten.open(folder, found)),
    },
    Entry {
        name: "cifar-100",
        about: "CIFAR-100: 50,000 + 10,000 color images, 32 × 32, 100 classes",
        files: "cifar-100-binary/{train,test}.bin, or cifar-100-python/{train,test}",
        size: "184 MB",
        open: Open::Folder(|folder, found| Cifar::Hundred.open(folder, found)),
    },
    Entry {
        name: "tiny-imagenet",
        about: "TinyImageNet-200: 100,000 + 10,000 photographs, 64 × 64, 200 classes",
        files: "tiny-imagenet-200/{wnids.txt,train/WNID/images/*.JPEG,val/val_annotations.txt,val/images/*.JPEG}",
        size: "480 MB",
        open: Open::Folder(tiny_imagenet::tiny_imagenet),
    },
    Entry {
        name: "imagenet",
        about: "ImageNet-1k: 1,281,167 + 50,000 photographs, 1000 classes",
        files: "train/WNID/*.JPEG, val/WNID/*.JPEG",
        size: "146 GB",
        open: Open::Folder(image_folder::imagenet),
    },
    Entry {
        name: "image-folder",
        about: "any images, a folder for each class; treated as ImageNet, at 224 × 224 or what the first image has if that is less",
        files: "train/CLASS/*.{jpg,jpeg,png,tif,tiff}, val/CLASS/… or test/CLASS/…",
        size: "any",
        open: Open::Folder(image_folder::image_folder),
    },
    Entry {
        name: "phc-c2dh-u373",
        about: "Cell Tracking Challenge: glioblastoma cells, a label for each pixel, 256 × 256",
        files: CELLS,
        size: "85 MB",
        open: Open::Folder(|folder, found| {
            cells::cells("phc-c2dh-u373", "PhC-C2DH-U373", folder, found)
        }),
    },
    Entry {
        name: "dic-c2dh-hela",
        about: "Cell Tracking Challenge: HeLa cells, a label for each pixel, 256 × 256",
        files: CELLS,
        size: "50 MB",
        open: Open::Folder(|folder, found| {
            cells::cells("dic-c2dh-hela", "DIC-C2DH-HeLa", folder, found)
        }),
    },
];

/// The data set of a name, from a folder unless it is embedded. Only the layout is looked at and what is kept in memory;
/// [`crate::check`] reads everything.
///
/// # Errors
/// [`Error::Unknown`], [`Error::NoFolder`], or those of its files.
pub fn load(name: &str, folder: Option<&Path>) -> Result<ImageSet> {
    let mut findings = Findings::default();
    let set = open(name, folder, &mut findings)?;
    let mut problems = findings.problems.into_iter();
    match (problems.next(), problems.len()) {
        (None, _) => Ok(set.expect("what cannot be read is a problem")),
        (Some(error), 0) => Err(error),
        (Some(first), others) => Err(Error::Several {
            first: first.into(),
            others,
        }),
    }
}

/// The data set of a name, as far as it can be read, and what is wrong with it.
pub(crate) fn open(
    name: &str,
    folder: Option<&Path>,
    findings: &mut Findings,
) -> Result<Option<ImageSet>> {
    let Some(entry) = DATASETS.iter().find(|entry| entry.name == name) else {
        return Err(Error::Unknown {
            name: name.into(),
            known: DATASETS.iter().map(|entry| entry.name).collect(),
        });
    };
    match (&entry.open, folder) {
        (Open::Embedded(make), _) => Ok(Some(make())),
        (Open::Folder(_), None) => Err(Error::NoFolder { name: entry.name }),
        (Open::Folder(open), Some(folder)) => Ok(open(folder, findings)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_data_or_to_advice() {
        assert_eq!(load("mnist-5k", None).unwrap().train.len(), 4000);
        let message = |name, folder| load(name, folder).err().unwrap().to_string();
        let unknown = message("mnits", None);
        assert!(
            unknown.contains("mnits") && unknown.contains("fashion-mnist"),
            "{unknown}"
        );
        assert!(message("kmnist", None).contains("--data-dir"));
        assert!(message("kmnist", Some(Path::new("/nowhere"))).contains("train-images-idx3-ubyte"));
        for entry in DATASETS.iter().filter(|entry| entry.name != "mnist-5k") {
            let message = message(entry.name, Some(Path::new("/nowhere")));
            assert!(message.contains("/nowhere"), "{}: {message}", entry.name);
        }
    }
}
