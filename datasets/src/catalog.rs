//! All data sets by name. A new data set of a known format is one entry in [`DATASETS`].

use std::path::Path;

use crate::cifar::Cifar;
use crate::fetch::{Archive, Download};
use crate::findings::Findings;
use crate::{Error, ImageSet, Result, cells, idx, image_folder, mnist5k, tiny_imagenet};

/// A data set: its name, the origin of its files, and their reader.
pub struct DataSet {
    /// Name on the command line.
    pub name: &'static str,
    /// Description in one line.
    pub about: &'static str,
    /// Files that its folder must contain.
    pub files: &'static str,
    /// Size on disk.
    pub size: &'static str,
    /// Origin of its files.
    pub origin: Origin,
    open: Open,
}

/// Origin of a data set's files.
pub enum Origin {
    /// Public downloads: one for each form in which the same data is published.
    Published(&'static [Download]),
    /// Instructions for files that cannot simply be downloaded.
    Manual(&'static str),
}

enum Open {
    Embedded(fn() -> ImageSet),
    Folder(fn(&Path, &mut Findings) -> Option<ImageSet>),
}

const IDX: &str = "{train,t10k}-{images-idx3,labels-idx1}-ubyte, plain or with .gz";
const CELLS: &str = "01/t000.tif …, 01_GT/SEG and 01_ST/SEG/man_seg000.tif …, 02 likewise";
const CELLS_ORIGIN: Origin = Origin::Manual(
    "download the training data set from https://celltrackingchallenge.net/2d-datasets (some need registration) and unpack it, so that DIR has 01/t*.tif, 01_GT/SEG/man_seg*.tif and 01_ST/SEG/man_seg*.tif, and the same with 02",
);

/// The four files of MNIST and its relatives, with their MD5 checksums: training images and labels, test images and labels.
const fn idx_archives([a, b, c, d]: [&'static str; 4]) -> [Archive; 4] {
    [
        Archive::new("train-images-idx3-ubyte.gz", a, "train-images-idx3-ubyte"),
        Archive::new("train-labels-idx1-ubyte.gz", b, "train-labels-idx1-ubyte"),
        Archive::new("t10k-images-idx3-ubyte.gz", c, "t10k-images-idx3-ubyte"),
        Archive::new("t10k-labels-idx1-ubyte.gz", d, "t10k-labels-idx1-ubyte"),
    ]
}

/// Base address of both forms of CIFAR-10 and CIFAR-100.
const CIFAR_URL: &str = "https://www.cs.toronto.edu/~kriz";

/// All data sets. Downloads named `…-python` contain the same data as pickles.
///
/// # Source
/// Addresses and checksums: torchvision's `mnist.py` and `cifar.py`, <https://www.cs.toronto.edu/~kriz/cifar.html>,
/// <http://cs231n.stanford.edu/tiny-imagenet-200.zip>.
pub const DATASETS: &[DataSet] = &[
    DataSet {
        name: "mnist-5k",
        about: "5,000 digits of MNIST, part of the program",
        files: "none",
        size: "0",
        origin: Origin::Manual("it is part of the program"),
        open: Open::Embedded(mnist5k),
    },
    DataSet {
        name: "mnist",
        about: "MNIST: 60,000 + 10,000 digits, 28 × 28, 10 classes",
        files: IDX,
        size: "55 MB",
        origin: Origin::Published(&[Download {
            name: "mnist",
            url: "https://ossci-datasets.s3.amazonaws.com/mnist",
            archives: &idx_archives([
                "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                "d53e105ee54ea40749a09fcbcd1e9432",
                "9fb629c4189551a2d022fa330f9573f3",
                "ec29112dd5afa0611ce80d1b7f02629c",
            ]),
        }]),
        open: Open::Folder(|folder, found| idx::folder(folder, "mnist", [0.1307, 0.3081], found)),
    },
    DataSet {
        name: "fashion-mnist",
        about: "Fashion-MNIST: 60,000 + 10,000 pieces of clothing, 28 × 28, 10 classes",
        files: IDX,
        size: "55 MB",
        origin: Origin::Published(&[Download {
            name: "fashion-mnist",
            url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
            archives: &idx_archives([
                "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
                "25c81989df183df01b3e8a0aad5dffbe",
                "bef4ecab320f06d8554ea6380940ec79",
                "bb300cfdad3c16e7a12a480ee83cd310",
            ]),
        }]),
        open: Open::Folder(|folder, found| {
            idx::folder(folder, "fashion-mnist", [0.2860, 0.3530], found)
        }),
    },
    DataSet {
        name: "kmnist",
        about: "KMNIST: 60,000 + 10,000 Japanese characters, 28 × 28, 10 classes",
        files: IDX,
        size: "55 MB",
        origin: Origin::Published(&[Download {
            name: "kmnist",
            url: "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
            archives: &idx_archives([
                "bdb82020997e1d708af4cf47b453dcf7",
                "e144d726b3acfaa3e44228e80efcd344",
                "5c965bf0a639b31b8f53240b1b52f4d7",
                "7320c461ea6c1c855c0b718fb2a4b134",
            ]),
        }]),
        open: Open::Folder(|folder, found| idx::folder(folder, "kmnist", [0.1918, 0.3483], found)),
    },
    DataSet {
        name: "cifar-10",
        about: "CIFAR-10: 50,000 + 10,000 color images, 32 × 32, 10 classes",
        files: "cifar-10-batches-bin/{data_batch_1 … data_batch_5,test_batch}.bin, or cifar-10-batches-py/{data_batch_1 … test_batch}",
        size: "184 MB",
        origin: Origin::Published(&[
            Download {
                name: "cifar-10",
                url: CIFAR_URL,
                archives: &[Archive::new(
                    "cifar-10-binary.tar.gz",
                    "c32a1d4ab5d03f1284b67883e8d87530",
                    "cifar-10-batches-bin",
                )],
            },
            Download {
                name: "cifar-10-python",
                url: CIFAR_URL,
                archives: &[Archive::new(
                    "cifar-10-python.tar.gz",
                    "c58f30108f718f92721af3b95e74349a",
                    "cifar-10-batches-py",
                )],
            },
        ]),
        open: Open::Folder(|folder, found| Cifar::Ten.open(folder, found)),
    },
    DataSet {
        name: "cifar-100",
        about: "CIFAR-100: 50,000 + 10,000 color images, 32 × 32, 100 classes",
        files: "cifar-100-binary/{train,test}.bin, or cifar-100-python/{train,test}",
        size: "184 MB",
        origin: Origin::Published(&[
            Download {
                name: "cifar-100",
                url: CIFAR_URL,
                archives: &[Archive::new(
                    "cifar-100-binary.tar.gz",
                    "03b5dce01913d631647c71ecec9e9cb8",
                    "cifar-100-binary",
                )],
            },
            Download {
                name: "cifar-100-python",
                url: CIFAR_URL,
                archives: &[Archive::new(
                    "cifar-100-python.tar.gz",
                    "eb9058c3a382ffc7106e4002c42a8d85",
                    "cifar-100-python",
                )],
            },
        ]),
        open: Open::Folder(|folder, found| Cifar::Hundred.open(folder, found)),
    },
    DataSet {
        name: "tiny-imagenet",
        about: "TinyImageNet-200: 100,000 + 10,000 photographs, 64 × 64, 200 classes",
        files: "tiny-imagenet-200/{wnids.txt,train/WNID/images/*.JPEG,val/val_annotations.txt,val/images/*.JPEG}",
        size: "480 MB",
        origin: Origin::Published(&[Download {
            name: "tiny-imagenet",
            url: "http://cs231n.stanford.edu",
            archives: &[Archive::new(
                "tiny-imagenet-200.zip",
                "90528d7ca1a48142e341f4ef8d21d0de",
                "tiny-imagenet-200",
            )],
        }]),
        open: Open::Folder(tiny_imagenet::tiny_imagenet),
    },
    DataSet {
        name: "imagenet",
        about: "ImageNet-1k: 1,281,167 + 50,000 photographs, 1000 classes",
        files: "train/WNID/*.JPEG, val/WNID/*.JPEG",
        size: "146 GB",
        origin: Origin::Manual(
            "register at https://image-net.org, download the training and validation images of ILSVRC 2012, and lay them out as DIR/train/CLASS/*.JPEG and DIR/val/CLASS/*.JPEG",
        ),
        open: Open::Folder(image_folder::imagenet),
    },
    DataSet {
        name: "image-folder",
        about: "any images, one folder per class; treated as ImageNet, at 224 × 224, or less if the first image is smaller",
        files: "train/CLASS/*.{jpg,jpeg,png,tif,tiff}, val/CLASS/… or test/CLASS/…",
        size: "any",
        origin: Origin::Manual("the images are your own"),
        open: Open::Folder(image_folder::image_folder),
    },
    DataSet {
        name: "phc-c2dh-u373",
        about: "Cell Tracking Challenge: glioblastoma cells, a label for each pixel, 256 × 256",
        files: CELLS,
        size: "85 MB",
        origin: CELLS_ORIGIN,
        open: Open::Folder(|folder, found| {
            cells::cells("phc-c2dh-u373", "PhC-C2DH-U373", folder, found)
        }),
    },
    DataSet {
        name: "dic-c2dh-hela",
        about: "Cell Tracking Challenge: HeLa cells, a label for each pixel, 256 × 256",
        files: CELLS,
        size: "50 MB",
        origin: CELLS_ORIGIN,
        open: Open::Folder(|folder, found| {
            cells::cells("dic-c2dh-hela", "DIC-C2DH-HeLa", folder, found)
        }),
    },
];

/// Finds a data set by name.
///
/// # Errors
/// [`Error::Unknown`], with the known names.
pub(crate) fn find(name: &str) -> Result<&'static DataSet> {
    let found = DATASETS.iter().find(|set| set.name == name);
    found.ok_or_else(|| Error::Unknown {
        name: name.into(),
        known: DATASETS.iter().map(|set| set.name).collect(),
    })
}

/// Loads a data set by name, from a folder unless it is embedded. Image files are only listed, not read;
/// [`crate::check`] reads every image.
///
/// # Errors
/// [`Error::Unknown`], [`Error::NoFolder`], or an error about its files.
pub fn load(name: &str, folder: Option<&Path>) -> Result<ImageSet> {
    let mut findings = Findings::default();
    let set = find(name)?.open(folder, &mut findings)?;
    let mut problems = findings.problems.into_iter();
    match (problems.next(), problems.len()) {
        (None, _) => Ok(set.expect("a data set that cannot be read has a problem")),
        (Some(error), 0) => Err(error),
        (Some(first), others) => Err(Error::Several { first: first.into(), others }),
    }
}

/// All public downloads, in the order of [`DATASETS`].
pub fn downloads() -> impl Iterator<Item = &'static Download> {
    DATASETS.iter().flat_map(DataSet::downloads)
}

/// Finds a public download by name.
///
/// # Errors
/// [`Error::NotFetched`] with instructions if the data must be obtained in another way; [`Error::Unknown`].
pub fn download(name: &str) -> Result<&'static Download> {
    if let Some(download) = downloads().find(|download| download.name == name) {
        return Ok(download);
    }
    match DATASETS.iter().find(|set| set.name == name) {
        Some(DataSet { name, origin: Origin::Manual(advice), .. }) => {
            Err(Error::NotFetched { name, advice })
        }
        _ => Err(Error::Unknown {
            name: name.into(),
            known: downloads().map(|download| download.name).collect(),
        }),
    }
}

