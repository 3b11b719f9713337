//! Image data sets: downloading, reading, augmentation and batches. Each file format has its own file;
//! `catalog.rs` lists the data sets.

mod augment;
mod balanced;
mod batches;
mod catalog;
mod cells;
mod check;
pub mod cifar;
mod cifar_python;
mod decode;
mod error;
pub mod fetch;
mod files;
mod findings;
pub mod idx;
mod image_folder;
mod mnist5k;
mod pack;
mod resize;
mod skipped;
mod source;
mod split;
#[cfg(test)]
mod tests;
mod tiny_imagenet;

pub use augment::Augment;
pub use balanced::Balanced;
pub use batches::{Batches, Loader};
pub use catalog::{DATASETS, DataSet, Origin, download, downloads, load};
pub use check::{Report, check};
pub use error::{Error, Result};
pub use mnist5k::mnist5k;
pub use skipped::Skipped;
pub use source::{Image, ImageSource, InMemory, Label, Sample};
pub use split::{Fit, ImageSet, Normalization, Split};
