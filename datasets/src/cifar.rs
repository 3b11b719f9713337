//! CIFAR-10 and CIFAR-100 by A. Krizhevsky: color images of 32 × 32, in the published binary files or in the archives
//! for Python.
//!
//! A record of a binary file has the labels, one byte each (CIFAR-10: the class; CIFAR-100: the coarse class, then the
//! fine class), then 1024 bytes each of red, green and blue, row by row.

use std::path::Path;

use crate::cifar_python;
use crate::files::unpacked;
use crate::findings::Findings;
use crate::{Augment, Error, ImageSet, InMemory, Normalization, Result, Split};

/// Height and width of an image in pixels.
const SIDE: usize = 32;
/// Bytes of an image.
const PIXELS: usize = 3 * SIDE * SIDE;

/// The CIFAR data sets: CIFAR-10 and CIFAR-100.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cifar {
    /// CIFAR-10.
    Ten,
    /// CIFAR-100.
    Hundred,
}

/// Images and labels of one file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name of the file, for messages.
    pub name: String,
    /// Pixels, 3072 bytes per image: red, green, blue. `data` in the Python archives.
    pub pixels: Vec<u8>,
    /// Class of each image. `labels` or `fine_labels` in the Python archives.
    pub labels: Vec<u16>,
}

impl Cifar {
    fn classes(self) -> usize {
        match self {
            Cifar::Ten => 10,
            Cifar::Hundred => 100,
        }
    }

    /// Names in the binary archive: folder, training files, test file, and file of class names.
    fn binary(self) -> (&'static str, Vec<String>, &'static str, &'static str) {
        match self {
            Cifar::Ten => (
                "cifar-10-batches-bin",
                (1..=5).map(|n| format!("data_batch_{n}.bin")).collect(),
                "test_batch.bin",
                "batches.meta.txt",
            ),
            Cifar::Hundred => {
                ("cifar-100-binary", vec!["train.bin".into()], "test.bin", "fine_label_names.txt")
            }
        }
    }

    /// Names in the archive for Python: folder, training files, test file, and key of the labels.
    fn python(self) -> (&'static str, Vec<String>, &'static str, &'static str) {
        match self {
            Cifar::Ten => (
                "cifar-10-batches-py",
                (1..=5).map(|n| format!("data_batch_{n}")).collect(),
                "test_batch",
                "labels",
            ),
            Cifar::Hundred => ("cifar-100-python", vec!["train".into()], "test", "fine_labels"),
        }
    }

    /// Opens a folder with the files of the Python archive, or else those of the binary archive.
    pub(crate) fn open(self, folder: &Path, findings: &mut Findings) -> Option<ImageSet> {
        let (inner, train, test, key) = self.python();
        let python = unpacked(folder, inner);
        if python.join(&train[0]).is_file() {
            let read = |name: &str| {
                let path = python.join(name);
                let (pixels, labels) = cifar_python::read(&path, key)?;
                let name = path.display().to_string();
                Ok(Part { name, pixels, labels })
            };
            return self.gather(&train, test, read, findings);
        }
        let (inner, train, test, names) = self.binary();
        let folder = unpacked(folder, inner);
        let known = std::fs::read_to_string(folder.join(names)).unwrap_or_default();
        let count = known.split_whitespace().count();
        if count != self.classes() {
            findings.remarks.push(format!(
                "{}: {count} names of classes, {} were published; they are not needed",
                folder.join(names).display(),
                self.classes()
            ));
        }
        let read = |name: &str| self.read(&folder.join(name));
        self.gather(&train, test, read, findings)
    }

    /// Reads all files with `read` and makes the data set. A damaged file does not stop the reading, so that the
    /// problems of all files are found.
    fn gather(
        self,
        train: &[String],
        test: &str,
        read: impl Fn(&str) -> Result<Part>,
        findings: &mut Findings,
    ) -> Option<ImageSet> {
        let train: Vec<Option<Part>> = train.iter().map(|n| findings.ok(read(n))).collect();
        let test = findings.ok(read(test));
        let train: Option<Vec<Part>> = train.into_iter().collect();
        findings.ok(self.from_parts(&train?, &[test?]))
    }

    /// Reads a binary file.
    fn read(self, path: &Path) -> Result<Part> {
        let bytes = std::fs::read(path).map_err(|source| Error::io(path, source))?;
        let name = path.display().to_string();
        let labels = match self {
            Cifar::Ten => 1,
            Cifar::Hundred => 2,
        };
        let size = labels + PIXELS;
        if bytes.is_empty() || bytes.len() % size != 0 {
            return Err(Error::Format {
                name,
                expected: format!("records of {size} bytes"),
                found: format!("{} bytes", bytes.len()),
            });
        }
        let mut part = Part { name, pixels: Vec::with_capacity(bytes.len()), labels: Vec::new() };
        for record in bytes.chunks_exact(size) {
            part.labels.push(record[labels - 1].into());
            part.pixels.extend(&record[labels..]);
        }
        Ok(part)
    }

    /// Makes the data set from files in memory, of the binary or the Python archive. Augmentation in training: crops of
    /// 32 × 32 after a padding of 4, and flips (ProsPr's appendix A.2). Mean and standard deviation are those
    /// of the training images.
    ///
    /// # Errors
    /// [`Error::Format`] if counts differ or a label is out of range, with the file's name.
    pub fn from_parts(self, train: &[Part], test: &[Part]) -> Result<ImageSet> {
        let (name, mean, std) = match self {
            Cifar::Ten => ("cifar-10", [0.4914, 0.4822, 0.4465], [0.2470, 0.2435, 0.2616]),
            Cifar::Hundred => ("cifar-100", [0.5071, 0.4865, 0.4409], [0.2673, 0.2564, 0.2762]),
        };
        Ok(ImageSet {
            name: name.into(),
            classes: self.classes(),
            per_pixel: false,
            train: self.split(train, &format!("{name}'s training images"))?,
            test: self.split(test, &format!("{name}'s test images"))?,
            normalization: Normalization { mean: mean.into(), std: std.into() },
            augment: Augment { crop_padding: 4, flip: true, ..Augment::default() },
        })
    }

    /// Checks the files of a split and joins their images, with the color channels of a pixel side by side.
    fn split(self, parts: &[Part], name: &str) -> Result<Split> {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        for part in parts {
            let wrong = |expected: String, found: String| {
                let name = part.name.clone();
                Err(Error::Format { name, expected, found })
            };
            if part.pixels.len() != part.labels.len() * PIXELS {
                return wrong(
                    format!("{PIXELS} bytes for each of {} labels", part.labels.len()),
                    format!("{} bytes", part.pixels.len()),
                );
            }
            let over = |&label: &u16| usize::from(label) >= self.classes();
            if let Some(at) = part.labels.iter().position(over) {
                return wrong(
                    format!("labels below {}", self.classes()),
                    format!("label {} at image {at}", part.labels[at]),
                );
            }
            labels.extend(&part.labels);
            for planes in part.pixels.chunks_exact(PIXELS) {
                let (red, rest) = planes.split_at(SIDE * SIDE);
                let (green, blue) = rest.split_at(SIDE * SIDE);
                let pixels = red.iter().zip(green).zip(blue);
                images.extend(pixels.flat_map(|((&r, &g), &b)| [r, g, b]));
            }
        }
        let shape = [3, SIDE, SIDE];
        let name = name.into();
        Ok(Split::new(InMemory { name, images, labels, shape }, shape))
    }
}
