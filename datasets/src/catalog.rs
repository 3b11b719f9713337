//! All data sets by their names.

use std::path::Path;

use crate::{Error, ImageSet, Normalization, Result, idx, mnist5k};

/// A data set: its name and how it is read.
pub struct Entry {
    /// Its name on the command line.
    pub name: &'static str,
    /// What it is, in a line.
    pub about: &'static str,
    read: Read,
}

enum Read {
    Embedded(fn() -> ImageSet),
    /// IDX files in a folder; mean and standard deviation.
    Idx(f32, f32),
}

/// Every data set that there is.
pub const DATASETS: &[Entry] = &[
    Entry {
        name: "mnist-5k",
        about: "5,000 digits of MNIST, part of the program",
        read: Read::Embedded(mnist5k),
    },
    Entry {
        name: "mnist",
        about: "MNIST: four IDX files in --data-dir",
        read: Read::Idx(0.1307, 0.3081),
    },
    Entry {
        name: "fashion-mnist",
        about: "Fashion-MNIST: four IDX files in --data-dir",
        read: Read::Idx(0.2860, 0.3530),
    },
    Entry {
        name: "kmnist",
        about: "KMNIST: four IDX files in --data-dir",
        read: Read::Idx(0.1918, 0.3483),
    },
];

/// The data set of a name, from a folder unless it is embedded.
///
/// # Errors
/// [`Error::Unknown`], [`Error::NoFolder`], or those of its files.
pub fn load(name: &str, folder: Option<&Path>) -> Result<ImageSet> {
    let Some(entry) = DATASETS.iter().find(|entry| entry.name == name) else {
        return Err(Error::Unknown {
            name: name.into(),
            known: DATASETS.iter().map(|entry| entry.name).collect(),
        });
    };
    match (&entry.read, folder) {
        (Read::Embedded(make), _) => Ok(make()),
        (Read::Idx(..), None) => Err(Error::NoFolder { name: entry.name }),
        (&Read::Idx(mean, std), Some(folder)) => {
            let normalization = Normalization {
                mean: vec![mean],
                std: vec![std],
            };
            idx::folder(folder, entry.name, normalization)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_to_data_or_to_advice() {
        assert_eq!(load("mnist-5k", None).unwrap().train.len(), 4000);
        let message = |name, folder| load(name, folder).unwrap_err().to_string();
        let unknown = message("mnits", None);
        assert!(
            unknown.contains("mnits") && unknown.contains("fashion-mnist"),
            "{unknown}"
        );
        assert!(message("kmnist", None).contains("--data-dir"));
        assert!(message("kmnist", Some(Path::new("/nowhere"))).contains("train-images-idx3-ubyte"));
    }
}