impl DataSet {
    /// Its public downloads.
    pub(crate) fn downloads(&self) -> &'static [Download] {
        match self.origin {
            Origin::Published(downloads) => downloads,
            Origin::Manual(_) => &[],
        }
    }

    /// Opens the data set and adds its problems to `findings`; returns `None` if it cannot be used.
    ///
    /// # Errors
    /// [`Error::NoFolder`].
    pub(crate) fn open(
        &self,
        folder: Option<&Path>,
        findings: &mut Findings,
    ) -> Result<Option<ImageSet>> {
        match (&self.open, folder) {
            (Open::Embedded(make), _) => Ok(Some(make())),
            (Open::Folder(_), None) => Err(Error::NoFolder { name: self.name }),
            (Open::Folder(open), Some(folder)) => Ok(open(folder, findings)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_give_data_or_advice() {
        assert_eq!(load("mnist-5k", None).unwrap().train.len(), 4000);
        let message = |name, folder| load(name, folder).err().unwrap().to_string();
        let unknown = message("mnits", None);
        assert!(unknown.contains("mnits") && unknown.contains("fashion-mnist"), "{unknown}");
        assert!(message("kmnist", None).contains("--data-dir"));
        assert!(message("kmnist", Some(Path::new("/nowhere"))).contains("train-images-idx3-ubyte"));
        for set in DATASETS.iter().filter(|set| set.name != "mnist-5k") {
            let message = message(set.name, Some(Path::new("/nowhere")));
            assert!(message.contains("/nowhere"), "{}: {message}", set.name);
        }
    }

    #[test]
    fn downloads_are_complete_and_other_data_sets_have_advice() {
        for download in downloads() {
            for archive in download.archives {
                let is_md5 = archive.md5.len() == 32
                    && archive.md5.bytes().all(|byte| byte.is_ascii_hexdigit());
                assert!(is_md5 && archive.file != archive.unpacked);
                assert!(download.url.starts_with("http"));
            }
        }
        let message = |name| download(name).unwrap_err().to_string();
        assert!(message("imagenet").contains("https://image-net.org"));
        assert!(message("phc-c2dh-u373").contains("man_seg"));
        assert!(message("mnits").contains("fashion-mnist"));
        assert_eq!(download("kmnist").unwrap().archives.len(), 4);
    }
}
