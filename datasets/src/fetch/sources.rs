//! Where data sets are published.

/// A data set that can be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Source {
    /// Its name on the command line.
    pub name: &'static str,
    /// The address under which its files lie.
    pub url: &'static str,
    /// Its files.
    pub archives: &'static [Archive],
}

/// A file of a data set: an archive (`.tar.gz`, `.zip`) or a compressed file (`.gz`).
#[derive(Clone, Copy, Debug)]
pub struct Archive {
    /// Its name.
    pub file: &'static str,
    /// Its checksum, in hexadecimal digits.
    pub md5: &'static str,
    /// The folder or file that it unpacks to.
    pub unpacked: &'static str,
}

const fn archive(file: &'static str, md5: &'static str, unpacked: &'static str) -> Archive {
    Archive {
        file,
        md5,
        unpacked,
    }
}

/// The four files of MNIST and its relatives: images and labels to train, then to test.
const fn idx([a, b, c, d]: [&'static str; 4]) -> [Archive; 4] {
    [
        archive("train-images-idx3-ubyte.gz", a, "train-images-idx3-ubyte"),
        archive("train-labels-idx1-ubyte.gz", b, "train-labels-idx1-ubyte"),
        archive("t10k-images-idx3-ubyte.gz", c, "t10k-images-idx3-ubyte"),
        archive("t10k-labels-idx1-ubyte.gz", d, "t10k-labels-idx1-ubyte"),
    ]
}

/// Every data set that can be fetched. `-python` are the same data as the archives for Python have them.
///
/// # Source
/// torchvision's `mnist.py` and `cifar.py`, <https://www.cs.toronto.edu/~kriz/cifar.html>,
/// <http://cs231n.stanford.edu/tiny-imagenet-200.zip>.
pub const SOURCES: &[Source] = &[
    Source {
        name: "mnist",
        url: "https://ossci-datasets.s3.amazonaws.com/mnist",
        archives: &idx([
            "f68b3c2dcbeaaa9fbdd348bbdeb94873",
            "d53e105ee54ea40749a09fcbcd1e9432",
            "9fb629c4189551a2d022fa330f9573f3",
            "ec29112dd5afa0611ce80d1b7f02629c",
        ]),
    },
    Source {
        name: "fashion-mnist",
        url: "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
        archives: &idx([
            "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
            "25c81989df183df01b3e8a0aad5dffbe",
            "bef4ecab320f06d8554ea6380940ec79",
            "bb300cfdad3c16e7a12a480ee83cd310",
        ]),
    },
    Source {
        name: "kmnist",
        url: "http://codh.rois.ac.jp/kmnist/dataset/kmnist",
        archives: &idx([
            "bdb82020997e1d708af4cf47b453dcf7",
            "e144d726b3acfaa3e44228e80efcd344",
            "5c965bf0a639b31b8f53240b1b52f4d7",
            "7320c461ea6c1c855c0b718fb2a4b134",
        ]),
    },
    Source {
        name: "cifar-10",
        url: "https://www.cs.toronto.edu/~kriz",
        archives: &[archive(
            "cifar-10-binary.tar.gz",
            "c32a1d4ab5d03f1284b67883e8d87530",
            "cifar-10-batches-bin",
        )],
    },
    Source {
        name: "cifar-10-python",
        url: "https://www.cs.toronto.edu/~kriz",
        archives: &[archive(
            "cifar-10-python.tar.gz",
            "c58f30108f718f92721af3b95e74349a",
            "cifar-10-batches-py",
        )],
    },
    Source {
        name: "cifar-100",
        url: "https://www.cs.toronto.edu/~kriz",
        archives: &[archive(
            "cifar-100-binary.tar.gz",
            "03b5dce01913d631647c71ecec9e9cb8",
            "cifar-100-binary",
        )],
    },
    Source {
        name: "cifar-100-python",
        url: "https://www.cs.toronto.edu/~kriz",
        archives: &[archive(
            "cifar-100-python.tar.gz",
            "eb9058c3a382ffc7106e4002c42a8d85",
            "cifar-100-python",
        )],
    },
    Source {
        name: "tiny-imagenet",
        url: "http://cs231n.stanford.edu",
        archives: &[archive(
            "tiny-imagenet-200.zip",
            "90528d7ca1a48142e341f4ef8d21d0de",
            "tiny-imagenet-200",
        )],
    },
];

const CELLS: &str = "download the training data set from https://celltrackingchallenge.net/2d-datasets (some need registration) and unpack it, so that DIR has 01/t*.tif, 01_GT/SEG/man_seg*.tif and 01_ST/SEG/man_seg*.tif, and the same with 02";

/// Data sets that are not fetched, and how to get them.
pub const ELSEWHERE: &[(&str, &str)] = &[
    ("mnist-5k", "it is part of the program"),
    (
        "imagenet",
        "register at https://image-net.org, download the training and validation images of ILSVRC 2012, and lay them out as DIR/train/CLASS/*.JPEG and DIR/val/CLASS/*.JPEG",
    ),
    ("phc-c2dh-u373", CELLS),
    ("dic-c2dh-hela", CELLS),
];
